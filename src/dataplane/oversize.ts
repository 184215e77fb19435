/**
 * Frames longer than the path takes: cut where their sender allows it, else refused with an answer that says what fits
 * (RFC 4301 sections 7 and 8.2).
 */
import {
  appendFrame,
  createFrameBatch,
  FRAME_OCTETS_MAX,
  FRAME_PLAIN,
  FRAME_SEGMENTS_MAX,
  FRAME_UDP,
  type FrameBatch,
} from "../base/frame-batch.ts";
import type { Instant } from "../base/instant.ts";
import { createPacketFields, type PacketFields, parseIpPacket } from "../wire/ip/ip-packet.ts";
import { fragmentPayload, writeIpv4Fragment } from "../wire/ip/ipv4-fragment.ts";
import type { IcmpErrors } from "./icmp-errors.ts";
import type { TunIndex } from "./packet-io.ts";
import type { Protection } from "./protection.ts";
import type { SealAndSend } from "./seal-and-send.ts";

/** What becomes of the frame. */
export const OVERSIZE_REFUSED = 0;
/** It is made of smaller packets now: go on with it. */
export const OVERSIZE_FITS = 1;
/** Its fragments leave in its place. */
export const OVERSIZE_REPLACED = 2;
/** It leaves in outer fragments: every link carries IPv6 packets of this size, so this one has to. */
export const OVERSIZE_OUTER_FRAGMENTS = 3;

/** RFC 8200 section 5, RFC 2473 section 7.1. */
const IPV6_MTU_MIN = 1280;
/** Fragments that wait for the end of a turn; more leave at once. */
const FRAGMENTS = 128;

export class Oversize {
  readonly #icmp: IcmpErrors;
  readonly #sealAndSend: SealAndSend;
  readonly #fragments = createFrameBatch(FRAGMENTS, 2 * FRAME_OCTETS_MAX);
  readonly #fields = createPacketFields();

  constructor(icmp: IcmpErrors, sealAndSend: SealAndSend) {
    this.#icmp = icmp;
    this.#sealAndSend = sealAndSend;
  }

  /**
   * Frame `i`, which `fields` describes, has packets of more than `mtu` octets.
   * @param protection - takes the fragments, to the SA of `slot`
   * @returns what became of it; only with OVERSIZE_REFUSED nothing of it leaves
   */
  fit(
    frames: FrameBatch,
    i: number,
    fields: PacketFields,
    slot: number,
    device: TunIndex,
    now: Instant,
    mtu: number,
    protection: Protection,
  ): number {
    const kind = frames.kind[i]!;
    if (fields.family === 6 && frames.packetLength[i]! <= IPV6_MTU_MIN) return OVERSIZE_OUTER_FRAGMENTS;
    if (kind !== FRAME_PLAIN && kind !== FRAME_UDP && recut(frames, i, mtu)) {
      // It is only TCP's octets that count. The sender learns what fits all the same.
      if (fields.dontFragment) this.#icmp.tooBig(frames, i, fields, device, now, mtu);
      return OVERSIZE_FITS;
    }
    if (
      kind === FRAME_PLAIN &&
      !fields.dontFragment &&
      this.#cut(frames, i, fields, slot, device, now, mtu, protection)
    )
      return OVERSIZE_REPLACED;
    return this.refuse(frames, i, fields, device, now, mtu);
  }

  /** Tells the sender of frame `i` what would have fitted. */
  refuse(
    frames: FrameBatch,
    i: number,
    fields: PacketFields,
    device: TunIndex,
    now: Instant,
    mtu: number,
  ): typeof OVERSIZE_REFUSED {
    this.#icmp.tooBig(frames, i, fields, device, now, mtu);
    return OVERSIZE_REFUSED;
  }

  /** Each fragment is an inner packet of its own (RFC 4301 section 7). False when not even a fragment fits. */
  #cut(
    frames: FrameBatch,
    i: number,
    { headerLength, totalLength }: PacketFields,
    slot: number,
    device: TunIndex,
    now: Instant,
    mtu: number,
    protection: Protection,
  ): boolean {
    const step = fragmentPayload(mtu, headerLength);
    if (step === 0) return false;
    const payload = totalLength - headerLength;
    for (let start = 0; start < payload; start += step) {
      const octets = Math.min(step, payload - start);
      const made = this.#append(headerLength + octets);
      const fragments = this.#fragments;
      const at = fragments.offset[made]!;
      const isLast = start + octets === payload;
      const { bytes, offset } = frames;
      const length = writeIpv4Fragment(fragments.bytes, at, bytes, offset[i]!, start, octets, isLast);
      fragments.length[made] = length;
      fragments.packetLength[made] = length;
      if (parseIpPacket(fragments.bytes, at, length, this.#fields))
        protection.protect(fragments, made, this.#fields, slot, device, now);
    }
    return true;
  }

  #append(length: number): number {
    const made = appendFrame(this.#fragments, length);
    if (made >= 0) return made;
    this.flush();
    return appendFrame(this.#fragments, length);
  }

  /** Lets the fragments of this turn leave. */
  flush(): void {
    if (this.#fragments.count > 0) this.#sealAndSend.run(this.#fragments);
  }
}

/** Lets a TCP superpacket be cut smaller. False when that makes too many packets, or none fits. */
function recut(frames: FrameBatch, i: number, mtu: number): boolean {
  const before = frames.segmentLength[i]!;
  const headers = frames.packetLength[i]! - before;
  const segment = mtu - headers;
  if (segment < 1) return false;
  const segments = Math.ceil((frames.length[i]! - headers) / segment);
  if (segments > FRAME_SEGMENTS_MAX) return false;
  frames.segmentLength[i] = segment;
  frames.segments[i] = segments;
  frames.packetLength[i] = mtu;
  return true;
}
