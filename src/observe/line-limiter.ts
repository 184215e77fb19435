/** Limits how many log lines one cause may have, and counts what it leaves out. */
import { after, type Instant, minutes } from "../base/instant.ts";

/** Causes that are remembered; the one that was quiet longest is forgotten. */
export const CAUSES_MAX = 1024;
const PERIOD = minutes(1);

interface Cause {
  periodEndsAt: Instant;
  lines: number;
  suppressed: number;
  lastText: string | undefined;
}

export class LineLimiter {
  readonly #causes = new Map<string, Cause>();

  /**
   * @param text - what would be written; the same again right after it, within the period, is left out
   * @returns how many lines were left out before this one; `undefined`: leave this one out too
   */
  take(name: string, text: string, linesMax: number, now: Instant): number | undefined {
    const cause = this.#cause(name, now);
    if (now >= cause.periodEndsAt) {
      cause.periodEndsAt = after(now, PERIOD);
      cause.lines = 0;
      cause.lastText = undefined;
    }
    const isRepeat = text === cause.lastText;
    if (isRepeat || cause.lines >= linesMax) {
      cause.suppressed++;
      return undefined;
    }
    const { suppressed } = cause;
    cause.lines++;
    cause.suppressed = 0;
    cause.lastText = text;
    return suppressed;
  }

  #cause(name: string, now: Instant): Cause {
    const known = this.#causes.get(name);
    if (known !== undefined) {
      // The order of the map is that of use.
      this.#causes.delete(name);
      this.#causes.set(name, known);
      return known;
    }
    const fresh: Cause = { periodEndsAt: after(now, PERIOD), lines: 0, suppressed: 0, lastText: undefined };
    this.#causes.set(name, fresh);
    if (this.#causes.size > CAUSES_MAX) {
      const [oldest] = this.#causes.keys();
      if (oldest !== undefined) this.#causes.delete(oldest);
    }
    return fresh;
  }
}
