/** AH packets that arrive: SA, window, ICV over what routers do not change, then what is inside (RFC 4302 section 3.4). */
import type { Instant } from "../base/instant.ts";
import {
  DATAGRAM_META_STRIDE,
  META_FAMILY,
  META_HEADER_LENGTH,
  META_LOCAL_ADDRESS,
  META_REMOTE_ADDRESS,
  PACKET_NOT_AUTHENTIC,
  PACKET_NOT_SENT,
  PACKET_OK,
  type PacketBatch,
} from "../base/packet-batch.ts";
import { integIvLength } from "../crypto/integ.ts";
import { checkReplay, REPLAY_DUPLICATE, REPLAY_OK, updateReplay } from "../esp/anti-replay.ts";
import { countPackets, mayCarry, reachedHard, reachedSoft } from "../esp/lifetime.ts";
import { guessSequenceHigh, SEQUENCE_HIGH_UNKNOWN, wholeSequenceNumber } from "../esp/sequence-number.ts";
import { SaMode, Slot } from "../policy/sa-table.ts";
import { AWAITED_SLOT, findBySpi, slotOffset } from "../policy/sad.ts";
import {
  AH_FIXED_LENGTH,
  ahHeaderLength,
  ahNextHeader,
  ahReceivedLength,
  ahSequence,
  ahSpi,
} from "../wire/ah/ah-header.ts";
import { maskIpv4, maskIpv6 } from "../wire/ah/mutable-fields.ts";
import { innerPacketLength } from "../wire/esp/esp-packet.ts";
import { IPV4_HEADER_LENGTH, setIpv4Protocol } from "../wire/ip/ipv4.ts";
import { IPV6_DESTINATION, IPV6_HEADER_LENGTH, IPV6_SOURCE, writeIpv6Header } from "../wire/ip/ipv6.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { AH_PACKET_MAX, behindAh, createAhCells, hasRoomForAh } from "./ah-cells.ts";
import { Drop } from "./drop-reason.ts";
import { ACCEPTED, type InnerPackets } from "./inner-packets.ts";
import { type LaneContext, NO_DEVICE } from "./lane-context.ts";
import type { SocketIndex } from "./packet-io.ts";

const CAPACITY = 64;
const HEADERS_MAX = 64;
/** IPv6 does not show it, and the ICV does not cover it. */
const HOP_LIMIT = 64;
const NOWHERE = 0xff;

export class AhInbound {
  readonly #context: LaneContext;
  readonly #inner: InnerPackets;
  readonly #wait: (socket: SocketIndex, i: number, spi: number, now: Instant) => boolean;
  readonly #cells = createAhCells(CAPACITY);
  /** Octet where each of them begins, and where there is room behind them. */
  readonly #at = new Uint32Array(CAPACITY);
  #end = 0;
  readonly #headers = new Uint8Array(CAPACITY * HEADERS_MAX);
  /** Where each was received: its batch, and which of it. */
  #batch: PacketBatch | undefined;
  readonly #datagram = new Uint32Array(CAPACITY);
  readonly #slot = new Uint32Array(CAPACITY);
  readonly #sequence = new Float64Array(CAPACITY);
  readonly #start = new Uint32Array(CAPACITY);
  readonly #length = new Uint32Array(CAPACITY);
  readonly #device = new Uint8Array(CAPACITY);

  /** @param wait - keeps a datagram until the SA with its SPI is there; false when it cannot */
  constructor(
    context: LaneContext,
    inner: InnerPackets,
    wait: (socket: SocketIndex, i: number, spi: number, now: Instant) => boolean,
  ) {
    this.#context = context;
    this.#inner = inner;
    this.#wait = wait;
  }

  /** Finds the SA of datagram `i` and asks its window; it is verified with the next {@link flush} [AH-12]. */
  admit(socket: SocketIndex, batch: PacketBatch, i: number, now: Instant): void {
    const reason = this.#admit(socket, batch, i, now);
    if (reason === ACCEPTED) return;
    this.#context.dropDatagram(reason, batch, i);
    if (batch.length[i]! < AH_FIXED_LENGTH) return;
    const spi = ahSpi(batch.bytes, batch.offset[i]!);
    this.#context.noteDatagram(reason, batch, i, IpProtocol.AH, spi, reason !== Drop.unknownSpi);
  }

  #admit(socket: SocketIndex, batch: PacketBatch, i: number, now: Instant): number {
    const context = this.#context;
    const { table } = context;
    const { u32 } = table;
    const at = batch.offset[i]!;
    const length = batch.length[i]!;
    if (length < AH_FIXED_LENGTH) return Drop.shortDatagram;
    const spi = ahSpi(batch.bytes, at);
    const slot = findBySpi(table, spi);
    if (slot === AWAITED_SLOT && this.#wait(socket, i, spi, now)) return ACCEPTED;
    const base = slot < 0 ? 0 : slotOffset(table, slot);
    if (slot < 0 || u32[(base + Slot.PROTOCOL) >> 2] !== IpProtocol.AH) return Drop.unknownSpi;
    const owner = u32[(base + Slot.OWNER_LANE) >> 2]!;
    if (owner !== context.index)
      return context.giveDatagram(owner, batch, i, socket) ? ACCEPTED : context.reasonNotGiven();
    const family = batch.meta[i * DATAGRAM_META_STRIDE + META_FAMILY]!;
    const ahLength = ahReceivedLength(batch.bytes, at);
    const icvLength = u32[(base + Slot.ICV_LENGTH) >> 2]!;
    // Some pad to eight octets over IPv4 too; the ICV covers whatever the padding is [AH-08].
    const isKnown =
      ahLength === ahHeaderLength(icvLength, family) || ahLength === ahHeaderLength(icvLength, 6);
    if (!isKnown || length < ahLength) return Drop.badAhLength;
    const low = ahSequence(batch.bytes, at);
    let high = 0;
    if (u32[(base + Slot.ESN) >> 2] === 1) {
      const highest = table.f64[(base + Slot.REPLAY_HIGHEST) >> 3]!;
      high = guessSequenceHigh(highest, low, u32[(base + Slot.REPLAY_WINDOW) >> 2]!);
      if (high === SEQUENCE_HIGH_UNKNOWN) return Drop.leftOfWindow;
    }
    const sequence = wholeSequenceNumber(high, low);
    const verdict = checkReplay(table, base, sequence);
    if (verdict !== REPLAY_OK) return verdict === REPLAY_DUPLICATE ? Drop.replayed : Drop.leftOfWindow;
    if (this.#cells.count === CAPACITY || !hasRoomForAh(this.#end)) this.flush(now);
    if (!this.#place(batch, i, base)) return Drop.badAhLength;
    const cell = this.#cells.count++;
    this.#batch = batch;
    this.#datagram[cell] = i;
    this.#slot[cell] = slot;
    this.#sequence[cell] = sequence;
    this.#cells.slot[cell] = slot;
    this.#cells.sequenceHigh[cell] = high;
    this.#cells.tos[cell] = batch.tos[i]!;
    return ACCEPTED;
  }

  /** Verifies and delivers what was admitted. */
  flush(now: Instant): void {
    const cells = this.#cells;
    const context = this.#context;
    if (cells.count === 0) return;
    context.engine.open(cells);
    let devices = 0;
    for (let i = 0; i < cells.count; i++) {
      this.#device[i] = NOWHERE;
      const reason = this.#accept(i, now);
      if (reason !== ACCEPTED) {
        context.dropDatagram(reason, this.#batch ?? cells, this.#datagram[i]!);
        continue;
      }
      const device = this.#inner.deviceOf(this.#slot[i]!);
      if (device === NO_DEVICE) continue;
      this.#device[i] = device;
      devices |= 1 << device;
    }
    for (let device = 0; devices >>> device !== 0; device++) {
      if (((devices >>> device) & 1) === 0) continue;
      for (let i = 0; i < cells.count; i++)
        cells.status[i] = this.#device[i] === device ? PACKET_OK : PACKET_NOT_SENT;
      context.io.writeTun(device, cells);
      for (let i = 0; i < cells.count; i++)
        if (this.#device[i] === device && cells.status[i] !== PACKET_OK) context.count(Drop.tunRefused);
    }
    cells.count = 0;
    this.#end = 0;
  }

  /** The packet as the integrity check sees it, and its ICV behind it, in the next cell. */
  #place(batch: PacketBatch, i: number, base: number): boolean {
    const cells = this.#cells;
    const cell = cells.count;
    const at = this.#end;
    const datagram = batch.offset[i]!;
    const length = batch.length[i]!;
    const meta = i * DATAGRAM_META_STRIDE;
    const isV4 = batch.meta[meta + META_FAMILY] === 4;
    const front = isV4 ? batch.meta[meta + META_HEADER_LENGTH]! : IPV6_HEADER_LENGTH;
    if ((isV4 && front < IPV4_HEADER_LENGTH) || front + length > AH_PACKET_MAX) return false;
    if (isV4) cells.bytes.set(batch.bytes.subarray(datagram - front, datagram), at);
    else {
      // Headers in front of AH are not shown: a packet that has some is not authentic.
      for (let octet = 0; octet < 16; octet++) {
        cells.bytes[at + IPV6_SOURCE + octet] = batch.meta[meta + META_REMOTE_ADDRESS + octet]!;
        cells.bytes[at + IPV6_DESTINATION + octet] = batch.meta[meta + META_LOCAL_ADDRESS + octet]!;
      }
      writeIpv6Header(cells.bytes, at, length, IpProtocol.AH, batch.tos[i]!, HOP_LIMIT);
    }
    cells.bytes.set(batch.bytes.subarray(datagram, datagram + length), at + front);
    this.#headers.set(cells.bytes.subarray(at, at + front), cell * HEADERS_MAX);
    if (!(isV4 ? maskIpv4(cells.bytes, at) : maskIpv6(cells.bytes, at, at + front))) return false;
    const { u32 } = this.#context.table;
    const icvLength = u32[(base + Slot.ICV_LENGTH) >> 2]!;
    const ivLength = integIvLength(u32[(base + Slot.INTEG) >> 2]!);
    const icv = at + front + AH_FIXED_LENGTH;
    const end = at + front + length;
    cells.bytes.copyWithin(end, icv, icv + icvLength);
    // [AH-17] the check value counts as zero, the IV in front of it as what it is.
    cells.bytes.fill(0, icv + ivLength, icv + icvLength);
    this.#start[cell] = front;
    this.#length[cell] = front + length;
    cells.offset[cell] = at;
    this.#at[cell] = at;
    this.#end = behindAh(end);
    cells.length[cell] = front + length + icvLength;
    return true;
  }

  /** ACCEPTED when the cell holds a packet to deliver, else the reason to drop it. */
  #accept(i: number, now: Instant): number {
    const context = this.#context;
    const { table } = context;
    const cells = this.#cells;
    const slot = this.#slot[i]!;
    const base = slotOffset(table, slot);
    if (cells.status[i] !== PACKET_OK)
      return cells.status[i] === PACKET_NOT_AUTHENTIC ? Drop.notAuthentic : Drop.openFailed;
    const verdict = updateReplay(table, base, this.#sequence[i]!);
    if (verdict !== REPLAY_OK) return verdict === REPLAY_DUPLICATE ? Drop.replayed : Drop.leftOfWindow;
    const octets = this.#length[i]!;
    if (!mayCarry(table, base, octets)) {
      context.raise("hardLimit", slot, reachedHard(table, base));
      return Drop.inboundExpired;
    }
    if (countPackets(table, base, octets, now)) context.raise("softLimit", slot, reachedSoft(table, base));
    const isTransport = table.u32[(base + Slot.MODE) >> 2] === SaMode.TRANSPORT;
    return isTransport ? this.#takeOut(i, slot, now) : this.#unwrap(i, slot, now);
  }

  /** Transport mode: the header that came, in front of what AH protected. */
  #takeOut(i: number, slot: number, now: Instant): number {
    const cells = this.#cells;
    const front = this.#start[i]!;
    const at = this.#at[i]!;
    const ah = at + front;
    const ahLength = ahReceivedLength(cells.bytes, ah);
    const nextHeader = ahNextHeader(cells.bytes, ah);
    const start = at + ahLength;
    const length = this.#length[i]! - ahLength;
    cells.bytes.set(this.#headers.subarray(i * HEADERS_MAX, i * HEADERS_MAX + front), start);
    if (cells.bytes[start]! >>> 4 === 4) setIpv4Protocol(cells.bytes, start, nextHeader, length);
    else
      writeIpv6Header(cells.bytes, start, length - IPV6_HEADER_LENGTH, nextHeader, cells.tos[i]!, HOP_LIMIT);
    cells.offset[i] = start;
    cells.length[i] = length;
    return this.#inner.check(cells, start, length, slot, cells.tos[i]!, now);
  }

  #unwrap(i: number, slot: number, now: Instant): number {
    const cells = this.#cells;
    const ah = this.#at[i]! + this.#start[i]!;
    const nextHeader = ahNextHeader(cells.bytes, ah);
    if (nextHeader !== IpProtocol.IPV4 && nextHeader !== IpProtocol.IPV6) return Drop.badNextHeader;
    const start = ah + ahReceivedLength(cells.bytes, ah);
    const room = this.#at[i]! + this.#length[i]! - start;
    const length = innerPacketLength(cells.bytes, start, room, nextHeader);
    if (length < 0) return Drop.malformedInner;
    cells.offset[i] = start;
    cells.length[i] = length;
    return this.#inner.check(cells, start, length, slot, cells.tos[i]!, now);
  }
}
