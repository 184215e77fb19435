/** What `top` has seen of each child: rates between two looks, and those of the last minutes. */
import type { TrafficDocument, TrafficRow } from "../control/traffic-schema.ts";

/** By what the rows are sorted. */
export const TOP_SORTS = ["rate", "in", "out", "loss", "name"] as const;
export type TopSort = (typeof TOP_SORTS)[number];

/** Rates that are remembered of each child: as many as a wide terminal shows. */
export const HISTORY_MAX = 240;

export interface TopRow extends Pick<TrafficRow, "connection" | "child" | "state" | "troubles"> {
  readonly inboundBitsPerSecond: number;
  readonly outboundBitsPerSecond: number;
  readonly inboundPacketsPerSecond: number;
  readonly outboundPacketsPerSecond: number;
  readonly recentSent: number;
  readonly recentLost: number;
  /** Of both directions, oldest first. */
  readonly bitsPerSecond: readonly number[];
}

export interface TopState {
  readonly rows: readonly TopRow[];
  readonly omitted: number;
  /** Drops that move, by reason: how many a second. */
  readonly dropsPerSecond: Readonly<Record<string, number>>;
  readonly looks: number;
}

export class TopHistory {
  #before: TrafficDocument | undefined;
  #rows: ReadonlyMap<string, TrafficRow> = new Map();
  #past: ReadonlyMap<string, readonly number[]> = new Map();
  #looks = 0;

  /** A look; rates need two. */
  add(document: TrafficDocument): TopState {
    const before = this.#before;
    const seconds = before === undefined ? 0 : document.uptimeSeconds - before.uptimeSeconds;
    const past = new Map<string, readonly number[]>();
    const rows = document.rows.map((row) => {
      const key = `${row.connection}/${row.child}`;
      const rates = ratesBetween(this.#rows.get(key), row, seconds);
      const bits = rates.inboundBitsPerSecond + rates.outboundBitsPerSecond;
      const bitsPerSecond = [...(this.#past.get(key) ?? []), ...(seconds > 0 ? [bits] : [])].slice(
        -HISTORY_MAX,
      );
      past.set(key, bitsPerSecond);
      const { connection, child, state, troubles, recentSent, recentLost } = row;
      return { connection, child, state, troubles, ...rates, recentSent, recentLost, bitsPerSecond };
    });
    this.#rows = new Map(document.rows.map((row) => [`${row.connection}/${row.child}`, row]));
    this.#past = past;
    this.#before = document;
    this.#looks++;
    return {
      rows,
      omitted: document.omitted,
      dropsPerSecond: movingDrops(before?.drops, document.drops, seconds),
      looks: this.#looks,
    };
  }
}

/** Of an SA that took the place of another nothing is known before its own first packet. */
function ratesBetween(before: TrafficRow | undefined, now: TrafficRow, seconds: number) {
  const rate = (field: "inboundPackets" | "inboundOctets" | "outboundPackets" | "outboundOctets") => {
    if (before === undefined || seconds <= 0) return 0;
    const difference = now[field] - before[field];
    return Math.max(0, difference < 0 ? now[field] : difference) / seconds;
  };
  return {
    inboundBitsPerSecond: 8 * rate("inboundOctets"),
    outboundBitsPerSecond: 8 * rate("outboundOctets"),
    inboundPacketsPerSecond: rate("inboundPackets"),
    outboundPacketsPerSecond: rate("outboundPackets"),
  };
}

function movingDrops(
  before: Readonly<Record<string, number>> | undefined,
  now: Readonly<Record<string, number>>,
  seconds: number,
): Readonly<Record<string, number>> {
  if (before === undefined || seconds <= 0) return {};
  return Object.fromEntries(
    Object.entries(now)
      .map(([reason, count]) => [reason, (count - (before[reason] ?? 0)) / seconds] as const)
      .filter(([, perSecond]) => perSecond > 0),
  );
}
