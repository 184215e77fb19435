/** Lets IKE messages through to the main thread, at a rate that no stranger can raise (RFC 7296 section 2.6). */
import type { Instant } from "../base/instant.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { PacketBatch } from "../base/packet-batch.ts";
import { DATAGRAM_META_STRIDE, META_FAMILY, META_REMOTE_ADDRESS } from "../base/packet-batch.ts";
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
/** Of either kind from configured peers' addresses, when the others have used up what there is; a flood may bear those too. */
const IKE_PEERS_PER_SECOND = 500;
export const IKE_PEERS_BURST = 500;
const RESPONDER_SPI = 8;

export class IkeGate {
  readonly #context: LaneContext;
  readonly #initial = new TokenBucket(IKE_INITIAL_PER_SECOND, IKE_INITIAL_BURST);
  readonly #other = new TokenBucket(IKE_OTHER_PER_SECOND, IKE_OTHER_BURST);

  readonly #peers = new TokenBucket(IKE_PEERS_PER_SECOND, IKE_PEERS_BURST);
  /** Hashes of the peers' addresses: looking one up makes nothing. */
  #peerHashes: ReadonlySet<number> = new Set();

  constructor(context: LaneContext) {
    this.#context = context;
  }

  /** Addresses whose messages a flood of others does not keep out. */
  setPeers(addresses: readonly IpAddress[]): void {
    this.#peerHashes = new Set(addresses.map((address) => hashOf(address, 0, address.length)));
  }

  /** Passes on the message that starts `skip` octets into datagram `i`. */
  pass(batch: PacketBatch, i: number, skip: number, now: Instant): void {
    const context = this.#context;
    const length = batch.length[i]! - skip;
    if (length < IKE_HEADER_LENGTH) {
      context.dropDatagram(Drop.shortDatagram, batch, i);
      return;
    }
    const at = batch.offset[i]! + skip;
    const bucket = hasResponderSpi(batch.bytes, at) ? this.#other : this.#initial;
    const meta = i * DATAGRAM_META_STRIDE;
    if (!bucket.take(now) && !(this.#isPeer(batch.meta, meta) && this.#peers.take(now))) {
      context.dropDatagram(Drop.ikeRateLimited, batch, i);
      return;
    }
    const isTaken = context.ike({
      local: localOf(batch.meta, meta),
      remote: remoteOf(batch.meta, meta),
      bytes: batch.bytes.slice(at, at + length),
    });
    if (!isTaken) context.dropDatagram(Drop.ikeQueueFull, batch, i);
  }

  #isPeer(meta: Uint8Array, at: number): boolean {
    const length = meta[at + META_FAMILY] === 4 ? 4 : 16;
    return this.#peerHashes.has(hashOf(meta, at + META_REMOTE_ADDRESS, length));
  }
}

/** FNV-1a. */
function hashOf(bytes: Uint8Array, from: number, length: number): number {
  let hash = 0x811c9dc5;
  for (let i = from; i < from + length; i++) hash = Math.imul(hash ^ bytes[i]!, 0x01000193);
  return hash;
}

function hasResponderSpi(bytes: Uint8Array, at: number): boolean {
  for (let octet = 0; octet < 8; octet++) if (bytes[at + RESPONDER_SPI + octet] !== 0) return true;
  return false;
}
