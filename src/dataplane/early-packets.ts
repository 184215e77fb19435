/**
 * ESP and AH packets that overtake the answer which makes their SA: a responder may send as soon as it has answered, and we are
 * still waiting for that answer or verifying it. They wait for the SA, in a bounded memory.
 */
import { type Instant, Instant as instant } from "../base/instant.ts";
import {
  DATAGRAM_META_STRIDE,
  META_HEADER_LENGTH,
  NO_ORIGIN,
  type PacketBatch,
} from "../base/packet-batch.ts";
import type { SocketIndex } from "./packet-io.ts";

/** Of one lane. */
export const EARLY_PACKETS_MAX = 256;
export const EARLY_OCTETS_MAX = 256 * 1024;
/** With one SPI: whom we called and know nothing of yet takes no room from the others. */
export const EARLY_PACKETS_PER_SPI_MAX = 64;
/** Longer than an answer takes that is sent again, or whose certificates are looked up. */
export const EARLY_PACKET_AGE_MAX_MS = 5000;

/** Nobody but the peer that was told the SPI, in a protected message, sends what waits here; it is authenticated as ever afterwards. */
export class EarlyPackets {
  readonly #bytes = new Uint8Array(EARLY_OCTETS_MAX);
  readonly #meta = new Uint8Array(EARLY_PACKETS_MAX * DATAGRAM_META_STRIDE);
  /** Where each begins, with the IP header in front of it if there is one, and how long that makes it. */
  readonly #start = new Uint32Array(EARLY_PACKETS_MAX);
  readonly #length = new Uint32Array(EARLY_PACKETS_MAX);
  readonly #spi = new Uint32Array(EARLY_PACKETS_MAX);
  readonly #socket = new Uint8Array(EARLY_PACKETS_MAX);
  readonly #tos = new Uint8Array(EARLY_PACKETS_MAX);
  readonly #since = new Float64Array(EARLY_PACKETS_MAX);
  #count = 0;
  #end = 0;

  get count(): number {
    return this.#count;
  }

  spiAt(position: number): number {
    return this.#spi[position]!;
  }

  /** Copies datagram `i` of a batch; false when a limit forbids it. */
  hold(socket: SocketIndex, batch: PacketBatch, i: number, spi: number, since: number): boolean {
    const meta = i * DATAGRAM_META_STRIDE;
    const front = batch.meta[meta + META_HEADER_LENGTH]!;
    const length = batch.length[i]! + front;
    if (this.#count === EARLY_PACKETS_MAX || this.#end + length > EARLY_OCTETS_MAX) return false;
    if (this.#countOf(spi) === EARLY_PACKETS_PER_SPI_MAX) return false;
    const from = batch.offset[i]! - front;
    const position = this.#count++;
    this.#bytes.set(batch.bytes.subarray(from, from + length), this.#end);
    this.#meta.set(batch.meta.subarray(meta, meta + DATAGRAM_META_STRIDE), position * DATAGRAM_META_STRIDE);
    this.#start[position] = this.#end;
    this.#length[position] = length;
    this.#spi[position] = spi;
    this.#socket[position] = socket;
    this.#tos[position] = batch.tos[i]!;
    this.#since[position] = since;
    this.#end += length;
    return true;
  }

  /** When the first has waited long enough. */
  nextExpiry(): Instant | undefined {
    return this.#count === 0 ? undefined : instant(this.#since[0]! + EARLY_PACKET_AGE_MAX_MS);
  }

  /** Moves all of them into an empty batch that has room for the limits above, with the socket of each and since when it waits. */
  takeAll(into: PacketBatch, sockets: Uint8Array, since: Float64Array): void {
    into.bytes.set(this.#bytes.subarray(0, this.#end));
    into.meta.set(this.#meta.subarray(0, this.#count * DATAGRAM_META_STRIDE));
    for (let i = 0; i < this.#count; i++) {
      const front = this.#meta[i * DATAGRAM_META_STRIDE + META_HEADER_LENGTH]!;
      into.offset[i] = this.#start[i]! + front;
      into.length[i] = this.#length[i]! - front;
      into.tos[i] = this.#tos[i]!;
      into.frame[i] = NO_ORIGIN;
      sockets[i] = this.#socket[i]!;
      since[i] = this.#since[i]!;
    }
    into.count = this.#count;
    this.#count = 0;
    this.#end = 0;
  }

  #countOf(spi: number): number {
    let count = 0;
    for (let position = 0; position < this.#count; position++) if (this.#spi[position] === spi) count++;
    return count;
  }
}
