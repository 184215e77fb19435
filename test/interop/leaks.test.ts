/** Nothing leaves in clear: captures of the wire and of the other LAN while a gateway starts, waits, rekeys, dies, stops. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Capture, clearFrames, countOf, type Frame } from "./harness/capture.ts";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith, ROOT } from "./harness/prerequisites.ts";
import { startGateway, type TunnelFacts, tungateSettings } from "./harness/settings.ts";
import { newFlow } from "./harness/traffic.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

const PORT = 5020;
const ROUTES = join(ROOT, "scripts/tungate-routes");

describeWith(["tun", "build", "tcpdump", "nft"], "leaks", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create();
    a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
    b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
    await (await sites.b.traffic()).udpServe(PORT);
    // What arrives at host B must have come through the tunnel: it is counted there by source.
    await sites.b.host.run(["nft", "-f", "-"], {
      input: `table inet arrived {\n chain in {\n type filter hook input priority 0;\n udp dport ${PORT} counter\n }\n}\n`,
    });
  });
  afterAll(async () => {
    await a.kill();
    await b.kill();
    await sites.remove();
  });

  interface World {
    readonly frames: readonly Frame[];
    readonly sent: number;
    readonly received: number;
    readonly lan: number;
  }
  /**
   * A datagram every few milliseconds from host A to host B, IPv4 and IPv6, while something happens to gateway A, for
   * `milliseconds` at least.
   * @param isShort - no more of them, however long it takes to happen
   */
  async function whileSending(
    happening: () => Promise<void>,
    milliseconds: number,
    isShort = false,
  ): Promise<World> {
    const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "leak.pcap"));
    const [left, right] = [await sites.a.traffic(), await sites.b.traffic()];
    const flows = [newFlow(), newFlow()];
    const words = { port: PORT, everyMs: 4 };
    const many = isShort
      ? ({ ...words, count: Math.ceil(milliseconds / 4) } as const)
      : ({ ...words, count: 25, isOpen: true } as const);
    const lanBefore = await arrivedOnLan();
    const sending = Promise.all([
      left.udpSend({ ...many, host: SITE_B.host4, flow: flows[0]! }),
      left.udpSend({ ...many, host: SITE_B.host6, flow: flows[1]! }),
    ]);
    await Promise.all([happening(), sleep(milliseconds)]);
    await left.finish();
    const sent = (await sending).reduce((sum, one) => sum + one.sent, 0);
    const look = async () => ({
      received: (await Promise.all(flows.map((flow) => right.udpReceived(flow)))).reduce(
        (sum, flow) => sum + flow.received,
        0,
      ),
      lan: (await arrivedOnLan()) - lanBefore,
    });
    // What was on its way when the last one was sent, on a machine that may be busy.
    let last = await look();
    await until("nothing more arrives", async () => {
      const before = last;
      await sleep(300);
      last = await look();
      return before.received === last.received && before.lan === last.lan;
    });
    return { frames: await capture.stop(), sent, ...last };
  }

  async function arrivedOnLan(): Promise<number> {
    const { stdout } = await sites.b.host.run(["nft", "list", "table", "inet", "arrived"]);
    return Number(/packets (\d+)/.exec(stdout)![1]);
  }

  /** No inner packet on the wire, and whatever arrived at host B has an ESP packet that carried it. */
  function expectNoLeak({ frames, received, lan }: World): void {
    expect(clearFrames(frames)).toEqual([]);
    expect(lan).toBe(received);
    const outbound = frames.filter((frame) => frame.kind === "esp" && frame.source === SITE_A.outer4);
    expect(outbound.length).toBeGreaterThanOrEqual(received);
  }

  const facts = (site: typeof SITE_A, more: Partial<TunnelFacts> = {}): TunnelFacts => ({ site, ...more });
  const clean = async (): Promise<void> => {
    for (const [gateway, one] of [
      [a, sites.a],
      [b, sites.b],
    ] as const) {
      await gateway.stop();
      await one.gateway.run([ROUTES, "clear"], { input: "on-exit open" });
    }
  };

  test("the control: before there is a gateway everything arrives in clear, and the check sees it", async () => {
    const world = await whileSending(async () => undefined, 400);

    expect(world.sent).toBeGreaterThan(50);
    expect(world.received).toBe(world.sent);
    expect(countOf(world.frames, "clear")).toBe(world.sent);
    expect(() => expectNoLeak(world)).toThrow();
  });

  describe("with gateway B answering", () => {
    beforeAll(async () => {
      await startGateway(b, facts(SITE_B, { keep: "respond" }));
    });

    test("start: from the moment the daemon is ready", async () => {
      await startGateway(a, facts(SITE_A));

      const world = await whileSending(async () => {
        await a.isUp("peer");
        await sleep(1500);
      }, 3000);

      expectNoLeak(world);
      expect(world.received).toBeGreaterThan(200);
    });

    test("start again after a stop with on_exit: block: not one packet in clear at any time", async () => {
      await a.stop();

      const world = await whileSending(async () => {
        await sleep(300);
        await startGateway(a, facts(SITE_A));
        await a.isUp("peer");
        await sleep(500);
      }, 3000);

      expectNoLeak(world);
      expect(world.received).toBeGreaterThan(50);
    });

    test("rekeying of child and IKE SA", async () => {
      const world = await whileSending(async () => {
        await a.command("rekey", "peer", "lan");
        await a.command("rekey", "peer");
      }, 3000);

      expectNoLeak(world);
      expect(world.received).toBe(world.sent);
    });

    test("SIGKILL", async () => {
      const world = await whileSending(async () => {
        await sleep(500);
        await a.kill();
      }, 2000);

      expectNoLeak(world);
      expect(world.received).toBeGreaterThan(50);
      expect(world.received).toBeLessThan(world.sent - 50);
    });

    test("start after SIGKILL, stop, and after the stop", async () => {
      const world = await whileSending(async () => {
        await startGateway(a, facts(SITE_A));
        await a.isUp("peer");
        await sleep(800);
        await a.stop();
        await sleep(300);
      }, 5000);

      expectNoLeak(world);
      expect(world.received).toBeGreaterThan(50);
    });

    test("the control: with on_exit: open the same stop does leak, and the check says so", async () => {
      await startGateway(a, facts(SITE_A, { onExit: "open" }));
      await a.isUp("peer");

      const world = await whileSending(async () => {
        await sleep(500);
        await a.stop();
        await sleep(1000);
      }, 2500);

      expect(countOf(world.frames, "clear")).toBeGreaterThan(50);
      expect(() => expectNoLeak(world)).toThrow();
    });
  });

  test("on demand: the first packets wait for the SA and leave through it", async () => {
    await clean();
    await startGateway(b, facts(SITE_B, { keep: "respond" }));
    await startGateway(a, facts(SITE_A, { keep: "on-demand" }));
    expect((await a.connection("peer")).state).not.toBe("up");

    const world = await whileSending(
      async () => {
        await a.isUp("peer");
      },
      100,
      true,
    );

    expectNoLeak(world);
    // The very first datagrams were held, not lost.
    expect(world.received).toBe(50);
  });

  test("on demand with a peer that does not answer: everything waits, nothing leaves", async () => {
    await clean();
    await startGateway(a, facts(SITE_A, { keep: "on-demand" }));

    const world = await whileSending(() => sleep(500), 1500);

    // Nobody listens there, which the peer's kernel says in answer to our IKE messages.
    const frames = world.frames.filter(
      ({ protocol, source, destination }) =>
        !(protocol === 1 && source === "192.0.2.2" && destination === "192.0.2.1"),
    );
    expectNoLeak({ ...world, frames });
    expect(world.received).toBe(0);
    expect(countOf(world.frames, "ike")).toBeGreaterThan(0);
  });

  test("[SPD-03] what a stranger sends in clear in the other site's name is dropped on the way in, and counted", async () => {
    await clean();
    await startGateway(b, facts(SITE_B, { keep: "respond" }));
    await startGateway(a, facts(SITE_A));
    await a.isUp("peer");

    // Gateway A itself forwards in clear what comes from a host in site A's network that its own policy does not hold back.
    await sites.a.gateway.ip(`addr add 10.1.0.99/32 dev lo\nrule add from 10.1.0.99 lookup main priority 10`);
    const before = await arrivedOnLan();
    await sites.a.gateway.run(
      ["sh", "-c", `for i in 1 2 3; do ping -c 1 -W 1 -I 10.1.0.99 ${SITE_B.host4}; done`],
      { mayFail: true },
    );

    expect(await arrivedOnLan()).toBe(before);
    const status = await sites.b.gateway.run([ROUTES, "status"], { input: "" });
    expect(status.stdout).toMatch(/# dropped in clear: 3 packets/);
    await sites.a.gateway.ip(`rule del from 10.1.0.99 lookup main priority 10\naddr del 10.1.0.99/32 dev lo`);
  });

  test("a protected default route: the tunnel comes up, the peer is reached, nobody is locked out", async () => {
    await clean();
    const everything: TunnelFacts["networks"] = [[SITE_A.lan4], ["0.0.0.0/0"]];
    await startGateway(b, { site: SITE_B, keep: "respond", networks: everything });
    const settings = tungateSettings({ site: SITE_A, networks: everything });
    await a.start(settings.replace("    keep: up", "    routes: [0.0.0.0/0]\n    keep: up"));
    await a.isUp("peer");

    const world = await whileSending(async () => undefined, 400);

    expect(world.frames.filter((frame) => frame.kind === "clear" && frame.family === 4)).toEqual([]);
    expect(await sites.a.gateway.ping(SITE_B.outer4)).toBe(true);
    expect(await sites.a.host.ping(SITE_B.host4)).toBe(true);
    const drops = (await a.status()).drops;
    expect(drops["loop"] ?? 0).toBe(0);
    await until("the host is still there", () => sites.a.host.ping(SITE_A.gateway4));
  });
});
