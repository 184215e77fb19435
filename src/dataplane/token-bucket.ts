/** A rate limit: so many events per second, with a burst. */

export class TokenBucket {
  readonly #perMs: number;
  readonly #burst: number;
  /** Tokens left, and when that was. */
  readonly #state: Float64Array;

  constructor(perSecond: number, burst: number) {
    this.#perMs = perSecond / 1000;
    this.#burst = burst;
    this.#state = Float64Array.of(burst, Number.NEGATIVE_INFINITY);
  }

  /** Whether one more event is within the rate. */
  take(now: number): boolean {
    const state = this.#state;
    const passed = Math.max(0, now - state[1]!);
    const tokens = Math.min(this.#burst, state[0]! + passed * this.#perMs);
    state[1] = now;
    state[0] = tokens < 1 ? tokens : tokens - 1;
    return tokens >= 1;
  }
}
