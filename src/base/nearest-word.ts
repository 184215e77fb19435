/** The word that a misspelt one was probably meant to be, for "did you mean". */

/** Longer input is never a slip of a finger; it also bounds the work. */
const WORD_LENGTH_MAX = 64;

/** The closest of `words` by insertions, deletions, replacements and swaps, or `undefined` when none is close. */
export function nearestWord(word: string, words: Iterable<string>): string | undefined {
  if (word.length === 0 || word.length > WORD_LENGTH_MAX) return undefined;
  const typed = word.toLowerCase();
  let best: string | undefined;
  let least = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of words) {
    const difference = distance(typed, candidate.toLowerCase(), least);
    if (difference < least && difference < candidate.length) {
      least = difference;
      best = candidate;
    }
  }
  return best;
}

/** Optimal string alignment distance; anything from `limit` up is as good as `limit`. */
function distance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let least = Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        least = Math.min(least, beforeLast[j - 2]! + 1);
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}
