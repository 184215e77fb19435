/** One screen of `top`: a line for each child, what drops, and which keys there are. */
import { dropWords, isWorthALook } from "../observe/drop-words.ts";
import { rateText, shareText } from "./quantity-text.ts";
import { printable, type Screen, type Style } from "./terminal.ts";
import type { TopRow, TopSort, TopState } from "./top-history.ts";

export interface TopView {
  readonly sort: TopSort;
  /** Rows above the first that is shown. */
  readonly offset: number;
  readonly isPaused: boolean;
}

const NAME_WIDTH = 22;
const STATE_WIDTH = 10;
const RATE_WIDTH = 12;
const PACKETS_WIDTH = 7;
const LOSS_WIDTH = 9;
/** Lines around the rows: heading, column names, drops, keys. */
const FRAME_LINES = 4;
const SPARKS = "▁▂▃▄▅▆▇█";
const DROPS_SHOWN_MAX = 3;

/**
 * Lines of a frame, each no longer than the screen.
 * @param height - lines that there are; absent: as many as it takes
 */
export function topLines(state: TopState, view: TopView, screen: Screen, height?: number): string[] {
  const columns = screen.columns ?? Number.POSITIVE_INFINITY;
  const clip = (line: string) => printable(line).slice(0, columns);
  const rows = sortRows(state.rows, view.sort);
  const room = height === undefined ? rows.length : Math.max(1, height - FRAME_LINES);
  const offset = Math.max(0, Math.min(view.offset, rows.length - room));
  const shown = rows.slice(offset, offset + room);
  const sparkWidth = Math.min(
    60,
    (screen.columns ?? 120) - NAME_WIDTH - STATE_WIDTH - 2 * RATE_WIDTH - 2 * PACKETS_WIDTH - LOSS_WIDTH,
  );
  const lines = [
    screen.paint("bold", clip(headText(state, view, offset, shown.length))),
    screen.paint("dim", clip(columnsText(sparkWidth))),
    ...shown.map((row) => rowLine(row, sparkWidth, columns, screen)),
  ];
  const below = [clip(dropsText(state.dropsPerSecond))];
  if (height === undefined) return [...lines, ...below];
  while (lines.length < height - 2) lines.push("");
  return [...lines, ...below, screen.paint("dim", clip(keysText(view)))].slice(0, height);
}

export function sortRows(rows: readonly TopRow[], sort: TopSort): readonly TopRow[] {
  const name = ({ connection, child }: TopRow) => `${connection}/${child}`;
  const by: Readonly<Record<TopSort, (row: TopRow) => number>> = {
    rate: (row) => row.inboundBitsPerSecond + row.outboundBitsPerSecond,
    in: (row) => row.inboundBitsPerSecond,
    out: (row) => row.outboundBitsPerSecond,
    loss: (row) => (row.recentSent > 0 ? row.recentLost / row.recentSent : 0),
    name: () => 0,
  };
  const value = by[sort];
  return rows.toSorted((a, b) => value(b) - value(a) || name(a).localeCompare(name(b)));
}

function headText({ rows, omitted, looks }: TopState, { isPaused }: TopView, offset: number, shown: number) {
  const sum = (field: "inboundBitsPerSecond" | "outboundBitsPerSecond") =>
    rateText(rows.reduce((total, row) => total + row[field], 0));
  const part = shown < rows.length ? `, ${offset + 1} to ${offset + shown} shown` : "";
  const left = omitted > 0 ? `, ${omitted} more are not told` : "";
  const rates =
    looks < 2
      ? "rates in a second"
      : `in ${sum("inboundBitsPerSecond")}   out ${sum("outboundBitsPerSecond")}`;
  return `tungate top   ${rows.length} children${part}${left}   ${rates}${isPaused ? "   paused" : ""}`;
}

function columnsText(sparkWidth: number): string {
  return [
    "child".padEnd(NAME_WIDTH),
    "state".padEnd(STATE_WIDTH),
    "in".padStart(RATE_WIDTH - 1),
    "out".padStart(RATE_WIDTH),
    "in/s".padStart(PACKETS_WIDTH),
    "out/s".padStart(PACKETS_WIDTH),
    "lost".padStart(LOSS_WIDTH - 1),
    ...(sparkWidth >= 4 ? [" both"] : []),
  ].join("");
}

function rowLine(row: TopRow, sparkWidth: number, columns: number, screen: Screen): string {
  const name = cut(printable(`${row.connection}/${row.child}`), NAME_WIDTH - 1).padEnd(NAME_WIDTH);
  const state = cut(row.state, STATE_WIDTH - 1);
  const loss = row.recentSent >= 100 ? shareText(row.recentLost, row.recentSent).replace(" %", "%") : "";
  const rest = [
    rateText(row.inboundBitsPerSecond).padStart(RATE_WIDTH - 1),
    rateText(row.outboundBitsPerSecond).padStart(RATE_WIDTH),
    countText(row.inboundPacketsPerSecond).padStart(PACKETS_WIDTH),
    countText(row.outboundPacketsPerSecond).padStart(PACKETS_WIDTH),
    loss.padStart(LOSS_WIDTH - 1),
    ...(sparkWidth >= 4 ? [` ${sparkline(row.bitsPerSecond, sparkWidth - 1)}`] : []),
  ].join("");
  const painted = `${name}${screen.paint(styleOf(row), state)}${" ".repeat(STATE_WIDTH - state.length)}`;
  return painted + rest.slice(0, Math.max(0, columns - NAME_WIDTH - STATE_WIDTH));
}

function styleOf({ state, troubles }: TopRow): Style {
  if (troubles.length > 0) return "red";
  return state === "up" || state === "rekeying" || state === "manual" ? "green" : "yellow";
}

/** The newest at the right; as high as the highest that is shown. */
export function sparkline(values: readonly number[], width: number): string {
  const shown = values.slice(-width);
  const highest = Math.max(...shown, 1);
  const marks = shown.map((value) =>
    value <= 0 ? " " : SPARKS[Math.min(SPARKS.length - 1, Math.floor((value / highest) * SPARKS.length))]!,
  );
  return marks.join("").padStart(width);
}

/** `950`, `12.3k`, `1.20M` */
function countText(count: number): string {
  if (count < 999.5) return `${Math.round(count)}`;
  const [amount, unit] = count < 999_500 ? [count / 1e3, "k"] : [count / 1e6, "M"];
  return `${amount.toFixed(amount >= 99.95 ? 0 : amount >= 9.995 ? 1 : 2)}${unit}`;
}

function dropsText(drops: Readonly<Record<string, number>>): string {
  const moving = Object.entries(drops)
    .filter(([reason]) => isWorthALook(reason))
    .sort(([, a], [, b]) => b - a);
  if (moving.length === 0) return "no drops";
  const shown = moving
    .slice(0, DROPS_SHOWN_MAX)
    .map(([reason, perSecond]) => `${countText(Math.max(1, perSecond))} ${dropWords(reason)}`);
  const rest = moving.length - shown.length;
  return `dropped a second: ${shown.join("; ")}${rest > 0 ? `; ${rest} more reasons` : ""}`;
}

function keysText({ sort }: TopView): string {
  return `q quit   s sort (${sort})   up/down scroll   space pause`;
}

function cut(text: string, width: number): string {
  return text.length <= width ? text : `${text.slice(0, width - 1)}~`;
}
