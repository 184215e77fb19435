/** `tungate probe` against strongSwan, ourselves, hosts that say nothing or refuse, and a responder of IKEv1 alone. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type ProbeDocument, probeDocument } from "../../src/control/probe-schema.ts";
import { run } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith, PROGRAM } from "./harness/prerequisites.ts";
import { startGateway, strongSwanSettings } from "./harness/settings.ts";
import { StrongSwan, swanctlSettings } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

describeWith(["tun", "build", "strongswan", "nft"], "probe", () => {
  let sites: TwoSites;
  let peer: StrongSwan;

  beforeAll(async () => {
    sites = await TwoSites.create();
    peer = await new StrongSwan(sites.b.gateway, join(sites.folder, "strongswan")).start();
  });
  afterAll(async () => {
    await peer.stop();
    await sites.remove();
  });

  const cli = (...words: string[]) =>
    run(sites.a.gateway.command([...PROGRAM, "probe", ...words]), {
      mayFail: true,
      timeoutMs: 90_000,
    });
  const asked = async (...words: string[]): Promise<ProbeDocument> => {
    const { stdout, stderr } = await cli(...words, "--json");
    if (stdout === "") throw new Error(stderr);
    return probeDocument.parse(JSON.parse(stdout));
  };
  const strongSwan = (ike: string) => strongSwanSettings({ site: SITE_B, ike });

  test("strongSwan with one proposal: exactly that is found, and the line for it", async () => {
    await peer.load(strongSwan("aes256gcm16-prfsha384-x25519"));
    const found = await asked(SITE_B.outer4);
    expect(found).toMatchObject({
      answer: "ikev2",
      natPort: "answers",
      nat: { weAreBehind: false },
      isLegacy: false,
      isCutShort: false,
      suggestion: { proposal: "aes256gcm16-prfsha384-x25519", warnings: [] },
    });
    expect(found.sets).toMatchObject({
      encryption: { accepted: ["aes256gcm16"], unclear: [] },
      prf: { accepted: ["prfsha384"], unclear: [] },
      keyExchange: { accepted: ["x25519"], unclear: [] },
    });
    expect(found.features).toMatchObject({ fragmentation: true, childless: true });
    const log = peer.log();
    expect(log.split("IKE_SA (unnamed)").length, "half-open IKE SAs").toBeLessThan(5);
  });

  test("a preset: whether the peer takes what it offers, and what to write beside it where not", async () => {
    await peer.load(strongSwan("aes256gcm16-prfsha384-ecp384"));
    expect((await cli(SITE_B.outer4, "--preset", "aws")).stdout).toContain(
      "\npreset aws: its proposals are accepted, with ecp384\n",
    );
    expect((await cli(SITE_B.outer4, "--preset", "fortigate")).stdout).toContain(
      "\npreset fortigate: none of its proposals is accepted; beside the preset write ike: { proposals: [aes256gcm16-prfsha384-ecp384] }\n",
    );
    expect(await cli(SITE_B.outer4, "--preset", "fortygate")).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('did you mean "fortigate"?'),
    });
  });

  test("several proposals, over IPv6 too: each kind's set", async () => {
    const settings = strongSwan("aes128-sha256-modp2048,aes256-sha512-prfsha256-ecp256-modp3072");
    await peer.load({ ...strongSwanSettings({ site: SITE_B, outer: 6 }), ike: settings.ike });
    const { sets } = await asked(SITE_B.outer6);
    expect(sets?.encryption.accepted).toEqual(["aes256", "aes128"]);
    expect(sets?.integrity.accepted).toEqual(["sha256", "sha512"]);
    expect(sets?.prf.accepted).toEqual(["prfsha256"]);
    expect(new Set(sets?.keyExchange.accepted)).toEqual(new Set(["modp2048", "ecp256", "modp3072"]));
  });

  test("legacy alone is named as what it is", async () => {
    await peer.load(strongSwan("3des-sha1-modp1024"));
    const found = await asked(SITE_B.outer4);
    expect(found).toMatchObject({ answer: "ikev2", isLegacy: true, chosen: "3des-sha1-modp1024" });
    expect(found.suggestion?.warnings.length).toBe(2);
  });

  test("a peer under load asks for cookies, and is answered", async () => {
    await peer.stop();
    await peer.start("cookie_threshold = 0\n    cookie_threshold_ip = 0");
    await peer.load(strongSwan("aes256gcm16-prfsha384-x25519"));
    const found = await asked(SITE_B.outer4);
    await peer.stop();
    await peer.start();
    expect(found.sets?.encryption.accepted).toEqual(["aes256gcm16"]);
  });

  test("a responder of IKEv1 alone is told from one that refuses", async () => {
    const settings = strongSwan("aes256-sha256-modp2048");
    await peer.loadText(swanctlSettings(settings).replace("version = 2", "version = 1"));
    expect(await asked(SITE_B.outer4)).toMatchObject({ answer: "ikev1" });
    await peer.load({ ...settings, remote: "192.0.2.77" });
    expect(await asked(SITE_B.outer4)).toMatchObject({ answer: "refuses" });
  });

  test("port 4500 that is blocked, and a host that is not there, silent or refusing", async () => {
    const { gateway } = sites.b;
    await peer.load(strongSwan("aes256gcm16-prfsha384-x25519"));
    const filter = (rule: string) =>
      gateway.run(["nft", "-f", "-"], {
        input: `flush ruleset
          table inet t {
            chain c {
              type filter hook input priority 0
              ${rule}
            }
          }`,
      });
    await filter("udp dport { 600, 4500 } drop");
    const ports = ["500", "600", "700"] as const;
    const [blocked, silent, closed] = await Promise.all(
      ports.map((port) => asked(SITE_B.outer4, "--port", port)),
    );
    await gateway.run(["nft", "flush", "ruleset"]);
    expect(blocked).toMatchObject({ answer: "ikev2", natPort: "silent" });
    expect(silent).toMatchObject({ answer: "silent", natPort: "silent" });
    expect(silent?.summary).not.toMatch(/says/);
    expect(closed?.summary).toContain("says that nobody listens on its UDP port 700");
  });

  test("ourselves, beside a gateway that runs, and compared with its configuration", async () => {
    await peer.stop();
    const a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
    const b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
    try {
      await startGateway(b, { site: SITE_B, ike: "aes128gcm16-prfsha256-ecp256", keep: "respond" });
      await startGateway(a, { site: SITE_A, ike: "aes256gcm16-prfsha384-x25519", keep: "respond" });
      const found = await asked(SITE_B.outer4, "-c", a.configurationPath);
      expect(found).toMatchObject({
        answer: "ikev2",
        chosen: "aes128gcm16-prfsha256-ecp256",
        configured: [{ connection: "peer", verdict: "refused" }],
        natPort: "answers",
      });
      expect(found.sets?.keyExchange.accepted).toEqual(["ecp256"]);
      const { stdout } = await cli(SITE_B.outer4, "-c", a.configurationPath);
      expect(stdout).toContain("add aes128gcm16-prfsha256-ecp256 to connections.peer.ike.proposals");
      expect((await a.status()).connections).toHaveLength(1);
    } finally {
      await a.stop();
      await b.stop();
      await peer.start();
    }
  });
});
