/** Searches for many paths at once go a few a second, and each has its turn; what was found outlives the process. */
import { describe, expect, test } from "vitest";
import { after, DurationMs, Instant } from "../../../src/base/instant.ts";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { Spi } from "../../../src/base/spi.ts";
import type { DataPlane } from "../../../src/dataplane/data-plane.ts";
import { PATH_MTU_AGE } from "../../../src/esp/path-mtu.ts";
import { PathMtus } from "../../../src/gateway/path-mtus.ts";
import { createPathTable } from "../../../src/gateway/path-table.ts";

const NOW = Instant(1_000_000);

class Paths {
  readonly probed = new Set<Spi>();
  #now = NOW;
  readonly #mtus: PathMtus;

  constructor() {
    this.#mtus = new PathMtus({
      dataPlane: { setPathMtu: () => undefined } as unknown as DataPlane,
      paths: createPathTable([]),
      probe: ({ inboundSpi }) => this.probed.add(inboundSpi),
      onChange: () => undefined,
    });
  }

  come(from: number, to: number): void {
    for (let i = from; i < to; i++)
      this.#mtus.use(Spi(0x1000 + i), parseIpAddress(`198.51.100.${i}`)!, true, this.#now);
  }

  /** @returns paths that were probed by then */
  runUntil(ms: number): number {
    const end = after(NOW, DurationMs(ms));
    for (
      let next = this.#mtus.nextTimeout();
      next !== undefined && next <= end;
      next = this.#mtus.nextTimeout()
    ) {
      expect(next, "a turn that does nothing is not asked for again at once").toBeGreaterThanOrEqual(
        this.#now,
      );
      this.#now = next;
      this.#mtus.advance(next);
    }
    this.#now = end;
    return this.probed.size;
  }
}

test("a few new paths are all probed at once", () => {
  const paths = new Paths();
  paths.come(0, 12);
  expect(paths.runUntil(0)).toBe(12);
});

test("of a hundred new paths at once 25 are probed with each second", () => {
  const paths = new Paths();
  paths.come(0, 100);
  // The first one has waited long enough.
  expect([0, 1000, 2000, 3000, 4000].map((ms) => paths.runUntil(ms))).toEqual([1, 26, 51, 76, 100]);
});

test("paths that come leave less for those that are there, but two a second; then all have their turn", () => {
  const paths = new Paths();
  paths.come(0, 50);
  for (let ms = 0; ms < 3000; ms += 20) {
    paths.runUntil(ms);
    paths.come(50 + ms / 20, 51 + ms / 20);
  }
  expect(paths.runUntil(3000)).toBe(6);
  expect(paths.runUntil(11_000)).toBe(200);
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
