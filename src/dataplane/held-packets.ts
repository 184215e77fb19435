/** Packets that wait for an SA, first in first out, in a bounded memory (RFC 4301 section 5.1). */
import type { Instant } from "../base/instant.ts";
import { Instant as instant } from "../base/instant.ts";
import type { PacketBatch } from "../base/packet-batch.ts";

/** Of one lane. */
export const HELD_PACKETS_MAX = 1024;
/** Of one policy, so that a peer that is gone takes no room from the others. */
export const HELD_PACKETS_PER_POLICY_MAX = 256;
export const HELD_OCTETS_MAX = 1024 * 1024;
export const HELD_AGE_MAX_MS = 10_000;

const NONE = 0xffff;

export class HeldPackets {
  readonly #cells: Uint8Array;
  readonly #cellLength: number;
  readonly #free: Uint16Array;
  #freeCount = HELD_PACKETS_MAX;
  /** Cells in order of arrival. */
  readonly #queue = new Uint16Array(HELD_PACKETS_MAX).fill(NONE);
  #count = 0;
  #octets = 0;
  readonly #length = new Uint32Array(HELD_PACKETS_MAX);
  readonly #policy = new Uint32Array(HELD_PACKETS_MAX);
  readonly #device = new Uint8Array(HELD_PACKETS_MAX);
  readonly #since = new Float64Array(HELD_PACKETS_MAX);
  readonly #perPolicy: Uint16Array;

  /** @param packetLengthMax - longer packets are not held */
  constructor(policies: number, packetLengthMax: number) {
    this.#cellLength = packetLengthMax;
    this.#cells = new Uint8Array(HELD_PACKETS_MAX * packetLengthMax);
    this.#free = Uint16Array.from({ length: HELD_PACKETS_MAX }, (_, i) => i);
    this.#perPolicy = new Uint16Array(policies);
  }

  get count(): number {
    return this.#count;
  }

  countFor(policy: number): number {
    return this.#perPolicy[policy]!;
  }

  /** Copies packet `i`; false when a limit forbids it. */
  hold(batch: PacketBatch, i: number, policy: number, device: number, now: Instant): boolean {
    const length = batch.length[i]!;
    if (
      this.#freeCount === 0 ||
      length > this.#cellLength ||
      this.#octets + length > HELD_OCTETS_MAX ||
      this.#perPolicy[policy]! >= HELD_PACKETS_PER_POLICY_MAX
    )
      return false;
    const cell = this.#free[--this.#freeCount]!;
    const from = batch.offset[i]!;
    this.#cells.set(batch.bytes.subarray(from, from + length), cell * this.#cellLength);
    this.#length[cell] = length;
    this.#policy[cell] = policy;
    this.#device[cell] = device;
    this.#since[cell] = now;
    this.#queue[this.#count++] = cell;
    this.#octets += length;
    this.#perPolicy[policy] = this.#perPolicy[policy]! + 1;
    return true;
  }

  /** When the first packet has waited long enough. */
  nextExpiry(): Instant | undefined {
    return this.#count === 0 ? undefined : instant(this.#since[this.#queue[0]!]! + HELD_AGE_MAX_MS);
  }

  policyAt(position: number): number {
    return this.#policy[this.#queue[position]!]!;
  }

  deviceAt(position: number): number {
    return this.#device[this.#queue[position]!]!;
  }

  isExpired(position: number, now: Instant): boolean {
    return now - this.#since[this.#queue[position]!]! >= HELD_AGE_MAX_MS;
  }

  /** Copies the packet at a position of the queue into cell `i` of a batch. */
  copyTo(position: number, batch: PacketBatch, i: number): void {
    const cell = this.#queue[position]!;
    const length = this.#length[cell]!;
    const at = i * batch.stride + batch.headroom;
    const from = cell * this.#cellLength;
    batch.bytes.set(this.#cells.subarray(from, from + length), at);
    batch.offset[i] = at;
    batch.length[i] = length;
  }

  /** Marks the packet at a position as gone; {@link compact} closes the gaps. */
  remove(position: number): void {
    const cell = this.#queue[position]!;
    this.#queue[position] = NONE;
    const policy = this.#policy[cell]!;
    this.#perPolicy[policy] = this.#perPolicy[policy]! - 1;
    this.#octets -= this.#length[cell]!;
    this.#free[this.#freeCount++] = cell;
  }

  compact(): void {
    let kept = 0;
    for (let position = 0; position < this.#count; position++) {
      const cell = this.#queue[position]!;
      if (cell !== NONE) this.#queue[kept++] = cell;
    }
    this.#count = kept;
  }
}
