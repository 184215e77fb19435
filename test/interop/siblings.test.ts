/** Several SAs for one child: by DSCP with strongSwan, for each lane between two of ours, and none where the peer knows no lanes. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectTraffic } from "./harness/checks.ts";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway, strongSwanSettings, type TunnelFacts } from "./harness/settings.ts";
import type { StrongSwan } from "./harness/strongswan.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";
import { oppositeStrongSwan } from "./harness/worlds.ts";

const CLASSES = "        dscp_sas: [ef, [af11, af12]]";
const PINGS = 5;

const lanOf = async (gateway: Gateway) => (await gateway.connection("peer")).children[0]!;
const siblingsOf = async (gateway: Gateway) => (await lanOf(gateway)).siblings ?? [];
describeWith(["tun", "build", "tcpdump", "strongswan"], "several SAs for one child", () => {
  let sites: TwoSites;
  let a: Gateway;
  let peer: StrongSwan;

  oppositeStrongSwan((world) => {
    ({ sites, peer, ours: a } = world);
  });

  const ping = (dscp: number) =>
    sites.a.host.run(["ping", "-q", "-c", `${PINGS}`, "-i", "0.2", "-Q", `${dscp << 2}`, SITE_B.host4]);

  /** Every class has carried its own pings and no others; the first SA the rest. */
  async function expectClasses(): Promise<void> {
    await until("all SAs are up", async () => (await siblingsOf(a)).length === 2);
    const sent = async () => {
      const lan = await lanOf(a);
      const counts = (lan.siblings ?? []).map(({ dscps, counters }) => [
        dscps,
        counters?.outboundPackets ?? 0,
      ]);
      return { rest: lan.counters!.outboundPackets, counts };
    };
    const before = await sent();
    for (const dscp of [46, 12, 8, 12]) expect((await ping(dscp)).stdout).toContain(" 0% packet loss");
    const after = await sent();
    const difference = after.counts.map(([dscps, count], i) => [
      dscps,
      Number(count) - Number(before.counts[i]![1]),
    ]);
    expect(difference).toEqual([
      [[46], PINGS],
      [[10, 12], 2 * PINGS],
    ]);
    expect(after.rest - before.rest).toBeGreaterThanOrEqual(PINGS);
  }

  test("[PAR-01] [PAR-02] strongSwan takes an SA for each class of DSCP values, and they are rekeyed", async () => {
    const facts: TunnelFacts = { site: SITE_A, child: CLASSES };
    await peer.load(strongSwanSettings({ ...facts, site: SITE_B }));
    await startGateway(a, facts);
    await a.isUp("peer");
    await expectClasses();
    const before = (await siblingsOf(a)).map(({ inboundSpi }) => inboundSpi);
    await a.cli("rekey", "peer/lan");
    await until("all are rekeyed", async () => {
      const now = (await siblingsOf(a)).map(({ inboundSpi }) => inboundSpi);
      return now.length === 2 && now.every((spi) => !before.includes(spi));
    });
    await expectClasses();
  });

  test("[RES-01] strongSwan of Debian 12 knows no lanes: one SA for all of ours", async () => {
    await peer.load(strongSwanSettings({ site: SITE_B }));
    await startGateway(a, { site: SITE_A, lanes: 2 });
    await a.isUp("peer");
    await expectTraffic(sites.a, sites.b, { octets: 200_000 });
    await expectTraffic(sites.b, sites.a, { octets: 200_000 });
    expect(await siblingsOf(a)).toEqual([]);
  });
});

describeWith(["tun", "build", "tcpdump"], "SAs for lanes", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create();
    a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
    b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
  });
  afterAll(async () => {
    await Promise.all([a.kill(), b.kill()]);
    await sites.remove();
  });

  test("[RES-01] two of ours bind an SA to each lane", async () => {
    await startGateway(b, { site: SITE_B, lanes: 2, keep: "respond" });
    await startGateway(a, { site: SITE_A, lanes: 2 });
    await Promise.all([a.isUp("peer"), b.isUp("peer")]);
    for (const gateway of [a, b])
      await until("each lane has its SA", async () => {
        const siblings = await siblingsOf(gateway);
        return siblings.map(({ lane }) => lane).join() === "0,1";
      });
    await expectTraffic(sites.a, sites.b, { octets: 500_000 });
    await expectTraffic(sites.b, sites.a, { octets: 500_000 });
    const carried = (await siblingsOf(a)).map(
      ({ counters }) => counters!.outboundPackets + counters!.inboundPackets,
    );
    expect(carried.some((packets) => packets > 100)).toBe(true);
    for (const { inboundSpi, lane } of await siblingsOf(a))
      expect(Number.parseInt(inboundSpi, 16) & 1).toBe(lane);
  });
});
