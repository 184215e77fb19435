/** One path against what it really carries: found with and without ICMP, in few probes, and found again when it changes. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DurationMs, Instant, after as later, minutes } from "../../../src/base/instant.ts";
import { IpAddress } from "../../../src/base/ip-address.ts";
import {
  adoptPathMtu,
  advancePath,
  endProbe,
  hintAtPath,
  learnPathMtu,
  newPathMtu,
  PATH_MTU_AGE,
  type PathMtu,
  PROBE_DEADLINE,
  setCeiling,
} from "../../../src/esp/path-mtu.ts";

const ROUTER = IpAddress(Uint8Array.of(203, 0, 113, 1));
const START = Instant(1000);

/** Answers probes as a path of this size would, until `end`; sizes that can be sent are `step` apart. @returns the probes */
function settle(path: PathMtu, real: () => number, from: Instant, span: number, step = 1): number[] {
  const sizes: number[] = [];
  const end = later(from, DurationMs(span));
  for (let now = from; now <= end; now = Instant(Math.max(path.dueAt, now + 1))) {
    const asked = advancePath(path, now);
    if (asked === 0) continue;
    const size = asked - (asked % step);
    sizes.push(size);
    endProbe(path, size, size <= real() ? "fits" : "tooBig", Instant(now + 0.5));
  }
  return sizes;
}

describe("a path whose peer answers probes", () => {
  test("that carries what the interface does costs one probe, and one more every ten minutes", () => {
    const path = newPathMtu(4, 1500, true, START);
    expect(settle(path, () => 1500, START, 1000)).toEqual([1500]);
    expect(path).toMatchObject({ octets: 1500, source: "probed" });
    expect(settle(path, () => 1500, Instant(2000), 3 * PATH_MTU_AGE)).toEqual([1500, 1500, 1500]);
  });

  test("that swallows large packets falls to a safe size at once, then rises in few steps", () => {
    const path = newPathMtu(4, 1500, true, START);
    expect(advancePath(path, START)).toBe(1500);
    endProbe(path, 1500, "tooBig", START);
    expect(path).toMatchObject({ octets: 1280, source: "probed" });
    const sizes = settle(path, () => 1300, START, 1000);
    expect(sizes[0]).toBe(1280);
    expect(sizes.length).toBeLessThanOrEqual(9);
    expect(path.octets).toBe(1300);
  });

  test("is found to within a few octets, whatever it carries, in at most twenty probes", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(4 as const, 6 as const),
        fc.integer({ min: 576, max: 9000 }),
        fc.integer({ min: 1280, max: 9216 }),
        fc.constantFrom(1, 4, 16),
        (family, carries, ceiling, step) => {
          const real = Math.max(carries, family === 6 ? 1280 : 576);
          const path = newPathMtu(family, ceiling, true, START);
          const sizes = settle(path, () => real, START, 60_000, step);
          expect(sizes.length).toBeLessThanOrEqual(20);
          // Of sizes that can be sent the largest; what is beyond it and 9000 octets is believed.
          const top = Math.min(ceiling, 9000);
          if (real >= top - (top % step)) expect(path.octets).toBeGreaterThan(top - step);
          else {
            expect(path.octets).toBeLessThanOrEqual(real);
            expect(path.octets).toBeGreaterThan(Math.max(real - 8 - 2 * step, 575));
          }
        },
      ),
    );
  });

  test("that shrinks is found out by a hint, and one that widens within an hour", () => {
    let real = 1500;
    const path = newPathMtu(4, 1500, true, START);
    settle(path, () => real, START, 1000);
    real = 1400;
    expect(hintAtPath(path, Instant(5000))).toBe(true);
    settle(path, () => real, Instant(5000), 1000);
    expect(path.octets).toBe(1400);
    real = 1450;
    const steady = settle(path, () => real, Instant(10_000), minutes(59));
    expect(steady.length).toBeLessThanOrEqual(24);
    settle(path, () => real, Instant(10_000 + minutes(59)), minutes(12));
    expect(path.octets).toBe(1450);
    real = 1500;
    settle(path, () => real, Instant(10_000 + minutes(71)), minutes(11));
    expect(path.octets).toBe(1500);
  });

  test("hints, which anybody can forge, start few searches", () => {
    const path = newPathMtu(4, 1500, true, START);
    settle(path, () => 1500, START, 100);
    let probes = 0;
    for (let at = 2000; at < 62_000; at += 100) {
      hintAtPath(path, Instant(at));
      probes += settle(path, () => 1500, Instant(at), 50).length;
    }
    expect(probes).toBeLessThanOrEqual(5);
    expect(hintAtPath(path, Instant(62_000))).toBe(false);
    expect(hintAtPath(path, Instant(62_000 + minutes(2)))).toBe(true);
  });

  test("a probe whose end is never told is given up", () => {
    const path = newPathMtu(4, 1500, true, START);
    expect(advancePath(path, START)).toBe(1500);
    expect(advancePath(path, Instant(START + 1000))).toBe(0);
    const end = later(START, PROBE_DEADLINE);
    expect(advancePath(path, end)).toBe(0);
    expect(path.octets).toBe(1500);
    expect(advancePath(path, later(end, minutes(1)))).toBe(1500);
  });

  test("what a router said is checked by probes: a lie does not last", () => {
    const path = newPathMtu(4, 1500, true, START);
    settle(path, () => 1500, START, 100);
    expect(learnPathMtu(path, 600, ROUTER, Instant(5000))).toBe(true);
    expect(path).toMatchObject({ octets: 600, source: "icmp", reporter: ROUTER });
    settle(path, () => 1500, Instant(5000), 100);
    expect(path).toMatchObject({ octets: 1500, source: "probed", reporter: undefined });
  });

  test("what a router said truly stays, and says who said it", () => {
    const path = newPathMtu(4, 1500, true, START);
    settle(path, () => 1500, START, 100);
    learnPathMtu(path, 1300, ROUTER, Instant(5000));
    expect(settle(path, () => 1300, Instant(5000), 100)).toEqual([1500, 1300]);
    expect(path).toMatchObject({ octets: 1300, source: "icmp", reporter: ROUTER });
  });
});

describe("a path that a process before this one had found", () => {
  const known = (octets: number) => ({ octets, source: "kept", reporter: undefined }) as const;

  test("keeps its size while it is searched anew, and has it confirmed", () => {
    const path = newPathMtu(4, 1500, true, START);
    adoptPathMtu(path, known(1300), START);
    expect(path).toMatchObject({ octets: 1300, source: "kept" });
    expect(advancePath(path, START)).toBe(1500);
    expect(path.octets).toBe(1300);
    endProbe(path, 1500, "tooBig", START);
    expect(path).toMatchObject({ octets: 1300, source: "kept" });
    expect(settle(path, () => 1300, START, 1000)[0]).toBe(1300);
    expect(path).toMatchObject({ octets: 1300, source: "probed" });
  });

  test("carries more meanwhile: the first probe says so", () => {
    const path = newPathMtu(4, 1500, true, START);
    adoptPathMtu(path, known(1300), START);
    expect(settle(path, () => 1500, START, 1000)).toEqual([1500]);
    expect(path).toMatchObject({ octets: 1500, source: "probed" });
  });

  test("keeps its size for ten minutes where nobody answers probes", () => {
    const path = newPathMtu(4, 1500, false, START);
    adoptPathMtu(path, known(1300), START);
    advancePath(path, Instant(START + PATH_MTU_AGE - 1));
    expect(path.octets).toBe(1300);
    advancePath(path, Instant(START + PATH_MTU_AGE));
    expect(path).toMatchObject({ octets: 1500, source: "interface" });
  });

  test("is as wide as the interface at most", () => {
    const path = newPathMtu(4, 1300, true, START);
    adoptPathMtu(path, known(1500), START);
    expect(path).toMatchObject({ octets: 1300, source: "interface" });
  });
});

describe("a path with ICMP alone", () => {
  test("keeps what it learnt for ten minutes, then tries the whole again", () => {
    const path = newPathMtu(4, 1500, false, START);
    expect(advancePath(path, START)).toBe(0);
    expect(hintAtPath(path, START)).toBe(false);
    expect(learnPathMtu(path, 1300, ROUTER, START)).toBe(true);
    advancePath(path, Instant(START + PATH_MTU_AGE - 1));
    expect(path.octets).toBe(1300);
    advancePath(path, Instant(START + PATH_MTU_AGE));
    expect(path).toMatchObject({ octets: 1500, source: "interface" });
  });

  test("learns once a second, and only less than it knew", () => {
    const path = newPathMtu(6, 1500, false, START);
    expect(learnPathMtu(path, 1500, ROUTER, START)).toBe(false);
    expect(learnPathMtu(path, 1400, ROUTER, START)).toBe(true);
    expect(learnPathMtu(path, 1300, ROUTER, Instant(START + 999))).toBe(false);
    expect(learnPathMtu(path, 1300, ROUTER, Instant(START + 1000))).toBe(true);
  });
});

test("the interface's size is a bound at any time", () => {
  const path = newPathMtu(4, 1500, true, START);
  settle(path, () => 1500, START, 100);
  setCeiling(path, 1380, Instant(2000));
  expect(path).toMatchObject({ octets: 1380, source: "interface" });
  settle(path, () => 1500, Instant(2000), 100);
  expect(path.octets).toBe(1380);
  setCeiling(path, 500, Instant(3000));
  settle(path, () => 1500, Instant(3000), 100);
  expect(path.octets).toBe(500);
});
