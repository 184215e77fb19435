/** When payloads of a constant-rate SA are due, whatever there is to send (RFC 9347 section 2.4.1) [TFS-04]. */

/**
 * Time that may be caught up with: what a lane that was late owes beyond this is never sent, so that a pause is not
 * followed by a burst that tells of it.
 */
export const CATCH_UP_MS = 20;

export class ConstantRate {
  #dueAt: number;

  /** @param startAt - when the first payload is due */
  constructor(startAt: number) {
    this.#dueAt = startAt;
  }

  /** Moment of the next payload. */
  get dueAt(): number {
    return this.#dueAt;
  }

  /**
   * Whether a payload is due; if so the next one is an interval later. Call until it says no.
   * @param intervalMs - between two payloads, with a fraction
   */
  take(now: number, intervalMs: number): boolean {
    if (now < this.#dueAt) return false;
    this.#dueAt = Math.max(this.#dueAt, now - CATCH_UP_MS) + intervalMs;
    return true;
  }
}
