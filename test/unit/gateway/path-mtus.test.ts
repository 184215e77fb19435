/** Searches for many paths at once go a few a second, and each has its turn. */
import { expect, test } from "vitest";
import { after, Instant, seconds } from "../../../src/base/instant.ts";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { Spi } from "../../../src/base/spi.ts";
import type { DataPlane } from "../../../src/dataplane/data-plane.ts";
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
