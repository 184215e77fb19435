/** Which octets of fragmented packets have come, in units of 8: no octet may come twice (RFC 5722, RFC 8200 section 4.5). */
import type { PacketFields } from "../wire/ip/ip-packet.ts";

/** A packet's length counts in 16 bits, fragments start at multiples of 8. */
export const FRAGMENTED_PAYLOAD_MAX = 0xffff;
const UNIT = 8;
const WORDS = (FRAGMENTED_PAYLOAD_MAX + 1) / UNIT / 32;

/** One map for each of a fixed number of packets. */
export class FragmentMaps {
  readonly #bits: Uint32Array;
  /** Units that have come. */
  readonly #passed: Uint32Array;
  /** Units of the whole payload; 0 while the last fragment is missing. */
  readonly #total: Uint32Array;

  constructor(entries: number) {
    this.#bits = new Uint32Array(entries * WORDS);
    this.#passed = new Uint32Array(entries);
    this.#total = new Uint32Array(entries);
  }

  /** Of another packet from now on, of which nothing has come. */
  start(entry: number): void {
    this.#passed[entry] = 0;
    this.#total[entry] = 0;
    this.#bits.fill(0, entry * WORDS, (entry + 1) * WORDS);
  }

  isComplete(entry: number): boolean {
    return this.#total[entry] !== 0 && this.#passed[entry] === this.#total[entry];
  }

  /** Marks a fragment of well-formed extent; false, and nothing changes, when an octet has come before or lies behind the last. */
  pass(entry: number, { fragmentOffset, fragmentLength, moreFragments }: PacketFields): boolean {
    const start = fragmentOffset / UNIT;
    const end = Math.ceil((fragmentOffset + fragmentLength) / UNIT);
    const total = this.#total[entry]!;
    if (total !== 0 && (end > total || !moreFragments)) return false;
    if (this.#hasPassed(entry, start, end, moreFragments)) return false;
    const map = entry * WORDS;
    for (let unit = start; unit < end; unit++)
      this.#bits[map + (unit >>> 5)] = this.#bits[map + (unit >>> 5)]! | (1 << (unit & 31));
    this.#passed[entry] = this.#passed[entry]! + end - start;
    if (!moreFragments) this.#total[entry] = end;
    return true;
  }

  /** Whether one of the units has passed, or for a last fragment one behind them. */
  #hasPassed(entry: number, start: number, end: number, moreFragments: boolean): boolean {
    const map = entry * WORDS;
    const last = moreFragments ? end : WORDS * 32;
    for (let unit = start; unit < last; ) {
      const word = this.#bits[map + (unit >>> 5)]! >>> (unit & 31);
      const inWord = Math.min(32 - (unit & 31), last - unit);
      const mask = inWord === 32 ? 0xffffffff : (1 << inWord) - 1;
      if ((word & mask) !== 0) return true;
      unit += inWord;
    }
    return false;
  }
}

/** Whether a fragment claims octets that no packet has, none at all, or no multiple of 8 before the last (RFC 8200 section 4.5). */
export function isBadFragment({ fragmentOffset, fragmentLength, moreFragments }: PacketFields): boolean {
  return (
    fragmentLength === 0 ||
    fragmentOffset + fragmentLength > FRAGMENTED_PAYLOAD_MAX ||
    (moreFragments && fragmentLength % UNIT !== 0)
  );
}
