/** Lets IKE messages through to the main thread, at a rate that no stranger can raise (RFC 7296 section 2.6). */
import type { Instant } from "../base/instant.ts";
import type { PacketBatch } from "../base/packet-batch.ts";
import { DATAGRAM_META_STRIDE } from "../base/packet-batch.ts";
import { IKE_HEADER_LENGTH } from "../wire/ike/header.ts";
import { Drop } from "./drop-reason.ts";
import { type LaneContext, localOf, remoteOf } from "./lane-context.ts";
import { TokenBucket } from "./token-bucket.ts";

/** Messages that start an IKE SA: their responder SPI is zero. */
const IKE_INITIAL_PER_SECOND = 1000;
export const IKE_INITIAL_BURST = 500;
/** All others; most of a flood is refused by a look at their SPI. */
const IKE_OTHER_PER_SECOND = 10_000;
export const IKE_OTHER_BURST = 2000;
const RESPONDER_SPI = 8;

export class IkeGate {
  readonly #context: LaneContext;
  readonly #initial = new TokenBucket(IKE_INITIAL_PER_SECOND, IKE_INITIAL_BURST);
  readonly #other = new TokenBucket(IKE_OTHER_PER_SECOND, IKE_OTHER_BURST);

  constructor(context: LaneContext) {
    this.#context = context;
  }

  /** Passes on the message that starts `skip` octets into datagram `i`. */
  pass(batch: PacketBatch, i: number, skip: number, now: Instant): void {
    const context = this.#context;
    const length = batch.length[i]! - skip;
    if (length < IKE_HEADER_LENGTH) {
      context.count(Drop.shortDatagram);
      return;
    }
    const at = batch.offset[i]! + skip;
    const bucket = hasResponderSpi(batch.bytes, at) ? this.#other : this.#initial;
    if (!bucket.take(now)) {
      context.count(Drop.ikeRateLimited);
      return;
    }
    const meta = i * DATAGRAM_META_STRIDE;
    const isTaken = context.ike({
      local: localOf(batch.meta, meta),
      remote: remoteOf(batch.meta, meta),
      bytes: batch.bytes.slice(at, at + length),
    });
    if (!isTaken) context.count(Drop.ikeQueueFull);
  }
}

function hasResponderSpi(bytes: Uint8Array, at: number): boolean {
  for (let octet = 0; octet < 8; octet++) if (bytes[at + RESPONDER_SPI + octet] !== 0) return true;
  return false;
}
