/** One, two and four lanes in every pairing, whatever the number of processors: what lands in a wrong lane is handed over. */
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { Capture } from "./harness/capture.ts";
import { expectOnlyTunnel, expectTraffic } from "./harness/checks.ts";
import { until } from "./harness/command.ts";
import type { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway, strongSwanSettings, type TunnelFacts, tungateSettings } from "./harness/settings.ts";
import type { StrongSwan } from "./harness/strongswan.ts";
import { newFlow } from "./harness/traffic.ts";
import { SITE_A, SITE_B, type Site, type TwoSites } from "./harness/two-sites.ts";
import { oppositeOurselves, oppositeStrongSwan } from "./harness/worlds.ts";

const FLOWS = 24;
const DATAGRAMS = 20;
const PORT = 5003;

/** A second child besides `lan`, so that two SAs have two lanes. */
const LAN6 = (own: string, other: string) => `      lan6:
        local: ["${own}"]
        remote: ["${other}"]
        esp: [aes256gcm16]
        lane_sas: off`;
/** One SA for all lanes, so that there is something to hand over. */
const ONE_SA = "        lane_sas: off\n";

const facts = (site: typeof SITE_A, lanes: number, more: Partial<TunnelFacts> = {}): TunnelFacts => ({
  site,
  lanes,
  networks: [[SITE_A.lan4], [SITE_B.lan4]],
  child: ONE_SA + (site === SITE_A ? LAN6(SITE_A.lan6, SITE_B.lan6) : LAN6(SITE_B.lan6, SITE_A.lan6)),
  ...more,
});

/**
 * Flows of one direction alone: no answer teaches the device which queue they should come from. What is handed from lane to
 * lane arrives whole and in the order of its flow.
 */
async function oneWayFlows(from: Site, to: Site): Promise<void> {
  const [sender, receiver] = [await from.traffic(), await to.traffic()];
  await receiver.forget();
  await receiver.udpServe(PORT);
  const flows = Array.from({ length: FLOWS }, newFlow);
  const host = to.addresses.host4;
  const sent = await Promise.all(
    flows.map((flow) => sender.udpSend({ host, port: PORT, flow, count: DATAGRAMS, everyMs: 20, size: 900 })),
  );
  expect(sent.map(({ refused }) => refused)).toEqual(flows.map(() => 0));
  const device = (await from.gateway.run(["ip", "-s", "link", "show", "tungate0"])).stdout;
  for (const flow of flows) {
    await until(
      `flow ${flow} has arrived`,
      async () => (await receiver.udpReceived(flow)).received >= DATAGRAMS,
      40_000,
      () => `the sender's device: ${device}`,
    );
    expect(await receiver.udpReceived(flow)).toMatchObject({
      received: DATAGRAMS,
      duplicates: 0,
      corrupt: 0,
      overtaken: 0,
    });
  }
}

/** No lane kept anything that was another's. */
async function expectNoneLost(gateway: Gateway, lanes: number): Promise<number> {
  const status = (await gateway.status())!;
  expect(status.lanes).toBe(lanes);
  const { otherLane, handOverFull, replayed, leftOfWindow } = status.drops;
  expect([otherLane, handOverFull, replayed, leftOfWindow]).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  return status.transfers["framesHandedOver"]!;
}

describeWith(["tun", "build", "tcpdump"], "lanes", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;
  let capture: Capture | undefined;

  oppositeOurselves((world) => {
    ({ sites, a, b } = world);
  });
  afterEach(async () => {
    await capture?.stop();
    capture = undefined;
  });

  test.each([
    [1, 2, "auto"],
    [1, 4, "auto"],
    [2, 1, "auto"],
    [2, 2, "auto"],
    [2, 4, "auto"],
    [4, 1, "auto"],
    [4, 2, "auto"],
    [4, 4, "auto"],
    [2, 4, "esp"],
    [4, 2, "esp"],
  ] as const)("%i here and %i there, encapsulation %s", async (lanesOfA, lanesOfB, encapsulation) => {
    capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));
    await startGateway(b, facts(SITE_B, lanesOfB, { encapsulation, keep: "respond" }));
    await startGateway(a, facts(SITE_A, lanesOfA, { encapsulation }));
    await Promise.all([a.isUp("peer"), b.isUp("peer")]);
    await until("both children are up", async () =>
      (await a.connection("peer")).children.every(({ state }) => state === "up"),
    );

    await expectTraffic(sites.a, sites.b, { octets: 1_000_000, datagrams: 20 });
    await expectTraffic(sites.b, sites.a, { octets: 1_000_000, datagrams: 20 });
    await oneWayFlows(sites.a, sites.b);
    await oneWayFlows(sites.b, sites.a);

    const handedOver = [await expectNoneLost(a, lanesOfA), await expectNoneLost(b, lanesOfB)];
    expect(handedOver.map((count) => count > 0)).toEqual([lanesOfA > 1, lanesOfB > 1]);
    const { stdout } = await a.cli("status");
    expect(stdout).toContain(`tungate0, ${lanesOfA} ${lanesOfA === 1 ? "lane" : "lanes"}`);
    expectOnlyTunnel(await capture.stop(), 2 * FLOWS * DATAGRAMS);
  });

  test("a rekey changes no lane, and nothing is lost", async () => {
    await startGateway(b, facts(SITE_B, 4, { keep: "respond" }));
    await startGateway(a, facts(SITE_A, 2));
    await Promise.all([a.isUp("peer"), b.isUp("peer")]);
    const laneOf = async () =>
      (await a.connection("peer")).children.map(({ inboundSpi }) => Number.parseInt(inboundSpi!, 16) & 1);
    const before = await laneOf();
    expect(new Set(before)).toEqual(new Set([0, 1]));
    const [sender, receiver] = [await sites.a.traffic(), await sites.b.traffic()];
    await receiver.forget();
    await receiver.udpServe(PORT, true);
    const flow = newFlow();
    const sending = sender.udpSend({
      host: SITE_B.host4,
      port: PORT,
      flow,
      count: 600,
      everyMs: 5,
      size: 400,
    });
    for (const child of ["lan", "lan6", "lan"])
      expect(await a.cli("rekey", `peer/${child}`)).toMatchObject({ status: 0 });
    expect(await laneOf()).toEqual(before);
    expect(await sending).toEqual({ sent: 600, refused: 0, echoed: 600 });
    await expectNoneLost(a, 2);
    await expectNoneLost(b, 4);
  });

  test("a lane that fails ends the gateway", async () => {
    await startGateway(a, { site: SITE_A, lanes: 2, keep: "respond" });
    await sites.a.gateway.run(["ip", "link", "delete", "tungate0"]);
    expect(await a.process.ended()).not.toBe(0);
    expect(a.log()).toMatch(/lane [01] failed: the TUN device was deleted/);
  });

  test("a device made for several queues serves any number of lanes, one made for one queue a single lane", async () => {
    await sites.a.gateway.run(["ip", "tuntap", "add", "dev", "tungate0", "mode", "tun", "multi_queue"]);
    for (const lanes of [4, 1, 2]) {
      await startGateway(a, { site: SITE_A, lanes, keep: "respond" });
      expect((await a.status())?.lanes).toBe(lanes);
      expect(await a.stop()).toBe(0);
    }
    await sites.a.gateway.run(["ip", "link", "delete", "tungate0"]);
    await sites.a.gateway.run(["ip", "tuntap", "add", "dev", "tungate0", "mode", "tun"]);
    await startGateway(a, { site: SITE_A, lanes: 1, keep: "respond" });
    expect((await a.status())?.lanes).toBe(1);
    await a.stop();
    expect(await a.launch(tungateSettings({ site: SITE_A, lanes: 2 })).ended()).toBe(1);
    expect(a.log()).toContain("set lanes to 1");
    await sites.a.gateway.run(["ip", "link", "delete", "tungate0"]);
  });
});

describeWith(["tun", "build", "strongswan"], "lanes with strongSwan", () => {
  let sites: TwoSites;
  let peer: StrongSwan;
  let ours: Gateway;

  oppositeStrongSwan((world) => {
    ({ sites, peer, ours } = world);
  });

  test.each([2, 4])("%i lanes", async (lanes) => {
    await peer.load(strongSwanSettings({ site: SITE_B }));
    await startGateway(ours, { site: SITE_A, lanes });
    await ours.isUp("peer");
    await expectTraffic(sites.a, sites.b);
    await expectTraffic(sites.b, sites.a, { datagrams: 10, octets: 20_000 });
    await oneWayFlows(sites.a, sites.b);
    expect(await expectNoneLost(ours, lanes)).toBeGreaterThan(0);
  });
});
