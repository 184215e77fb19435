/** Loss events and intervals (RFC 5348 section 5). */
import fc from "fast-check";
import { expect, test } from "vitest";
import { LossIntervals } from "../../../src/esp/loss-intervals.ts";
import { lossRateOf } from "../../../src/esp/tfrc-equation.ts";

const RTT = 50;

/** A packet each millisecond but those that are lost. */
function hear(losses: LossIntervals, from: number, to: number, isLost: (sequence: number) => boolean) {
  for (let sequence = from; sequence <= to; sequence++)
    if (!isLost(sequence)) losses.take(sequence, false, false, RTT, sequence);
}
const among = (lost: readonly number[]) => (sequence: number) => lost.includes(sequence);

test("[TFS-18] without loss there is no rate of it", () => {
  const losses = new LossIntervals();
  hear(losses, 1, 5000, () => false);
  expect(losses.mean).toBe(0);
  expect(losses.isFromMarks).toBe(false);
});

test("[TFS-18] a number is lost when three higher ones are there, not before", () => {
  const losses = new LossIntervals();
  hear(losses, 1, 200, () => false);
  for (const sequence of [202, 203]) losses.take(sequence, false, false, RTT, sequence);
  losses.take(204, false, false, RTT, 204);
  expect(losses.mean).toBe(0);
  losses.take(205, false, false, RTT, 205);
  expect(losses.mean).toBeGreaterThan(0);
});

test("[TFS-18] packets that overtake each other by less are no loss", () => {
  const losses = new LossIntervals();
  let now = 0;
  for (let first = 1; first < 3000; first += 3)
    for (const sequence of [first + 2, first + 1, first]) losses.take(sequence, false, false, RTT, now++);
  expect(losses.mean).toBe(0);
});

test("[TFS-18] losses of one round trip are one event, and the mean is that of the events' distances", () => {
  const losses = new LossIntervals();
  // 20 events, 200 apart, each of seven packets within 30 ms.
  const lost = Array.from({ length: 20 }, (_, k) => [0, 1, 2, 10, 11, 20, 30].map((d) => 1000 + k * 200 + d));
  hear(losses, 1, 4810, among(lost.flat()));
  expect(losses.mean).toBe(200);
});

test("[TFS-18] a gap of several round trips is as many events", () => {
  const losses = new LossIntervals();
  hear(losses, 1, 1000, () => false);
  hear(losses, 1001, 1470, among(Array.from({ length: 460 }, (_, k) => 1001 + k)));
  // Each event is the first number of more than a round trip after the last one; the open interval is shorter still.
  expect(losses.mean).toBeGreaterThanOrEqual(51);
  expect(losses.mean).toBeLessThan(53);
});

test("[TFS-18] the first interval stands for the rate that came through, and the open one counts when it is long", () => {
  const losses = new LossIntervals();
  hear(losses, 1, 1010, among([1000]));
  expect(losses.mean).toBeGreaterThan(0.9 / lossRateOf(1000, RTT));
  expect(losses.mean).toBeLessThan(1.1 / lossRateOf(1000, RTT));
  hear(losses, 1011, 200_000, () => false);
  expect(losses.mean).toBe(200_000 - 1000 + 1);
});

test("[TFS-18] what was long before the last loss counts less, and stays so when the next loss comes", () => {
  const losses = new LossIntervals();
  // More events than the history holds, each just more than a round trip behind the one before.
  const storm = Array.from({ length: 20 }, (_, k) => 1000 + k * 51);
  const [last] = storm.slice(-1) as [number];
  hear(losses, 1, last + 99, among(storm));
  // Up to twice the mean nothing is discounted: seven older intervals with a weight of 5 beside the open one.
  expect(losses.mean).toBeCloseTo((100 + 5 * 51) / 6, 6);
  hear(losses, last + 100, last + 203, () => false);
  expect(losses.mean).toBeCloseTo((204 + 0.5 * 5 * 51) / (1 + 0.5 * 5), 6);
  hear(losses, last + 204, last + 999, () => false);
  const least = (1000 + 0.25 * 5 * 51) / (1 + 0.25 * 5);
  expect(losses.mean).toBeCloseTo(least, 6);
  hear(losses, last + 1000, last + 1010, among([last + 1000]));
  expect(losses.mean).toBeCloseTo(least, 6);
});

test("[TFS-19] a mark is a loss without a gap, and says so while it is in the history", () => {
  const losses = new LossIntervals();
  for (let sequence = 1; sequence <= 4000; sequence++)
    losses.take(sequence, sequence % 300 === 0 && sequence <= 3000, false, RTT, sequence);
  expect(losses.isFromMarks).toBe(true);
  expect(losses.mean).toBeGreaterThan(290);
  const lost = Array.from({ length: 12 }, (_, k) => 4500 + k * 300);
  hear(losses, 4001, 8000, among(lost));
  expect(losses.isFromMarks).toBe(false);
  expect(losses.mean).toBeGreaterThanOrEqual(300);
});

test("[TFS-16] what misses while the peer probes the path is no loss", () => {
  const losses = new LossIntervals();
  for (let sequence = 1; sequence <= 1000; sequence++)
    if (sequence % 100 !== 0) losses.take(sequence, false, true, RTT, sequence);
  expect(losses.mean).toBe(0);
});

test("[TFS-18] a rekeyed SA goes on with the history of the one before, whose open interval counts", () => {
  const old = new LossIntervals();
  hear(old, 1, 3000, (sequence) => sequence % 250 === 0);
  const next = new LossIntervals();
  next.adopt(old);
  expect(next.mean).toBeCloseTo(old.mean, 6);
  hear(next, 1, 10, () => false);
  hear(next, 11, 5000, () => false);
  expect(next.mean).toBeGreaterThan(old.mean);
});

test("[TFS-18] whatever arrives in whatever order, a mean is a number of packets", () => {
  const arrivals = fc.array(
    fc.tuple(
      fc.nat(2 ** 31),
      fc.boolean(),
      fc.boolean(),
      fc.double({ min: 0, max: 5000, noNaN: true }),
      fc.nat(9000),
    ),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(arrivals, (list) => {
      const losses = new LossIntervals();
      let now = 0;
      for (const [sequence, isMarked, isProbed, rtt, pause] of list) {
        now += pause;
        losses.take(sequence + 1, isMarked, isProbed, rtt, now);
        const { mean } = losses;
        expect(mean === 0 || (mean >= 1 && Number.isFinite(mean))).toBe(true);
      }
    }),
  );
});
