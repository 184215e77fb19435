/** Paths that carry less than the links at both ends say, with and without ICMP: everything passes all the same. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { internetChecksum } from "../../src/wire/ip/checksum.ts";
import { packet } from "../unit/dataplane/packets.ts";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { NarrowPath } from "./harness/narrow-path.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { SECRET, startGateway, strongSwanSettings, tungateSettings } from "./harness/settings.ts";
import { StrongSwan } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, type Site, TwoSites } from "./harness/two-sites.ts";

/** From the moment at which the tunnel is up, probes included. */
const BOUND_MS = 15_000;
const OCTETS = 2_000_000;
const WIDE = 1500;
const NARROW = 1300;

describeWith(["tun", "build", "nft", "strongswan"], "path MTU", () => {
  let sites: TwoSites;
  let path: NarrowPath;
  let a: Gateway;
  let b: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create({ withWire: false });
    path = await NarrowPath.between(sites);
    a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
    b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
  });
  beforeEach(async () => {
    await path.widen();
    await path.setIcmp(true);
    for (const namespace of [sites.a.gateway, sites.a.host, sites.b.gateway, sites.b.host])
      await namespace.run(["sh", "-c", "ip route flush cache; ip -6 route flush cache"]);
  });
  afterEach(async () => {
    await Promise.all([a.stop(), b.stop()]);
  });
  afterAll(async () => {
    await a.kill();
    await b.kill();
    await path.remove();
    await sites.remove();
  });

  const mtuOf = async (gateway: Gateway) => (await gateway.connection("peer")).children[0]?.mtu;
  const dropsOf = async (gateway: Gateway) => (await gateway.status()).drops;

  /** Pings with and without room for fragments, and TCP, both ways: within the bound. */
  async function expectEverything(families: readonly (4 | 6)[] = [4, 6]): Promise<void> {
    for (const [from, to] of [
      [sites.a, sites.b],
      [sites.b, sites.a],
    ] as const)
      for (const family of families) {
        const host = family === 4 ? to.addresses.host4 : to.addresses.host6;
        for (const size of ["56", "1400", "4000"])
          await until(`ping -s ${size} ${host}`, () => from.host.ping(host, ["-s", size]), BOUND_MS);
        await expectTcp(from, to, host);
      }
  }

  async function expectTcp(from: Site, to: Site, host: string): Promise<void> {
    const [sender, receiver] = [await from.traffic(), await to.traffic()];
    await receiver.forget();
    await receiver.tcpServe(5001);
    const transfer = await sender.tcpSend({ host, port: 5001, octets: OCTETS, timeoutMs: BOUND_MS });
    expect(transfer.received).toEqual({ octets: OCTETS, digest: transfer.digest });
  }

  // Before the others: what a gateway of ours leaves behind keeps strongSwan's packets in.
  test("strongSwan behind a black hole answers the probes, and TCP passes both ways", async () => {
    const peer = await new StrongSwan(sites.b.gateway, join(sites.folder, "strongswan")).start();
    try {
      await path.narrow(NARROW);
      await path.setIcmp(false);
      await peer.load(strongSwanSettings({ site: SITE_B }));
      await startGateway(a, { site: SITE_A });
      await a.isUp("peer");
      await until("the path was probed", async () => (await mtuOf(a))?.path === NARROW, BOUND_MS);
      expect(await mtuOf(a)).toMatchObject({ source: "probed" });

      await expectTcp(sites.a, sites.b, SITE_B.host4);
      await expectTcp(sites.b, sites.a, SITE_A.host4);
      // What strongSwan itself sends with DF may be 1400 octets long inside: only what our MSS holds down comes back.
      await until("ping", () => sites.a.host.ping(SITE_B.host4, ["-s", "1100"]), BOUND_MS);

      expect((await peer.associations()).match(/ESTABLISHED/g)).toHaveLength(1);
    } finally {
      await peer.stop();
    }
  });

  describe.each([
    [4, NARROW],
    // The least of IPv6: inner packets of this size leave in outer fragments.
    [6, 1280],
  ] as const)("over IPv%s with %s octets", (outer, narrow) => {
    test.each(["auto", "esp"] as const)("a black hole, encapsulation %s", async (encapsulation) => {
      await path.narrow(narrow);
      await path.setIcmp(false);
      await startGateway(b, { site: SITE_B, outer, encapsulation, keep: "respond" });
      await startGateway(a, { site: SITE_A, outer, encapsulation });
      await Promise.all([a.isUp("peer"), b.isUp("peer")]);

      await expectEverything();

      for (const gateway of [a, b])
        expect(await mtuOf(gateway)).toMatchObject({ path: narrow, source: "probed", isProbed: true });
      expect(await path.silenced()).toBeGreaterThan(0);
    });

    test("a path that turns narrow with ICMP while traffic passes", async () => {
      await startGateway(b, { site: SITE_B, outer, keep: "respond" });
      await startGateway(a, { site: SITE_A, outer });
      await Promise.all([a.isUp("peer"), b.isUp("peer")]);
      await until("the path was probed", async () => (await mtuOf(a))?.source === "probed");
      expect(await mtuOf(a)).toMatchObject({ path: WIDE });

      await path.narrow(narrow);
      await expectEverything();

      expect(await mtuOf(a)).toMatchObject({ path: narrow });
      const { stdout } = await a.cli("status");
      expect(stdout).toMatch(
        /inner MTU \d+ = 1(300|280) - \d+ \(IPv[46], UDP\) - \d+ \(ESP\), (learnt from ICMP of|probed)/,
      );
    });
  });

  test("a black hole over IPv6 and IKE messages that are longer, without RFC 7383", async () => {
    await path.narrow(1280);
    await path.setIcmp(false);
    const prfs = ["sha512", "sha384", "sha256"];
    const ike = ["256", "192", "128"]
      .flatMap((bits) => prfs.map((prf) => `aes${bits}gcm16-prf${prf}-modp8192`))
      .join(", ");
    const facts = { outer: 6, ike, withoutIkeFragments: true } as const;
    await startGateway(b, { ...facts, site: SITE_B, keep: "respond" });
    await startGateway(a, { ...facts, site: SITE_A });

    await Promise.all([a.isUp("peer"), b.isUp("peer")]);

    // The request was tried whole at first.
    expect(await path.silenced()).toBeGreaterThan(0);
    expect(await sites.a.host.ping(SITE_B.host4)).toBe(true);
  });

  test("what was found outlives a restart and a crash", async () => {
    await path.narrow(NARROW);
    await path.setIcmp(false);
    await startGateway(b, { site: SITE_B, keep: "respond" });
    a.writeSecret("secret", `${SECRET}\n`);
    await a.start(tungateSettings({ site: SITE_A }), { isSupervised: true });
    await a.isUp("peer");
    await until("the path was probed", async () => (await mtuOf(a))?.path === NARROW, BOUND_MS);
    const routeMtu = async () =>
      (await sites.a.gateway.run(["ip", "route", "get", SITE_B.host4])).stdout.match(/mtu \d+/)?.[0];
    // Routes follow a little later: while the search goes on they say a size that it has left behind.
    const route = `mtu ${(await mtuOf(a))?.inner}`;
    await until("routes say so", async () => (await routeMtu()) === route);

    for (const how of ["clean", "kill"] as const) {
      await a.restart(how);
      const seen = new Set<number | undefined>();
      const look = async () => {
        const mtu = await mtuOf(a);
        if (mtu !== undefined) seen.add(mtu.path);
        return mtu?.path === NARROW && mtu.source === "probed";
      };
      await look();
      expect(await routeMtu()).toBe(route);
      await expectTcp(sites.a, sites.b, SITE_B.host4);
      await until("the path was probed anew", look, BOUND_MS);
      expect([...seen]).toEqual([NARROW]);
    }
  });

  test("`df: clear`: what is too big for the path is fragmented on the way, and reassembled by the peer's kernel", async () => {
    const child = "        df: clear";
    await startGateway(b, { site: SITE_B, keep: "respond", child });
    await startGateway(a, { site: SITE_A, child });
    await Promise.all([a.isUp("peer"), b.isUp("peer")]);
    await until("the path was probed", async () => (await mtuOf(a))?.source === "probed");
    await path.narrow(NARROW);
    await path.setIcmp(false);

    // Before anything could be learnt: the first packet already passes.
    expect(await sites.a.host.ping(SITE_B.host4, ["-s", "1380", "-M", "do"])).toBe(true);
    expect(await mtuOf(a)).toMatchObject({ path: WIDE });
    await expectEverything([4]);
  });

  test("[SPD-10] forged ICMP changes nothing, and is counted", async () => {
    await startGateway(b, { site: SITE_B, keep: "respond" });
    await startGateway(a, { site: SITE_A });
    const spi = Number.parseInt((await a.isUp("peer")).children[0]!.outboundSpi!, 16);
    await until("the path was probed", async () => (await mtuOf(a))?.source === "probed");
    await until("ping", () => sites.a.host.ping(SITE_B.host4));

    const forged = [
      ...[1, 2, 3].map((i) => tooBig(600, esp(spi ^ i, 1))),
      ...[1000, 0].map((sequence) => tooBig(600, esp(spi, sequence))),
      ...[1, 68, 575].map((mtu) => tooBig(mtu, esp(spi, 1))),
      ...[WIDE, 65_535].map((mtu) => tooBig(mtu, esp(spi, 1))),
      tooBig(600, new Uint8Array(0)),
    ];
    await path.inject(forged);

    await until("all is counted", async () => {
      const drops = await dropsOf(a);
      const counted = Object.entries(drops).filter(([reason]) => reason.startsWith("path:"));
      return counted.reduce((sum, [, count]) => sum + count, 0) >= forged.length;
    });
    expect(await dropsOf(a)).toMatchObject({
      "path:unknownSpi": 3,
      "path:badSequence": 2,
      "path:absurdMtu": 3,
      "path:notSmaller": 2,
      "path:hint": 1,
    });
    expect(await mtuOf(a)).toMatchObject({ path: WIDE, source: "probed" });
    // The kernel's own cache believed it; what the gateway reads as the link's size did not change.
    await sites.a.gateway.ip("link set wan0 txqueuelen 999");
    await sites.a.host.ping(SITE_B.host4);
    expect(await mtuOf(a)).toMatchObject({ path: WIDE });
    expect(await sites.a.host.ping(SITE_B.host4, ["-s", "1400", "-M", "do"])).toBe(true);
  });

  test("a flood of forged ICMP is bounded, and the tunnel carries on", async () => {
    await startGateway(b, { site: SITE_B, keep: "respond" });
    await startGateway(a, { site: SITE_A });
    await a.isUp("peer");
    const flood = Array.from({ length: 4000 }, (_, i) => tooBig(600, esp(i + 1, i)));

    await path.inject(flood);

    expect(await sites.a.host.ping(SITE_B.host4)).toBe(true);
    await until("the flood is counted", async () => {
      const drops = await dropsOf(a);
      return (drops["reportRateLimited"] ?? 0) + (drops["path:unknownSpi"] ?? 0) > 500;
    });
    expect((await dropsOf(a))["path:unknownSpi"]).toBeLessThan(1000);
    expect(await mtuOf(a)).toMatchObject({ path: WIDE });
  });
});

function esp(spi: number, sequence: number): Uint8Array {
  const header = new DataView(new ArrayBuffer(16));
  header.setUint32(0, spi);
  header.setUint32(4, sequence);
  return new Uint8Array(header.buffer);
}

/** "Fragmentation needed" about a packet from A to B in UDP, of which it quotes this much behind the UDP header. */
function tooBig(mtu: number, quoted: Uint8Array): Uint8Array {
  const about = packet({
    source: SITE_A.outer4,
    destination: SITE_B.outer4,
    ports: [4500, 4500],
    payload: new Uint8Array(1472),
  }).slice(0, 28);
  const icmp = Uint8Array.of(3, 4, 0, 0, 0, 0, mtu >> 8, mtu & 0xff, ...about, ...quoted);
  const sum = internetChecksum(icmp, 0, icmp.length);
  icmp.set([sum >> 8, sum & 0xff], 2);
  const carrier = packet({ source: "203.0.113.9", destination: SITE_A.outer4, protocol: 99, payload: icmp });
  return Uint8Array.of(...carrier.slice(0, 9), 1, ...carrier.slice(10, 20), ...icmp);
}
