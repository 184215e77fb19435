/** Superpackets of the links' offloads in every combination, each offload of ours off, and refused on the way. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { expectTraffic } from "./harness/checks.ts";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway, type TunnelFacts } from "./harness/settings.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";

const IS_LONG = process.env["TUNGATE_LONG"] !== undefined;
const OCTETS = IS_LONG ? 1_000_000_000 : 10_000_000;
/** Before something happens to a transfer, and after it. */
const BEFORE_OCTETS = 20_000_000;
const AFTER_OCTETS = IS_LONG ? 1_000_000_000 : 100_000_000;
const TIMEOUT_MS = IS_LONG ? 900_000 : 120_000;
/** 800 Mbit/s with room for little more than one run of datagrams. */
const TIGHT_WIRE = ["rate", "800mbit", "burst", "70kb", "limit", "80kb"];

class Pair {
  readonly sites: TwoSites;
  readonly a: Gateway;
  readonly b: Gateway;

  constructor(sites: TwoSites) {
    this.sites = sites;
    this.a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
    this.b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
  }

  async start(facts: Omit<TunnelFacts, "site"> = {}): Promise<this> {
    await startGateway(this.b, { site: SITE_B, keep: "respond", ...facts });
    await startGateway(this.a, { site: SITE_A, ...facts });
    await this.a.isUp("peer");
    return this;
  }

  async stop(): Promise<void> {
    await this.a.stop();
    await this.b.stop();
  }

  /** Both ways one after the other and at the same time; what arrives is what was sent, and nothing was damaged. */
  async expectWhole(octets: number): Promise<void> {
    const { sites } = this;
    await expectTraffic(sites.a, sites.b, { octets });
    await expectTraffic(sites.b, sites.a, { octets });
    const [left, right] = [await sites.a.traffic(), await sites.b.traffic()];
    await left.tcpServe(5040);
    await right.tcpServe(5040);
    const both = await Promise.all([
      left.tcpSend({ host: SITE_B.host4, port: 5040, octets, timeoutMs: TIMEOUT_MS }),
      right.tcpSend({ host: SITE_A.host6, port: 5040, octets, timeoutMs: TIMEOUT_MS }),
    ]);
    for (const transfer of both) expect(transfer.received).toEqual({ octets, digest: transfer.digest });
    await this.expectNothingDamaged();
  }

  async expectNothingDamaged(): Promise<void> {
    for (const gateway of [this.a, this.b]) {
      const { drops } = await gateway.status();
      expect(drops["notAuthentic"] ?? 0).toBe(0);
      expect(drops["malformedInner"] ?? 0).toBe(0);
    }
  }

  /** What A's devices and sockets did, once the lane has told it after the last packet. */
  async transfers(): Promise<Readonly<Record<string, number>>> {
    const look = async () => JSON.stringify((await this.a.status()).transfers);
    let last = "";
    await until(
      "the counters of transfers rest",
      async () => {
        const now = await look();
        const rests = now === last && now !== "{}";
        last = now;
        if (!rests) await new Promise((resolve) => setTimeout(resolve, 1_300));
        return rests;
      },
      40_000,
    );
    return JSON.parse(last) as Record<string, number>;
  }
}

const COMBINATIONS = [
  ["on the LANs and on the wire", { lanOffload: true, wanOffload: true }, "aes256gcm16", "auto"],
  ["on the LANs alone", { lanOffload: true, wanOffload: false }, "chacha20poly1305", "auto"],
  ["on the wire alone", { lanOffload: false, wanOffload: true }, "aes256-sha256", "auto"],
  ["on the LANs and on the wire, raw ESP", { lanOffload: true, wanOffload: true }, "aes256gcm16", "esp"],
] as const;

describeWith(["tun", "build"], "offloads of the links", () => {
  describe.each(COMBINATIONS)("%s", (_name, links, esp, encapsulation) => {
    let pair: Pair;
    beforeAll(async () => {
      pair = await new Pair(await TwoSites.create(links)).start({ esp, encapsulation });
    });
    afterAll(async () => {
      await pair.stop();
      await pair.sites.remove();
    });

    test(
      "TCP and UDP arrive as they were sent, both ways, at the same time",
      {
        timeout: TIMEOUT_MS,
      },
      () => pair.expectWhole(OCTETS),
    );
  });
});

/** Which counter of transfers stays at zero without the offload. */
const COUNTERS = {
  tso: "superpacketsRead",
  coalescing: "superpacketsWritten",
  udp_segment: "datagramRunsSent",
  udp_gro: "datagramRunsReceived",
} as const;
const OFFLOADS = Object.keys(COUNTERS) as (keyof typeof COUNTERS)[];
const ALL = [...OFFLOADS, "uso"] as const;
const SWITCHED_OFF: readonly (readonly (typeof ALL)[number][])[] = [
  [],
  ...ALL.map((name) => [name] as const),
  ALL,
];

describeWith(["tun", "build"], "offloads of ours", () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = new Pair(await TwoSites.create({ lanOffload: true, wanOffload: true }));
  });
  afterEach(() => pair.stop());
  afterAll(() => pair.sites.remove());

  test.each(SWITCHED_OFF.map((off) => [off.join(", ") || "none", off] as const))(
    "off: %s",
    {
      timeout: TIMEOUT_MS,
    },
    async (_words, off) => {
      await pair.start({ offloadsOff: off });

      await pair.expectWhole(OCTETS);

      const { offloads } = await pair.a.status();
      const transfers = await pair.transfers();
      for (const name of OFFLOADS) {
        const isOff = off.includes(name);
        expect([name, offloads[name]]).toEqual([name, isOff ? "off" : "on"]);
        // The other ones are used, so that a zero means something.
        if (isOff) expect([name, transfers[COUNTERS[name]]]).toEqual([name, 0]);
        else if (off.length === 0) expect([name, transfers[COUNTERS[name]]! > 0]).toEqual([name, true]);
      }
    },
  );
});

describeWith(["tun", "build"], "offloads and paths that change in the middle of a transfer", () => {
  let pair: Pair;
  beforeAll(async () => {
    pair = new Pair(await TwoSites.create({ lanOffload: true, wanOffload: true }));
  });
  afterEach(() => pair.stop());
  afterAll(() => pair.sites.remove());

  /** Transfers from A to B; `change` comes while octets flow, and the transfer goes on behind it. */
  async function transferThrough(change: () => Promise<void>): Promise<void> {
    const { sites, a } = pair;
    const [left, right] = [await sites.a.traffic(), await sites.b.traffic()];
    await right.forget();
    await right.tcpServe(5041);
    const words = { host: SITE_B.host4, port: 5041, octets: AFTER_OCTETS, timeoutMs: TIMEOUT_MS };
    const transfer = left.tcpSend({ ...words, isOpen: true });
    // Whoever awaits it later gets its failure then.
    transfer.catch(() => undefined);
    const sent = async () => (await a.connection("peer")).children[0]?.counters?.outboundOctets ?? 0;
    await until("the transfer is in its middle", async () => (await sent()) > BEFORE_OCTETS);
    await change();
    await left.finish();
    const { octets, received, digest } = await transfer;
    expect(octets).toBeGreaterThan(AFTER_OCTETS);
    expect(received).toEqual({ octets, digest });
    await pair.expectNothingDamaged();
  }

  test("the device's MTU sinks: what is too big is counted, and the transfer ends whole", {
    timeout: TIMEOUT_MS,
  }, async () => {
    await pair.start();
    const wan = (mtu: number) => pair.sites.a.gateway.ip(`link set wan0 mtu ${mtu}`);
    try {
      await transferThrough(() => wan(1300));
      const { drops } = await pair.a.status();
      const { sendTooBig = 0 } = await pair.transfers();
      const told = Object.entries(drops).filter(([reason]) => /tooBig|TooBig/.test(reason));
      expect(sendTooBig + told.reduce((sum, [, count]) => sum + count, 0)).toBeGreaterThan(0);
      expect((await pair.a.status()).offloads["udp_segment"]).toBe("on");
    } finally {
      await wan(1500);
    }
  });

  test("the device loses segmentation, checksums and merging: the transfer ends whole", {
    timeout: TIMEOUT_MS,
  }, async () => {
    await pair.start();
    const features = (state: "on" | "off") =>
      Promise.all(
        [pair.sites.a, pair.sites.b].map(({ gateway }) =>
          gateway.run(
            [
              ...["ethtool", "-K", "wan0", "tx-udp-segmentation", state, "tso", state, "gso", state],
              ...["gro", state, "tx", state],
            ],
            { mayFail: true },
          ),
        ),
      );
    try {
      await transferThrough(async () => void (await features("off")));
      const words = ["ethtool", "-k", "wan0"];
      const { stdout } = await pair.sites.a.gateway.run(words);
      expect(stdout).toMatch(/tx-udp-segmentation: off/);
      expect(stdout).toMatch(/tx-checksumming: off/);
    } finally {
      await features("on");
    }
    // And with the device as it is now a fresh transfer is whole as well.
    await expectTraffic(pair.sites.a, pair.sites.b, { octets: OCTETS });
  });

  test("queues of two packets before the wire and before the gateway: the transfer ends whole", {
    timeout: TIMEOUT_MS,
  }, async () => {
    await pair.start();
    const { gateway } = pair.sites.a;
    const dropped = async () => {
      const { stdout } = await gateway.run(["tc", "-s", "qdisc", "show", "dev", "wan0"]);
      return Number(/dropped (\d+)/.exec(stdout)?.[1] ?? 0);
    };
    const tight = async () => {
      await gateway.run(["tc", "qdisc", "replace", "dev", "wan0", "root", "tbf", ...TIGHT_WIRE]);
      await gateway.ip("link set tungate0 txqueuelen 2");
    };
    try {
      await transferThrough(async () => {
        await tight();
        await until("the queue before the wire drops", async () => (await dropped()) > 0);
      });
    } finally {
      await gateway.run(["tc", "qdisc", "del", "dev", "wan0", "root"], { mayFail: true });
    }
  });
});
