/** Restarts under traffic: what a process leaves with its service manager, the next one goes on with. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { START_LASTS_MS, STARTS_MAX } from "../../src/daemon/starts.ts";
import { Capture, clearFrames, type Frame } from "./harness/capture.ts";
import { BackgroundProcess, until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { SECRET, startGateway, tungateSettings } from "./harness/settings.ts";
import { newFlow } from "./harness/traffic.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

const UDP_PORT = 5020;
const TCP_PORT = 5021;
const KILLS = 20;
/** So many starts may be ended before they last without what they took over being given up: one fewer than too many. */
const KILLS_IN_A_ROW = STARTS_MAX - 1;
/** With several, the child has an SA for each of them as well. */
const HAS_ONE_LANE = ["1", undefined].includes(process.env["TUNGATE_TEST_LANES"]);
/** Exchange type, behind the non-ESP marker. */
const INFORMATIONAL = 37;

/** (SPI, sequence number) pairs of ESP packets that were on the wire more than once. */
export function repeatedNumbers(frames: readonly Frame[]): string[] {
  const seen = new Set<string>();
  const repeated: string[] = [];
  for (const { kind, source, payload } of frames) {
    if (kind !== "esp") continue;
    const name = `${source} ${payload.subarray(0, 8).toString("hex")}`;
    if (seen.has(name)) repeated.push(name);
    seen.add(name);
  }
  return repeated;
}

/** Milliseconds between two ESP packets of gateway A. */
function longestGap(frames: readonly Frame[]): number {
  const times = frames
    .filter(({ kind, source }) => kind === "esp" && source === SITE_A.outer4)
    .map(({ at }) => at * 1000);
  return times.reduce((most, at, i) => (i === 0 ? 0 : Math.max(most, at - times[i - 1]!)), 0);
}

describeWith(["tun", "build", "tcpdump", "nft"], "restart", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create();
    a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
    b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
    await (await sites.b.traffic()).udpServe(UDP_PORT);
    await (await sites.b.traffic()).tcpServe(TCP_PORT);
    a.writeSecret("secret", `${SECRET}\n`);
    await startGateway(b, { site: SITE_B, keep: "respond" });
    await a.start(tungateSettings({ site: SITE_A }), { isSupervised: true });
    await a.isUp("peer");
  }, 120_000);

  afterAll(async () => {
    await a.stop();
    await b.stop();
    await sites.remove();
  });

  const lan = async () => (await a.connection("peer")).children[0]!;
  /** Gateway A may be about to be started again. */
  const isUpAgain = (child: string) =>
    until(
      `${child} is up`,
      async () => {
        const found = await a.connection("peer").catch(() => undefined);
        return (
          found?.state === "up" && found.children.some(({ name, state }) => name === child && state === "up")
        );
      },
      60_000,
      () => a.log().slice(-4000),
    );
  const ikeSpis = async (gateway = a) => (await gateway.connection("peer")).initiatorSpi;

  /** Datagrams both ways (they are echoed) and a TCP transfer, while something happens to gateway A, for `milliseconds` at least. */
  async function underTraffic(happening: () => Promise<void>, milliseconds: number) {
    const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "restart.pcap"));
    const [left, right] = [await sites.a.traffic(), await sites.b.traffic()];
    const flow = newFlow();
    const host = SITE_B.host4;
    const sending = left.udpSend({
      host,
      port: UDP_PORT,
      flow,
      count: 100,
      everyMs: 4,
      isOpen: true,
    });
    const transfer = left.tcpSend({ host, port: TCP_PORT, octets: 3_000_000, timeoutMs: 200_000 });
    await Promise.all([happening(), sleep(milliseconds)]);
    await left.finish();
    const [{ sent, echoed }, tcp] = await Promise.all([sending, transfer]);
    const frames = await capture.stop();
    console.info(`no ESP from A for ${longestGap(frames).toFixed(0)} ms at most`);
    return { frames, sent, echoed, ...(await right.udpReceived(flow)), tcp };
  }

  /** No packet in clear, no number twice, and the transfer is whole. */
  function expectWhole({ frames, tcp }: Awaited<ReturnType<typeof underTraffic>>): void {
    expect(clearFrames(frames)).toEqual([]);
    expect(repeatedNumbers(frames)).toEqual([]);
    expect(tcp.received).toEqual({ octets: tcp.octets, digest: tcp.digest });
  }

  const lasts = async () => {
    const status = await a.status().catch(() => undefined);
    return status !== undefined && status.uptimeSeconds * 1000 > START_LASTS_MS + 500;
  };
  /** A start that ends in an orderly way counts as one that lasts, and takes less time. */
  const countAnew = async () => {
    await until("it answers", () => a.status().catch(() => undefined));
    await a.restart("clean");
  };

  test("the control: a packet that is sent again is found", async () => {
    const { frames } = await underTraffic(async () => undefined, 100);
    const packets = frames.filter(({ kind }) => kind === "esp");

    expect(packets.length).toBeGreaterThan(50);
    expect(repeatedNumbers(packets)).toEqual([]);
    expect(repeatedNumbers([...packets, packets[20]!])).toHaveLength(1);
  });

  test("a clean restart: the same IKE and child SAs go on, and nobody says a word about it", async () => {
    const [ike, before] = [await ikeSpis(), await lan()];

    const world = await underTraffic(async () => {
      await sleep(300);
      await a.restart("clean");
    }, 4000);

    expectWhole(world);
    // The way to the peer may be measured anew (INFORMATIONAL): nothing is negotiated.
    const exchanges = world.frames.flatMap(({ kind, payload }) => (kind === "ike" ? [payload[22]] : []));
    expect(exchanges.filter((exchange) => exchange !== INFORMATIONAL)).toEqual([]);
    const after = await lan();
    expect([after.inboundSpi, after.outboundSpi]).toEqual([before.inboundSpi, before.outboundSpi]);
    expect(await ikeSpis()).toBe(ike);
    // Counters go on too: they are of the SA, not of the process.
    if (HAS_ONE_LANE) expect(after.counters!.outboundPackets).toBeGreaterThanOrEqual(world.received);
    // Loss and rates are of what came since: what the SA carried before is no loss of this process.
    const { loss } = after;
    if (HAS_ONE_LANE)
      expect(loss?.sent ?? 0).toBeLessThan(
        after.counters!.inboundPackets - before.counters!.inboundPackets / 2,
      );
    expect(loss?.lost ?? 0).toBeLessThanOrEqual(0.05 * (loss?.sent ?? 0) + 20);
    // It holds the keys that it says it has.
    expect(await a.command("rekey", "peer")).toMatchObject({ outcome: "done" });
    expect(await ikeSpis()).not.toBe(ike);
    expect(await ikeSpis(b)).toBe(await ikeSpis());
  });

  test("SIGKILL: the child SAs go on, and new ones take their place beside a new IKE SA", async () => {
    const [ike, before] = [await ikeSpis(), await lan()];

    const world = await underTraffic(async () => {
      await sleep(300);
      await a.restart("kill");
      await a.isUp("peer");
      // On a busy machine the other traffic may have ended by now.
      expect(await sites.a.host.ping(SITE_B.host4)).toBe(true);
    }, 5000);

    expectWhole(world);
    const after = await lan();
    expect(await ikeSpis()).not.toBe(ike);
    const spis = new Set(
      world.frames
        .filter(({ kind, source }) => kind === "esp" && source === SITE_A.outer4)
        .map(({ payload }) => payload.toString("hex", 0, 4)),
    );
    if (HAS_ONE_LANE) expect([...spis]).toEqual([before.outboundSpi, after.outboundSpi]);
    expect(a.log()).toMatch(/peer\/lan: a new SA carries; that of the process before only receives/);
    // Without INITIAL_CONTACT the peer has kept the one before until now.
    expect(b.log()).not.toMatch(/INITIAL_CONTACT/);
  });

  test("another configuration: what it still has goes on, the rest is made anew and said", async () => {
    const settings = tungateSettings({ site: SITE_A });
    const before = await ikeSpis();
    const device = async () => (await sites.a.gateway.run(["cat", "/sys/class/net/tungate0/ifindex"])).stdout;
    const index = await device();

    a.configure(settings.replace("on_exit: block", "on_exit: block\n  ports: { ike: 1500, nat: 4500 }"));
    await a.restart("clean");
    expect(a.log()).toMatch(/the outer sockets are opened anew/);
    await isUpAgain("lan");
    expect(await device()).toBe(index);

    const address = async () =>
      (await sites.a.gateway.run(["ip", "-brief", "addr", "show", "dev", "tungate0"])).stdout;
    const own = "    interface: { name: tungate0, addresses: [10.9.0.1/30] }\n    children:";
    a.configure(settings.replace("    children:", own));
    await a.restart("clean");
    expect(await address()).toContain("10.9.0.1/30");
    await sites.a.gateway.ip("addr add 10.9.0.9/32 dev tungate0");
    // What the process before gave goes, what others gave stays.
    a.configure(settings.replace("    children:", own.replace(", addresses: [10.9.0.1/30]", "")));
    await a.restart("clean");
    expect(await address()).toContain("10.9.0.9/32");
    expect(await address()).not.toContain("10.9.0.1/30");

    a.configure(settings.replace("lan:", "other:"));
    await a.restart("clean");
    await isUpAgain("other");
    expect((await a.connection("peer")).children.map(({ name }) => name)).toEqual(["other"]);

    a.configure("version: 2\n");
    a.process.signal("SIGHUP");
    await a.logSays(/version must be 1|version.*2/);
    a.configure(settings);
    await isUpAgain("lan");
    // Not even the IKE SA is another one.
    expect(await ikeSpis()).toBe(before);
  });

  test("a start that is refused loses nothing, whatever it had already put aside", async () => {
    const settings = tungateSettings({ site: SITE_A });
    const spis = [await ikeSpis(), (await lan()).inboundSpi];
    // B, which knows nothing of the crash before, answers by the SA from then until it has heard something on the newest one.
    await until("host A reaches host B", () => sites.a.host.ping(SITE_B.host4));
    const notOurs = settings.replace(`listen: ["${SITE_A.outer4}"]`, 'listen: ["192.0.2.77"]');
    const otherLanes = /^ {2}lanes: .*$/m;
    const holder = new BackgroundProcess(
      sites.a.gateway.command([
        "python3",
        "-c",
        `import socket, signal; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("${SITE_A.outer4}", 1500)); print("bound", flush=True); signal.pause()`,
      ]),
      join(sites.folder, "holder"),
    );
    await until("port 1500 is taken", () => readFileSync(join(sites.folder, "holder"), "utf8") === "bound\n");

    // The last one twice: what the first refusal put back is what the second one finds.
    for (const [refused, why, times] of [
      [notOurs.replace(otherLanes, "  lanes: 4"), /all SAs begin anew/, 1],
      [notOurs.replace(otherLanes, "  tun: { name: other0 }\n  offloads: { tso: off }"), /192\.0\.2\.77/, 1],
      [settings.replace("on_exit:", "ports: { ike: 1500, nat: 4500 }\n  on_exit:"), /port 1500/, 2],
    ] as const) {
      const starts = () => a.log().match(/^supervisor: start/gm)!.length;
      const [said, before] = [a.log().length, starts()];
      a.configure(refused);
      a.process.signal("SIGHUP");
      await until("starts are refused", () => starts() > before + times);
      expect(a.log().slice(said)).toMatch(why);
      a.configure(settings);
      await isUpAgain("lan");
      expect(await sites.a.host.ping(SITE_B.host4)).toBe(true);
      expect([await ikeSpis(), (await lan()).inboundSpi]).toEqual(spis);
    }
    await holder.stop("SIGKILL");
  }, 120_000);

  test("20 SIGKILLs under traffic: no pair of SPI and sequence number is on the wire twice", async () => {
    const starts = () => a.log().match(/^supervisor: start \d+/gm)!.length;
    const world = await underTraffic(async () => {
      for (let kill = 1; kill <= KILLS; kill++) {
        // At any moment of a start, and after it; what lasts, or ends in an orderly way, is among every few of them.
        if (kill === KILLS_IN_A_ROW) await until("a start lasts", lasts, 60_000);
        else if (kill % KILLS_IN_A_ROW === 0) await countAnew();
        else await sleep(100 + ((kill * 397) % 900));
        const before = starts();
        a.process.signal("SIGUSR1");
        await until("it is started again", () => starts() > before);
      }
      await until("it answers", () => a.status().catch(() => undefined));
    }, 20_000);

    expectWhole(world);
    expect(world.frames.filter(({ kind }) => kind === "esp").length).toBeGreaterThan(1000);
    expect(a.log()).not.toMatch(/given up/);
    // Where a start takes longer than most of them last, few pass, but some do.
    expect(world.received).toBeGreaterThan(500);
  }, 400_000);

  test("starts that do not last give up what they were started with, and the next one begins with nothing", async () => {
    const starts = () => a.log().match(/^supervisor: start \d+/gm)!.length;
    await countAnew();
    for (let kill = 0; kill <= STARTS_MAX; kill++) {
      await until("host A reaches host B", () => sites.a.host.ping(SITE_B.host4));
      const before = starts();
      a.process.signal("SIGUSR1");
      await until("it is started again", () => starts() > before);
    }
    await a.logSays(/starts in a row did not last .* they are given up/);
    await isUpAgain("lan");
    await until("host A reaches host B", () => sites.a.host.ping(SITE_B.host4));
  });
});
