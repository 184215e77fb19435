/** mobike-nat-mappings: the NAT before a client gives it another port or address, with and without MOBIKE, strongSwan in both roles. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { ConnectionStatus } from "../../src/control/schema.ts";
import { Capture } from "./harness/capture.ts";
import { expectTraffic } from "./harness/checks.ts";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { CALLED, INSIDE_A, NatWorld, OUTSIDE } from "./harness/nat-world.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { ESP, IKE, SECRET } from "./harness/settings.ts";
import { type PeerConnection, StrongSwan } from "./harness/strongswan.ts";
import { TrafficAgent } from "./harness/traffic.ts";
import { SITE_A, SITE_B } from "./harness/two-sites.ts";

/** The tunnel may stand still for so long: twice what tells a silent peer, and what a busy machine adds. */
const BOUND_MS = 15_000;
const PORTS = "40000-40999";
const TRAFFIC = { families: [4], octets: 20_000, datagrams: 10 } as const;

const PEER = { secret: SECRET, ike: IKE, esp: ESP };
const STRONGSWAN_INSIDE: PeerConnection = {
  ...PEER,
  local: INSIDE_A.outer4,
  remote: CALLED,
  localId: "a.test",
  remoteId: "b.test",
  localTs: [SITE_A.lan4],
  remoteTs: [SITE_B.lan4],
};
const STRONGSWAN_CALLED: PeerConnection = {
  ...PEER,
  local: CALLED,
  remote: "%any",
  localId: "b.test",
  remoteId: "a.test",
  localTs: [SITE_B.lan4],
  remoteTs: [SITE_A.lan4],
};

/** Ours, at site A behind the NAT or at site B in front of it. */
function settings(site: "a" | "b", mobike: boolean): string {
  const [own, other] = site === "a" ? [SITE_A, SITE_B] : [SITE_B, SITE_A];
  return `version: 1
gateway: { on_exit: open }
connections:
  net:
    local: { id: ${site}.test }
    remote: { address: ${site === "a" ? CALLED : "any"}, id: ${site === "a" ? "b" : "a"}.test }
    psk: { file: secret }
    ike: { proposals: [${IKE}], liveness: 2s, mobike: ${mobike} }
    children: { lan: { local: ${own.lan4}, remote: ${other.lan4}, esp: [${ESP}] } }
`;
}

describeWith(["tun", "build", "tcpdump", "nft", "strongswan"], "mobike-nat-mappings", () => {
  let world: NatWorld;
  let ours: Gateway;
  let peer: StrongSwan;
  let router: TrafficAgent;

  beforeAll(async () => {
    world = await NatWorld.create();
    router = await TrafficAgent.start(world.router);
  });
  afterEach(async () => {
    await ours.stop();
    await peer.stop();
    await world.remap();
  });
  afterAll(async () => {
    await router.stop();
    await world.remove();
  });

  const status = async (): Promise<ConnectionStatus> => (await ours.status()).connections[0]!;
  const passes = async (from: "a" | "b") => {
    const [host, target] =
      from === "a" ? [world.sites.a.host, SITE_B.host4] : [world.sites.b.host, SITE_A.host4];
    await until(
      `packets pass from ${from}`,
      () => host.ping(target),
      BOUND_MS,
      () => `${ours.log().slice(-2000)}\n${peer.log().slice(-3000)}`,
    );
  };
  const place = async (site: "a" | "b", mobike: boolean) => {
    const { a, b } = world.sites;
    const { gateway } = site === "a" ? a : b;
    const folder = `${site}-${mobike}`;
    peer = new StrongSwan((site === "a" ? b : a).gateway, join(world.sites.folder, `strongswan-${folder}`));
    ours = new Gateway(gateway, join(world.sites.folder, `tungate-${folder}`));
    const load = site === "a" ? STRONGSWAN_CALLED : STRONGSWAN_INSIDE;
    await peer.start();
    await peer.load({ ...load, settings: `mobike = ${mobike ? "yes" : "no"}\ndpd_delay = 2s` });
    ours.writeSecret("secret", `${SECRET}\n`);
    await ours.start(settings(site, mobike));
    if (site === "b") expect(await peer.initiate()).toBe(true);
    await until("the tunnel is up", async () => (await status()).children[0]?.state === "up");
    await expectTraffic(a, b, TRAFFIC);
  };

  /** What was on the wire, again, and with an octet changed, from a place of somebody else's. */
  const replay = async () => {
    const capture = await Capture.start(world.router, "out0", join(world.sites.folder, "recorded.pcap"));
    await passes("a");
    const frames = await capture.stop();
    const recorded = frames
      .filter(({ kind, source, ports }) => source === OUTSIDE[0] && kind !== "clear" && ports?.[1] === 4500)
      .map(({ kind, payload }) => ({ kind, octets: Buffer.from(payload) }));
    expect(recorded.filter(({ kind }) => kind === "esp").length).toBeGreaterThanOrEqual(3);
    const forged = recorded.map(({ kind, octets }) => {
      const other = Buffer.from(octets);
      // A sequence number that nobody has used yet, or a message ID.
      other[kind === "esp" ? 6 : 27]! ^= 1;
      return other;
    });
    const payloads = [...recorded.map(({ octets }) => octets), ...forged].map((one) => one.toString("hex"));
    await router.datagrams({ host: CALLED, port: 4500, payloads, fromAddress: OUTSIDE[0], fromPort: 45_999 });
  };

  test.each([false, true])(
    "[NAT-07] strongSwan is behind the NAT, MOBIKE %s: we follow what is authentic and new, and nothing else",
    async (mobike) => {
      await place("b", mobike);
      const before = await status();

      await replay();
      await passes("b");
      expect((await status()).moved).toBeUndefined();

      await world.remap(PORTS);
      await passes("a");
      await passes("b");
      const after = await status();
      expect(after.initiatorSpi).toBe(before.initiatorSpi);
      expect(after.moved).toMatchObject({ what: "peer", from: expect.stringMatching(/^192\.0\.2\.9:\d+$/) });
      expect(after.moved!.to).toMatch(/^192\.0\.2\.9:40\d{3}$/);
      expect((await ours.cli("status")).stdout).toMatch(
        /the peer moved from 192\.0\.2\.9:\d+ to 192\.0\.2\.9:40\d{3}, /,
      );

      await world.renumber();
      await passes("a");
      await passes("b");
      expect(await status()).toMatchObject({ initiatorSpi: before.initiatorSpi, remote: OUTSIDE[1] });
      expect((await ours.command("rekey", before.name, "lan")).outcome).toBe("done");
      await passes("b");
      await world.renumber();
    },
  );

  test("[NAT-07] we are behind the NAT, without MOBIKE: a liveness check tells strongSwan", async () => {
    await place("a", false);
    const before = await status();
    await world.remap(PORTS);
    await passes("a");
    await passes("b");
    expect((await status()).initiatorSpi).toBe(before.initiatorSpi);
    expect(await peer.associations()).toMatch(/192\.0\.2\.9\[40\d{3}\]/);
    await world.renumber();
    await passes("a");
    await passes("b");
    expect((await status()).initiatorSpi).toBe(before.initiatorSpi);
    await world.renumber();
  });

  test("[MOB-08] we are behind the NAT, with MOBIKE: we find out and tell strongSwan", async () => {
    await place("a", true);
    const before = await status();
    // The first answer to a liveness check says how the peer saw us, and further ones are compared with that.
    await peer.logSays(/parsed INFORMATIONAL request \d+ \[ N\(UPD_SA_ADDR\)/);
    expect((await status()).moved).toBeUndefined();
    await world.remap(PORTS);
    await until("we know", async () => (await status()).moved !== undefined, BOUND_MS);
    await passes("a");
    await passes("b");
    const after = await status();
    expect(after).toMatchObject({ initiatorSpi: before.initiatorSpi, moved: { what: "mapping" } });
    expect((await ours.cli("status")).stdout).toContain("a NAT on the way gave us another mapping, ");
    expect(await peer.associations()).toMatch(/192\.0\.2\.9\[40\d{3}\]/);
  });
});
