/** Constant rates that give way: two gateways over a bottleneck that loses, marks, or stops (RFC 9347 sections 2.4.2 and 3). */
import { describe, expect, test } from "vitest";
import { DurationMs } from "../../src/base/instant.ts";
import type { AggfragHandling } from "../../src/policy/data-plane.ts";
import { type Gateway, installPair, makePair, send } from "../unit/dataplane/gateway-fixture.ts";
import type { SentDatagram } from "../unit/dataplane/memory-packet-io.ts";
import { packet } from "../unit/dataplane/packets.ts";

const PACKET = 300;
/** Packets a second. */
const FULL = 200;
const GIVING_WAY: AggfragHandling = {
  mode: "constant",
  octetsPerSecond: FULL * PACKET,
  packetSize: PACKET,
  delay: DurationMs(1),
  mayFragment: true,
  reorderWindow: 3,
  congestion: "loss",
};
const ONE_WAY = 20;

interface Link {
  /** Milliseconds that a packet of ours takes on the wire. */
  each: number;
  /** Packets that wait; more are lost. */
  queue: number;
  /** From so many on packets are marked that may be. */
  markFrom: number;
  /** Of those that got that far. */
  lost: (now: number) => boolean;
}

const FREE: Link = { each: 0, queue: 1e9, markFrom: 1e9, lost: () => false };

/** One direction. */
class Wire {
  readonly link: Link;
  sent = 0;
  lost = 0;
  marked = 0;
  #freeAt = 0;
  #way: { readonly at: number; readonly datagram: SentDatagram }[] = [];

  constructor(link: Partial<Link> = {}) {
    this.link = { ...FREE, ...link };
  }

  take(datagram: SentDatagram, now: number): void {
    const { each, queue, markFrom, lost } = this.link;
    this.sent++;
    const waiting = each === 0 ? 0 : Math.max(0, this.#freeAt - now) / each;
    if (waiting > queue || lost(now)) {
      this.lost++;
      return;
    }
    const isMarked = waiting > markFrom && (datagram.tos & 3) === 2;
    if (isMarked) this.marked++;
    this.#freeAt = Math.max(this.#freeAt, now) + each;
    const tos = isMarked ? datagram.tos | 3 : datagram.tos;
    this.#way.push({ at: this.#freeAt + ONE_WAY, datagram: { ...datagram, tos } });
  }

  deliver(to: Gateway, now: number): void {
    while (this.#way[0] !== undefined && this.#way[0].at <= now) {
      const { local, remote, tos, bytes } = this.#way.shift()!.datagram;
      to.io.arrive({ local: remote, remote: local, tos, bytes });
    }
  }
}

/** @returns datagrams that A sent in each second */
function run(
  a: Gateway,
  b: Gateway,
  [there, back]: readonly [Wire, Wire],
  from: number,
  to: number,
): number[] {
  const perSecond: number[] = [];
  for (let now = from; now < to; now++) {
    const second = Math.floor((now - from) / 1000);
    there.deliver(b, now);
    back.deliver(a, now);
    a.turn(now);
    for (const datagram of a.io.sent.splice(0)) {
      there.take(datagram, now);
      perSecond[second] = (perSecond[second] ?? 0) + 1;
    }
    b.turn(now);
    for (const datagram of b.io.sent.splice(0)) back.take(datagram, now);
    b.io.toHost[0]!.splice(0);
    a.io.toHost[0]!.splice(0);
  }
  return perSecond;
}

const inner = (octets: number) =>
  packet({ source: "10.1.0.5", destination: "10.2.0.7", payload: new Uint8Array(octets) });
const mean = (numbers: readonly number[]) => numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
const flowOf = (gateway: Gateway) => gateway.dataPlane.pairs()[0]!.flow;
const pairWith = (aggfrag: AggfragHandling) => makePair({ handling: { aggfrag } });

test("[TFS-20] a free path carries the configured rate after seconds, and goes on so", () => {
  const { a, b } = pairWith(GIVING_WAY);
  const rates = run(a, b, [new Wire(), new Wire()], 0, 6000);
  expect(rates[0]).toBeLessThan(20);
  for (const rate of rates.slice(3)) expect(rate).toBe(FULL);
  expect(flowOf(a).congestion).toMatchObject({ octetsPerSecond: FULL * PACKET, lossInterval: 0 });
  expect(flowOf(a).congestion!.rtt).toBeGreaterThanOrEqual(2 * ONE_WAY);
  expect(flowOf(a).congestion!.rtt).toBeLessThan(2 * ONE_WAY + 5);
  expect(b.allDrops()).toEqual({});
});

/** 50 packets a second. */
const NARROW: Partial<Link> = { each: 20, queue: 10 };
const NARROW_RATE = 50;

test("[TFS-20] in a bottleneck it takes what is there, with little loss, and more again when that is free", () => {
  const { a, b } = pairWith(GIVING_WAY);
  const there = new Wire(NARROW);
  const wires = [there, new Wire()] as const;
  run(a, b, wires, 0, 8000);
  const [sent, lost] = [there.sent, there.lost];
  const narrow = mean(run(a, b, wires, 8000, 18_000));
  expect(narrow).toBeGreaterThan(0.6 * NARROW_RATE);
  expect(narrow).toBeLessThan(1.1 * NARROW_RATE);
  expect((there.lost - lost) / (there.sent - sent)).toBeLessThan(0.1);
  expect(flowOf(a).congestion!.lossInterval).toBeGreaterThan(0);
  expect(flowOf(b).congestion!.octetsPerSecond).toBe(FULL * PACKET);
  there.link.each = 0;
  expect(run(a, b, wires, 18_000, 30_000).at(-1)).toBeGreaterThan(2 * NARROW_RATE);
});

test("[TFS-20] the rate is one for all, whatever there is to carry, also while it gives way", () => {
  const wires = () => [new Wire(NARROW), new Wire()] as const;
  const [idle, busy] = [pairWith(GIVING_WAY), pairWith(GIVING_WAY)];
  const rates = run(idle.a, idle.b, wires(), 0, 6000);
  const carrying = wires();
  const busyRates: number[] = [];
  for (let now = 0; now < 6000; now += 50) {
    send(busy.a, ...new Array<Uint8Array>(20).fill(inner(1200)));
    const second = Math.floor(now / 1000);
    busyRates[second] = (busyRates[second] ?? 0) + (run(busy.a, busy.b, carrying, now, now + 50)[0] ?? 0);
  }
  expect(busyRates).toEqual(rates);
  expect(busy.a.drops("aggfragQueueFull")).toBeGreaterThan(0);
});

test("[TFS-20] what waits does not grow old where the rate gave way", () => {
  const { a } = pairWith(GIVING_WAY);
  a.turn(0);
  send(a, ...new Array<Uint8Array>(100).fill(inner(980)));
  for (let k = 0; k < 8; k++) a.turn(0);
  // 16 KiB of packets of a thousand octets, and the one that goes beyond: 17 of 100.
  expect(a.drops("aggfragQueueFull")).toBe(83);
});

describe("marks", () => {
  const ECN: AggfragHandling = { ...GIVING_WAY, congestion: "ecn" };

  test("[TFS-19] with ECN the rate gives way to marks, and nothing is lost", () => {
    const { a, b } = pairWith(ECN);
    const there = new Wire({ each: 8, queue: 400, markFrom: 5 });
    const wires = [there, new Wire()] as const;
    run(a, b, wires, 0, 8000);
    const rates = run(a, b, wires, 8000, 18_000);
    expect(there.lost).toBe(0);
    expect(there.marked).toBeGreaterThan(5);
    expect(mean(rates)).toBeGreaterThan(50);
    expect(mean(rates)).toBeLessThan(1.1 * 125);
  });

  test("[TFS-09] [TFS-19] without it packets say that they may not be marked", () => {
    for (const [congestion, ecn] of [
      ["loss", 0],
      ["report", 0],
      ["ecn", 2],
    ] as const) {
      const { a } = pairWith({ ...GIVING_WAY, congestion });
      a.turn(0);
      a.turn(1000);
      expect(a.io.sent.map(({ tos }) => tos & 3)).toContain(ecn);
      expect(new Set(a.io.sent.map(({ tos }) => tos & 3)).size).toBe(1);
    }
  });
});

test("[TFS-20] on a path that is gone the rate falls to a packet a second, and comes back with the path", () => {
  const { a, b } = pairWith(GIVING_WAY);
  const wires = [new Wire(), new Wire()] as const;
  run(a, b, wires, 0, 4000);
  wires[0].link.lost = () => true;
  const gone = run(a, b, wires, 4000, 16_000);
  expect(gone.at(-1)).toBe(1);
  expect(gone[3]).toBeLessThan(30);
  wires[0].link.lost = () => false;
  const back = run(a, b, wires, 16_000, 30_000);
  expect(back.at(-1)).toBeGreaterThan(FULL / 8);
});

test("[TFS-21] an end that only reports is not slowed down itself", () => {
  const { a, b } = pairWith({ ...GIVING_WAY, congestion: "report" });
  const rates = run(a, b, [new Wire(NARROW), new Wire()], 0, 3000);
  expect(rates.slice(1)).toEqual([FULL, FULL]);
  expect(flowOf(a).congestion).toBeUndefined();
});

test("[TFS-20] over a rekey the rate goes on as it was", () => {
  const { a, b, spis } = pairWith(GIVING_WAY);
  const wires = [new Wire(NARROW), new Wire()] as const;
  const before = run(a, b, wires, 0, 8000);
  installPair(a, b, { handling: { aggfrag: GIVING_WAY } });
  a.dataPlane.execute({ kind: "removeOutboundSa", inboundSpi: spis.aInbound });
  b.dataPlane.execute({ kind: "removeOutboundSa", inboundSpi: spis.bInbound });
  const after = run(a, b, wires, 8000, 12_000);
  expect(Math.max(...after)).toBeLessThan(1.5 * Math.max(...before.slice(4)));
  expect(mean(after)).toBeGreaterThan(0.5 * NARROW_RATE);
});

test("[TFS-22] where payloads leave as they come, reports leave by themselves, and none for those", () => {
  const aggfrag: AggfragHandling = {
    ...GIVING_WAY,
    mode: "aggregate",
    octetsPerSecond: 0,
    congestion: "report",
  };
  const { a, b } = pairWith(aggfrag);
  const there = new Wire();
  const back = new Wire();
  for (let now = 0; now < 1000; now += 100) {
    send(a, inner(100));
    run(a, b, [there, back], now, now + 100);
  }
  expect(there.sent).toBe(10);
  expect(back.sent).toBe(10);
  run(a, b, [there, back], 1000, 5000);
  expect([there.sent, back.sent]).toEqual([10, 10]);
  expect(b.allDrops()).toEqual({});
  expect(a.allDrops()).toEqual({});
});
