/**
 * The moment of a lane's turn. V8 keeps a number with a fraction on the heap as soon as it is an argument, 16 octets each
 * turn: all that packets would leave behind. So a turn that need not know better is told the moment of one before it.
 */
import { Instant } from "../base/instant.ts";

/** So old may a moment be. */
export const CLOCK_STEP_MS = 4;

export class LaneClock {
  readonly #times: Readonly<Float64Array>;
  readonly #index: number;
  /** What was told last, as a number and as the object that it is on the heap: V8 would make a field anew at each look. */
  readonly #last = Float64Array.of(Number.NEGATIVE_INFINITY);
  readonly #told: [unknown] = [undefined];

  /** @param times - holds the present moment at `index`, in milliseconds since boot, whenever it is asked for */
  constructor(times: Readonly<Float64Array>, index: number) {
    this.#times = times;
    this.#index = index;
  }

  /** @param isExact - the present moment; otherwise it may be up to {@link CLOCK_STEP_MS} old */
  now(isExact: boolean): Instant {
    const present = this.#times[this.#index]!;
    if (isExact || present - this.#last[0]! >= CLOCK_STEP_MS) {
      this.#last[0] = present;
      this.#told[0] = Instant(present);
    }
    return this.#told[0] as Instant;
  }
}
