/** How an inbound SA with ESN finds the upper half again after a gap of 2^32 packets or more (RFC 4303 appendix A3). */
import { type CellBatch, createPacketBatch, PACKET_OK, type PacketBatch } from "../base/packet-batch.ts";
import { SEQUENCE_HIGH_MAX, wholeSequenceNumber } from "../esp/sequence-number.ts";
import { Slot } from "../policy/sa-table.ts";
import { slotOffset } from "../policy/sad.ts";
import { espSequence } from "../wire/esp/esp-packet.ts";
import type { LaneContext } from "./lane-context.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Packets of an SA that fail the integrity check in a row before the upper half is doubted. */
export const ESN_FAILURES_MIN = 16;
/** Upper halves that one packet is tried with. */
export const ESN_TRIALS_MAX = 8;
/** One packet of an SA is tried in so long: what a stranger's forgeries can cost. */
export const ESN_RECOVERY_INTERVAL_MS = 500;
/** Longer packets are not tried. */
const ESN_TRIAL_LENGTH_MAX = 9216;
/** Packets that a lane tries, whatever their SAs. */
const ESN_RECOVERIES_PER_SECOND = 10;

/** There is no number under which the packet is authentic. */
export const NOT_RECOVERED = 0;
const NOTHING_KEPT = -1;
const FAILURES_COUNTED_MAX = 255;

/**
 * Only upper halves that make the number larger than every one seen are tried, and only a packet that then passes the
 * integrity check moves the window: what was sent before cannot be replayed by way of a recovery [ESP-06].
 */
export class EsnRecovery {
  readonly #context: LaneContext;
  /** Copies of one packet, each with another upper half. */
  readonly #trials: CellBatch;
  /** By slot: failures since the last packet that was authentic. */
  readonly #failures: Uint8Array;
  /** By slot: not tried again before this. */
  readonly #dueAt: Float64Array;
  readonly #budget = new TokenBucket(ESN_RECOVERIES_PER_SECOND, ESN_RECOVERIES_PER_SECOND);
  /** Packet of the batch that is kept to be tried. */
  #kept = NOTHING_KEPT;
  #keptLength = 0;
  /** Upper half that the packet was opened with. */
  #keptHigh = 0;

  constructor(context: LaneContext) {
    const { slots } = context.table.size;
    this.#context = context;
    this.#trials = createPacketBatch(ESN_TRIALS_MAX, ESN_TRIAL_LENGTH_MAX);
    this.#failures = new Uint8Array(slots);
    this.#dueAt = new Float64Array(slots).fill(Number.NEGATIVE_INFINITY);
  }

  /** Forgets what was kept of the batch before. */
  begin(): void {
    this.#kept = NOTHING_KEPT;
  }

  /** Whether packets of the SA have failed so often in a row that one of them is worth a trial. */
  isInDoubt(slot: number): boolean {
    return this.#failures[slot]! >= ESN_FAILURES_MIN;
  }

  /** Keeps a copy of packet `i`, which the engine may overwrite, if it is to be tried should it fail. */
  keep(batch: PacketBatch, i: number, slot: number, high: number, now: number): void {
    const trials = this.#trials;
    const length = batch.length[i]!;
    const room = trials.stride - trials.headroom;
    if (this.#kept !== NOTHING_KEPT || length > room || now < this.#dueAt[slot]! || !this.#budget.take(now))
      return;
    this.#dueAt[slot] = now + ESN_RECOVERY_INTERVAL_MS;
    this.#kept = i;
    this.#keptLength = length;
    this.#keptHigh = high;
    const from = batch.offset[i]!;
    trials.bytes.set(batch.bytes.subarray(from, from + length), trials.headroom);
  }

  succeeded(slot: number): void {
    this.#failures[slot] = 0;
  }

  /**
   * Counts that packet `i` failed, and tries it with other upper halves if it was kept.
   * @returns its whole number, or {@link NOT_RECOVERED}; if recovered, the batch holds its plaintext as if opened
   */
  failed(batch: PacketBatch, i: number, slot: number): number {
    if (this.#failures[slot]! < FAILURES_COUNTED_MAX) this.#failures[slot] = this.#failures[slot]! + 1;
    if (i !== this.#kept) return NOT_RECOVERED;
    const trials = this.#trials;
    const low = espSequence(trials.bytes, trials.headroom);
    this.#fill(slot, low);
    this.#context.engine.open(trials);
    let sequence = NOT_RECOVERED;
    for (let trial = 0; trial < trials.count; trial++) {
      if (trials.status[trial] !== PACKET_OK) continue;
      const start = trial * trials.stride + trials.headroom;
      const at = batch.offset[i]! + trials.offset[trial]! - start;
      const plaintext = trials.offset[trial]!;
      batch.bytes.set(trials.bytes.subarray(plaintext, plaintext + trials.length[trial]!), at);
      batch.offset[i] = at;
      batch.length[i] = trials.length[trial]!;
      sequence = wholeSequenceNumber(trials.sequenceHigh[trial]!, low);
    }
    trials.bytes.fill(0);
    return sequence;
  }

  /** Copies of the kept packet, each with the next upper half that puts it right of the window. */
  #fill(slot: number, low: number): void {
    const { table } = this.#context;
    const trials = this.#trials;
    const highest = table.f64[(slotOffset(table, slot) + Slot.REPLAY_HIGHEST) >> 3]!;
    const length = this.#keptLength;
    let high = Math.floor(highest / 0x100000000);
    if (wholeSequenceNumber(high, low) <= highest) high++;
    trials.count = 0;
    for (; trials.count < trials.capacity && high <= SEQUENCE_HIGH_MAX; high++) {
      if (high === this.#keptHigh) continue;
      const at = trials.count * trials.stride + trials.headroom;
      if (trials.count > 0) trials.bytes.copyWithin(at, trials.headroom, trials.headroom + length);
      trials.offset[trials.count] = at;
      trials.length[trials.count] = length;
      trials.slot[trials.count] = slot;
      trials.sequenceHigh[trials.count] = high;
      trials.count++;
    }
  }
}
