import { expect, test } from "vitest";
import { CATCH_UP_MS, ConstantRate } from "../../../src/esp/constant-rate.ts";
import { dummyDueAt } from "../../../src/esp/dummy-schedule.ts";
import { tfcLength } from "../../../src/esp/tfc-padding.ts";
import { TFC_PAD_TO_MTU } from "../../../src/policy/sa-table.ts";

function takeAll(rate: ConstantRate, now: number, intervalMs = 1): number {
  let count = 0;
  while (rate.take(now, intervalMs)) count++;
  return count;
}

test("[TFS-04] the rate is held exactly, however unevenly it is asked", () => {
  const rate = new ConstantRate(1000);
  let sent = 0;
  let now = 1000;
  for (let turn = 0; turn < 5000; turn++) {
    now += [0.1, 3.7, 1, 0, 11][turn % 5]!;
    sent += takeAll(rate, now, 0.8);
  }
  expect(Math.abs(sent - (now - 1000) / 0.8)).toBeLessThanOrEqual(1);
});

test("[TFS-04] after a pause no more is caught up with than the bound", () => {
  const rate = new ConstantRate(0);
  takeAll(rate, 0);
  expect(takeAll(rate, 60_000)).toBe(CATCH_UP_MS + 1);
  expect(takeAll(rate, 60_001)).toBe(1);
  expect(rate.dueAt).toBeGreaterThan(60_001);
});

test("[ESP-10] a dummy is due an interval after the last packet, or after the SA began", () => {
  expect(dummyDueAt(500, 0, 10)).toBe(600);
  expect(dummyDueAt(Number.NaN, 200, 4)).toBe(450);
});

test("[ESP-11] padding never makes a packet longer than the path takes", () => {
  expect(tfcLength(TFC_PAD_TO_MTU, 1438)).toBe(1438);
  expect(tfcLength(1000, 1438)).toBe(1000);
  expect(tfcLength(9000, 1438)).toBe(1438);
  expect(tfcLength(0, 1438)).toBe(0);
});
