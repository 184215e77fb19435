/** The reorder window in front of the reassembly: payloads in order of their sequence numbers again (RFC 9347 section 2.2.3). */
import { OctetCopy } from "../base/octet-copy.ts";
import { AggfragLoss, AggfragReassembly, type AggfragSink } from "./aggfrag-reassembly.ts";

/** How long a payload waits for those that should come before it; at low rates nothing else would tell that they are lost. */
export const REORDER_MS = 50;
/** After so many late payloads and no other the numbers are taken to have begun anew. */
const LATE_RUN_MAX = 64;

export interface AggfragReceiverOptions {
  readonly sink: AggfragSink;
  /** Payloads that wait for an earlier one; 0: what comes out of order is lost. */
  readonly window: number;
  /** Octets of the longest payload and of the longest inner packet. */
  readonly payloadLengthMax: number;
  readonly packetLengthMax: number;
}

/** All memory is taken at once: `window` payloads and one inner packet. */
export class AggfragReceiver {
  readonly #reassembly: AggfragReassembly;
  readonly #sink: AggfragSink;
  readonly #window: number;
  readonly #stride: number;
  readonly #bytes: Uint8Array;
  readonly #copy = new OctetCopy();
  readonly #lengths: Uint32Array;
  /** Sequence number of the payload that waits in each place; 0: none does. */
  readonly #sequences: Float64Array;
  readonly #arrivedAt: Float64Array;
  readonly #isMarked: Uint8Array;
  #waiting = 0;
  /** The number that comes next; 0 before the first one. */
  #next = 0;
  /** Payloads since the last one that was not late. */
  #lateRun = 0;

  constructor({ sink, window, payloadLengthMax, packetLengthMax }: AggfragReceiverOptions) {
    this.#sink = sink;
    this.#reassembly = new AggfragReassembly(sink, packetLengthMax);
    this.#window = window;
    this.#stride = payloadLengthMax;
    this.#bytes = new Uint8Array(window * payloadLengthMax);
    this.#lengths = new Uint32Array(window);
    this.#sequences = new Float64Array(window);
    this.#arrivedAt = new Float64Array(window);
    this.#isMarked = new Uint8Array(window);
  }

  /**
   * Takes an authentic payload `bytes[at .. at + length)`; the replay window lets each number through once.
   * @param sequence - the whole number
   * @param isMarked - the outer packet has CE
   */
  take(
    sequence: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    isMarked: boolean,
    now: number,
  ): void {
    // An SA begins with 1; what is far behind that was running before.
    if (this.#next === 0) this.#next = sequence <= this.#window ? 1 : sequence;
    if (sequence < this.#next && this.#isLate()) return;
    if (sequence < this.#next) this.#restart(sequence);
    else this.#lateRun = 0;
    if (sequence - this.#next > this.#window) this.#advanceTo(sequence - this.#window);
    if (sequence === this.#next) {
      this.#reassembly.take(bytes, at, length, isMarked);
      this.#next++;
      this.#drain();
    } else this.#store(sequence, bytes, at, length, isMarked, now);
  }

  #isLate(): boolean {
    this.#sink.lose(AggfragLoss.LATE);
    return ++this.#lateRun <= LATE_RUN_MAX;
  }

  /** Without anti-replay a sender may have begun to count again (RFC 4303 section 3.3.3). */
  #restart(sequence: number): void {
    this.#lateRun = 0;
    this.#reassembly.gap();
    this.#sequences.fill(0);
    this.#waiting = 0;
    this.#next = sequence;
  }

  /** A dummy packet or any other without a payload has this number: nothing is missing there. */
  pass(sequence: number, now: number): void {
    this.take(sequence, EMPTY_PAYLOAD, 0, EMPTY_PAYLOAD.length, false, now);
  }

  /** When {@link expire} has something to do; Infinity: never. */
  get expiresAt(): number {
    if (this.#waiting === 0) return Number.POSITIVE_INFINITY;
    let first = Number.POSITIVE_INFINITY;
    for (let place = 0; place < this.#window; place++)
      if (this.#sequences[place] !== 0) first = Math.min(first, this.#arrivedAt[place]!);
    return first + REORDER_MS;
  }

  /** Gives up on what those that wait too long wait for. */
  expire(now: number): void {
    while (this.#waiting > 0 && now >= this.expiresAt) this.#advanceTo(this.#firstWaiting());
  }

  #firstWaiting(): number {
    let first = Number.POSITIVE_INFINITY;
    for (let place = 0; place < this.#window; place++)
      if (this.#sequences[place] !== 0) first = Math.min(first, this.#sequences[place]!);
    return first;
  }

  /** Takes what waits below `sequence`, gives up on the rest, and goes on from there. */
  #advanceTo(sequence: number): void {
    while (this.#waiting > 0) {
      const first = this.#firstWaiting();
      if (first >= sequence) break;
      if (first !== this.#next) this.#reassembly.gap();
      this.#next = first;
      this.#drain();
    }
    if (sequence > this.#next) {
      this.#reassembly.gap();
      this.#next = sequence;
    }
    this.#drain();
  }

  /** Takes those that wait and are next. */
  #drain(): void {
    while (this.#waiting > 0) {
      const place = this.#next % this.#window;
      if (this.#sequences[place] !== this.#next) return;
      this.#sequences[place] = 0;
      this.#waiting--;
      this.#next++;
      const at = place * this.#stride;
      this.#reassembly.take(this.#bytes, at, this.#lengths[place]!, this.#isMarked[place] === 1);
    }
  }

  #store(
    sequence: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    isMarked: boolean,
    now: number,
  ): void {
    if (length > this.#stride) {
      this.#sink.lose(AggfragLoss.TOO_LONG);
      return;
    }
    // Numbers that wait lie within one window of the next one, so that each has a place of its own.
    const place = sequence % this.#window;
    if (this.#sequences[place] === sequence) {
      this.#sink.lose(AggfragLoss.LATE);
      return;
    }
    const to = place * this.#stride;
    this.#copy.run(bytes, at, this.#bytes, to, length);
    this.#lengths[place] = length;
    this.#sequences[place] = sequence;
    this.#arrivedAt[place] = now;
    this.#isMarked[place] = isMarked ? 1 : 0;
    this.#waiting++;
  }
}

/** A header and no data blocks. */
const EMPTY_PAYLOAD = new Uint8Array(4);
