/** The anti-replay window of an inbound SA, kept in its slot of the SA table (RFC 4303 section 3.4.3). */
import { replayRingBits, type SaTable, Slot } from "../policy/sa-table.ts";
import { replayBitmapAt } from "../policy/slot-tail.ts";

export const REPLAY_OK = 0;
/** Seen before [ESP-04]. */
export const REPLAY_DUPLICATE = 1;
/** Too old for the window to know, or zero, which no sender uses [ESP-02] [ESP-04]. */
export const REPLAY_LEFT_OF_WINDOW = 2;

/**
 * Whether a number may be new; changes nothing, so it may be asked before the integrity check [ESP-05].
 * @param base - octet of the SA's slot in the table
 * @param sequence - the whole number, upper half included
 */
export function checkReplay(table: SaTable, base: number, sequence: number): number {
  if (sequence === 0) return REPLAY_LEFT_OF_WINDOW;
  const window = table.u32[(base + Slot.REPLAY_WINDOW) >> 2]!;
  if (window === 0) return REPLAY_OK;
  const highest = table.f64[(base + Slot.REPLAY_HIGHEST) >> 3]!;
  if (sequence > highest) return REPLAY_OK;
  if (highest - sequence >= window) return REPLAY_LEFT_OF_WINDOW;
  const bit = sequence & (replayRingBits(window) - 1);
  const word = table.u32[(replayBitmapAt(table, base, window) >> 2) + (bit >>> 5)]!;
  return (word & (1 << (bit & 31))) === 0 ? REPLAY_OK : REPLAY_DUPLICATE;
}

/**
 * Checks again and marks the number as seen; only for a packet that passed the integrity check [ESP-05]. Of duplicates
 * that were checked together the second one is found here.
 */
export function updateReplay(table: SaTable, base: number, sequence: number): number {
  const verdict = checkReplay(table, base, sequence);
  if (verdict !== REPLAY_OK) return verdict;
  const window = table.u32[(base + Slot.REPLAY_WINDOW) >> 2]!;
  const highest = table.f64[(base + Slot.REPLAY_HIGHEST) >> 3]!;
  if (window > 0) {
    const ring = replayRingBits(window);
    const bitmap = replayBitmapAt(table, base, window) >> 2;
    if (sequence > highest) clearAfter(table.u32, bitmap, ring, highest, sequence);
    const bit = sequence & (ring - 1);
    table.u32[bitmap + (bit >>> 5)] = table.u32[bitmap + (bit >>> 5)]! | (1 << (bit & 31));
  }
  if (sequence > highest) table.f64[(base + Slot.REPLAY_HIGHEST) >> 3] = sequence;
  return REPLAY_OK;
}

/**
 * Marks `count` numbers from `first` on as seen, all of which are above every one seen before; only for packets that passed
 * the integrity check [ESP-05]. The same as updating them one by one.
 */
export function updateReplayRun(table: SaTable, base: number, first: number, count: number): void {
  const { u32, f64 } = table;
  const window = u32[(base + Slot.REPLAY_WINDOW) >> 2]!;
  const last = first + count - 1;
  if (window > 0) {
    const ring = replayRingBits(window);
    const bitmap = replayBitmapAt(table, base, window) >> 2;
    const highest = f64[(base + Slot.REPLAY_HIGHEST) >> 3]!;
    if (first > highest + 1) clearAfter(u32, bitmap, ring, highest, first - 1);
    markRange(u32, bitmap, ring, first, Math.min(count, ring));
  }
  f64[(base + Slot.REPLAY_HIGHEST) >> 3] = last;
}

/** Sets the bits of `count` numbers from `first` on, at most the ring, whole words at a time. */
function markRange(words: Uint32Array, bitmap: number, ring: number, first: number, count: number): void {
  let bit = first & (ring - 1);
  let left = count;
  while (left > 0) {
    const inWord = Math.min(left, 32 - (bit & 31));
    const mask = (inWord === 32 ? 0xffffffff : (1 << inWord) - 1) << (bit & 31);
    words[bitmap + (bit >>> 5)] = words[bitmap + (bit >>> 5)]! | mask;
    bit = (bit + inWord) & (ring - 1);
    left -= inWord;
  }
}

/** Clears the bits of the numbers above `highest` up to `sequence`, whole words at a time. */
function clearAfter(
  words: Uint32Array,
  bitmap: number,
  ring: number,
  highest: number,
  sequence: number,
): void {
  const advance = sequence - highest;
  if (advance >= ring) {
    words.fill(0, bitmap, bitmap + (ring >>> 5));
    return;
  }
  let bit = (highest + 1) & (ring - 1);
  let left = advance;
  while (left > 0) {
    const inWord = 32 - (bit & 31);
    const count = Math.min(left, inWord);
    const mask = (count === 32 ? 0xffffffff : (1 << count) - 1) << (bit & 31);
    words[bitmap + (bit >>> 5)] = words[bitmap + (bit >>> 5)]! & ~mask;
    bit = (bit + count) & (ring - 1);
    left -= count;
  }
}
