/** What arrived in transport mode, as IP packets again: the outer header in front of what was protected (RFC 4301 section 5.2). */
import type { Instant } from "../base/instant.ts";
import {
  createArenaBatch,
  DATAGRAM_META_STRIDE,
  META_FAMILY,
  META_HEADER_LENGTH,
  META_LOCAL_ADDRESS,
  META_REMOTE_ADDRESS,
  PACKET_NOT_SENT,
  PACKET_OK,
  type PacketBatch,
} from "../base/packet-batch.ts";
import { Slot } from "../policy/sa-table.ts";
import { slotOffset } from "../policy/sad.ts";
import { espNextHeader, espPayloadLength, isDummyPacket } from "../wire/esp/esp-packet.ts";
import {
  IPV4_DESTINATION,
  IPV4_HEADER_LENGTH,
  IPV4_SOURCE,
  setIpv4Protocol,
  writeIpv4Header,
} from "../wire/ip/ipv4.ts";
import { IPV6_DESTINATION, IPV6_HEADER_LENGTH, IPV6_SOURCE, writeIpv6Header } from "../wire/ip/ipv6.ts";
import { Drop } from "./drop-reason.ts";
import type { InnerPackets } from "./inner-packets.ts";
import type { LaneContext } from "./lane-context.ts";
import { translateChecksum } from "./nat-checksum.ts";

/** Of a header that the system kept to itself. */
const HOP_LIMIT = 64;
const CAPACITY = 64;
const PACKET_MAX = 0xffff;
/** Room for one of any length, or for many of the usual one. */
const OCTETS = 4 * (PACKET_MAX + 1);
/** Packets begin at multiples of this. */
const ALIGNMENT = 64;

export class RebuiltPackets {
  readonly #context: LaneContext;
  readonly #cells = createArenaBatch(CAPACITY, OCTETS);
  readonly #device = new Uint8Array(CAPACITY);

  constructor(context: LaneContext) {
    this.#context = context;
  }

  /**
   * Takes the trailer off packet `i`, puts an IP header in front of a copy, and has it judged.
   * @param front - octets of ESP in front of the plaintext
   * @returns ACCEPTED when it waits for {@link deliver}, else the reason to drop it
   */
  rebuild(
    batch: PacketBatch,
    i: number,
    front: number,
    slot: number,
    inner: InnerPackets,
    now: Instant,
  ): number {
    const start = batch.offset[i]!;
    const end = start + batch.length[i]!;
    const payloadLength = espPayloadLength(batch.bytes, start, end);
    if (payloadLength < 0) return Drop.badPadding;
    const nextHeader = espNextHeader(batch.bytes, end);
    if (isDummyPacket(nextHeader)) return Drop.dummy;
    const cells = this.#cells;
    if (cells.count === cells.capacity || this.#end() + PACKET_MAX > OCTETS) this.flush();
    const at = this.#end();
    const headerLength = this.#writeHeader(batch, i, start - front, payloadLength, nextHeader, at);
    const length = headerLength + payloadLength;
    if (length > PACKET_MAX) return Drop.malformedInner;
    cells.bytes.set(batch.bytes.subarray(start, start + payloadLength), at + headerLength);
    const { table } = this.#context;
    const natSum = table.u32[(slotOffset(table, slot) + Slot.NAT_SUM) >> 2]!;
    if (natSum !== 0)
      translateChecksum(cells.bytes, at, at + headerLength, at + length, nextHeader, natSum & 0xffff);
    cells.offset[cells.count] = at;
    cells.length[cells.count] = length;
    return inner.check(cells, at, length, slot, batch.tos[i]!, now);
  }

  /** Where there is room behind what waits. */
  #end(): number {
    const { count, offset, length } = this.#cells;
    if (count === 0) return 0;
    return Math.ceil((offset[count - 1]! + length[count - 1]!) / ALIGNMENT) * ALIGNMENT;
  }

  /** The packet that was judged last goes to a device. */
  deliver(device: number): void {
    this.#device[this.#cells.count++] = device;
  }

  /** Hands what waits to its devices. */
  flush(): void {
    const cells = this.#cells;
    const { io, count } = { io: this.#context.io, count: cells.count };
    for (let device = 0; count > 0 && device < io.tunCount; device++) {
      let isAny = false;
      for (let i = 0; i < count; i++) {
        const isHere = this.#device[i] === device;
        isAny ||= isHere;
        cells.status[i] = isHere ? PACKET_OK : PACKET_NOT_SENT;
      }
      if (!isAny) continue;
      io.writeTun(device, cells);
      for (let i = 0; i < count; i++)
        if (this.#device[i] === device && cells.status[i] !== PACKET_OK) this.#context.count(Drop.tunRefused);
    }
    cells.count = 0;
  }

  /** The header that came, where the system shows it; else one with the datagram's addresses. Returns its octets. */
  #writeHeader(
    batch: PacketBatch,
    i: number,
    datagram: number,
    payloadLength: number,
    protocol: number,
    at: number,
  ): number {
    const { bytes } = this.#cells;
    const meta = i * DATAGRAM_META_STRIDE;
    const kept = batch.meta[meta + META_HEADER_LENGTH]!;
    const tos = batch.tos[i]!;
    if (batch.meta[meta + META_FAMILY] === 4) {
      if (kept >= IPV4_HEADER_LENGTH) {
        bytes.set(batch.bytes.subarray(datagram - kept, datagram), at);
        setIpv4Protocol(bytes, at, protocol, kept + payloadLength);
        return kept;
      }
      copyAddress(batch.meta, meta + META_REMOTE_ADDRESS, bytes, at + IPV4_SOURCE, 4);
      copyAddress(batch.meta, meta + META_LOCAL_ADDRESS, bytes, at + IPV4_DESTINATION, 4);
      writeIpv4Header(bytes, at, IPV4_HEADER_LENGTH + payloadLength, protocol, tos, HOP_LIMIT);
      return IPV4_HEADER_LENGTH;
    }
    copyAddress(batch.meta, meta + META_REMOTE_ADDRESS, bytes, at + IPV6_SOURCE, 16);
    copyAddress(batch.meta, meta + META_LOCAL_ADDRESS, bytes, at + IPV6_DESTINATION, 16);
    writeIpv6Header(bytes, at, payloadLength, protocol, tos, HOP_LIMIT);
    return IPV6_HEADER_LENGTH;
  }
}

function copyAddress(from: Uint8Array, fromAt: number, into: Uint8Array, at: number, length: number): void {
  for (let octet = 0; octet < length; octet++) into[at + octet] = from[fromAt + octet]!;
}
