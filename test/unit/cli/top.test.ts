/** What top reckons and shows. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { screenOf } from "../../../src/cli/terminal.ts";
import { HISTORY_MAX, TOP_SORTS, TopHistory, type TopState } from "../../../src/cli/top-history.ts";
import { sortRows, sparkline, topLines } from "../../../src/cli/top-text.ts";
import type { TrafficDocument, TrafficRow } from "../../../src/control/traffic-schema.ts";

const VIEW = { sort: "rate", offset: 0, isPaused: false } as const;
const SMALL = screenOf({ columns: 80, rows: 24, hasColours: false });

function row(name: string, inboundOctets: number, more: Partial<TrafficRow> = {}): TrafficRow {
  return {
    connection: name,
    child: "lan",
    state: "up",
    troubles: [],
    inboundPackets: inboundOctets / 100,
    inboundOctets,
    outboundPackets: 0,
    outboundOctets: 0,
    recentSent: 0,
    recentLost: 0,
    ...more,
  };
}

function document(uptimeSeconds: number, rows: TrafficRow[], drops = {}): TrafficDocument {
  return { uptimeSeconds, rows, omitted: 0, drops };
}

function seen(...documents: TrafficDocument[]): TopState {
  const history = new TopHistory();
  return documents.map((one) => history.add(one)).at(-1)!;
}

test("rates come from two looks and the time between them", () => {
  const [paris] = seen(document(10, [row("paris", 1_000)]), document(12, [row("paris", 3_000)])).rows;
  expect(paris).toMatchObject({
    inboundBitsPerSecond: 8_000,
    outboundBitsPerSecond: 0,
    inboundPacketsPerSecond: 10,
    bitsPerSecond: [8_000],
  });
  expect(seen(document(10, [row("paris", 1_000)])).rows[0]).toMatchObject({ bitsPerSecond: [] });
});

test("a rekeyed SA begins anew, which is no negative rate", () => {
  const [paris] = seen(document(1, [row("paris", 9_000)]), document(2, [row("paris", 500)])).rows;
  expect(paris!.inboundBitsPerSecond).toBe(4_000);
});

test("drops that move are told with their rate, others not", () => {
  const state = seen(
    document(1, [], { tooBig: 5, noPolicy: 7 }),
    document(3, [], { tooBig: 25, noPolicy: 7, keepalive: 4 }),
  );
  expect(state.dropsPerSecond).toEqual({ tooBig: 10, keepalive: 2 });
  expect(topLines(state, VIEW, SMALL, 24).at(-2)).toBe("dropped a second: 10 too big for the path");
});

test("a screen of 80 by 24 has 24 lines, none longer than it", () => {
  const rows = Array.from({ length: 60 }, (_, i) => row(`site-with-a-long-name-${i}`, 100 * i));
  const state = seen(
    document(
      1,
      rows.map((one) => ({ ...one, inboundOctets: 0 })),
    ),
    document(2, rows),
  );
  const lines = topLines(state, VIEW, SMALL, 24);
  expect(lines).toHaveLength(24);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
  expect(lines[0]).toContain("60 children, 1 to 20 shown");
  expect(lines[2]).toContain("site-with-a-long-nam~");
  expect(lines[2]).toContain("47.2 kbit/s");
  expect(lines.at(-1)).toContain("q quit");
  const last = topLines(state, { ...VIEW, offset: 1_000 }, SMALL, 24);
  expect(last[0]).toContain("41 to 60 shown");
});

test("nothing of a name commands the terminal", () => {
  const state = seen(document(1, [row("p\u001b[2J\nris", 1)]));
  expect(topLines(state, VIEW, SMALL, 24).join("")).not.toMatch(/\p{Cc}/u);
});

test("rows are in the order that is wanted, by name where that says nothing", () => {
  const state = seen(
    document(1, [row("a", 0), row("b", 0), row("c", 0)]),
    document(2, [
      row("a", 10),
      row("b", 30, { recentSent: 100, recentLost: 1 }),
      row("c", 0, { outboundOctets: 99, recentSent: 100, recentLost: 50 }),
    ]),
  );
  const order = Object.fromEntries(
    TOP_SORTS.map((sort) => [
      sort,
      sortRows(state.rows, sort)
        .map(({ connection }) => connection)
        .join(""),
    ]),
  );
  expect(order).toEqual({ rate: "cba", in: "bac", out: "cab", loss: "cba", name: "abc" });
});

test("a sparkline is as wide as asked, its highest is the full block, nothing is a space", () => {
  expect(sparkline([0, 1, 4, 8], 6)).toBe("   ▂▅█");
  fc.assert(
    fc.property(fc.array(fc.nat(1e9)), fc.integer({ min: 1, max: 80 }), (values, width) => {
      const line = sparkline(values, width);
      expect(line).toHaveLength(width);
      const shown = values.slice(-width);
      expect(line.includes("█")).toBe(Math.max(0, ...shown) > 0);
    }),
  );
});

test("the past is bounded", () => {
  const history = new TopHistory();
  let state: TopState | undefined;
  for (let i = 0; i < HISTORY_MAX + 50; i++) state = history.add(document(i, [row("a", i)]));
  expect(state!.rows[0]!.bitsPerSecond).toHaveLength(HISTORY_MAX);
});
