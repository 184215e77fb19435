/** Searches for many paths at once go a few a second, and each has its turn; what was found outlives the process. */
import { describe, expect, test } from "vitest";
import { after, Instant, seconds } from "../../../src/base/instant.ts";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { Spi } from "../../../src/base/spi.ts";
import type { DataPlane } from "../../../src/dataplane/data-plane.ts";
import { PATH_MTU_AGE } from "../../../src/esp/path-mtu.ts";
import { PathMtus } from "../../../src/gateway/path-mtus.ts";
import { createPathTable } from "../../../src/gateway/path-table.ts";

const PEERS = 100;

test("a hundred new paths at once: 25 probes now, 25 more with each second", () => {
  const probes: Spi[] = [];
  const dataPlane = { setPathMtu: () => undefined } as unknown as DataPlane;
  const paths = createPathTable([]);
  const mtus = new PathMtus({
    dataPlane,
    paths,
    probe: ({ inboundSpi }) => probes.push(inboundSpi),
    onChange: () => undefined,
  });
  let now = Instant(1_000_000);
  for (let i = 0; i < PEERS; i++) mtus.use(Spi(0x1000 + i), parseIpAddress(`198.51.100.${i}`)!, true, now);
  // The first steps are due when the new SAs have settled.
  now = mtus.nextTimeout()!;
  const start = now;
  const counts: number[] = [];
  for (let second = 0; second < 4; second++) {
    const end = after(start, seconds(second));
    for (let next = mtus.nextTimeout(); next !== undefined && next <= end; next = mtus.nextTimeout()) {
      expect(next, "a turn that does nothing is not asked for again at once").toBeGreaterThanOrEqual(now);
      now = next;
      mtus.advance(now);
    }
    counts.push(new Set(probes).size);
  }
  expect(counts).toEqual([25, 50, 75, 100]);
});

describe("SAs of a process before this one", () => {
  const NARROW = { address: parseIpAddress("198.51.100.1")!, port: 4500 };
  const WIDE = { address: parseIpAddress("198.51.100.2")!, port: 4500 };
  const set = new Map<number, number>();
  const takeOver = () => {
    const paths = createPathTable([]);
    set.clear();
    const mtus = new PathMtus({
      dataPlane: { setPathMtu: (spi: Spi, octets: number) => set.set(spi, octets) } as unknown as DataPlane,
      paths,
      probe: () => undefined,
      onChange: () => undefined,
    });
    mtus.inherit([
      { remote: NARROW, pathMtu: 1300 },
      { remote: NARROW, pathMtu: 1300 },
      { remote: WIDE, pathMtu: 1500 },
    ]);
    return { mtus, paths };
  };

  test("say what their paths carry, to routes before anything else and to the SAs that come", () => {
    const { mtus, paths } = takeOver();
    expect([paths.mtuTo(NARROW.address), paths.mtuTo(WIDE.address)]).toEqual([1300, 1500]);
    mtus.use(Spi(0x1000), NARROW.address, true, Instant(0));
    mtus.use(Spi(0x1001), WIDE.address, true, Instant(0));
    mtus.use(Spi(0x1002), NARROW.address, true, Instant(0));
    expect([...set]).toEqual([
      [0x1000, 1300],
      [0x1001, 1500],
      [0x1002, 1300],
    ]);
    expect(mtus.stateOf(NARROW.address)).toMatchObject({ octets: 1300, source: "kept" });
    expect(mtus.stateOf(WIDE.address)).toMatchObject({ octets: 1500, source: "interface" });
  });

  test("whose IKE SA is lost keep it, and so do those that come in their place and have the path probed", () => {
    const { mtus } = takeOver();
    mtus.use(Spi(0x1000), NARROW.address, false, Instant(0));
    expect(mtus.nextTimeout()).toBe(PATH_MTU_AGE);
    mtus.use(Spi(0x1001), NARROW.address, true, Instant(5));
    expect(mtus.stateOf(NARROW.address)).toEqual({ octets: 1300, source: "kept", isProbed: true });
    expect(mtus.nextTimeout()).toBe(5);
  });

  test("say nothing about paths that nobody uses any more", () => {
    const { mtus, paths } = takeOver();
    mtus.forgetUnused();
    expect(paths.mtuTo(NARROW.address)).toBe(1500);
    mtus.use(Spi(0x1000), NARROW.address, true, Instant(0));
    expect(set.get(0x1000)).toBe(1500);
  });
});
