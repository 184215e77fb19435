/** From the wire to a TUN device: SPI, replay, open, selectors, ECN (RFC 4301 section 5.2, RFC 4303 section 3.4). */
import { earlier, type Instant, Instant as instant } from "../base/instant.ts";
import type { IpAddress } from "../base/ip-address.ts";
import {
  DATAGRAM_META_STRIDE,
  META_FAMILY,
  META_REMOTE_ADDRESS,
  META_REMOTE_PORT,
  NO_ORIGIN,
  PACKET_BAD_LENGTH,
  PACKET_NOT_AUTHENTIC,
  PACKET_NOT_SENT,
  PACKET_OK,
  type PacketBatch,
} from "../base/packet-batch.ts";
import { SPI_MIN } from "../base/spi.ts";
import {
  checkReplay,
  REPLAY_DUPLICATE,
  REPLAY_OK,
  updateReplay,
  updateReplayRun,
} from "../esp/anti-replay.ts";
import { countPackets, mayCarry, reachedHard, reachedSoft } from "../esp/lifetime.ts";
import { guessSequenceHigh, SEQUENCE_HIGH_UNKNOWN, wholeSequenceNumber } from "../esp/sequence-number.ts";
import { endpointOffset } from "../policy/endpoint-record.ts";
import { EndpointRecord, Slot } from "../policy/sa-table.ts";
import { AWAITED_SLOT, findBySpi, slotOffset } from "../policy/sad.ts";
import { ESP_HEADER_LENGTH, ESP_PACKET_LENGTH_MIN, espSequence, espSpi } from "../wire/esp/esp-packet.ts";
import {
  classifyNatDatagram,
  NAT_KEEPALIVE,
  NatDatagram,
  NON_ESP_MARKER_LENGTH,
} from "../wire/esp/udp-encapsulation.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { AggfragInbound } from "./aggfrag-inbound.ts";
import { AhInbound } from "./ah-inbound.ts";
import { DROP_REASONS, Drop } from "./drop-reason.ts";
import { EARLY_PACKET_AGE_MAX_MS, EARLY_PACKETS_MAX, EarlyPackets } from "./early-packets.ts";
import { EsnRecovery, NOT_RECOVERED } from "./esn-recovery.ts";
import type { HandOver } from "./hand-over.ts";
import { IkeGate } from "./ike-gate.ts";
import { InboundSa } from "./inbound-sa.ts";
import { ACCEPTED, InnerPackets } from "./inner-packets.ts";
import { type LaneContext, localOf, NO_DEVICE, remoteOf, SKIP_SLOT } from "./lane-context.ts";
import { TAKEN, unwrapPacket, unwrapPayload } from "./next-header.ts";
import type { SocketIndex } from "./packet-io.ts";
import { RebuiltPackets } from "./rebuilt-packets.ts";
import { TokenBucket } from "./token-bucket.ts";

/** No packet has it. */
const NO_SPI = -1;
/** In place of a device: the packet goes nowhere. */
const DROPPED = 0xff;
/** Samples of refused packets for the audit trail (RFC 4303 section 4). */
const AUDITS_PER_SECOND = 5;
export const AUDITS_BURST = 10;
/** A peer that moved is reported once, and again when nobody has followed it for so long. */
export const PEER_MOVED_INTERVAL_MS = 250;

export class Inbound {
  readonly #context: LaneContext;
  readonly #batch: PacketBatch;
  readonly #takeAnswers: (now: Instant) => void;
  readonly #gate: IkeGate;
  readonly #recovery: EsnRecovery;
  readonly #inner: InnerPackets;
  readonly #aggfrag: AggfragInbound;
  /** Made for the first packet with AH. */
  #ah: AhInbound | undefined;
  /** Made for the first packet that comes before its SA. */
  #early: EarlyPackets | undefined;
  readonly #since = new Float64Array(EARLY_PACKETS_MAX);
  /** Since when what is sorted at the moment has waited for its SA; absent: it has just come. */
  #waitedSince: number | undefined;
  /** Made for the first packet in transport mode. */
  #rebuilt: RebuiltPackets | undefined;
  /** SA of each packet that was given to the engine, or {@link SKIP_SLOT}. */
  readonly #slot: Uint32Array;
  /** Whole sequence numbers. */
  readonly #sequence: Float64Array;
  /** TUN device of each packet, or {@link DROPPED}. */
  readonly #device: Uint8Array;
  readonly #audits = new TokenBucket(AUDITS_PER_SECOND, AUDITS_BURST);
  readonly #movedAt: Float64Array;
  /** The SPI that was found last in this turn to be of an SA of this lane, or {@link NO_SPI}; {@link #lastSa} is that SA. */
  #lastSpi = NO_SPI;
  readonly #lastSa = new InboundSa();
  /** The SA of the packet that was opened last. */
  readonly #openedSa = new InboundSa();
  /** Where datagrams came from, in words: four of address, and half words. */
  readonly #metaWords: Uint32Array;
  readonly #metaHalves: Uint16Array;
  /** Of datagrams that other lanes have received: socket, and how often they were handed over. */
  readonly #socket: Uint8Array;
  readonly #hops: Uint8Array;

  /** @param takeAnswers - reads the TUN devices and sends what was in them; called while a long batch is being delivered */
  constructor(context: LaneContext, batch: PacketBatch, takeAnswers: (now: Instant) => void) {
    this.#context = context;
    this.#takeAnswers = takeAnswers;
    this.#recovery = new EsnRecovery(context);
    this.#batch = batch;
    this.#gate = new IkeGate(context);
    this.#inner = new InnerPackets(context);
    this.#aggfrag = new AggfragInbound(context, this.#inner);
    const { buffer, byteOffset, byteLength } = batch.meta;
    this.#metaWords = new Uint32Array(buffer, byteOffset, byteLength / 4);
    this.#metaHalves = new Uint16Array(buffer, byteOffset, byteLength / 2);
    this.#slot = new Uint32Array(batch.capacity);
    this.#sequence = new Float64Array(batch.capacity);
    this.#device = new Uint8Array(batch.capacity);
    this.#socket = new Uint8Array(batch.capacity);
    this.#hops = new Uint8Array(batch.capacity);
    this.#movedAt = new Float64Array(context.table.size.slots).fill(Number.NEGATIVE_INFINITY);
  }

  setPeers(addresses: readonly IpAddress[]): void {
    this.#gate.setPeers(addresses);
  }

  /** Handles what other lanes have for this one, then one batch of each socket; returns the datagrams handled. */
  turn(now: Instant): number {
    const batch = this.#batch;
    const { io, handOver } = this.#context;
    this.#lastSpi = NO_SPI;
    this.#openedSa.forget();
    this.#inner.begin();
    this.#aggfrag.begin(now);
    let handled = this.#turnEarly(now);
    if (handOver !== undefined) handled += this.#turnHandedOver(handOver, now);
    for (let socket = 0; socket < io.sockets.length; socket++) {
      const { role, sendsOnly } = io.sockets[socket]!;
      if (sendsOnly === true) continue;
      batch.count = 0;
      io.receive(socket, batch);
      if (batch.count === 0) continue;
      handled += batch.count;
      let admitted = 0;
      this.#recovery.begin();
      const mayBeKnown = role === "nat" || role === "esp";
      for (let i = 0; i < batch.count; i++)
        if (mayBeKnown && this.#isOfLastSa(i) ? this.#admit(i, now) : this.#sort(socket, i, now)) admitted++;
      this.#ah?.flush(now);
      handOver?.wakeOthers();
      if (admitted > 0) this.#openAndDeliver(now);
    }
    this.#inner.releaseEarly(now);
    return handled;
  }

  /** Round trips are measured. */
  get isTimed(): boolean {
    return !this.#aggfrag.isIdle;
  }

  nextTimeout(): Instant | undefined {
    const held = earlier(this.#early?.nextExpiry(), this.#inner.nextTimeout());
    if (this.#aggfrag.isIdle) return held;
    const next = this.#aggfrag.nextTimeout();
    return next === Number.POSITIVE_INFINITY ? held : earlier(instant(next), held);
  }

  /** What has waited for SAs, once some of them are there, or will not come any more [CHILD-30]. */
  #turnEarly(now: Instant): number {
    const early = this.#early;
    if (early === undefined || !this.#isEarlyDue(early, now)) return 0;
    const batch = this.#batch;
    early.takeAll(batch, this.#socket, this.#since);
    let admitted = 0;
    this.#recovery.begin();
    for (let i = 0; i < batch.count; i++) {
      this.#waitedSince = this.#since[i]!;
      if (this.#sort(this.#socket[i]!, i, now)) admitted++;
    }
    this.#waitedSince = undefined;
    this.#ah?.flush(now);
    this.#context.handOver?.wakeOthers();
    if (admitted > 0) this.#openAndDeliver(now);
    return batch.count;
  }

  #isEarlyDue(early: EarlyPackets, now: Instant): boolean {
    const { isChanged, table } = this.#context;
    const expiry = early.nextExpiry();
    if (expiry === undefined || now >= expiry) return expiry !== undefined;
    for (let position = 0; isChanged && position < early.count; position++)
      if (findBySpi(table, early.spiAt(position)) !== AWAITED_SLOT) return true;
    return false;
  }

  /** Whether datagram `i` waits for the SA with its SPI, which is being negotiated. */
  #await(socket: SocketIndex, i: number, spi: number, now: Instant): boolean {
    const since = this.#waitedSince ?? now;
    if (now - since >= EARLY_PACKET_AGE_MAX_MS) return false;
    this.#early ??= new EarlyPackets();
    if (!this.#early.hold(socket, this.#batch, i, spi, since)) return false;
    if (this.#waitedSince === undefined) this.#context.count(Drop.saAwaited);
    return true;
  }

  /** They are older than what waits at the sockets. */
  #turnHandedOver(handOver: HandOver, now: Instant): number {
    const batch = this.#batch;
    let handled = 0;
    for (let lane = 0; lane < handOver.lanes; lane++) {
      handOver.takeDatagrams(lane, batch, this.#socket, this.#hops);
      if (batch.count === 0) continue;
      handled += batch.count;
      let admitted = 0;
      this.#recovery.begin();
      for (let i = 0; i < batch.count; i++) {
        handOver.hops = this.#hops[i]!;
        if (this.#sort(this.#socket[i]!, i, now)) admitted++;
      }
      handOver.hops = 0;
      this.#ah?.flush(now);
      if (admitted > 0) this.#openAndDeliver(now);
    }
    handOver.wakeOthers();
    return handled;
  }

  /** Most packets belong to the SA of the one before: nothing else begins with its SPI. */
  #isOfLastSa(i: number): boolean {
    const { length, view, offset } = this.#batch;
    return length[i]! >= ESP_PACKET_LENGTH_MIN && view.getUint32(offset[i]!) === this.#lastSpi;
  }

  /** Sends a datagram the way that its socket and first octets say; true when it is ESP that the engine should open. */
  #sort(socket: SocketIndex, i: number, now: Instant): boolean {
    const context = this.#context;
    const batch = this.#batch;
    const at = batch.offset[i]!;
    const length = batch.length[i]!;
    this.#skip(i);
    switch (context.io.sockets[socket]!.role) {
      case "ah":
        this.#ah ??= new AhInbound(context, this.#inner, (...of) => this.#await(...of));
        this.#ah.admit(socket, batch, i, now);
        return false;
      case "whole":
        return false;
      case "esp":
        // [NAT-03]
        return this.#find(socket, i, now) && this.#admit(i, now);
      case "ike":
        if (length === 1 && batch.bytes[at] === NAT_KEEPALIVE) context.count(Drop.keepalive);
        else this.#gate.pass(batch, i, 0, now);
        return false;
      case "nat":
        switch (classifyNatDatagram(batch.bytes, at, length)) {
          case NatDatagram.ESP:
            return this.#find(socket, i, now) && this.#admit(i, now);
          case NatDatagram.IKE:
            // [NAT-04]
            this.#gate.pass(batch, i, NON_ESP_MARKER_LENGTH, now);
            return false;
          case NatDatagram.KEEPALIVE:
            context.count(Drop.keepalive);
            return false;
          default:
            context.dropDatagram(
              length >= ESP_PACKET_LENGTH_MIN && espSpi(batch.bytes, at) !== 0
                ? Drop.reservedSpi
                : Drop.shortDatagram,
              batch,
              i,
            );
            return false;
        }
    }
  }

  #skip(i: number): void {
    this.#batch.slot[i] = SKIP_SLOT;
    this.#batch.sequenceHigh[i] = 0;
    this.#slot[i] = SKIP_SLOT;
    this.#device[i] = DROPPED;
  }

  /** Finds the SA of an ESP packet, which is then the last one; false when it is not for this lane to open. */
  #find(socket: SocketIndex, i: number, now: Instant): boolean {
    const context = this.#context;
    const batch = this.#batch;
    const { table } = context;
    const { u32 } = table;
    if (batch.length[i]! < ESP_PACKET_LENGTH_MIN) return this.#refuse(i, Drop.shortDatagram, now);
    const spi = espSpi(batch.bytes, batch.offset[i]!);
    if (spi < SPI_MIN) return this.#refuse(i, Drop.reservedSpi, now);
    const slot = findBySpi(table, spi);
    if (slot === AWAITED_SLOT && this.#await(socket, i, spi, now)) return false;
    // [ESP-15]
    if (slot < 0) return this.#refuseEsp(i, Drop.unknownSpi, spi, false, now);
    const base = slotOffset(table, slot);
    // [SPD-06] an SA is its SPI's and its protocol's.
    if (u32[(base + Slot.PROTOCOL) >> 2] !== IpProtocol.ESP)
      return this.#refuseEsp(i, Drop.unknownSpi, spi, false, now);
    const owner = u32[(base + Slot.OWNER_LANE) >> 2]!;
    if (owner !== context.index) {
      if (context.giveDatagram(owner, batch, i, socket)) return false;
      return this.#refuseEsp(i, context.reasonNotGiven(), spi, true, now);
    }
    this.#lastSpi = spi;
    this.#lastSa.read(table, slot);
    return true;
  }

  /** Asks the window of the last SA about a packet of it; nothing changes before the integrity check [ESP-05]. */
  #admit(i: number, now: Instant): boolean {
    const { table } = this.#context;
    const batch = this.#batch;
    const { base, slot, around, blockMask, isEsn } = this.#lastSa;
    const length = batch.length[i]!;
    const sealed = length - around;
    if (sealed <= 0 || (sealed & blockMask) !== 0) return this.#refuseUnread(i, Drop.badEspLength, now);
    const low = batch.view.getUint32(batch.offset[i]! + 4);
    let high = 0;
    if (isEsn) {
      const highest = table.f64[(base + Slot.REPLAY_HIGHEST) >> 3]!;
      high = guessSequenceHigh(highest, low, table.u32[(base + Slot.REPLAY_WINDOW) >> 2]!);
      if (high === SEQUENCE_HIGH_UNKNOWN) return this.#refuseUnread(i, Drop.leftOfWindow, now);
    }
    const sequence = wholeSequenceNumber(high, low);
    const verdict = checkReplay(table, base, sequence);
    if (verdict !== REPLAY_OK)
      return this.#refuseUnread(i, verdict === REPLAY_DUPLICATE ? Drop.replayed : Drop.leftOfWindow, now);
    this.#sequence[i] = sequence;
    this.#slot[i] = slot;
    this.#device[i] = DROPPED;
    batch.slot[i] = slot;
    batch.sequenceHigh[i] = high;
    if (isEsn && this.#recovery.isInDoubt(slot)) this.#recovery.keep(batch, i, slot, high, now);
    return true;
  }

  #refuseUnread(i: number, reason: number, now: Instant): false {
    this.#skip(i);
    return this.#refuseEsp(i, reason, this.#lastSpi, true, now);
  }

  #openAndDeliver(now: Instant): void {
    const batch = this.#batch;
    this.#context.engine.open(batch);
    let devices = 0;
    for (let i = 0; i < batch.count; ) {
      const slot = this.#slot[i]!;
      if (slot === SKIP_SLOT) {
        i++;
        continue;
      }
      if (slot !== this.#openedSa.slot) this.#openedSa.read(this.#context.table, slot);
      const end = this.#endOfRun(i, slot);
      if (end > i && this.#acceptRun(i, end, now)) {
        for (; i < end; i++)
          devices |= this.#deliverPlain(i, unwrapPacket(batch, i, slot, this.#inner, now), now);
        continue;
      }
      if (this.#accept(i, slot, now)) devices |= this.#deliver(i, slot);
      i++;
    }
    for (let device = 0; devices !== 0; device++, devices >>>= 1)
      if ((devices & 1) !== 0) this.#write(device, now);
    this.#aggfrag.flush();
    this.#rebuilt?.flush();
  }

  /** The bit of the device that packet `i`, which was judged by what is in it, goes to, or 0. */
  #deliverPlain(i: number, reason: number, now: Instant): number {
    if (reason === ACCEPTED) return this.#deliver(i, this.#openedSa.slot);
    this.#refuseInner(i, reason, now);
    return 0;
  }

  #deliver(i: number, slot: number): number {
    const device = this.#inner.deviceOf(slot);
    if (device === NO_DEVICE) {
      this.#context.tap?.dropDatagram(this.#inner.refusal, this.#batch, i);
      return 0;
    }
    if (this.#openedSa.isTransport) {
      this.#rebuilt?.deliver(device);
      return 0;
    }
    this.#device[i] = device;
    return 1 << device;
  }

  /**
   * Where the run that begins with packet `i` ends: authentic packets of one origin and one SA, each numbered one above the
   * one before, above all that were seen; `i` itself where there is none.
   */
  #endOfRun(i: number, slot: number): number {
    const { status, frame, count } = this.#batch;
    const origin = frame[i]!;
    const { base, isPlainTunnel } = this.#openedSa;
    let next = this.#sequence[i]!;
    const isNewest = next > this.#context.table.f64[(base + Slot.REPLAY_HIGHEST) >> 3]!;
    if (!isPlainTunnel || !isNewest || origin === NO_ORIGIN) return i;
    let end = i;
    while (
      end < count &&
      this.#slot[end] === slot &&
      this.#sequence[end] === next &&
      status[end] === PACKET_OK &&
      frame[end] === origin
    ) {
      end++;
      next++;
    }
    return end;
  }

  /** Moves the window and counts for all of a run at once; false, and nothing is done, when a limit may lie within it. */
  #acceptRun(i: number, end: number, now: Instant): boolean {
    const context = this.#context;
    const { table } = context;
    const { base, slot } = this.#openedSa;
    const { length } = this.#batch;
    const packets = end - i;
    let octets = 0;
    for (let k = i; k < end; k++) octets += length[k]!;
    if (!mayCarry(table, base, octets, packets)) return false;
    this.#recovery.succeeded(slot);
    updateReplayRun(table, base, this.#sequence[i]!, packets);
    this.#follow(end - 1, slot, base, now);
    if (countPackets(table, base, octets, now, packets))
      context.raise("softLimit", slot, reachedSoft(table, base));
    return true;
  }

  #write(device: number, now: Instant): void {
    const batch = this.#batch;
    for (let i = 0; i < batch.count; i++)
      batch.status[i] = this.#device[i] === device ? PACKET_OK : PACKET_NOT_SENT;
    for (let next = 0; next < batch.count; ) {
      next = this.#context.io.writeTunSome(device, batch, next);
      if (next < batch.count) this.#takeAnswers(now);
    }
    for (let i = 0; i < batch.count; i++)
      if (this.#device[i] === device && batch.status[i] !== PACKET_OK) this.#context.count(Drop.tunRefused);
  }

  /** Whether packet `i` came through its SA unharmed and unrepeated and may be delivered. */
  #accept(i: number, slot: number, now: Instant): boolean {
    const context = this.#context;
    const { table } = context;
    const batch = this.#batch;
    const base = slotOffset(table, slot);
    const status = batch.status[i];
    if (status === PACKET_OK) this.#recovery.succeeded(slot);
    else if (status !== PACKET_NOT_AUTHENTIC)
      return this.#refuseOpened(i, status === PACKET_BAD_LENGTH ? Drop.badEspLength : Drop.openFailed, now);
    else if (!this.#recover(i, slot)) return this.#refuseOpened(i, Drop.notAuthentic, now);
    const sequence = this.#sequence[i]!;
    const isNewest = sequence > table.f64[(base + Slot.REPLAY_HIGHEST) >> 3]!;
    const verdict = updateReplay(table, base, sequence);
    if (verdict !== REPLAY_OK)
      return this.#refuseOpened(i, verdict === REPLAY_DUPLICATE ? Drop.replayed : Drop.leftOfWindow, now);
    if (isNewest) this.#follow(i, slot, base, now);
    const octets = batch.length[i]!;
    if (!mayCarry(table, base, octets)) {
      context.raise("hardLimit", slot, reachedHard(table, base));
      return this.#refuseOpened(i, Drop.inboundExpired, now);
    }
    if (countPackets(table, base, octets, now)) context.raise("softLimit", slot, reachedSoft(table, base));
    const reason = this.#openedSa.isTransport
      ? this.#rebuild(i, slot, base, now)
      : unwrapPayload(batch, i, slot, this.#inner, this.#aggfrag, sequence, now);
    if (reason === ACCEPTED) return true;
    return reason === TAKEN ? false : this.#refuseInner(i, reason, now);
  }

  /** What is inside an authentic packet goes no further, or not yet; always false. */
  #refuseInner(i: number, reason: number, now: Instant): false {
    if (reason === Drop.dummy || reason === Drop.fragmentHeld) {
      this.#context.count(reason);
      return false;
    }
    const isUnread =
      reason === Drop.badPadding || reason === Drop.badNextHeader || reason === Drop.malformedInner;
    return isUnread ? this.#refuseOpened(i, reason, now) : this.#refuse(i, reason, now);
  }

  #rebuild(i: number, slot: number, base: number, now: Instant): number {
    const front = ESP_HEADER_LENGTH + this.#context.table.u32[(base + Slot.IV_LENGTH) >> 2]!;
    this.#rebuilt ??= new RebuiltPackets(this.#context);
    return this.#rebuilt.rebuild(this.#batch, i, front, slot, this.#inner, now);
  }

  /** Whether a packet that failed is authentic under another upper half of its number. */
  #recover(i: number, slot: number): boolean {
    const sequence = this.#recovery.failed(this.#batch, i, slot);
    if (sequence === NOT_RECOVERED) return false;
    this.#recovery.succeeded(slot);
    this.#sequence[i] = sequence;
    this.#context.count(Drop.resynchronised);
    return true;
  }

  /** Reports a peer whose newest authentic packet came from elsewhere [NAT-07]. */
  #follow(i: number, slot: number, base: number, now: Instant): void {
    const context = this.#context;
    const meta = i * DATAGRAM_META_STRIDE;
    const endpoint = endpointOffset(
      context.table,
      Atomics.load(context.table.u32, (base + Slot.ENDPOINT) >> 2),
    );
    if (!this.#hasMoved(meta, endpoint)) return;
    if (now - this.#movedAt[slot]! < PEER_MOVED_INTERVAL_MS) return;
    const isTaken = context.upcall({
      kind: "peerMoved",
      inboundSpi: context.inboundSpi(slot),
      local: localOf(this.#batch.meta, meta),
      remote: remoteOf(this.#batch.meta, meta),
    });
    if (isTaken) this.#movedAt[slot] = now;
  }

  /** A change between UDP and raw ESP alone is no move: both are accepted at any time [NAT-03]. */
  #hasMoved(meta: number, endpoint: number): boolean {
    const { bytes, u32 } = this.#context.table;
    const words = this.#metaWords;
    const family = this.#batch.meta[meta + META_FAMILY];
    const port = this.#metaHalves[(meta + META_REMOTE_PORT) >> 1]!;
    if ((port !== 0) !== (bytes[endpoint + EndpointRecord.ENCAPSULATION] === 1)) return false;
    if (family !== bytes[endpoint + EndpointRecord.FAMILY]) return true;
    const from = (meta + META_REMOTE_ADDRESS) >> 2;
    const known = (endpoint + EndpointRecord.REMOTE_ADDRESS) >> 2;
    const length = family === 4 ? 1 : 4;
    for (let word = 0; word < length; word++) if (words[from + word] !== u32[known + word]) return true;
    return port !== this.#context.memory.u16[(endpoint + EndpointRecord.REMOTE_PORT) >> 1];
  }

  /** What was given to the engine, as the ESP packet that it was. */
  #refuseOpened(i: number, reason: number, now: Instant): false {
    return this.#refuseEsp(i, reason, this.#context.inboundSpi(this.#slot[i]!), true, now);
  }

  #refuseEsp(i: number, reason: number, spi: number, hasSa: boolean, now: Instant): false {
    this.#context.noteDatagram(reason, this.#batch, i, IpProtocol.ESP, spi, hasSa);
    return this.#refuse(i, reason, now);
  }

  /** Counts the drop and, within the rate, leaves a sample of it; always false. */
  #refuse(i: number, reason: number, now: Instant): false {
    const context = this.#context;
    const batch = this.#batch;
    context.dropDatagram(reason, batch, i);
    if (!this.#audits.take(now)) return false;
    const meta = i * DATAGRAM_META_STRIDE;
    const at = batch.offset[i]!;
    const isWhole = this.#slot[i] === SKIP_SLOT && batch.length[i]! >= ESP_HEADER_LENGTH;
    context.upcall({
      kind: "audit",
      reason: DROP_REASONS[reason]!,
      spi: isWhole
        ? espSpi(batch.bytes, at)
        : this.#slot[i] === SKIP_SLOT
          ? 0
          : context.inboundSpi(this.#slot[i]!),
      sequenceNumber: isWhole ? espSequence(batch.bytes, at) : this.#sequence[i]!,
      local: localOf(batch.meta, meta),
      remote: remoteOf(batch.meta, meta),
    });
    return false;
  }
}
