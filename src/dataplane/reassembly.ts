/**
 * Fragments that the host sends into a transport mode SA, put together first: such an SA protects whole datagrams (RFC 4301
 * section 7, RFC 4303 section 3.3.4; RFC 791 section 3.2, RFC 8200 section 4.5).
 */
import { appendFrame, createFrameBatch, FRAME_OCTETS_MAX, type FrameBatch } from "../base/frame-batch.ts";
import { type Instant, Instant as instant } from "../base/instant.ts";
import type { PacketFields } from "../wire/ip/ip-packet.ts";
import { setIpv4Fragment } from "../wire/ip/ipv4.ts";
import { IPV6_HEADER_LENGTH, setIpv6PayloadLength } from "../wire/ip/ipv6.ts";
import { IPV6_FRAGMENT_HEADER_LENGTH } from "../wire/ip/ipv6-fragment.ts";
import { Drop } from "./drop-reason.ts";
import { FRAGMENTED_PAYLOAD_MAX, FragmentMaps, isBadFragment } from "./fragment-map.ts";
import { FRAGMENT_AGE_MS } from "./fragment-table.ts";
import type { LaneContext } from "./lane-context.ts";

/** Of one lane; a further one takes the place of the oldest. */
export const REASSEMBLED_DATAGRAMS_MAX = 16;
/** Of one policy, so that fragments for one peer take no room from those for others. */
export const REASSEMBLED_PER_POLICY_MAX = 4;

/** The datagram is not whole yet, or never will be, which is counted. */
export const NOT_WHOLE = -1;

const NONE = -1;
/** Older than any. */
const EMPTY = Number.NEGATIVE_INFINITY;
/** Octets of headers in front of a fragment's own data; more fit into no SA. */
const HEADERS_MAX = 256;
const STRIDE = HEADERS_MAX + FRAGMENTED_PAYLOAD_MAX + 1;
const DATAGRAM_MAX = 0xffff;
/** Datagrams that are whole and wait to be sealed. */
const WHOLE_FRAMES = 8;

/** Words by which fragments know each other: policy, family and protocol, identification, two addresses. */
const KEY_WORDS = 11;

export class Reassembly {
  /** Datagrams that are whole, with DF clear: they were fragmented before and may be again. */
  readonly whole: FrameBatch = createFrameBatch(WHOLE_FRAMES, 2 * FRAME_OCTETS_MAX);
  readonly #context: LaneContext;
  readonly #bytes = new Uint8Array(REASSEMBLED_DATAGRAMS_MAX * STRIDE);
  readonly #maps = new FragmentMaps(REASSEMBLED_DATAGRAMS_MAX);
  readonly #keys = new Uint32Array(REASSEMBLED_DATAGRAMS_MAX * KEY_WORDS);
  /** When the first of its fragments came, in whatever order. */
  readonly #since = new Float64Array(REASSEMBLED_DATAGRAMS_MAX).fill(EMPTY);
  /** Fragments that wait. */
  readonly #held = new Uint16Array(REASSEMBLED_DATAGRAMS_MAX);
  /** Octets of the headers, and of the payload as far as its end is known. */
  readonly #headers = new Uint16Array(REASSEMBLED_DATAGRAMS_MAX);
  readonly #payload = new Uint16Array(REASSEMBLED_DATAGRAMS_MAX);
  /** Fragments overlapped: nothing of it is sent, whatever else comes (RFC 5722 section 4). */
  readonly #isRefused = new Uint8Array(REASSEMBLED_DATAGRAMS_MAX);
  readonly #key = new Uint32Array(KEY_WORDS);

  constructor(context: LaneContext) {
    this.#context = context;
  }

  /** Whether `whole` has no room for one more: it is to be sent first. */
  get isFull(): boolean {
    const { whole } = this;
    const used = whole.count === 0 ? 0 : whole.offset[whole.count - 1]! + whole.length[whole.count - 1]!;
    return whole.count === whole.capacity || used + FRAME_OCTETS_MAX > whole.bytes.length;
  }

  /**
   * Takes the fragment in frame `i`, which `fields` describes.
   * @param policy - fragments under different ones are not each other's business
   * @returns the index in `whole` of the datagram that it completes, or {@link NOT_WHOLE}
   */
  take(frames: FrameBatch, i: number, fields: PacketFields, policy: number, now: Instant): number {
    const isV4 = fields.family === 4;
    const { fragmentDataOffset } = fields.extensionHeaders;
    const front = isV4 ? fields.headerLength : fragmentDataOffset - IPV6_FRAGMENT_HEADER_LENGTH;
    if (isBadFragment(fields) || front > HEADERS_MAX) return this.#refuse(Drop.badFragment, frames, i);
    this.#fillKey(fields, policy);
    let entry = this.#find();
    if (entry === NONE) entry = this.#begin(policy, now);
    if (this.#isRefused[entry] === 1) return this.#refuse(Drop.overlappingFragment, frames, i);
    if (!this.#maps.pass(entry, fields)) {
      this.#isRefused[entry] = 1;
      this.#refuse(Drop.overlappingFragment, frames, i, this.#held[entry]! + 1);
      this.#held[entry] = 0;
      return NOT_WHOLE;
    }
    const at = entry * STRIDE;
    const start = frames.offset[i]!;
    const data = start + (isV4 ? front : fragmentDataOffset);
    const { fragmentOffset, fragmentLength } = fields;
    this.#bytes.set(frames.bytes.subarray(data, data + fragmentLength), at + HEADERS_MAX + fragmentOffset);
    this.#held[entry] = this.#held[entry]! + 1;
    if (fragmentOffset === 0) {
      this.#bytes.set(frames.bytes.subarray(start, start + front), at);
      this.#headers[entry] = front;
      if (!isV4) this.#bytes[at + fields.extensionHeaders.fragmentNamedAt] = fields.fragmentProtocol;
    }
    if (!fields.moreFragments) this.#payload[entry] = fragmentOffset + fragmentLength;
    return this.#maps.isComplete(entry) ? this.#finish(entry, isV4) : NOT_WHOLE;
  }

  /** Gives up what has waited long enough. */
  expire(now: Instant): void {
    for (let entry = 0; entry < REASSEMBLED_DATAGRAMS_MAX; entry++)
      if (this.#since[entry] !== EMPTY && now - this.#since[entry]! >= FRAGMENT_AGE_MS)
        this.#giveUp(entry, Drop.reassemblyTimedOut);
  }

  nextExpiry(): Instant | undefined {
    let oldest = Number.POSITIVE_INFINITY;
    for (const since of this.#since) if (since !== EMPTY && since < oldest) oldest = since;
    return oldest === Number.POSITIVE_INFINITY ? undefined : instant(oldest + FRAGMENT_AGE_MS);
  }

  #finish(entry: number, isV4: boolean): number {
    const { whole } = this;
    const front = this.#headers[entry]!;
    const payload = this.#payload[entry]!;
    const length = front + payload;
    const i = length > DATAGRAM_MAX ? NONE : appendFrame(whole, length);
    if (i === NONE) {
      this.#giveUp(entry, Drop.badFragment);
      return NOT_WHOLE;
    }
    const from = entry * STRIDE;
    const at = whole.offset[i]!;
    whole.bytes.set(this.#bytes.subarray(from, from + front), at);
    whole.bytes.set(this.#bytes.subarray(from + HEADERS_MAX, from + HEADERS_MAX + payload), at + front);
    if (isV4) setIpv4Fragment(whole.bytes, at, length, 0, false);
    else setIpv6PayloadLength(whole.bytes, at, length - IPV6_HEADER_LENGTH);
    this.#since[entry] = EMPTY;
    return i;
  }

  #giveUp(entry: number, reason: number): void {
    this.#since[entry] = EMPTY;
    if (this.#held[entry]! > 0) this.#context.count(reason, this.#held[entry]!);
  }

  #refuse(reason: number, frames: FrameBatch, i: number, fragments = 1): typeof NOT_WHOLE {
    this.#context.dropFrame(reason, frames, i, fragments);
    return NOT_WHOLE;
  }

  /** RFC 791 section 3.2 asks for equal protocols, RFC 8200 section 4.5 does not. */
  #fillKey({ family, protocol, fragmentId, source, destination }: PacketFields, policy: number): void {
    const key = this.#key;
    key[0] = policy;
    key[1] = family === 4 ? protocol : 0x600;
    key[2] = fragmentId;
    key.set(source, 3);
    key.set(destination, 7);
  }

  #find(): number {
    for (let entry = 0; entry < REASSEMBLED_DATAGRAMS_MAX; entry++)
      if (this.#since[entry] !== EMPTY && this.#isOf(entry)) return entry;
    return NONE;
  }

  #isOf(entry: number): boolean {
    for (let word = 0; word < KEY_WORDS; word++)
      if (this.#keys[entry * KEY_WORDS + word] !== this.#key[word]) return false;
    return true;
  }

  /** Starts an entry for the key: an empty one or the oldest of all, or the oldest of a policy that has its share. */
  #begin(policy: number, now: Instant): number {
    let oldest = 0;
    let oldestOfPolicy = NONE;
    let ofPolicy = 0;
    for (let entry = 0; entry < REASSEMBLED_DATAGRAMS_MAX; entry++) {
      const since = this.#since[entry]!;
      if (since < this.#since[oldest]!) oldest = entry;
      if (since === EMPTY || this.#keys[entry * KEY_WORDS] !== policy) continue;
      ofPolicy++;
      if (oldestOfPolicy === NONE || since < this.#since[oldestOfPolicy]!) oldestOfPolicy = entry;
    }
    const entry = ofPolicy < REASSEMBLED_PER_POLICY_MAX ? oldest : oldestOfPolicy;
    if (this.#since[entry] !== EMPTY) this.#giveUp(entry, Drop.reassemblyFull);
    this.#keys.set(this.#key, entry * KEY_WORDS);
    this.#since[entry] = now;
    this.#held[entry] = 0;
    this.#isRefused[entry] = 0;
    this.#maps.start(entry);
    return entry;
  }
}
