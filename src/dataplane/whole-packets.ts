/**
 * Sealed packets with their IP header, for sockets that take whole packets: in transport mode that of what they carry (RFC 4303
 * section 3.1.1); and what leaves in fragments that nobody else would make.
 */
import type { FrameBatch } from "../base/frame-batch.ts";
import { createPacketBatch, PACKET_OK, PACKET_TOO_BIG, type PacketBatch } from "../base/packet-batch.ts";
import { outerHeaders } from "../esp/effective-mtu.ts";
import { PATH_MTU_MIN } from "../esp/path-report.ts";
import { endpointOffset, endpointPorts } from "../policy/endpoint-record.ts";
import { EndpointRecord, Slot } from "../policy/sa-table.ts";
import { slotOffset } from "../policy/sad.ts";
import { ipv4Identification, setIpv4Length } from "../wire/ip/ipv4.ts";
import { fragmentPayload, writeIpv4Fragment } from "../wire/ip/ipv4-fragment.ts";
import {
  IPV6_DESTINATION,
  IPV6_HEADER_LENGTH,
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  setIpv6PayloadLength,
  writeIpv6Header,
} from "../wire/ip/ipv6.ts";
import { ipv6FragmentPayload, writeIpv6Fragment } from "../wire/ip/ipv6-fragment.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { findSecurityPlace } from "../wire/ip/security-place.ts";
import { UDP_HEADER_LENGTH, writeUdpHeader } from "../wire/ip/udp.ts";
import type { LaneContext } from "./lane-context.ts";
import type { SocketIndex } from "./packet-io.ts";

/** Packets that are put together for one call of the system. */
const CAPACITY = 64;
/** The longest that a path with jumbo frames takes, and what comes with it. */
export const WHOLE_PACKET_MAX = 9216;
/** What an IP header can say. */
const PACKET_MAX = 0xffff;
const HOP_LIMIT = 64;

export class WholePackets {
  readonly #context: LaneContext;
  readonly #cells = createPacketBatch(CAPACITY, WHOLE_PACKET_MAX);
  /** Packet of the sealed batch that each cell was made of. */
  readonly #sealed = new Uint32Array(CAPACITY);
  readonly #place = { offset: 0, nextHeaderAt: 0 };
  /** Made for the first packet that is cut. */
  #whole: Uint8Array | undefined;
  /** Frame that was last, and how many of its packets were before. */
  #frame = -1;
  #segment = 0;

  constructor(context: LaneContext) {
    this.#context = context;
  }

  /** A new batch of frames begins. */
  begin(): void {
    this.#frame = -1;
  }

  /** Sends packets of `frames` with status PACKET_OK by `socket`, and sets their status. Those that may be are cut where they have to. */
  send(frames: FrameBatch, packets: PacketBatch, socket: SocketIndex): void {
    this.#cells.count = 0;
    for (let k = 0; k < packets.count; k++) {
      const frame = packets.frame[k]!;
      this.#segment = frame === this.#frame ? this.#segment + 1 : 0;
      this.#frame = frame;
      if (packets.status[k] !== PACKET_OK) continue;
      const length = this.#headerLength(frames, frame) + packets.length[k]!;
      const pathMtu = this.#pathMtu(frames, frame);
      const isCut = frames.fragmentable[frame] === 1 && length > Math.min(pathMtu, WHOLE_PACKET_MAX);
      if (length > (isCut ? PACKET_MAX : WHOLE_PACKET_MAX)) packets.status[k] = PACKET_TOO_BIG;
      else if (isCut) this.#cut(frames, frame, packets, k, length, socket);
      else {
        const i = this.#nextCell(packets, k, socket);
        this.#compose(frames, frame, packets, k, this.#cells.bytes, i * this.#cells.stride);
        this.#cells.length[i] = length;
      }
    }
    this.#flush(packets, socket);
  }

  /** Without a header of its own in front, a frame goes behind those that its endpoint says. */
  #hasOwnHeader(frames: FrameBatch, frame: number): boolean {
    const { table } = this.#context;
    const endpoint = endpointOffset(table, frames.endpoint[frame]!);
    return frames.strip[frame]! > 0 && table.bytes[endpoint + EndpointRecord.ENCAPSULATION] === 0;
  }

  #headerLength(frames: FrameBatch, frame: number): number {
    if (this.#hasOwnHeader(frames, frame)) return frames.strip[frame]!;
    const { table } = this.#context;
    const isUdp =
      table.bytes[endpointOffset(table, frames.endpoint[frame]!) + EndpointRecord.ENCAPSULATION] === 1;
    return outerHeaders(6, isUdp);
  }

  #pathMtu(frames: FrameBatch, frame: number): number {
    const { table } = this.#context;
    return table.u32[(slotOffset(table, frames.slot[frame]!) + Slot.PATH_MTU) >> 2]!;
  }

  #nextCell(packets: PacketBatch, k: number, socket: SocketIndex): number {
    const cells = this.#cells;
    if (cells.count === cells.capacity) this.#flush(packets, socket);
    const i = cells.count++;
    cells.offset[i] = i * cells.stride;
    cells.endpoint[i] = packets.endpoint[k]!;
    cells.tos[i] = packets.tos[k]!;
    cells.status[i] = PACKET_OK;
    this.#sealed[i] = k;
    return i;
  }

  /** A packet has got through when all of its fragments have. */
  #flush(packets: PacketBatch, socket: SocketIndex): void {
    const cells = this.#cells;
    if (cells.count > 0) this.#context.io.send(socket, cells);
    for (let i = 0; i < cells.count; i++)
      if (cells.status[i] !== PACKET_OK) packets.status[this.#sealed[i]!] = cells.status[i]!;
    cells.count = 0;
  }

  /**
   * Fragments of what the path takes; those of IPv6 of what every path takes, since no router will help when that
   * changes (RFC 8200 section 5).
   */
  #cut(
    frames: FrameBatch,
    frame: number,
    packets: PacketBatch,
    k: number,
    length: number,
    socket: SocketIndex,
  ): void {
    this.#whole ??= new Uint8Array(PACKET_MAX);
    const whole = this.#whole;
    this.#compose(frames, frame, packets, k, whole, 0);
    const isV4 = whole[0]! >>> 4 === 4;
    const front = this.#place.offset;
    const mtu = isV4 ? Math.min(this.#pathMtu(frames, frame), WHOLE_PACKET_MAX) : PATH_MTU_MIN[6];
    const step = isV4 ? fragmentPayload(mtu, front) : ipv6FragmentPayload(mtu, this.#place);
    if (step === 0) {
      packets.status[k] = PACKET_TOO_BIG;
      return;
    }
    const identification = unguessable(packets, k);
    for (let start = 0; start < length - front; start += step) {
      const octets = Math.min(step, length - front - start);
      const isLast = start + octets === length - front;
      const i = this.#nextCell(packets, k, socket);
      const { bytes, offset } = this.#cells;
      this.#cells.length[i] = isV4
        ? writeIpv4Fragment(bytes, offset[i]!, whole, 0, start, octets, isLast)
        : writeIpv6Fragment(bytes, offset[i]!, whole, 0, this.#place, identification, start, octets, isLast);
    }
  }

  /** Writes packet `k` with its headers, and says in `#place` where it may be cut. */
  #compose(
    frames: FrameBatch,
    frame: number,
    packets: PacketBatch,
    k: number,
    into: Uint8Array,
    at: number,
  ): void {
    const front = this.#headerLength(frames, frame);
    const length = packets.length[k]!;
    const from = packets.offset[k]!;
    into.set(packets.bytes.subarray(from, from + length), at + front);
    if (this.#hasOwnHeader(frames, frame)) this.#keepHeader(frames, frame, length, into, at);
    else this.#writeHeader(packets, k, length, into, at);
  }

  /** The frame's own header, which names ESP behind it and has the packet's own length. */
  #keepHeader(frames: FrameBatch, frame: number, length: number, into: Uint8Array, at: number): void {
    const front = frames.strip[frame]!;
    const header = frames.offset[frame]!;
    into.set(frames.bytes.subarray(header, header + front), at);
    findSecurityPlace(frames.bytes, header, header + frames.length[frame]!, this.#place);
    into[at + this.#place.nextHeaderAt] = IpProtocol.ESP;
    if (into[at]! >>> 4 === 4) {
      const id = ipv4Identification(frames.bytes, header);
      setIpv4Length(into, at, front + length, (id + this.#segment) & 0xffff);
    } else setIpv6PayloadLength(into, at, front - IPV6_HEADER_LENGTH + length);
  }

  /** An IPv6 header as the system would write it, and UDP's behind it. */
  #writeHeader(packets: PacketBatch, k: number, length: number, into: Uint8Array, at: number): void {
    const { table } = this.#context;
    const endpoint = packets.endpoint[k]!;
    const record = endpointOffset(table, endpoint);
    copyAddress(table.bytes, record + EndpointRecord.LOCAL_ADDRESS, into, at + IPV6_SOURCE);
    copyAddress(table.bytes, record + EndpointRecord.REMOTE_ADDRESS, into, at + IPV6_DESTINATION);
    const isUdp = table.bytes[record + EndpointRecord.ENCAPSULATION] === 1;
    const payload = length + (isUdp ? UDP_HEADER_LENGTH : 0);
    writeIpv6Header(into, at, payload, isUdp ? IpProtocol.UDP : IpProtocol.ESP, packets.tos[k]!, HOP_LIMIT);
    this.#place.offset = IPV6_HEADER_LENGTH;
    this.#place.nextHeaderAt = IPV6_NEXT_HEADER;
    if (!isUdp) return;
    const ports = endpointPorts(table, endpoint);
    writeUdpHeader(into, at + IPV6_HEADER_LENGTH, ports, payload, at + IPV6_SOURCE, 16);
  }
}

/** The end of the ICV: nobody else can know it, and that it repeats among the few packets under way is unlikely (RFC 7739). */
function unguessable({ view, offset, length }: PacketBatch, k: number): number {
  return view.getUint32(offset[k]! + length[k]! - 4);
}

function copyAddress(from: Uint8Array, fromAt: number, into: Uint8Array, at: number): void {
  for (let octet = 0; octet < 16; octet++) into[at + octet] = from[fromAt + octet]!;
}
