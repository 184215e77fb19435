/** Sequence numbers of 64 bits of which 32 travel (RFC 4303 section 2.2.1 and appendix A). */

const TWO_32 = 0x100000000;

/** Upper halves from here on would not be exact in the double that holds the whole number. */
export const SEQUENCE_HIGH_MAX = 2 ** 20 - 1;
/** No number of this packet can be told. */
export const SEQUENCE_HIGH_UNKNOWN = -1;
/** With anti-replay off the upper half is still guessed, as if the window were this large. */
const GUESS_WINDOW = 0x80000000;

/**
 * The upper half that a received lower half stands for: the one that puts the number into the window or right of it
 * (RFC 4303 appendix A2.2) [ESP-06]. A wrong guess, after a gap of more than 2^32 less the window, fails the integrity
 * check, so that the packet is refused.
 * @param highest - highest authenticated number so far
 * @param window - packets in the window; 0: anti-replay is off
 * @returns {@link SEQUENCE_HIGH_UNKNOWN} when the number would lie before the first or past what can be counted
 */
export function guessSequenceHigh(highest: number, low: number, window: number): number {
  const span = window === 0 ? GUESS_WINDOW : window;
  const highestLow = highest >>> 0;
  const highestHigh = (highest - highestLow) / TWO_32;
  const bottom = highestLow - span + 1;
  let high: number;
  if (bottom >= 0) high = low >= bottom ? highestHigh : highestHigh + 1;
  else high = low >= bottom + TWO_32 ? highestHigh - 1 : highestHigh;
  return high < 0 || high > SEQUENCE_HIGH_MAX ? SEQUENCE_HIGH_UNKNOWN : high;
}

export function wholeSequenceNumber(high: number, low: number): number {
  return high * TWO_32 + low;
}
