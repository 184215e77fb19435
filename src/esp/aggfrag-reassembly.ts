/** AGGFRAG payloads in order of their sequence numbers, taken apart into inner packets (RFC 9347 sections 2.2.3 and 2.3). */
import { OctetCopy } from "../base/octet-copy.ts";
import {
  aggfragBlockOffset,
  aggfragHeaderLength,
  BLOCK_CUT_SHORT,
  BLOCK_INVALID,
  BLOCK_IS_PAD,
  dataBlockLength,
} from "../wire/esp/aggfrag.ts";

/** What is lost on the way to an inner packet; `count` gets one of these. */
export const AggfragLoss = {
  /** A header or data block that follows no format. */
  MALFORMED: 0,
  /** The other pieces of a packet did not come. */
  INCOMPLETE: 1,
  /** Longer than the receiver takes. */
  TOO_LONG: 2,
  /** A payload that comes when the reorder window has passed it. */
  LATE: 3,
} as const;
export type AggfragLoss = (typeof AggfragLoss)[keyof typeof AggfragLoss];

/** Gets what comes out; may not keep `bytes`. */
export interface AggfragSink {
  /** @param isMarked - one of the outer packets that carried it was marked CE */
  take(bytes: Uint8Array, at: number, length: number, isMarked: boolean): void;
  lose(loss: AggfragLoss): void;
}

/** Octets of a data block after which its length is known for sure. */
const LENGTH_KNOWN_AFTER = 6;

export class AggfragReassembly {
  readonly #sink: AggfragSink;
  /** The packet of which pieces are here. */
  readonly #partial: Uint8Array;
  readonly #copy = new OctetCopy();
  #have = 0;
  /** Octets of the whole packet; 0 while too few are here to tell. */
  #total = 0;
  #isMarked = false;

  /** @param lengthMax - octets of the longest inner packet */
  constructor(sink: AggfragSink, lengthMax: number) {
    this.#sink = sink;
    this.#partial = new Uint8Array(lengthMax);
  }

  /** A payload between the last one and the next is lost: the pieces here will never make a packet [TFS-06]. */
  gap(): void {
    if (this.#have > 0) this.#sink.lose(AggfragLoss.INCOMPLETE);
    this.#have = 0;
  }

  /** Takes the payload `bytes[at .. at + length)`, which is the one behind the last one. */
  take(bytes: Uint8Array, at: number, length: number, isMarked: boolean): void {
    const headerLength = aggfragHeaderLength(bytes, at, length);
    if (headerLength < 0) {
      this.#malformed();
      return;
    }
    const blocks = at + headerLength;
    const end = at + length;
    const offset = aggfragBlockOffset(bytes, at);
    // Padding and empty payloads may stand between the pieces of a packet [TFS-08].
    if (offset === 0 && (blocks === end || dataBlockLength(bytes, blocks, end - blocks) === BLOCK_IS_PAD))
      return;
    if (this.#have > 0) {
      if (offset === 0) this.gap();
      else this.#append(bytes, blocks, Math.min(offset, end - blocks), offset, isMarked);
    }
    // What belongs to a packet whose begin nobody has is passed over.
    if (offset < end - blocks) this.#split(bytes, blocks + offset, end, isMarked);
  }

  #malformed(): void {
    this.#have = 0;
    this.#sink.lose(AggfragLoss.MALFORMED);
  }

  /** @param left - octets that the packet lacks, as the sender says; it has to be what its header says */
  #append(bytes: Uint8Array, at: number, count: number, left: number, isMarked: boolean): void {
    const total = this.#have + left;
    const isOther = this.#total !== 0 && this.#total !== total;
    if (isOther || total > this.#partial.length) {
      this.gap();
      return;
    }
    this.#copy.run(bytes, at, this.#partial, this.#have, count);
    this.#have += count;
    this.#isMarked ||= isMarked;
    if (this.#total === 0 && !this.#learnTotal(total)) return;
    if (this.#have !== total) return;
    this.#have = 0;
    this.#sink.take(this.#partial, 0, total, this.#isMarked);
  }

  /** The length field came in a later piece than the first one; false: it contradicts the sender. */
  #learnTotal(total: number): boolean {
    const said = dataBlockLength(this.#partial, 0, this.#have);
    if (said === BLOCK_CUT_SHORT && this.#have < Math.min(LENGTH_KNOWN_AFTER, total)) return true;
    if (said !== total) {
      this.#malformed();
      return false;
    }
    this.#total = total;
    return true;
  }

  /** Data blocks from the start of one on. */
  #split(bytes: Uint8Array, from: number, end: number, isMarked: boolean): void {
    let at = from;
    while (at < end) {
      const length = dataBlockLength(bytes, at, end - at);
      if (length === BLOCK_IS_PAD) return;
      if (length === BLOCK_INVALID) {
        this.#malformed();
        return;
      }
      if (length === BLOCK_CUT_SHORT || length > end - at) {
        this.#begin(bytes, at, end - at, length, isMarked);
        return;
      }
      if (length > this.#partial.length) this.#sink.lose(AggfragLoss.TOO_LONG);
      else this.#sink.take(bytes, at, length, isMarked);
      at += length;
    }
  }

  /** @param total - or {@link BLOCK_CUT_SHORT} */
  #begin(bytes: Uint8Array, at: number, count: number, total: number, isMarked: boolean): void {
    if (total > this.#partial.length) {
      this.#sink.lose(AggfragLoss.TOO_LONG);
      return;
    }
    this.#copy.run(bytes, at, this.#partial, 0, count);
    this.#have = count;
    this.#total = total;
    this.#isMarked = isMarked;
  }
}
