/** Answers that are costly to make: each made for all who wait for it, and seldom enough to leave time for everything else. */

/** What one making took is left free so many times before the next. */
const SHARE = 4;

/**
 * @param make - what is answered to a question
 * @param now - milliseconds of a clock that never goes back
 * @returns a function whose answers are made after it was called
 */
export function pacedAnswers(
  make: (question: string) => string,
  now: () => number,
): (question: string) => Promise<string> {
  let free = Number.NEGATIVE_INFINITY;
  /** In the order in which they are made. */
  const waiting = new Map<string, Promise<string>>();
  let last: Promise<unknown> = Promise.resolve();
  const measured = (question: string) => {
    const begun = now();
    try {
      return make(question);
    } finally {
      const ended = now();
      free = ended + SHARE * (ended - begun);
    }
  };
  const later = async (question: string, before: Promise<unknown>) => {
    await before.catch(() => undefined);
    const wait = free - now();
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
    waiting.delete(question);
    return measured(question);
  };
  return async (question) => {
    if (waiting.size === 0 && free <= now()) return measured(question);
    const known = waiting.get(question);
    if (known !== undefined) return known;
    const answer = later(question, last);
    waiting.set(question, answer);
    last = answer;
    return answer;
  };
}
