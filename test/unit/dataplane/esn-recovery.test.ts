/** Extended sequence numbers through a lane: gaps of 2^32 packets and more, and what strangers can make of the recovery. */
import { describe, expect, test } from "vitest";
import {
  ESN_FAILURES_MIN,
  ESN_RECOVERY_INTERVAL_MS,
  ESN_TRIALS_MAX,
} from "../../../src/dataplane/esn-recovery.ts";
import { Slot } from "../../../src/policy/sa-table.ts";
import { findBySpi, slotOffset } from "../../../src/policy/sad.ts";
import { type Gateway, type InstalledPair, makePair, SUITES } from "./gateway-fixture.ts";
import type { Datagram } from "./memory-packet-io.ts";
import { packet } from "./packets.ts";

const T32 = 2 ** 32;
const inner = packet({ source: "10.1.0.5", destination: "10.2.0.9" });

/** What A sends from number `next` on, as it arrives at B. */
function sealedFrom(a: Gateway, spis: InstalledPair, next: number, count = 1): Datagram[] {
  const inbound = slotOffset(a.table, findBySpi(a.table, spis.aInbound));
  const outbound = slotOffset(a.table, a.table.u32[(inbound + Slot.PAIR) / 4]! - 1);
  new BigUint64Array(a.table.bytes.buffer)[(outbound + Slot.SEQUENCE) / 8] = BigInt(next - 1);
  a.io.fromHost[0]!.push(...Array.from({ length: count }, () => inner));
  a.turn();
  return a.io.sent
    .splice(0)
    .map(({ local, remote, tos, bytes }) => ({ local: remote, remote: local, tos, bytes }));
}

/** Packets delivered. */
function receive(b: Gateway, datagrams: readonly Datagram[], at = 0): number {
  for (const datagram of datagrams) b.io.arrive(datagram);
  while (b.turn(at) > 0);
  return b.io.toHost[0]!.splice(0).length;
}

function highestOf(b: Gateway, spis: InstalledPair): number {
  return b.table.f64[(slotOffset(b.table, findBySpi(b.table, spis.bInbound)) + Slot.REPLAY_HIGHEST) / 8]!;
}

function forged(datagram: Datagram, count: number): Datagram[] {
  return Array.from({ length: count }, (_, i) => {
    const bytes = datagram.bytes.slice();
    new DataView(bytes.buffer).setUint32(4, 0x01000000 + i);
    return { ...datagram, bytes };
  });
}

const ESN_SUITES = [SUITES.aes256gcm16esn, SUITES.aes128sha256esn];

describe("[ESP-06] after a gap that the upper half cannot be guessed over", () => {
  test.each(ESN_SUITES.flatMap((suite) => [1, 2, ESN_TRIALS_MAX].map((wraps) => [suite, wraps] as const)))(
    "%j finds it again, %i times 2^32 on",
    (suite, wraps) => {
      const { a, b, spis } = makePair({ suite });
      expect(receive(b, sealedFrom(a, spis, 1000, 5))).toBe(5);
      const first = wraps * T32 + 500_000;
      expect(receive(b, sealedFrom(a, spis, first, ESN_FAILURES_MIN), 1)).toBe(0);
      expect(b.allDrops()).toEqual({ notAuthentic: ESN_FAILURES_MIN });
      expect(receive(b, sealedFrom(a, spis, first + ESN_FAILURES_MIN), 2)).toBe(1);
      expect(receive(b, sealedFrom(a, spis, first + ESN_FAILURES_MIN + 1, 2), 2)).toBe(2);
      expect(b.allDrops()).toEqual({ notAuthentic: ESN_FAILURES_MIN, resynchronised: 1 });
      expect(highestOf(b, spis)).toBe(first + ESN_FAILURES_MIN + 2);
      expect(receive(b, sealedFrom(a, spis, first + 100, 3), 3)).toBe(3);
      expect(b.drops("resynchronised")).toBe(1);
    },
  );

  test("a gap of just less than 2^32 less the window needs no recovery, one packet more does", () => {
    const handling = { replayWindow: 64 };
    for (const [gap, isGuessed] of [
      [T32 - 64, true],
      [T32 - 63, false],
    ] as const) {
      const { a, b, spis } = makePair({ handling });
      expect(receive(b, sealedFrom(a, spis, 1000))).toBe(1);
      expect(receive(b, sealedFrom(a, spis, 1000 + gap))).toBe(isGuessed ? 1 : 0);
    }
  });

  test("beyond the trials nothing is found, and the number of trials is bounded", () => {
    const { a, b, spis } = makePair();
    receive(b, sealedFrom(a, spis, 1000));
    const far = (ESN_TRIALS_MAX + 2) * T32 + 500_000;
    for (let i = 0; i < 5; i++)
      expect(receive(b, sealedFrom(a, spis, far + 100 * i, ESN_FAILURES_MIN), i * 1000)).toBe(0);
    expect(b.drops("resynchronised")).toBe(0);
    expect(highestOf(b, spis)).toBe(1000);
  });

  test("without ESN there is nothing to recover", () => {
    const { a, b, spis } = makePair({ suite: SUITES.aes256gcm16 });
    const [good] = sealedFrom(a, spis, 1000);
    expect(receive(b, [good!])).toBe(1);
    receive(b, forged(good!, ESN_FAILURES_MIN + 2));
    expect(b.allDrops()).toEqual({ notAuthentic: ESN_FAILURES_MIN + 2 });
    expect(highestOf(b, spis)).toBe(1000);
  });
});

describe("[ESP-06] a stranger", () => {
  test("cannot move the window, nor replay what was sent before, by failures in a row", () => {
    const { a, b, spis } = makePair();
    const old = sealedFrom(a, spis, 1000, 3);
    expect(receive(b, old)).toBe(3);
    const far = sealedFrom(a, spis, 100_000, 3);
    expect(receive(b, far)).toBe(3);
    for (let i = 0; i < 20; i++) {
      receive(b, forged(old[0]!, ESN_FAILURES_MIN), i * 1000);
      // Left of the window: guessed to be ahead, it fails, and is tried with upper halves that it never had.
      expect(receive(b, old, i * 1000 + 1)).toBe(0);
    }
    expect(highestOf(b, spis)).toBe(100_002);
    expect(b.drops("resynchronised")).toBe(0);
    expect(receive(b, sealedFrom(a, spis, 100_003, 2), 30_000)).toBe(2);
  });

  test("makes no more than one packet of an SA be tried within the interval", () => {
    const { a, b, spis } = makePair();
    const [good] = sealedFrom(a, spis, 1000);
    receive(b, [good!]);
    let opened = 0;
    const { open } = b.engine;
    b.engine.open = (batch) => {
      opened += batch.count;
      open(batch);
    };
    const packets = 40 * ESN_FAILURES_MIN;
    receive(b, forged(good!, packets), 10);
    expect(opened).toBe(packets + ESN_TRIALS_MAX);
    receive(b, forged(good!, packets), 10 + ESN_RECOVERY_INTERVAL_MS - 1);
    expect(opened).toBe(2 * packets + ESN_TRIALS_MAX);
    receive(b, forged(good!, packets), 10 + ESN_RECOVERY_INTERVAL_MS);
    expect(opened).toBe(3 * packets + 2 * ESN_TRIALS_MAX);
  });

  test("costs nothing while authentic packets arrive in between", () => {
    const { a, b, spis } = makePair();
    const all = sealedFrom(a, spis, 1000, 20);
    let opened = 0;
    const { open } = b.engine;
    b.engine.open = (batch) => {
      opened += batch.count;
      open(batch);
    };
    for (const [i, good] of all.entries()) {
      receive(b, forged(all[0]!, ESN_FAILURES_MIN - 1), i * 1000);
      expect(receive(b, [good], i * 1000)).toBe(1);
    }
    expect(opened).toBe(20 * ESN_FAILURES_MIN);
  });
});

describe("[ESP-04] a window of 65536 packets", () => {
  test.each([1, T32 - 30_000, 7 * T32 + 5])(
    "takes its oldest packet and not the one before, from number %i",
    (first) => {
      const { a, b, spis } = makePair({ handling: { replayWindow: 65536 } });
      const step = (number: number) => sealedFrom(a, spis, number)[0]!;
      const early = [step(first), step(first + 1)];
      if (first > 1) {
        const inbound = slotOffset(b.table, findBySpi(b.table, spis.bInbound));
        b.table.f64[(inbound + Slot.REPLAY_HIGHEST) / 8] = first - 1;
      }
      expect(receive(b, [step(first + 65536)])).toBe(1);
      expect(receive(b, [early[0]!])).toBe(0);
      expect(receive(b, [early[1]!])).toBe(1);
      expect(receive(b, [early[1]!])).toBe(0);
      expect(b.drops("replayed")).toBe(1);
    },
  );
});
