/** Spans of time as status and log say them: `2 h 51 min`, `41 min`, `12 s`. */
import type { Instant } from "../base/instant.ts";

/** `in 41 min`, or `now`. */
export function inText(at: Instant, now: Instant): string {
  return at <= now ? "now" : `in ${spanText((at - now) / 1000)}`;
}

/** The two largest units, rounded down; at least seconds. */
export function spanText(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const days = Math.floor(whole / 86400);
  const hours = Math.floor((whole % 86400) / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  if (days > 0) return joined(days, "d", hours, "h");
  if (hours > 0) return joined(hours, "h", minutes, "min");
  if (minutes >= 10) return `${minutes} min`;
  return minutes > 0 ? joined(minutes, "min", whole % 60, "s") : `${whole} s`;
}

function joined(more: number, moreUnit: string, less: number, lessUnit: string): string {
  return less === 0 ? `${more} ${moreUnit}` : `${more} ${moreUnit} ${less} ${lessUnit}`;
}
