/** Moments and spans on CLOCK_BOOTTIME, in milliseconds. The wall clock is never one of these. */
import type { Branded } from "./brand.ts";

/** Milliseconds since boot, also counted during suspend; may hold a fraction. */
export type Instant = Branded<number, "Instant">;
export function Instant(milliseconds: number): Instant {
  return milliseconds as Instant;
}

/** A span in milliseconds. */
export type DurationMs = Branded<number, "DurationMs">;
export function DurationMs(milliseconds: number): DurationMs {
  return milliseconds as DurationMs;
}

export const seconds = (count: number): DurationMs => DurationMs(count * 1000);
export const minutes = (count: number): DurationMs => DurationMs(count * 60_000);
export const hours = (count: number): DurationMs => DurationMs(count * 3_600_000);

/** The moment `span` after `moment`. */
export function after(moment: Instant, span: DurationMs): Instant {
  return Instant(moment + span);
}

/** The later of two moments. */
export function later(a: Instant, b: Instant): Instant {
  return a >= b ? a : b;
}

/** The earlier of two moments, either of which may be absent. */
export function earlier(a: Instant | undefined, b: Instant | undefined): Instant | undefined {
  if (a === undefined) return b;
  if (b === undefined) return a;
  return a <= b ? a : b;
}
