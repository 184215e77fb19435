import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  HandOverRing,
  RING_RECORD_WORDS,
  RING_RECORDS_MAX,
  ringMemory,
} from "../../../src/dataplane/hand-over-ring.ts";
import { typescriptWorker } from "../run-typescript.ts";
import { lengthOf, type RingOrder } from "./hand-over-ring-worker.ts";

const OCTETS = 1024;

function sides(octets = OCTETS, at = 64) {
  const memory = new SharedArrayBuffer(at + ringMemory(octets) + 64);
  // What lies around the queue is somebody else's.
  const around = new Uint8Array(memory);
  around.fill(0xee, 0, at);
  around.fill(0xee, at + ringMemory(octets));
  const checkAround = () => {
    expect(around.subarray(0, at).every((octet) => octet === 0xee)).toBe(true);
    expect(around.subarray(at + ringMemory(octets)).every((octet) => octet === 0xee)).toBe(true);
  };
  return {
    putting: new HandOverRing(memory, at, octets),
    taking: new HandOverRing(memory, at, octets),
    checkAround,
  };
}

function put(ring: HandOverRing, length: number, stamp: number): boolean {
  const record = ring.reserve(length);
  if (record < 0) return false;
  const start = ring.start(record);
  ring.bytes.fill(stamp & 0xff, start, start + length);
  for (let word = 0; word < RING_RECORD_WORDS; word++) ring.u32[ring.words(record) + word] = stamp + word;
  ring.put(record);
  return true;
}

function take(ring: HandOverRing): { stamp: number; length: number } | undefined {
  const record = ring.front();
  if (record < 0) return undefined;
  const [start, length] = [ring.start(record), ring.length(record)];
  const octets = ring.bytes.subarray(start, start + length);
  const words = ring.u32.subarray(ring.words(record), ring.words(record) + RING_RECORD_WORDS);
  const stamp = words[0]!;
  expect(octets).toHaveLength(length);
  expect(octets.every((octet) => octet === (stamp & 0xff))).toBe(true);
  expect([...words]).toEqual(Array.from({ length: RING_RECORD_WORDS }, (_, word) => stamp + word));
  ring.take();
  return { stamp, length };
}

describe("a hand-over ring", () => {
  test("gives nothing while nothing was put, nor what was only reserved", () => {
    const { putting, taking } = sides();
    expect(taking.front()).toBe(-1);
    expect(putting.reserve(10)).toBe(0);
    expect(taking.front()).toBe(-1);
  });

  test("holds as many octets as it says, in one piece or several, and no more", () => {
    for (const pieces of [1, 2, 4]) {
      const { putting, taking } = sides();
      for (let i = 0; i < pieces; i++) expect(put(putting, OCTETS / pieces, i)).toBe(true);
      expect(put(putting, 1, 99)).toBe(false);
      expect(take(taking)).toEqual({ stamp: 0, length: OCTETS / pieces });
      expect(put(putting, OCTETS / pieces, 77)).toBe(true);
      expect(put(putting, 1, 99)).toBe(false);
    }
  });

  test("never holds a piece that is longer than it, nor cuts one at its end", () => {
    const { putting, taking } = sides();
    expect(put(putting, OCTETS + 1, 1)).toBe(false);
    expect(put(putting, 600, 1)).toBe(true);
    expect(put(putting, 200, 2)).toBe(true);
    take(taking);
    // 224 octets at the end, 600 at the start: 300 fit in one place only.
    expect(put(putting, 300, 3)).toBe(true);
    expect(put(putting, 301, 4)).toBe(false);
    expect([take(taking), take(taking), take(taking)].map((one) => one?.stamp)).toEqual([2, 3, undefined]);
  });

  test("holds RING_RECORDS_MAX records, however short", () => {
    const { putting, taking } = sides(RING_RECORDS_MAX * 16);
    for (let i = 0; i < RING_RECORDS_MAX; i++) expect(put(putting, 1, i)).toBe(true);
    expect(put(putting, 1, 9999)).toBe(false);
    expect(take(taking)?.stamp).toBe(0);
    expect(put(putting, 1, RING_RECORDS_MAX)).toBe(true);
    for (let i = 1; i <= RING_RECORDS_MAX; i++) expect(take(taking)?.stamp).toBe(i);
    expect(take(taking)).toBeUndefined();
  });

  test("begins at its start again whenever it is empty, so that idle memory stays untouched", () => {
    const { putting, taking } = sides();
    for (let i = 0; i < 100; i++) {
      put(putting, 100, i);
      expect(taking.start(taking.front())).toBe(0);
      take(taking);
    }
  });

  test("goes on when its counts pass 2^32", () => {
    const memory = new SharedArrayBuffer(ringMemory(OCTETS));
    const counts = new Uint32Array(memory);
    counts[0] = 2 ** 32 - 3;
    counts[32] = 2 ** 32 - 3;
    const [putting, taking] = [new HandOverRing(memory, 0, OCTETS), new HandOverRing(memory, 0, OCTETS)];
    for (let i = 0; i < 8; i++) expect(put(putting, 100, i)).toBe(true);
    for (let i = 0; i < 8; i++) expect(take(taking)).toEqual({ stamp: i, length: 100 });
    expect(take(taking)).toBeUndefined();
  });

  test("is first in, first out, whole and within its memory for any order of puts and takes", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("put" as const), length: fc.integer({ min: 1, max: OCTETS + 8 }) }),
      fc.record({ kind: fc.constant("put" as const), length: fc.integer({ min: 1, max: 90 }) }),
      fc.record({ kind: fc.constant("take" as const), length: fc.constant(0) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        const { putting, taking, checkAround } = sides();
        const model: { stamp: number; length: number }[] = [];
        let stamp = 0;
        for (const { kind, length } of steps) {
          if (kind === "take") expect(take(taking)).toEqual(model.shift());
          else if (put(putting, length, ++stamp)) model.push({ stamp, length });
          // Only for want of room: one that is empty takes whatever fits it.
          else expect(model.length > 0 || length > OCTETS).toBe(true);
        }
        for (const expected of model) expect(take(taking)).toEqual(expected);
        expect(take(taking)).toBeUndefined();
        checkAround();
      }),
      { numRuns: 300 },
    );
  });

  test("two threads: all that was put is taken, in order and unharmed", async () => {
    const order: RingOrder = {
      memory: new SharedArrayBuffer(ringMemory(4096)),
      octets: 4096,
      count: 200_000,
    };
    const worker = typescriptWorker(new URL("./hand-over-ring-worker.ts", import.meta.url), order);
    const failed = new Promise<never>((_, reject) => worker.once("error", reject));
    const ring = new HandOverRing(order.memory, 0, order.octets);
    let next = 1;
    const takeAll = async () => {
      while (next <= order.count) {
        for (let record = ring.front(); record >= 0; record = ring.front()) {
          const [start, length] = [ring.start(record), ring.length(record)];
          const isWhole =
            ring.u32[ring.words(record)] === next &&
            length === lengthOf(next) &&
            ring.bytes[start] === (next & 0xff) &&
            ring.bytes[start + length - 1] === (next & 0xff);
          if (!isWhole) throw new Error(`record ${next} is another one, or harmed`);
          ring.take();
          next++;
        }
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    await Promise.race([takeAll(), failed]);
    await worker.terminate();
    expect(next).toBe(order.count + 1);
  });
});
