import fc from "fast-check";
import { expect, test } from "vitest";
import { Instant } from "../../../src/base/instant.ts";
import { Spi } from "../../../src/base/spi.ts";
import type { SaPairState } from "../../../src/dataplane/data-plane.ts";
import { ONE_WAY_AFTER_MS, type OneWay, OneWayWatch } from "../../../src/gateway/one-way-watch.ts";
import { endpoint } from "../dataplane/gateway-fixture.ts";

const PLAIN = { aggfrag: "off", dummiesPerSecond: 0 };

function pair(spi: number, inbound: number, outbound: number, more: object = {}): SaPairState {
  return {
    policy: "net/lan",
    inboundSpi: Spi(spi),
    remote: endpoint("198.51.100.2"),
    flow: PLAIN,
    usage: { inboundPackets: inbound, outboundPackets: outbound, lastInboundAt: undefined },
    ...more,
  } as unknown as SaPairState;
}

/** A look every five seconds, the first without any SA. */
function after(looks: readonly (readonly SaPairState[])[]): OneWay | undefined {
  const watch = new OneWayWatch();
  for (const [i, pairs] of [[], ...looks].entries()) watch.sample(pairs, Instant(5_000 * i));
  return watch.oneWay(looks.at(-1)![0]!, Instant(5_000 * looks.length));
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

test("sent for a while and nothing came", () => {
  const alarm = after(range(9).map((i) => [pair(0x1000, 0, 2 * (i + 1))]));
  expect(alarm).toEqual({ since: 5_000, packets: 18, hasReturned: false });
});

test("what came before is told apart, and one answer ends it", () => {
  const silent = range(9).map((i) => [pair(0x1000, 4, 10 + i)]);
  expect(after([[pair(0x1000, 4, 9)], ...silent])).toMatchObject({ hasReturned: true, packets: 9 });
  expect(after([...silent, [pair(0x1000, 5, 30)]])).toBeUndefined();
});

test("what a kept SA brought before this process began is not forgotten", () => {
  const watch = new OneWayWatch();
  const looks = range(9).map((i) => pair(0x1000, 7, 100 + 2 * i));
  for (const [i, one] of looks.entries()) watch.sample([one], Instant(5_000 * i));
  expect(watch.oneWay(looks.at(-1)!, Instant(45_000))).toMatchObject({ hasReturned: true, packets: 16 });
});

test("an answer since the last look counts at once", () => {
  const looks = range(9).map((i) => [pair(0x1000, 0, 2 * (i + 1))]);
  const watch = new OneWayWatch();
  for (const [i, pairs] of [[], ...looks].entries()) watch.sample(pairs, Instant(5_000 * i));
  const usage = { inboundPackets: 1, outboundPackets: 20, lastInboundAt: Instant(46_000) };
  expect(watch.oneWay(pair(0x1000, 0, 0, { usage }), Instant(47_000))).toBeUndefined();
});

test("a few packets, a short time, or no packets any more are no reason", () => {
  expect(after(range(9).map((i) => [pair(0x1000, 0, i < 4 ? i + 1 : 4)]))).toBeUndefined();
  expect(after(range(5).map((i) => [pair(0x1000, 0, 10 * (i + 1))]))).toBeUndefined();
  expect(after([...range(9), ...range(9).map(() => 8)].map((i) => [pair(0x1000, 0, i)]))).toBeUndefined();
});

test("a rekey takes over the silence, in either SA", () => {
  const looks = range(10).map((i) =>
    i < 5 ? [pair(0x1000, 0, i + 1)] : [pair(0x2000, 0, i - 4), pair(0x1000, 0, 5)],
  );
  expect(after(looks)).toMatchObject({ since: 5_000, packets: 10 });
  expect(after([...looks, [pair(0x2000, 0, 6), pair(0x1000, 1, 5)]])).toBeUndefined();
});

test("SAs that were taken over begin with nothing: what they sent before a restart is nobody's to judge", () => {
  const watch = new OneWayWatch();
  for (const i of range(9)) watch.sample([pair(0x1000, 0, 900 + (i >> 1))], Instant(5_000 * i));
  expect(watch.oneWay(pair(0x1000, 0, 904), Instant(40_000))).toBeUndefined();
});

test("an SA that sends of its own accord says nothing", () => {
  const flow = { aggfrag: "off", dummiesPerSecond: 10 };
  expect(after(range(9).map((i) => [pair(0x1000, 0, 50 * (i + 1), { flow })]))).toBeUndefined();
});

test("never while anything comes, always when only sending lasts", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ inbound: fc.nat(2), outbound: fc.nat(9) }), { maxLength: 60 }),
      (steps) => {
        const watch = new OneWayWatch();
        watch.sample([], Instant(0));
        let inbound = 0;
        let outbound = 0;
        let lastReturn = 0;
        for (const [i, step] of steps.entries()) {
          inbound += step.inbound;
          outbound += step.outbound;
          const now = Instant(5_000 * (i + 1));
          if (step.inbound > 0) lastReturn = now;
          const state = pair(0x1000, inbound, outbound);
          watch.sample([state], now);
          const alarm = watch.oneWay(state, now);
          if (alarm !== undefined) {
            expect(now - lastReturn).toBeGreaterThanOrEqual(ONE_WAY_AFTER_MS);
            expect(alarm.since).toBeGreaterThanOrEqual(lastReturn);
          }
          const last = steps.slice(Math.max(0, i - 8), i + 1);
          if (last.length === 9 && last.every((one) => one.inbound === 0 && one.outbound > 0))
            expect(alarm).toBeDefined();
        }
      },
    ),
  );
});
