/** Chains of RSA-4096 certificates, several kilobytes, in IKE fragments over paths that swallow anything longer than they carry. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ca, type Made, makeKey } from "../unit/pki/certificate-maker.ts";
import {
  type CertifiedConnection,
  certificatePem,
  closeAll,
  ourConnections,
  theirConnections,
  writeOurs,
  writeTheirCa,
  writeTheirs,
} from "./harness/certified.ts";
import { issue, validity } from "./harness/certified-world.ts";
import { Gateway } from "./harness/gateway.ts";
import { NarrowPath } from "./harness/narrow-path.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { StrongSwan } from "./harness/strongswan.ts";
import { TwoSites } from "./harness/two-sites.ts";

const INTERMEDIATES = 3;
const CONNECTION: CertifiedConnection = {
  name: "long",
  local: "certificate: long-a.pem, private_key: long-a.key",
  remote: "ca: root.pem, revocation: off",
  // Nothing cuts IKE_SA_INIT, and with all that strongSwan proposes by itself it has more than 576 octets.
  theirMore: "proposals = aes256gcm16-prfsha384-x25519",
  theirLocal: "auth = pubkey\n            certs = long-b.pem",
};

/** A certificate and those between it and the root, in this order. */
function chainBelow(root: Made, side: "a" | "b"): readonly Made[] {
  const chain: Made[] = [];
  let issuer = root;
  for (let i = 1; i <= INTERMEDIATES; i++) {
    issuer = ca(`O=Tungate test, CN=Middle ${i} ${side}`, { ...validity, key: makeKey("rsa4096"), issuer });
    chain.unshift(issuer);
  }
  const own = issue(`long-${side}`, { key: makeKey("rsa4096"), issuer });
  return [own, ...chain];
}

describeWith(["tun", "build", "strongswan"], "strongSwan: large chains over narrow paths", () => {
  let sites: TwoSites;
  let path: NarrowPath;
  let peer: StrongSwan;
  let ours: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create({ withWire: false });
    path = await NarrowPath.between(sites);
    peer = new StrongSwan(sites.b.gateway, join(sites.folder, "strongswan"));
    ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
    const root = ca("O=Tungate test, CN=Root", { ...validity, key: makeKey("rsa4096") });
    const [own, theirs] = [chainBelow(root, "a"), chainBelow(root, "b")];
    ours.writeSecret("root.pem", certificatePem(root));
    writeOurs(ours, "long-a", own);
    // Each side gets to know the other's chain from the other alone.
    writeTheirs(peer, "long-b", theirs[0]!);
    for (const [i, made] of [root, ...theirs.slice(1)].entries()) writeTheirCa(peer, `ca-${i}`, made);
    await sites.b.gateway.ip("addr add 10.2.0.2/32 dev lan0");
  }, 300_000);
  afterAll(async () => {
    await ours?.kill();
    await peer?.stop();
    await path?.remove();
    await sites?.remove();
  });

  /** Nothing longer passes, nobody is told, and what was cut on the way does not pass either. */
  async function swallowAbove(octets: number): Promise<void> {
    await path.router.run(["nft", "-f", "-"], {
      input: `table inet narrow {
        chain way {
          type filter hook forward priority 0
          meta length > ${octets} counter drop
          ip frag-off & 0x3fff != 0 counter drop
        }
      }`,
    });
  }

  const PATHS = [
    { octets: 1280, theirs: "" },
    { octets: 576, theirs: "fragment_size = 576" },
  ];

  describe.each(PATHS)("a path of $octets octets", ({ octets, theirs }) => {
    beforeAll(async () => {
      await peer.start(theirs);
      await peer.loadText(theirConnections([CONNECTION]));
      await swallowAbove(octets);
      await ours.start(ourConnections([CONNECTION]));
    });
    afterEach(() => closeAll(ours, peer, ["long"]));
    afterAll(async () => {
      await ours.stop();
      await peer.stop();
      await path.router.run(["nft", "flush", "ruleset"]);
    });

    /** Both chains came in fragments, whole. */
    async function expectChains(before: number): Promise<void> {
      const { localProof, remoteProof } = await ours.isUp("long", "lan", 60_000);
      expect(localProof).toContain('certificate "CN=long-a", rsa-pss');
      expect(remoteProof).toContain('certificate "CN=long-b", rsa-');
      const log = peer.log().slice(before);
      expect(log.match(/received issuer cert "O=Tungate test, CN=Middle \d a"/g)).toHaveLength(INTERMEDIATES);
      const received =
        /received fragment #\d+ of (\d+), reassembled fragmented IKE message \((\d+) bytes\)/.exec(log);
      const sent = /splitting IKE message \((\d+) bytes\) into (\d+) fragments/.exec(log);
      expect(Number(received?.[2])).toBeGreaterThan(4000);
      expect(Number(received?.[1])).toBeGreaterThan(4000 / octets);
      expect(Number(sent?.[1])).toBeGreaterThan(4000);
      expect(Number(sent?.[2])).toBeGreaterThan(4000 / octets);
    }

    test("we call", async () => {
      const before = peer.log().length;
      await ours.command("up", "long", undefined, 40);
      await expectChains(before);
    });

    test("strongSwan calls", async () => {
      const before = peer.log().length;
      expect(await peer.initiate(30, "long")).toBe(true);
      await expectChains(before);
    });
  });
});
