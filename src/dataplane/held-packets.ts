/** Packets that wait for an SA, first in first out, in a bounded memory (RFC 4301 section 5.1). */
import { appendFrame, type FrameBatch } from "../base/frame-batch.ts";
import type { Instant } from "../base/instant.ts";
import { Instant as instant } from "../base/instant.ts";

/** Of one lane. */
export const HELD_PACKETS_MAX = 1024;
/** Of one policy, so that a peer that is gone takes no room from the others. */
export const HELD_PACKETS_PER_POLICY_MAX = 256;
export const HELD_OCTETS_MAX = 1024 * 1024;
export const HELD_AGE_MAX_MS = 10_000;

const NONE = 0xffff;
/** A packet lies in a chain of blocks. */
const BLOCK_OCTETS = 2048;
/** Enough for every packet that the limits above let in. */
const BLOCKS = HELD_PACKETS_MAX + HELD_OCTETS_MAX / BLOCK_OCTETS;

/** Frames, superpackets among them; the limits count each as one packet. */
export class HeldPackets {
  readonly #blocks = new Uint8Array(BLOCKS * BLOCK_OCTETS);
  /** The block behind each in its chain, used or free. */
  readonly #next = Uint16Array.from({ length: BLOCKS }, (_, i) => i + 1);
  #free = 0;
  /** First blocks, which also number the packets, in order of arrival. */
  readonly #queue = new Uint16Array(HELD_PACKETS_MAX).fill(NONE);
  #count = 0;
  #octets = 0;
  readonly #length = new Uint32Array(BLOCKS);
  readonly #kind = new Uint8Array(BLOCKS);
  readonly #segmentLength = new Uint16Array(BLOCKS);
  readonly #segments = new Uint16Array(BLOCKS);
  readonly #packetLength = new Uint32Array(BLOCKS);
  readonly #policy = new Uint32Array(BLOCKS);
  readonly #device = new Uint8Array(BLOCKS);
  readonly #since = new Float64Array(BLOCKS);
  readonly #perPolicy: Uint16Array;

  constructor(policies: number) {
    this.#perPolicy = new Uint16Array(policies);
  }

  get count(): number {
    return this.#count;
  }

  countFor(policy: number): number {
    return this.#perPolicy[policy]!;
  }

  /** Copies frame `i`; false when a limit forbids it. */
  hold(frames: FrameBatch, i: number, policy: number, device: number, now: Instant): boolean {
    const length = frames.length[i]!;
    if (
      this.#count === HELD_PACKETS_MAX ||
      this.#octets + length > HELD_OCTETS_MAX ||
      this.#perPolicy[policy]! >= HELD_PACKETS_PER_POLICY_MAX
    )
      return false;
    const first = this.#free;
    const from = frames.offset[i]!;
    for (let done = 0; done < length; done += BLOCK_OCTETS) {
      const end = Math.min(done + BLOCK_OCTETS, length);
      this.#blocks.set(frames.bytes.subarray(from + done, from + end), this.#free * BLOCK_OCTETS);
      this.#free = this.#next[this.#free]!;
    }
    this.#length[first] = length;
    this.#kind[first] = frames.kind[i]!;
    this.#segmentLength[first] = frames.segmentLength[i]!;
    this.#segments[first] = frames.segments[i]!;
    this.#packetLength[first] = frames.packetLength[i]!;
    this.#policy[first] = policy;
    this.#device[first] = device;
    this.#since[first] = now;
    this.#queue[this.#count++] = first;
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

  /** Appends the packet at a position of the queue to a batch: its index there, or -1 when there is no room. */
  copyTo(position: number, frames: FrameBatch): number {
    const first = this.#queue[position]!;
    const length = this.#length[first]!;
    const i = appendFrame(frames, length);
    if (i < 0) return i;
    let block = first;
    for (let done = 0; done < length; done += BLOCK_OCTETS) {
      const at = block * BLOCK_OCTETS;
      const part = this.#blocks.subarray(at, at + Math.min(BLOCK_OCTETS, length - done));
      frames.bytes.set(part, frames.offset[i]! + done);
      block = this.#next[block]!;
    }
    frames.kind[i] = this.#kind[first]!;
    frames.segmentLength[i] = this.#segmentLength[first]!;
    frames.segments[i] = this.#segments[first]!;
    frames.packetLength[i] = this.#packetLength[first]!;
    return i;
  }

  /** Marks the packet at a position as gone; {@link compact} closes the gaps. */
  remove(position: number): void {
    const first = this.#queue[position]!;
    this.#queue[position] = NONE;
    const policy = this.#policy[first]!;
    this.#perPolicy[policy] = this.#perPolicy[policy]! - 1;
    this.#octets -= this.#length[first]!;
    let last = first;
    for (let done = BLOCK_OCTETS; done < this.#length[first]!; done += BLOCK_OCTETS) last = this.#next[last]!;
    this.#next[last] = this.#free;
    this.#free = first;
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
