/** Two Tungate gateways: every pair of roles and families, on demand, both starting at once. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { Capture, countOf } from "./harness/capture.ts";
import { expectOnlyTunnel, expectTraffic } from "./harness/checks.ts";
import { until } from "./harness/command.ts";
import type { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway } from "./harness/settings.ts";
import { SITE_A, SITE_B, type TwoSites } from "./harness/two-sites.ts";
import { oppositeOurselves } from "./harness/worlds.ts";

describeWith(["tun", "build", "tcpdump"], "two Tungate gateways", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;

  oppositeOurselves((world) => {
    ({ sites, a, b } = world);
  });

  test.each([
    [4, "auto", "up", "respond"],
    [4, "esp", "respond", "up"],
    [6, "auto", "up", "up"],
    [6, "esp", "up", "respond"],
  ] as const)("over IPv%s, encapsulation %s, %s and %s", async (outer, encapsulation, keepOfA, keepOfB) => {
    const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));
    await Promise.all([
      startGateway(a, { site: SITE_A, outer, encapsulation, keep: keepOfA }),
      startGateway(b, { site: SITE_B, outer, encapsulation, keep: keepOfB }),
    ]);

    await Promise.all([a.isUp("peer"), b.isUp("peer")]);
    await expectTraffic(sites.a, sites.b, { octets: 2_000_000 });
    await expectTraffic(sites.b, sites.a, { octets: 2_000_000 });
    const frames = await capture.stop();

    expectOnlyTunnel(frames, 4 * (2_000_000 / 1400 + 200));
    const esp = frames.filter((frame) => frame.kind === "esp");
    expect(esp.every((frame) => frame.isEncapsulated === (encapsulation === "auto"))).toBe(true);
    expect(await a.stop()).toBe(0);
    await until("gateway B knows that A has gone", async () => (await b.connection("peer")).state !== "up");
  });

  test("on demand: the first packet brings the tunnel up, and is delivered", async () => {
    await startGateway(b, { site: SITE_B, keep: "respond" });
    await startGateway(a, { site: SITE_A, keep: "on-demand" });
    expect((await a.connection("peer")).children[0]?.state).toBe("held");

    const outcome = await sites.a.host.run(["ping", "-n", "-c", "1", "-W", "5", SITE_B.host4], {
      mayFail: true,
    });

    expect(outcome.stdout).toContain("1 received");
    await a.isUp("peer");
  });

  test("up, down and rekey by command", async () => {
    await startGateway(b, { site: SITE_B, keep: "respond" });
    await startGateway(a, { site: SITE_A, keep: "respond" });

    expect(await a.cli("up", "peer")).toMatchObject({ status: 0 });
    await expectTraffic(sites.a, sites.b, { families: [4], octets: 10_000, datagrams: 10 });
    expect(await a.cli("rekey", "peer/lan")).toMatchObject({ status: 0 });
    expect(await a.cli("rekey", "peer")).toMatchObject({ status: 0 });
    const status = await a.cli("status");
    expect(status.stdout).toMatch(/peer +up +192\.0\.2\.2/);
    expect(status.stdout).toMatch(/lan +up +10\.1\.0\.0\/16/);
    expect(await a.cli("down", "peer")).toMatchObject({ status: 0 });
    expect((await a.connection("peer")).state).not.toBe("up");
    expect(await a.cli("up", "nobody")).toMatchObject({ status: 1 });
  });

  test("a path with a smaller MTU in the midst: full-size TCP still passes", async () => {
    await startGateway(b, { site: SITE_B, keep: "respond" });
    await startGateway(a, { site: SITE_A });
    await a.isUp("peer");
    await sites.a.gateway.ip("link set wan0 mtu 1380");
    await sites.b.gateway.ip("link set wan0 mtu 1380");
    try {
      await until(
        "the new MTU is known",
        async () => ((await a.connection("peer")).children[0]?.mtu?.path ?? 0) === 1380,
        40_000,
      );
      await expectTraffic(sites.a, sites.b, { octets: 500_000, datagrams: 10 });
    } finally {
      await sites.a.gateway.ip("link set wan0 mtu 1500");
      await sites.b.gateway.ip("link set wan0 mtu 1500");
    }
  });

  test("a rekey by time happens by itself and costs nothing", async () => {
    const child = "        rekey: { time: 5s, jitter: 0 }";
    await startGateway(b, { site: SITE_B, keep: "respond" });
    await startGateway(a, { site: SITE_A, child });
    const before = (await a.isUp("peer")).children[0]?.inboundSpi;
    const pinging = sites.a.host.run(
      ["ping", "-q", "-n", "-c", "350", "-i", "0.02", "-W", "2", SITE_B.host4],
      { mayFail: true },
    );

    await until(
      "the child SA is new",
      async () => (await a.connection("peer")).children[0]?.inboundSpi !== before,
      40_000,
    );

    expect((await pinging).stdout).toContain("350 packets transmitted, 350 received");
  });

  test("what was sent and received is counted the same on both sides", async () => {
    await startGateway(b, { site: SITE_B, keep: "respond" });
    await startGateway(a, { site: SITE_A });
    await Promise.all([a.isUp("peer"), b.isUp("peer")]);
    const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));

    expect(await sites.a.host.ping(SITE_B.host4)).toBe(true);
    const frames = await capture.stop();

    const counters = async (gateway: Gateway) => (await gateway.connection("peer")).children[0]!.counters!;
    const [left, right] = [await counters(a), await counters(b)];
    expect(countOf(frames, "esp")).toBe(6);
    expect(left.outboundPackets).toBe(right.inboundPackets);
    expect(left.inboundPackets).toBe(right.outboundPackets);
    expect(left.outboundPackets).toBeGreaterThanOrEqual(3);
  });
});
