/** Traffic flow confidentiality on a real wire: padding, dummies and IP-TFS between two gateways, padding with strongSwan. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { Capture, type Frame } from "./harness/capture.ts";
import { expectOnlyTunnel, expectTraffic } from "./harness/checks.ts";
import { until } from "./harness/command.ts";
import type { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway, strongSwanSettings, type TunnelFacts } from "./harness/settings.ts";
import type { StrongSwan } from "./harness/strongswan.ts";
import { newFlow } from "./harness/traffic.ts";
import { SITE_A, SITE_B, type TwoSites } from "./harness/two-sites.ts";
import { oppositeOurselves, oppositeStrongSwan } from "./harness/worlds.ts";

const indented = (line: string) => `        ${line}`;
const CONSTANT = indented("iptfs: { mode: constant, rate: 8Mbit, packet_size: 1000 }");
/** Packets a second of {@link CONSTANT}. */
const CONSTANT_PACKETS = 1000;

/** ESP of one direction. */
const espFrom = (frames: readonly Frame[], source: string) =>
  frames.filter((frame) => frame.kind === "esp" && frame.source === source);
const lengthsOf = (frames: readonly Frame[]) => [...new Set(frames.map(({ length }) => length))];

/** Frames a second between two moments. */
function rateOf(frames: readonly Frame[], from: number, to: number): number {
  return frames.filter(({ at }) => at >= from && at < to).length / (to - from);
}

const seconds = () => Date.now() / 1000;

/** A router that takes 300 full packets a second, and drops the rest. */
const NARROW = `table inet narrow {
  chain forwarded {
    type filter hook prerouting priority raw;
    meta length >= 900 limit rate over 300/second burst 20 packets drop
  }
}`;

describeWith(["tun", "build", "nft"], "constant rates that give way", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;

  oppositeOurselves((world) => {
    ({ sites, a, b } = world);
  });

  /** What A sends now, in its own words. */
  async function flowSays(pattern: RegExp): Promise<void> {
    await until(
      `"${pattern.source}" in the status`,
      async () => pattern.test((await a.connection("peer")).children[0]?.flow ?? ""),
      60_000,
    );
  }

  test("[TFS-20] [TFS-21] a path that drops slows the tunnel down, and it is all back when the path is", async () => {
    const child = indented(
      "iptfs: { mode: constant, rate: 8Mbit, packet_size: 1000, congestion_control: loss }",
    );
    await startGateway(b, { site: SITE_B, keep: "respond", child });
    await startGateway(a, { site: SITE_A, keep: "up", child });
    await Promise.all([a.isUp("peer"), b.isUp("peer")]);
    await flowSays(/now all of it \(no loss, round trip/);
    await expectTraffic(sites.a, sites.b);

    await sites.b.gateway.run(["nft", "-f", "-"], { input: NARROW });
    await flowSays(/now ([0-9.]+ kbit|[1-5](\.[0-9]+)? Mbit)\/s \(one loss in [0-9]+ packets/);
    // What is lost on the way is lost to the hosts as well.
    await until("an answer", () => sites.a.host.ping(SITE_B.host4), 30_000);
    await sites.b.gateway.run(["nft", "delete", "table", "inet", "narrow"]);
    await flowSays(/now all of it/);
    await expectTraffic(sites.b, sites.a, { octets: 50_000, datagrams: 20 });
    expect(Object.keys((await b.status()).drops)).not.toContain("aggfragMalformed");
  });

  test("[TFS-21] a peer that was not told to give way reports all the same", async () => {
    const steady = indented("iptfs: { mode: constant, rate: 8Mbit, packet_size: 1000 }");
    const giving = indented(
      "iptfs: { mode: constant, rate: 8Mbit, packet_size: 1000, congestion_control: ecn }",
    );
    await startGateway(b, { site: SITE_B, keep: "respond", child: steady });
    await startGateway(a, { site: SITE_A, keep: "up", child: giving });
    await Promise.all([a.isUp("peer"), b.isUp("peer")]);
    await flowSays(/now all of it \(no loss, round trip/);
    await expectTraffic(sites.a, sites.b, { octets: 50_000, datagrams: 20 });
    expect((await b.connection("peer")).children[0]?.flow).toBe("AGGFRAG at a constant 8 Mbit/s");
  });
});

describeWith(["tun", "build", "tcpdump"], "traffic flow confidentiality between two gateways", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;

  oppositeOurselves((world) => {
    ({ sites, a, b } = world);
  });

  async function startBoth(child: string, facts: Partial<TunnelFacts> = {}): Promise<void> {
    await startGateway(b, { site: SITE_B, keep: "respond", child, ...facts });
    await startGateway(a, { site: SITE_A, keep: "up", child, ...facts });
    await Promise.all([a.isUp("peer"), b.isUp("peer")]);
  }

  test.each([4, 6] as const)("[ESP-11] [ESP-10] padded packets and dummies over IPv%s", async (outer) => {
    const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));
    await startBoth(indented("tfc: { pad: mtu, dummies: 20 }"), { outer });
    const idleFrom = seconds();
    await sleep(3000);
    const idleTo = seconds();
    await expectTraffic(sites.a, sites.b);
    await expectTraffic(sites.b, sites.a, { octets: 50_000, datagrams: 20 });
    const frames = await capture.stop();

    expectOnlyTunnel(frames, 1000);
    for (const site of [SITE_A, SITE_B]) {
      const esp = espFrom(frames, outer === 4 ? site.outer4 : site.outer6);
      expect(lengthsOf(esp)).toHaveLength(1);
      expect(lengthsOf(esp)[0]).toBeGreaterThan(1480);
      const idle = rateOf(esp, idleFrom, idleTo);
      expect(idle).toBeGreaterThan(12);
      expect(idle).toBeLessThan(22);
    }
    expect((await a.status()).drops["dummy"]).toBeGreaterThan(30);
  });

  test("[TFS-02] aggregated: what goes in comes out, in fewer packets", async () => {
    await startBoth(indented("iptfs: { mode: aggregate, delay: 5ms }"));
    await expectTraffic(sites.a, sites.b);
    await expectTraffic(sites.b, sites.a);
    expect(await sites.a.host.ping(SITE_B.host4, ["-s", "8000"])).toBe(true);

    const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));
    const [sender, receiver] = [await sites.a.traffic(), await sites.b.traffic()];
    await receiver.udpServe(5003, false);
    const flow = newFlow();
    await sender.udpSend({ host: SITE_B.host4, port: 5003, flow, count: 1000, everyMs: 1, size: 60 });
    expect(await receiver.udpArrived(flow, 1000)).toMatchObject({
      received: 1000,
      duplicates: 0,
      corrupt: 0,
    });
    const frames = espFrom(await capture.stop(), SITE_A.outer4);
    expect(frames.length).toBeGreaterThan(10);
    expect(frames.length).toBeLessThan(700);
  });

  test("[TFS-03] [TFS-04] constant rate: one length and one rate on the wire, idle or busy, and traffic passes", async () => {
    const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));
    await startBoth(CONSTANT);
    const idleFrom = seconds();
    await sleep(3000);
    const busyFrom = seconds();
    await expectTraffic(sites.a, sites.b, { octets: 1_000_000 });
    expect(await sites.a.host.ping(SITE_B.host6, ["-s", "4000"])).toBe(true);
    const busyTo = seconds();
    await a.command("rekey", "peer", "lan");
    await sleep(1000);
    const rekeyedTo = seconds();
    await expectTraffic(sites.b, sites.a, { octets: 100_000, datagrams: 20 });
    const frames = await capture.stop();

    expectOnlyTunnel(frames, 4 * CONSTANT_PACKETS);
    for (const site of [SITE_A, SITE_B]) {
      const esp = espFrom(frames, site.outer4);
      expect(lengthsOf(esp)).toEqual([1000]);
      for (const [from, to] of [
        [idleFrom, busyFrom],
        [busyFrom, busyTo],
        [busyTo, rekeyedTo],
      ] as const) {
        const rate = rateOf(esp, from, to);
        // A machine that is busy with other things takes turns late; more than the rate is sent never.
        expect(rate).toBeGreaterThan(0.3 * CONSTANT_PACKETS);
        expect(rate).toBeLessThan(1.05 * CONSTANT_PACKETS);
      }
    }
  });

  test("[TFS-10] a peer without AGGFRAG gets no child with a constant rate, and both are told why", async () => {
    await startGateway(b, { site: SITE_B, keep: "respond" });
    await startGateway(a, { site: SITE_A, keep: "up", child: CONSTANT });
    await a.logSays(/192\.0\.2\.2.* has no AGGFRAG .*deleted again/);
    expect((await a.connection("peer")).children[0]?.state).not.toBe("up");
    await a.stop();
    await b.stop();
    await startGateway(b, { site: SITE_B, keep: "respond", child: CONSTANT });
    await startGateway(a, { site: SITE_A, keep: "up" });
    await b.logSays(/192\.0\.2\.1.* has no AGGFRAG .*was refused/);
  });
});

describeWith(
  ["tun", "build", "tcpdump", "strongswan"],
  "traffic flow confidentiality with strongSwan",
  () => {
    let sites: TwoSites;
    let peer: StrongSwan;
    let ours: Gateway;

    oppositeStrongSwan((world) => {
      ({ sites, peer, ours } = world);
    });

    // kernel-libipsec sends no padding, whatever tfc_padding says.
    test("[ESP-11] [ESP-10] its ESP in userspace takes our padding and our dummies", async () => {
      const facts: TunnelFacts = { site: SITE_A, child: indented("tfc: { pad: mtu, dummies: 50 }") };
      await peer.load(strongSwanSettings({ ...facts, site: SITE_B }));
      const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));
      await startGateway(ours, facts);
      await ours.isUp("peer");
      await sleep(500);
      await expectTraffic(sites.a, sites.b);
      await expectTraffic(sites.b, sites.a, { octets: 50_000, datagrams: 20 });
      const frames = await capture.stop();

      expect(lengthsOf(espFrom(frames, SITE_A.outer4))).toHaveLength(1);
      expect(espFrom(frames, SITE_A.outer4).length).toBeGreaterThan(500);
      expect(lengthsOf(espFrom(frames, SITE_B.outer4)).length).toBeGreaterThan(1);
    });

    test("[TFS-10] without AGGFRAG there a child that can go without it comes up, and says so", async () => {
      const facts: TunnelFacts = { site: SITE_A, child: indented("iptfs: { mode: aggregate }") };
      await peer.load(strongSwanSettings({ ...facts, site: SITE_B }));
      await startGateway(ours, facts);
      await ours.isUp("peer");
      await ours.logSays(/has no AGGFRAG .*packets are carried one by one/);
      await expectTraffic(sites.a, sites.b, { octets: 50_000, datagrams: 20 });
    });
  },
);
