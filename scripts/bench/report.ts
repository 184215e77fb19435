/** Tables of medians, with ratios to ours. */
import { METRICS, type Metric } from "./metrics.ts";
import { OURS } from "./peer-ours.ts";
import { middleOf, type Results, ratioOf } from "./results.ts";
import type { Wire } from "./world.ts";

export const NOT_THERE = "not there";
export const NOT_MEASURED = "-";

function cellOf(results: Results, wire: Wire, metric: Metric, peer: string): string {
  const value = middleOf(results, wire, peer, metric.key);
  if (value === undefined) return NOT_MEASURED;
  const text = (value * metric.scale).toFixed(metric.digits);
  const ratio = ratioOf(results, wire, metric.key, metric.isMoreBetter ? [OURS, peer] : [peer, OURS]);
  return peer === OURS || ratio === undefined ? text : `${text} (${ratio.toFixed(2)}x)`;
}

/** One row per figure, one column per peer; in brackets how many times better (over 1) ours is. */
export function rowsOf(results: Results, wire: Wire): string[][] {
  const names = [...results.peers, ...results.absent.map(({ name }) => name)];
  const rows = METRICS.map((metric) => [
    `${metric.title}${metric.unit === "" ? "" : `, ${metric.unit}`}`,
    ...results.peers.map((peer) => cellOf(results, wire, metric, peer)),
    ...results.absent.map(() => NOT_THERE),
  ]).filter((row) => row.slice(1, 1 + results.peers.length).some((cell) => cell !== NOT_MEASURED));
  return [["median", ...names], ...rows];
}

/** For a terminal. */
export function aligned(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)))
        .join("  "),
    )
    .join("\n");
}

/** For a page; numbers to the right. */
export function markdown(rows: readonly (readonly string[])[]): string {
  const [head, ...body] = rows.map((row) => `| ${row.join(" | ")} |`);
  const rule = `| --- |${" ---: |".repeat(rows[0]!.length - 1)}`;
  return [head, rule, ...body].join("\n");
}
