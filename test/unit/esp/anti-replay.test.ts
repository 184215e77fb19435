import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  checkReplay,
  REPLAY_DUPLICATE,
  REPLAY_LEFT_OF_WINDOW,
  REPLAY_OK,
  updateReplay,
  updateReplayRun,
} from "../../../src/esp/anti-replay.ts";
import {
  guessSequenceHigh,
  SEQUENCE_HIGH_MAX,
  SEQUENCE_HIGH_UNKNOWN,
  wholeSequenceNumber,
} from "../../../src/esp/sequence-number.ts";
import {
  formatSaTable,
  REPLAY_WINDOW_MAX,
  type SaTable,
  SLOT_REPLAY_WINDOW,
  Slot,
  SlotTail,
  saTableRegions,
} from "../../../src/policy/sa-table.ts";

function makeSa(window: number, highest = 0): { table: SaTable; base: number } {
  const size = { slots: 2, endpoints: 1, policies: 1, lanes: 1 };
  const table = formatSaTable(new ArrayBuffer(saTableRegions(size).total), size);
  const base = table.regions.slots;
  table.u32[(base + Slot.REPLAY_WINDOW) / 4] = window;
  table.f64[(base + Slot.REPLAY_HIGHEST) / 8] = highest;
  return { table, base };
}

/** The definition of RFC 4303 section 3.4.3 with a set of numbers. */
class Model {
  readonly #seen = new Set<number>();
  readonly #window: number;
  highest: number;

  constructor(window: number, highest: number) {
    this.#window = window;
    this.highest = highest;
  }

  accept(sequence: number): number {
    if (sequence === 0 || sequence <= this.highest - this.#window) return REPLAY_LEFT_OF_WINDOW;
    if (this.#seen.has(sequence)) return REPLAY_DUPLICATE;
    this.#seen.add(sequence);
    this.highest = Math.max(this.highest, sequence);
    return REPLAY_OK;
  }
}

describe("the window", () => {
  const windows = [32, 33, 64, 100, 128, 1000, 4096, 4097, 65536];

  test.each(windows)("[ESP-04] of %i packets takes exactly what the definition takes", (window) => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.integer({ min: -40, max: 40 }) },
      { weight: 2, arbitrary: fc.integer({ min: -window - 3, max: window + 3 }) },
      { weight: 1, arbitrary: fc.integer({ min: -window - 1, max: -window + 1 }) },
      { weight: 1, arbitrary: fc.integer({ min: window - 1, max: 3 * window }) },
    );
    const start = fc.constantFrom(0, 2 ** 31 - 20, 2 ** 32 - 20, 2 ** 40);
    fc.assert(
      fc.property(start, fc.array(step, { minLength: 1, maxLength: 400 }), (highest, steps) => {
        const { table, base } = makeSa(window, highest);
        const model = new Model(window, highest);
        for (const difference of steps) {
          const sequence = Math.max(0, model.highest + difference);
          const expected = model.accept(sequence);
          expect(checkReplay(table, base, sequence)).toBe(expected);
          expect(updateReplay(table, base, sequence)).toBe(expected);
          expect(table.f64[(base + Slot.REPLAY_HIGHEST) / 8]).toBe(model.highest);
        }
      }),
      { numRuns: 200 },
    );
  });

  test.each(windows)(
    "[ESP-04] of %i packets: a run at once is the same as its numbers one by one",
    (window) => {
      const run = fc.record({
        gap: fc.oneof(fc.nat(3), fc.nat(2 * window)),
        count: fc.oneof(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 2 * window })),
      });
      const start = fc.constantFrom(0, 2 ** 32 - 20, 2 ** 40);
      fc.assert(
        fc.property(start, fc.array(run, { minLength: 1, maxLength: 6 }), (highest, runs) => {
          const [one, other] = [makeSa(window, highest), makeSa(window, highest)];
          for (const { gap, count } of runs) {
            const first = one.table.f64[(one.base + Slot.REPLAY_HIGHEST) / 8]! + 1 + gap;
            for (let k = 0; k < count; k++)
              expect(updateReplay(one.table, one.base, first + k)).toBe(REPLAY_OK);
            updateReplayRun(other.table, other.base, first, count);
            expect(Buffer.compare(one.table.bytes, other.table.bytes)).toBe(0);
          }
        }),
        { numRuns: window > 1000 ? 5 : 60 },
      );
    },
  );

  test("[ESP-04] the left edge: the last number inside is taken, the one before is not", () => {
    const { table, base } = makeSa(32);
    expect(updateReplay(table, base, 100)).toBe(REPLAY_OK);
    expect(updateReplay(table, base, 69)).toBe(REPLAY_OK);
    expect(updateReplay(table, base, 68)).toBe(REPLAY_LEFT_OF_WINDOW);
    expect(updateReplay(table, base, 69)).toBe(REPLAY_DUPLICATE);
  });

  test("[ESP-05] asking changes nothing", () => {
    const { table, base } = makeSa(64);
    const before = table.bytes.slice();
    for (const sequence of [1, 5, 70, 2 ** 33]) checkReplay(table, base, sequence);
    expect(Buffer.compare(table.bytes, before)).toBe(0);
  });

  test("a duplicate that was checked together with its original is found at the update", () => {
    const { table, base } = makeSa(64);
    expect([checkReplay(table, base, 9), checkReplay(table, base, 9)]).toEqual([REPLAY_OK, REPLAY_OK]);
    expect([updateReplay(table, base, 9), updateReplay(table, base, 9)]).toEqual([
      REPLAY_OK,
      REPLAY_DUPLICATE,
    ]);
  });

  test.each([SLOT_REPLAY_WINDOW, SLOT_REPLAY_WINDOW + 1, REPLAY_WINDOW_MAX])(
    "of %i packets stays inside its slot, or inside the slot's tail",
    (window) => {
      const { table, base } = makeSa(window);
      for (let sequence = 1; sequence <= window; sequence++) updateReplay(table, base, sequence);
      const { slots, tails } = table.regions;
      const isUntouched = (from: number, octets: number) =>
        table.bytes.subarray(from, from + octets).every((octet) => octet === 0);
      expect(isUntouched(slots + Slot.STRIDE, Slot.STRIDE)).toBe(true);
      expect(isUntouched(tails, SlotTail.STRIDE)).toBe(window <= SLOT_REPLAY_WINDOW);
      expect(isUntouched(tails, SlotTail.REPLAY_BITMAP)).toBe(true);
      expect(isUntouched(tails + SlotTail.STRIDE, SlotTail.STRIDE)).toBe(true);
      expect(checkReplay(table, base, 1)).toBe(REPLAY_DUPLICATE);
      updateReplay(table, base, window + 1);
      expect(checkReplay(table, base, 1)).toBe(REPLAY_LEFT_OF_WINDOW);
    },
  );

  test("switched off it takes everything but still knows the highest", () => {
    const { table, base } = makeSa(0);
    expect([7, 7, 3].map((sequence) => updateReplay(table, base, sequence))).toEqual([0, 0, 0]);
    expect(table.f64[(base + Slot.REPLAY_HIGHEST) / 8]).toBe(7);
  });
});

describe("[ESP-06] the upper half", () => {
  const T32 = 2 ** 32;

  test("is the one that every number near the window has", () => {
    const window = fc.constantFrom(32, 64, 4096, 65536);
    fc.assert(
      fc.property(
        fc.bigInt({ min: 1n, max: 2n ** 50n }),
        window,
        fc.integer({ min: 0, max: 2 ** 31 }),
        fc.boolean(),
        (high, w, distance, isAhead) => {
          const highest = Number(high);
          const sequence = isAhead ? highest + distance : highest - (distance % w);
          if (sequence < 1) return;
          expect(guessSequenceHigh(highest, sequence % T32, w)).toBe(Math.floor(sequence / T32));
        },
      ),
      { numRuns: 2000 },
    );
  });

  test.each([
    // highest, low, window, expected
    [0, 1, 64, 0],
    [T32 - 1, 0, 64, 1],
    [T32 - 1, T32 - 64, 64, 0],
    [T32 - 1, T32 - 65, 64, 1],
    [T32 + 10, T32 - 53, 64, 0],
    [T32 + 10, T32 - 54, 64, 1],
    [T32 + 63, 0, 64, 1],
    [T32 + 64, 0, 64, 2],
  ])("highest %i, low %i, window %i: %i", (highest, low, window, expected) => {
    expect(guessSequenceHigh(highest, low, window)).toBe(expected);
  });

  test("a number before the first is refused", () => {
    expect(guessSequenceHigh(10, T32 - 5, 64)).toBe(SEQUENCE_HIGH_UNKNOWN);
  });

  test("numbers past what can be counted are refused", () => {
    const last = SEQUENCE_HIGH_MAX * T32 + (T32 - 1);
    expect(guessSequenceHigh(last, T32 - 1, 64)).toBe(SEQUENCE_HIGH_MAX);
    expect(guessSequenceHigh(last, 5, 64)).toBe(SEQUENCE_HIGH_UNKNOWN);
    expect(Number.isSafeInteger(wholeSequenceNumber(SEQUENCE_HIGH_MAX, T32 - 1))).toBe(true);
  });
});
