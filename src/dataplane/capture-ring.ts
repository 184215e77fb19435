/**
 * Packets on their way from a lane to whoever captures: a bounded ring in memory that two threads see. The lane puts and never
 * waits; what finds no room is counted as lost. A record can still be marked until it is published, since a lane learns what
 * becomes of a packet only after it has read it.
 */

/** Words of a record in front of its octets. */
export const CaptureRecord = {
  /** Octets of the record, a multiple of eight. */
  SIZE: 0,
  /** {@link CaptureKind}, direction in bit 8, and device or socket from bit 16 on. */
  KIND: 1,
  /** Octets of the packet, and of those how many are here. */
  LENGTH: 2,
  CAPTURED: 3,
  /** Drop reason + 1; 0: it was not dropped. */
  REASON: 4,
  /** Of the SA where the octets do not show it, or 0. */
  SPI: 5,
  /** Policy + 1, or 0. */
  POLICY: 6,
  TOS: 7,
  /** Float64 Instant. */
  AT: 8,
  /** Of outer packets: as in a batch's meta. */
  META: 10,
  OCTETS: 22,
} as const;

export const CaptureKind = {
  /** An IP packet of a TUN device. */
  INNER: 1,
  /** What a UDP datagram carries. */
  UDP: 2,
  /** Behind an outer IP header. */
  ESP: 3,
  AH: 4,
  /** With its outer IP header. */
  WHOLE: 5,
  /** Nothing: the ring begins anew behind it. */
  FILLER: 0,
} as const;

export const CAPTURE_OUTBOUND = 1 << 8;

const HEADER_OCTETS = 320;
/** Uint32 indices, cache lines apart: octets put, octets taken, both modulo 2^32; packets lost, by what they were. */
const PUT = 0;
const TAKEN = 16;
const LOST = 32;

/** By whom a packet is counted. @param kind - of its record */
export function sourceOf(kind: number): number {
  return (kind & 0xff) === CaptureKind.INNER ? (kind >>> 16) + 1 : 0;
}

/** @param octets - of records, a power of two */
export function captureRingMemory(octets: number): SharedArrayBuffer {
  return new SharedArrayBuffer(HEADER_OCTETS + octets);
}

/** Each thread makes its own over the same zeroed memory, and calls only the methods of its side. */
export class CaptureRing {
  readonly u32: Uint32Array;
  readonly f64: Float64Array;
  readonly bytes: Uint8Array;
  readonly #counts: Uint32Array;
  readonly #octets: number;
  /** Putting side: octets that are written, published or not. */
  #written = 0;

  /** @throws {RangeError} when its octets are no power of two */
  constructor(memory: SharedArrayBuffer) {
    this.#octets = memory.byteLength - HEADER_OCTETS;
    if (this.#octets < 1024 || (this.#octets & (this.#octets - 1)) !== 0)
      throw new RangeError("a capture ring has a power of two of octets");
    this.#counts = new Uint32Array(memory, 0, HEADER_OCTETS / 4);
    this.u32 = new Uint32Array(memory, HEADER_OCTETS);
    this.f64 = new Float64Array(memory, HEADER_OCTETS);
    this.bytes = new Uint8Array(memory, HEADER_OCTETS);
    this.#written = this.#counts[PUT]!;
  }

  /**
   * Putting side: a record for `captured` octets, to be filled before {@link publish}.
   * @param source - 0: an outer packet; else the number of its device + 1; a lane has at most 31
   * @returns the word it begins at, or -1: there is no room, which is counted
   */
  put(captured: number, source: number): number {
    const size = (CaptureRecord.OCTETS * 4 + captured + 7) & ~7;
    const used = (this.#written - Atomics.load(this.#counts, TAKEN)) >>> 0;
    const at = this.#written & (this.#octets - 1);
    const filler = at + size > this.#octets ? this.#octets - at : 0;
    if (used + filler + size > this.#octets) {
      this.#counts[LOST + source] = this.#counts[LOST + source]! + 1;
      return -1;
    }
    if (filler > 0) {
      this.u32[at >> 2] = filler;
      this.u32[(at >> 2) + CaptureRecord.KIND] = CaptureKind.FILLER;
    }
    this.#written = (this.#written + filler + size) >>> 0;
    const word = (filler > 0 ? 0 : at) >> 2;
    this.u32[word + CaptureRecord.SIZE] = size;
    return word;
  }

  /** Putting side: lets the other side see what was put. */
  publish(): void {
    if (this.#counts[PUT] !== this.#written) Atomics.store(this.#counts, PUT, this.#written);
  }

  /**
   * Taking side: shows what was published, at most so many records, each by the word it begins at, and gives their room back
   * afterwards.
   */
  take(show: (word: number) => void, most: number): void {
    const end = Atomics.load(this.#counts, PUT);
    let taken = this.#counts[TAKEN]!;
    for (let left = most; taken !== end && left > 0; left--) {
      const word = (taken & (this.#octets - 1)) >> 2;
      if (this.u32[word + CaptureRecord.KIND] !== CaptureKind.FILLER) show(word);
      taken = (taken + this.u32[word]!) >>> 0;
    }
    Atomics.store(this.#counts, TAKEN, taken);
  }

  /** Packets of a source that found no room so far. */
  lost(source: number): number {
    return Atomics.load(this.#counts, LOST + source);
  }
}
