/** What moment a lane is told: never a later one than the present, and an old one only where it may be. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { CLOCK_STEP_MS, LaneClock } from "../../../src/io/lane-clock.ts";

const UPTIME_MS = 3_000_000_000.25;

test("a turn that wants the very moment is told it, others one that is less than a step old, and none goes back", () => {
  const steps = fc.array(
    fc.record({ passed: fc.double({ min: 0, max: 6, noNaN: true }), isExact: fc.boolean() }),
  );
  fc.assert(
    fc.property(steps, (turns) => {
      const times = Float64Array.of(-1, UPTIME_MS);
      const clock = new LaneClock(times, 1);
      let before = 0;
      for (const { passed, isExact } of turns) {
        times[1]! += passed;
        const told = clock.now(isExact);
        if (isExact) expect(told).toBe(times[1]);
        expect(told).toBeLessThanOrEqual(times[1]!);
        expect(told).toBeGreaterThan(times[1]! - CLOCK_STEP_MS);
        expect(told).toBeGreaterThanOrEqual(before);
        before = told;
      }
    }),
  );
});

test("a number is made once in a step, however often a lane turns", () => {
  const times = Float64Array.of(UPTIME_MS);
  const clock = new LaneClock(times, 0);
  const told = new Set<number>();
  for (let turn = 0; turn < 1000; turn++) {
    told.add(clock.now(false));
    times[0]! += 1 / 64;
  }
  expect(told.size).toBe(Math.ceil(1000 / 64 / CLOCK_STEP_MS));
});
