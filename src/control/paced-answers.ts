/** Answers that are costly to make: each made for all who wait for it, and seldom enough to leave time for everything else. */
import { BusyError } from "./target.ts";

/** What one making took is left free so many times before the next. */
const SHARE = 4;
/** Questions that wait; whoever asks and goes leaves one behind. */
export const QUESTIONS_WAITING_MAX = 256;

export class PacedAnswers {
  readonly #now: () => number;
  #free = Number.NEGATIVE_INFINITY;
  #isMaking = false;
  /** In the order in which they are made. */
  readonly #waiting = new Map<string, Promise<string>>();
  #last: Promise<unknown> = Promise.resolve();

  /** @param now - milliseconds of a clock that never goes back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * An answer that is made after this call.
   * @param question - the same for what has the same answer
   * @throws {@link BusyError}
   */
  async answer(question: string, make: () => string | Promise<string>): Promise<string> {
    if (this.#waiting.size === 0 && !this.#isMaking && this.#free <= this.#now()) {
      const answer = this.#measured(make);
      this.#last = answer;
      return answer;
    }
    const known = this.#waiting.get(question);
    if (known !== undefined) return known;
    if (this.#waiting.size >= QUESTIONS_WAITING_MAX)
      throw new BusyError("too many questions wait for their answer; try again");
    const answer = this.#later(question, make, this.#last);
    this.#waiting.set(question, answer);
    this.#last = answer;
    return answer;
  }

  async #later(
    question: string,
    make: () => string | Promise<string>,
    before: Promise<unknown>,
  ): Promise<string> {
    await before.catch(() => undefined);
    const wait = this.#free - this.#now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    this.#waiting.delete(question);
    return this.#measured(make);
  }

  async #measured(make: () => string | Promise<string>): Promise<string> {
    const begun = this.#now();
    this.#isMaking = true;
    try {
      return await make();
    } finally {
      this.#isMaking = false;
      const ended = this.#now();
      this.#free = ended + SHARE * (ended - begun);
    }
  }
}
