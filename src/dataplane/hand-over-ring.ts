/**
 * A queue of packets from one lane to one other, in memory that both see: one thread puts, one thread takes.
 *
 * A record is a descriptor of fixed size and a run of octets. Octets lie in one piece each, behind one another, and
 * from the start again where the end has no room for a whole piece or nothing is waiting, so that a queue that is
 * drained in time stays within few pages. The counts of records put and taken are the only words that both threads
 * read; each is written by one of them.
 */

/** Records that may wait in one queue. */
export const RING_RECORDS_MAX = 1024;
/** Words of a descriptor that are the user's own. */
export const RING_RECORD_WORDS = 14;

const HEADER_OCTETS = 256;
/** Uint32 indices, cache lines apart. */
const PUT_COUNT = 0;
const TAKEN_COUNT = 32;
/** Descriptor: where the octets lie, how many, then the user's words. */
const RECORD_STRIDE_WORDS = 2 + RING_RECORD_WORDS;
const ALIGNMENT = 8;

/** Octets of memory for a queue that holds `octets` octets of packets; a multiple of 64. */
export function ringMemory(octets: number): number {
  return HEADER_OCTETS + RING_RECORDS_MAX * RECORD_STRIDE_WORDS * 4 + Math.ceil(octets / 64) * 64;
}

/** Each thread makes its own over the same zeroed memory, and calls only the methods of its side. */
export class HandOverRing {
  /** The octets of all records; see {@link start}. */
  readonly bytes: Uint8Array;
  /** Descriptors' words, see {@link words}, and the same memory in octets. */
  readonly u32: Uint32Array;
  readonly meta: Uint8Array;
  readonly #counts: Uint32Array;
  readonly #octets: number;
  /** Putting side: where the next piece would begin. */
  #next = 0;

  /** @param at - octet of `memory` where the ring begins, a multiple of 4 */
  constructor(memory: ArrayBuffer | SharedArrayBuffer, at: number, octets: number) {
    this.#octets = Math.ceil(octets / 64) * 64;
    this.#counts = new Uint32Array(memory, at, HEADER_OCTETS / 4);
    this.u32 = new Uint32Array(memory, at + HEADER_OCTETS, RING_RECORDS_MAX * RECORD_STRIDE_WORDS);
    this.meta = new Uint8Array(memory, this.u32.byteOffset, this.u32.byteLength);
    const data = at + HEADER_OCTETS + this.u32.byteLength;
    this.bytes = new Uint8Array(memory, data, this.#octets);
  }

  /**
   * Putting side: room for a record of `length` octets, at least 1. Fill its octets and words, then {@link put} it;
   * a second call without that gives the same room anew.
   * @returns the record, or -1 when the queue is full
   */
  reserve(length: number): number {
    const put = this.#counts[PUT_COUNT]!;
    const taken = Atomics.load(this.#counts, TAKEN_COUNT);
    const waiting = (put - taken) >>> 0;
    if (waiting === RING_RECORDS_MAX) return -1;
    const start = waiting === 0 ? this.#startOf(0, length, this.#octets) : this.#startBefore(taken, length);
    if (start < 0) return -1;
    const record = put % RING_RECORDS_MAX;
    const word = record * RECORD_STRIDE_WORDS;
    this.u32[word] = start;
    this.u32[word + 1] = length;
    return record;
  }

  /** A place between the newest piece and the oldest, which nobody has taken yet; -1: none. */
  #startBefore(taken: number, length: number): number {
    const oldest = this.u32[(taken % RING_RECORDS_MAX) * RECORD_STRIDE_WORDS]!;
    const next = this.#next;
    if (next <= oldest) return this.#startOf(next, length, oldest);
    const behind = this.#startOf(next, length, this.#octets);
    return behind >= 0 ? behind : this.#startOf(0, length, oldest);
  }

  #startOf(from: number, length: number, end: number): number {
    return length <= end - from ? from : -1;
  }

  /** Putting side: lets the other side see the record that was reserved last. */
  put(record: number): void {
    const word = record * RECORD_STRIDE_WORDS;
    const end = this.u32[word]! + this.u32[word + 1]!;
    this.#next = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    Atomics.store(this.#counts, PUT_COUNT, this.#counts[PUT_COUNT]! + 1);
  }

  /** Taking side: the oldest record, or -1 when none waits. It stays until {@link take}. */
  front(): number {
    const taken = this.#counts[TAKEN_COUNT]!;
    return Atomics.load(this.#counts, PUT_COUNT) === taken ? -1 : taken % RING_RECORDS_MAX;
  }

  /** Taking side: gives the room of the oldest record back. */
  take(): void {
    Atomics.store(this.#counts, TAKEN_COUNT, this.#counts[TAKEN_COUNT]! + 1);
  }

  /** Index in {@link bytes} of a record's first octet. */
  start(record: number): number {
    return this.u32[record * RECORD_STRIDE_WORDS]!;
  }

  length(record: number): number {
    return this.u32[record * RECORD_STRIDE_WORDS + 1]!;
  }

  /** Index in {@link u32} of the first of a record's {@link RING_RECORD_WORDS} words. */
  words(record: number): number {
    return record * RECORD_STRIDE_WORDS + 2;
  }
}
