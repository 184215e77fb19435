/** Spans of time, amounts of octets and packets, and shares, as operators write them: 1h, 500GiB, 4e9, 20%. */
import { DurationMs } from "../base/instant.ts";
import { Refusal, shown } from "./leaf.ts";

const MILLISECONDS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  min: 60_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};
const OCTETS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

/** Reads `30s`, `1h30m`, `1.5h` within bounds. */
export function duration(value: unknown, least: DurationMs, most: DurationMs): DurationMs {
  if (typeof value === "number")
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `${value} has no unit; write ${value}s, ${value}m, ${value}h or ${value}d`,
    );
  if (value === undefined || value === null)
    throw new Refusal("CONFIG_MISSING_KEY", "is missing; give a time such as 30s, 10m, 4h");
  const span = typeof value === "string" ? readDuration(value) : undefined;
  if (span === undefined)
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `${shown(value)} is no time; write one such as 30s, 10m, 4h, 1h30m`,
    );
  if (span < least || span > most)
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `${shown(value)} is out of range; give a time from ${formatDuration(least)} to ${formatDuration(most)}`,
    );
  return DurationMs(span);
}

function readDuration(text: string): number | undefined {
  const parts = [...text.trim().matchAll(/\s*(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|d)/gy)];
  const length = parts.reduce((sum, part) => sum + part[0].length, 0);
  if (parts.length === 0 || length !== text.trim().length) return undefined;
  return parts.reduce((sum, part) => sum + Number(part[1]) * MILLISECONDS[part[2]!]!, 0);
}

/** `4h`, `30s`, `1500ms`: one unit, the largest that fits exactly. */
function formatDuration(span: DurationMs): string {
  for (const unit of ["d", "h", "m", "s"])
    if (span >= MILLISECONDS[unit]! && span % MILLISECONDS[unit]! === 0)
      return `${span / MILLISECONDS[unit]!}${unit}`;
  return `${span}ms`;
}

/** Reads `500GiB`, `10 MB` or a number of octets. */
export function octets(value: unknown): number {
  const match = typeof value === "string" ? /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(value) : null;
  const unit = match?.[2]?.toLowerCase() ?? "";
  const count =
    typeof value === "number"
      ? value
      : match !== null && Object.hasOwn(OCTETS, unit)
        ? Math.floor(Number(match[1]) * OCTETS[unit]!)
        : Number.NaN;
  if (!Number.isFinite(count))
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `${shown(value)} is no amount of data; write one such as 500GiB, 10MB or a number of octets`,
    );
  return positive(count, shown(value));
}

const BITS: Readonly<Record<string, number>> = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 };
const RATE_LEAST = 1e3;
const RATE_MOST = 1e10 / 8;

/** Reads `10Mbit` or `1.5 Gbit/s`; octets a second. */
export function octetRate(value: unknown): number {
  const match = typeof value === "string" ? /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)(?:\/s)?\s*$/i.exec(value) : null;
  const unit = match?.[2]?.toLowerCase() ?? "";
  const rate =
    match !== null && Object.hasOwn(BITS, unit) ? (Number(match[1]) * BITS[unit]!) / 8 : Number.NaN;
  if (!Number.isFinite(rate))
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `${shown(value)} is no bandwidth; write one such as 500kbit, 10Mbit, 1Gbit`,
    );
  if (rate < RATE_LEAST || rate > RATE_MOST)
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `${shown(value)} is out of range; give a bandwidth from 8kbit to 10Gbit`,
    );
  return rate;
}

/** Reads a number of packets; `4e9` and `"4e9"` alike. */
export function packets(value: unknown): number {
  const count =
    typeof value === "string" && /^\d+(\.\d+)?(e\d+)?$/i.test(value.trim()) ? Number(value) : value;
  if (typeof count !== "number" || !Number.isFinite(count))
    throw new Refusal("CONFIG_BAD_VALUE", `${shown(value)} is no number of packets; write one such as 4e9`);
  return positive(count, shown(value));
}

function positive(count: number, given: string): number {
  if (count < 1 || !Number.isSafeInteger(count))
    throw new Refusal("CONFIG_BAD_VALUE", `${given} has to be a whole number from 1 to 2^53 - 1`);
  return count;
}

/** Reads `20%` or `0.2`; from 0 to `most`. */
export function share(value: unknown, most: number): number {
  const match = typeof value === "string" ? /^\s*(\d+(?:\.\d+)?)\s*%\s*$/.exec(value) : null;
  const part = typeof value === "number" ? value : match === null ? Number.NaN : Number(match[1]) / 100;
  if (!(part >= 0 && part <= most))
    throw new Refusal("CONFIG_BAD_VALUE", `${shown(value)} has to be a share from 0% to ${most * 100}%`);
  return part;
}
