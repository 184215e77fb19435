/** Packets on their way out with AH in front of what it protects (RFC 4302 sections 3.1 and 3.3). */
import { FRAME_PLAIN, type FrameBatch } from "../base/frame-batch.ts";
import type { Instant } from "../base/instant.ts";
import {
  type CellBatch,
  createPacketBatch,
  PACKET_NOT_SENT,
  PACKET_OK,
  PACKET_SEQUENCE_EXHAUSTED,
  PACKET_TOO_BIG,
} from "../base/packet-batch.ts";
import { outerDf } from "../esp/dont-fragment.ts";
import { outerTos } from "../esp/ecn.ts";
import { outerHeaders } from "../esp/effective-mtu.ts";
import { countPackets, mayCarry, reachedHard, reachedSoft } from "../esp/lifetime.ts";
import { PATH_MTU_MIN } from "../esp/path-report.ts";
import { readUint64 } from "../policy/sa-record.ts";
import { EndpointRecord, SaMode, Slot } from "../policy/sa-table.ts";
import { slotOffset } from "../policy/sad.ts";
import { AH_FIXED_LENGTH, ahHeaderLength, writeAhHeader } from "../wire/ah/ah-header.ts";
import { maskIpv4, maskIpv6 } from "../wire/ah/mutable-fields.ts";
import type { PacketFields } from "../wire/ip/ip-packet.ts";
import {
  clearIpv4DontFragment,
  IPV4_DESTINATION,
  IPV4_SOURCE,
  ipv4Identification,
  setIpv4Length,
  writeIpv4Header,
} from "../wire/ip/ipv4.ts";
import { fragmentPayload, writeIpv4Fragment } from "../wire/ip/ipv4-fragment.ts";
import {
  IPV6_DESTINATION,
  IPV6_HEADER_LENGTH,
  IPV6_SOURCE,
  setIpv6PayloadLength,
  writeIpv6Header,
} from "../wire/ip/ipv6.ts";
import { ipv6FragmentPayload, writeIpv6Fragment } from "../wire/ip/ipv6-fragment.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { cutSegment, superpacketHeaders } from "../wire/ip/superpacket.ts";
import { AH_PACKET_MAX, behindAh, createAhCells, hasRoomForAh } from "./ah-cells.ts";
import { Drop } from "./drop-reason.ts";
import { type LaneContext, NO_SOCKET } from "./lane-context.ts";
import { FRAGMENT, STRIPPED, stripHeader } from "./transport-mode.ts";
import { WHOLE_PACKET_MAX } from "./whole-packets.ts";

const CAPACITY = 64;
const HOP_LIMIT = 64;
/** Octets of headers in front of AH. */
const HEADERS_MAX = 320;

/** In place of an MTU: the packet is on its way, or was dropped and counted. */
export const AH_TAKEN = -1;
/** In place of an MTU: a fragment, and in transport mode only whole datagrams are protected [AH-11]. */
export const AH_FRAGMENT = -2;

/** Up to the last whole turn below 2^16: after that each lane begins again with numbers of its own, not with another's. */
export function identificationAfter(identification: number, lanes: number): number {
  return (identification + lanes) % (0xffff - (0xffff % lanes));
}

export class AhOutbound {
  readonly #context: LaneContext;
  readonly #cells = createAhCells(CAPACITY);
  /** Octet of the cells where there is room behind what waits. */
  #end = 0;
  readonly #socket = new Uint8Array(CAPACITY);
  /** 1: leaves in fragments. */
  readonly #isCut = new Uint8Array(CAPACITY);
  /** Made for the first packet that is cut. */
  #pieces: CellBatch | undefined;
  readonly #cutAt = { offset: 0, nextHeaderAt: 0 };
  /** Headers as they travel, while their mutable fields are masked. */
  readonly #headers = new Uint8Array(CAPACITY * HEADERS_MAX);
  /** Of packets that may be fragmented, less one: lanes take turns, as their packets may have the same addresses. */
  #identification: number;

  constructor(context: LaneContext) {
    this.#context = context;
    this.#identification = context.index;
  }

  /**
   * Takes frame `i`, whose SA is of AH; it leaves with the next {@link flush}.
   * @param endpoint - index and octet of the SA's endpoint record
   * @param mayCut - what is longer than the path takes leaves in fragments
   * @returns {@link AH_TAKEN}, {@link AH_FRAGMENT}, or the MTU that it exceeds
   */
  take(
    frames: FrameBatch,
    i: number,
    fields: PacketFields,
    slot: number,
    endpoint: { readonly index: number; readonly at: number },
    now: Instant,
    mayCut: boolean,
  ): number {
    const context = this.#context;
    const { table } = context;
    const base = slotOffset(table, slot);
    const packets = frames.segments[i]!;
    const socket = context.socketFor(endpoint.at, true);
    if (socket === NO_SOCKET) return this.#drop(Drop.noSocket, frames, i);
    const isTransport = table.u32[(base + Slot.MODE) >> 2] === SaMode.TRANSPORT;
    frames.strip[i] = 0;
    if (isTransport) {
      const reason = stripHeader(frames, i, fields, table, endpoint.at);
      if (reason === FRAGMENT) return AH_FRAGMENT;
      if (reason !== STRIPPED) return this.#drop(reason, frames, i);
    }
    const family = table.bytes[endpoint.at + EndpointRecord.FAMILY]!;
    const added =
      ahHeaderLength(table.u32[(base + Slot.ICV_LENGTH) >> 2]!, family) +
      (isTransport ? 0 : outerHeaders(family, false));
    const mtu = Math.max(0, this.#longest(base) - added);
    if (frames.packetLength[i]! > (mayCut ? AH_PACKET_MAX - added : mtu)) return mtu;
    const octets = frames.packetLength[i]! * packets;
    if (!mayCarry(table, base, octets, packets)) {
      context.raise("hardLimit", slot, reachedHard(table, base));
      return this.#drop(Drop.saExpired, frames, i);
    }
    if (countPackets(table, base, octets, now, packets))
      context.raise("softLimit", slot, reachedSoft(table, base));
    for (const [segment, packet] of packetsOf(frames, i).entries()) {
      if (this.#cells.count === CAPACITY || !hasRoomForAh(this.#end)) this.flush();
      this.#place(packet, segment, frames.strip[i]!, frames.nextHeader[i]!, fields, slot, endpoint, socket);
    }
    return AH_TAKEN;
  }

  /** Numbers, authenticates and sends what was taken. */
  flush(): void {
    const cells = this.#cells;
    if (cells.count === 0) return;
    const context = this.#context;
    context.engine.authenticate(cells);
    let sockets = 0;
    for (let i = 0; i < cells.count; i++) {
      if (this.#finish(i)) sockets |= 1 << this.#socket[i]!;
      else this.#socket[i] = NOWHERE;
    }
    for (let socket = 0; sockets >>> socket !== 0; socket++) {
      if (((sockets >>> socket) & 1) === 0) continue;
      for (let i = 0; i < cells.count; i++)
        cells.status[i] = this.#socket[i] === socket && this.#isCut[i] === 0 ? PACKET_OK : PACKET_NOT_SENT;
      context.io.send(socket, cells);
      for (let i = 0; i < cells.count; i++) {
        if (this.#socket[i] !== socket) continue;
        const status = this.#isCut[i] === 0 ? cells.status[i]! : this.#sendPieces(i, socket);
        if (status !== PACKET_OK)
          context.count(status === PACKET_TOO_BIG ? Drop.sendTooBig : Drop.sendFailed);
      }
    }
    cells.count = 0;
    this.#end = 0;
  }

  /**
   * Sends packet `i` in fragments of what the path takes; those of IPv6 of what every path takes (RFC 8200 section 5).
   * @returns PACKET_OK when all of them have left
   */
  #sendPieces(i: number, socket: number): number {
    const cells = this.#cells;
    this.#pieces ??= createPacketBatch(CAPACITY, WHOLE_PACKET_MAX);
    const pieces = this.#pieces;
    const at = cells.offset[i]!;
    const front = cells.frame[i]!;
    const payload = cells.length[i]! - front;
    const base = slotOffset(this.#context.table, cells.slot[i]!);
    const isV4 = cells.bytes[at]! >>> 4 === 4;
    const place = this.#cutAt;
    place.offset = front;
    place.nextHeaderAt = isV4 ? 0 : lastNextHeader(cells.bytes.subarray(at, at + front), front);
    const step = isV4
      ? fragmentPayload(this.#longest(base), front)
      : ipv6FragmentPayload(PATH_MTU_MIN[6], place);
    if (step === 0) return PACKET_TOO_BIG;
    // The end of the ICV, which nobody else can know (RFC 7739).
    const icvLength = this.#context.table.u32[(base + Slot.ICV_LENGTH) >> 2]!;
    const id = cells.view.getUint32(at + front + AH_FIXED_LENGTH + icvLength - 4);
    let status: number = PACKET_OK;
    for (let start = 0; start < payload; start += step) {
      const octets = Math.min(step, payload - start);
      const isLast = start + octets === payload;
      const k = pieces.count++;
      const to = k * pieces.stride;
      pieces.offset[k] = to;
      pieces.endpoint[k] = cells.endpoint[i]!;
      pieces.tos[k] = cells.tos[i]!;
      pieces.status[k] = PACKET_OK;
      pieces.length[k] = isV4
        ? writeIpv4Fragment(pieces.bytes, to, cells.bytes, at, start, octets, isLast)
        : writeIpv6Fragment(pieces.bytes, to, cells.bytes, at, place, id, start, octets, isLast);
      if (isLast || pieces.count === CAPACITY) status = this.#flushPieces(pieces, socket, status);
    }
    return status;
  }

  #flushPieces(pieces: CellBatch, socket: number, before: number): number {
    this.#context.io.send(socket, pieces);
    let status = before;
    for (let k = 0; k < pieces.count; k++) if (pieces.status[k] !== PACKET_OK) status = pieces.status[k]!;
    pieces.count = 0;
    return status;
  }

  /** Octets of the longest packet that the way takes whole. */
  #longest(base: number): number {
    return Math.min(this.#context.table.u32[(base + Slot.PATH_MTU) >> 2]!, WHOLE_PACKET_MAX);
  }

  /** IP header, AH, and what follows, with mutable fields as the integrity check sees them. */
  #place(
    packet: Uint8Array,
    segment: number,
    strip: number,
    nextHeader: number,
    fields: PacketFields,
    slot: number,
    endpoint: { readonly index: number; readonly at: number },
    socket: number,
  ): void {
    const { table } = this.#context;
    const cells = this.#cells;
    const i = cells.count;
    const base = slotOffset(table, slot);
    const at = this.#end;
    const family = table.bytes[endpoint.at + EndpointRecord.FAMILY]!;
    const ahLength = ahHeaderLength(table.u32[(base + Slot.ICV_LENGTH) >> 2]!, family);
    const isTransport = strip > 0;
    const front = isTransport ? strip : outerHeaders(family, false);
    const payload = packet.subarray(strip);
    const length = front + ahLength + payload.length;
    const isCut = length > this.#longest(base);
    if (isTransport) this.#keepHeader(packet, segment, front, length, at, isCut);
    else this.#writeHeader(fields, base, endpoint.at, length, at, isCut);
    const next = isTransport ? nextHeader : fields.family === 4 ? IpProtocol.IPV4 : IpProtocol.IPV6;
    writeAhHeader(cells.bytes, at + front, ahLength, next, table.u32[(base + Slot.SPI) >> 2]!);
    cells.bytes.set(payload, at + front + ahLength);
    cells.offset[i] = at;
    cells.length[i] = length;
    cells.slot[i] = slot;
    cells.endpoint[i] = endpoint.index;
    cells.frame[i] = front;
    cells.tos[i] = family === 4 ? cells.bytes[at + 1]! : fields.tos;
    this.#socket[i] = socket;
    this.#headers.set(cells.bytes.subarray(at, at + front), i * HEADERS_MAX);
    const isMasked = family === 4 ? maskIpv4(cells.bytes, at) : maskIpv6(cells.bytes, at, at + front);
    this.#isCut[i] = isCut ? 1 : 0;
    if (isMasked) {
      cells.count++;
      this.#end = behindAh(at + length);
    } else this.#context.dropOutbound(Drop.malformedPacket, 1, packet, 0, packet.length);
  }

  /** Transport mode: the packet's own headers, which name AH [AH-10]. */
  #keepHeader(
    packet: Uint8Array,
    segment: number,
    front: number,
    length: number,
    at: number,
    isCut: boolean,
  ): void {
    const { bytes } = this.#cells;
    bytes.set(packet.subarray(0, front), at);
    if (packet[0]! >>> 4 === 4) {
      bytes[at + 9] = IpProtocol.AH;
      const own = (ipv4Identification(packet, 0) + segment) & 0xffff;
      setIpv4Length(
        bytes,
        at,
        length,
        own === 0 && (isCut || !hasDf(packet)) ? this.#nextIdentification() : own,
      );
      return;
    }
    // The last of the headers in front, or the fixed one.
    bytes[at + lastNextHeader(packet, front)] = IpProtocol.AH;
    setIpv6PayloadLength(bytes, at, length - IPV6_HEADER_LENGTH);
  }

  /** Tunnel mode: a header of our own, all of it protected but what routers change [AH-13]. */
  #writeHeader(
    fields: PacketFields,
    base: number,
    endpoint: number,
    length: number,
    at: number,
    isCut: boolean,
  ): void {
    const { u32, bytes: from } = this.#context.table;
    const { bytes } = this.#cells;
    const isV4 = from[endpoint + EndpointRecord.FAMILY] === 4;
    const octets = isV4 ? 4 : 16;
    const [source, destination] = isV4 ? [IPV4_SOURCE, IPV4_DESTINATION] : [IPV6_SOURCE, IPV6_DESTINATION];
    for (let octet = 0; octet < octets; octet++) {
      bytes[at + source! + octet] = from[endpoint + EndpointRecord.LOCAL_ADDRESS + octet]!;
      bytes[at + destination! + octet] = from[endpoint + EndpointRecord.REMOTE_ADDRESS + octet]!;
    }
    const tos = outerTos(fields.tos, u32[(base + Slot.DSCP) >> 2]!, u32[(base + Slot.ECN) >> 2]!);
    if (!isV4) {
      writeIpv6Header(bytes, at, length - IPV6_HEADER_LENGTH, IpProtocol.AH, tos, HOP_LIMIT);
      return;
    }
    writeIpv4Header(bytes, at, length, IpProtocol.AH, tos, HOP_LIMIT);
    if (isCut || !outerDf(fields.dontFragment, u32[(base + Slot.DF) >> 2]!))
      clearIpv4DontFragment(bytes, at, this.#nextIdentification());
  }

  /** Not 0, which is for the system to fill in: the ICV would not cover that. */
  #nextIdentification(): number {
    const next = this.#identification + 1;
    this.#identification = identificationAfter(this.#identification, this.#context.table.size.lanes);
    return next;
  }

  /** Puts the ICV into AH and the header as it travels in front again; counts what the engine refused. */
  #finish(i: number): boolean {
    const context = this.#context;
    const { table } = context;
    const cells = this.#cells;
    const slot = cells.slot[i]!;
    const base = slotOffset(table, slot);
    if (cells.status[i] === PACKET_SEQUENCE_EXHAUSTED) {
      context.count(Drop.sequenceExhausted);
      context.raise("hardLimit", slot, "sequenceNumbers");
      return false;
    }
    if (cells.status[i] !== PACKET_OK) {
      context.count(Drop.sealFailed);
      return false;
    }
    const at = cells.offset[i]!;
    const front = cells.frame[i]!;
    const end = at + cells.length[i]!;
    const icvLength = table.u32[(base + Slot.ICV_LENGTH) >> 2]!;
    cells.bytes.copyWithin(at + front + AH_FIXED_LENGTH, end, end + icvLength);
    cells.bytes.set(this.#headers.subarray(i * HEADERS_MAX, i * HEADERS_MAX + front), at);
    if (readUint64(table, base + Slot.SEQUENCE) >= table.f64[(base + Slot.SOFT_SEQUENCE) >> 3]!)
      context.raise("softLimit", slot, "sequenceNumbers");
    return true;
  }

  #drop(reason: number, frames: FrameBatch, i: number): number {
    this.#context.dropFrame(reason, frames, i);
    return AH_TAKEN;
  }
}

const NOWHERE = 0xff;

/** The packets that a frame stands for. */
function packetsOf(frames: FrameBatch, i: number): readonly Uint8Array[] {
  const start = frames.offset[i]!;
  const bytes = frames.bytes.subarray(start, start + frames.length[i]!);
  if (frames.kind[i] === FRAME_PLAIN) return [bytes];
  const headers = superpacketHeaders(bytes, 0, bytes.length, frames.kind[i]!);
  if (headers === undefined) return [];
  // The identification is set where the header is.
  return Array.from({ length: frames.segments[i]! }, (_, k) =>
    cutSegment(bytes, headers, frames.segmentLength[i]!, k),
  );
}

function hasDf(packet: Uint8Array): boolean {
  return (packet[6]! & 0x40) !== 0;
}

function lastNextHeader(packet: Uint8Array, front: number): number {
  let header = 6;
  for (let at = IPV6_HEADER_LENGTH; at < front; ) {
    const length = packet[header] === IpProtocol.FRAGMENT ? 8 : 8 + packet[at + 1]! * 8;
    header = at;
    at += length;
  }
  return header;
}
