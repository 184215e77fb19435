/** Which SA's rules a frame leaves by: MTU, limits, outer header (RFC 4301 section 5.1, RFC 4303 section 3.3). */
import type { FrameBatch } from "../base/frame-batch.ts";
import type { Instant } from "../base/instant.ts";
import { PACKET_OK } from "../base/packet-batch.ts";
import { outerDf } from "../esp/dont-fragment.ts";
import { outerTos } from "../esp/ecn.ts";
import { paddedLength } from "../esp/effective-mtu.ts";
import { countPackets, mayCarry, reachedHard, reachedSoft } from "../esp/lifetime.ts";
import { PATH_MTU_MIN } from "../esp/path-report.ts";
import { tfcLength } from "../esp/tfc-padding.ts";
import { endpointOffset, readEndpointRecord } from "../policy/endpoint-record.ts";
import { AggfragMode, EndpointRecord, SaMode, Slot } from "../policy/sa-table.ts";
import { slotOffset } from "../policy/sad.ts";
import { createPacketFields, type PacketFields, parseIpPacket } from "../wire/ip/ip-packet.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { AH_FRAGMENT, AH_TAKEN, AhOutbound } from "./ah-outbound.ts";
import { Drop } from "./drop-reason.ts";
import { type LaneContext, NO_SOCKET, SKIP_SLOT } from "./lane-context.ts";
import { clampMss, isSyn } from "./mss.ts";
import { OVERSIZE_OUTER_FRAGMENTS, OVERSIZE_REFUSED, OVERSIZE_REPLACED, type Oversize } from "./oversize.ts";
import type { PacedSas } from "./paced-sas.ts";
import type { TunIndex } from "./packet-io.ts";
import { NOT_WHOLE, Reassembly } from "./reassembly.ts";
import type { SealAndSend } from "./seal-and-send.ts";
import { slotInnerMtu } from "./slot-mtu.ts";
import { StallWatch } from "./stall-watch.ts";
import { FRAGMENT, STRIPPED, stripHeader } from "./transport-mode.ts";

const NOTHING = new Uint8Array(0);

export class Protection {
  readonly #context: LaneContext;
  readonly #oversize: Oversize;
  /** Made for the first packet with AH. */
  #ah: AhOutbound | undefined;
  readonly #paced: PacedSas;
  readonly #stalls = new StallWatch();
  readonly #sealAndSend: SealAndSend;
  /** Made for the first fragment in transport mode. */
  #reassembly: Reassembly | undefined;
  readonly #wholeFields = createPacketFields();

  constructor(context: LaneContext, sealAndSend: SealAndSend, oversize: Oversize, paced: PacedSas) {
    this.#context = context;
    this.#sealAndSend = sealAndSend;
    this.#oversize = oversize;
    this.#paced = paced;
  }

  /**
   * Writes the columns by which the engine seals frame `i`, which `fields` describes, with the SA of `slot`.
   * @returns false when it does not leave as it is, its slot is SKIP_SLOT: it may not, which is counted and its sender told
   *   where that is due, or its fragments leave in its place, or it goes into AGGFRAG payloads, or another lane has got it
   */
  protect(
    frames: FrameBatch,
    i: number,
    fields: PacketFields,
    slot: number,
    device: TunIndex,
    now: Instant,
  ): boolean {
    const context = this.#context;
    const { table } = context;
    const { u32 } = table;
    const base = slotOffset(table, slot);
    let packets = frames.segments[i]!;
    frames.slot[i] = SKIP_SLOT;
    const owner = u32[(base + Slot.OWNER_LANE) >> 2]!;
    if (owner !== context.index) {
      if (context.giveFrame(owner, frames, i, device)) return false;
      return this.#drop(context.reasonNotGiven(), frames, i);
    }
    const endpoint = Atomics.load(u32, (base + Slot.ENDPOINT) >> 2);
    const endpointAt = endpointOffset(table, endpoint);
    if (u32[(base + Slot.PROTOCOL) >> 2] === IpProtocol.AH) {
      this.#protectByAh(frames, i, fields, slot, { index: endpoint, at: endpointAt }, device, now);
      return false;
    }
    const isTransport = u32[(base + Slot.MODE) >> 2] === SaMode.TRANSPORT;
    const socket = context.socketFor(endpointAt, isTransport);
    if (socket === NO_SOCKET) return this.#drop(Drop.noSocket, frames, i);
    if (packets === 1) frames.length[i] = frames.packetLength[i] = fields.totalLength;
    frames.strip[i] = 0;
    frames.nextHeader[i] = fields.family === 4 ? IpProtocol.IPV4 : IpProtocol.IPV6;
    frames.tos[i] = outerTos(fields.tos, u32[(base + Slot.DSCP) >> 2]!, u32[(base + Slot.ECN) >> 2]!);
    frames.fragmentable[i] = this.#isDfClear(fields, base, endpointAt) ? 1 : 0;
    if (isTransport) {
      const reason = stripHeader(frames, i, fields, table, endpointAt);
      if (reason === FRAGMENT) return this.#reassemble(frames, i, fields, slot, device, now);
      if (reason !== STRIPPED) return this.#drop(reason, frames, i);
    }
    const isAggfrag = u32[(base + Slot.AGGFRAG_MODE) >> 2] !== AggfragMode.OFF;
    const mtu = isAggfrag ? this.#paced.aggfragMtu(slot, now) : slotInnerMtu(table, base, frames.strip[i]!);
    if (isSyn(frames.bytes, frames.offset[i]!, fields))
      clampMss(frames.bytes, frames.offset[i]!, fields, mtu, u32[(base + Slot.MSS) >> 2]!);
    if (frames.packetLength[i]! > mtu && !this.#isMadeToFit(frames, i, fields, slot, device, now, mtu))
      return false;
    packets = frames.segments[i]!;
    if (isAggfrag) {
      // [TFS-13]
      this.#paced.aggfrag.take(frames, i, slot, now);
      return false;
    }
    frames.padTo[i] = tfcLength(u32[(base + Slot.TFC_PAD) >> 2]!, mtu);
    const octets = sealedOctets(frames, i, u32[(base + Slot.BLOCK_SIZE) >> 2]!);
    if (!mayCarry(table, base, octets, packets)) {
      context.raise("hardLimit", slot, reachedHard(table, base));
      return this.#drop(Drop.saExpired, frames, i);
    }
    if (packets === 1) this.#watch(frames, i, fields, base, endpoint, mtu, now);
    frames.slot[i] = slot;
    frames.endpoint[i] = endpoint;
    frames.socket[i] = frames.fragmentable[i] === 1 ? this.#fragmentSocket(endpointAt, socket) : socket;
    frames.status[i] = PACKET_OK;
    if (countPackets(table, base, octets, now, packets))
      context.raise("softLimit", slot, reachedSoft(table, base));
    return true;
  }

  /** Has the path probed when a segment that not every path carries is sent again and again: nobody may have said why. */
  #watch(
    frames: FrameBatch,
    i: number,
    fields: PacketFields,
    base: number,
    endpoint: number,
    mtu: number,
    now: Instant,
  ): void {
    const { table } = this.#context;
    const pathMtu = table.u32[(base + Slot.PATH_MTU) >> 2]!;
    if (frames.packetLength[i]! + pathMtu - mtu <= PATH_MTU_MIN[6]) return;
    if (!this.#stalls.isStalled(frames.bytes, frames.offset[i]!, fields, now)) return;
    const { remote } = readEndpointRecord(table, endpoint);
    this.#context.upcall({
      kind: "pathReport",
      report: { origin: "stall", remote, mtu: 0, quoted: NOTHING },
    });
  }

  /** Whether a frame that is too long goes on, cut smaller or to be fragmented outside. */
  #isMadeToFit(
    frames: FrameBatch,
    i: number,
    fields: PacketFields,
    slot: number,
    device: TunIndex,
    now: Instant,
    mtu: number,
  ): boolean {
    const fitting =
      frames.strip[i]! > 0
        ? this.#fitTransport(frames, i, fields, device, now, mtu)
        : this.#oversize.fit(frames, i, fields, slot, device, now, mtu, this);
    if (fitting === OVERSIZE_REFUSED) return this.#drop(Drop.tooBig, frames, i);
    if (fitting === OVERSIZE_OUTER_FRAGMENTS) frames.fragmentable[i] = 1;
    return fitting !== OVERSIZE_REPLACED;
  }

  /** In transport mode only whole packets are protected, and what is too long then is cut outside (RFC 4301 section 7). */
  #fitTransport(
    frames: FrameBatch,
    i: number,
    fields: PacketFields,
    device: TunIndex,
    now: Instant,
    mtu: number,
  ): typeof OVERSIZE_OUTER_FRAGMENTS | typeof OVERSIZE_REFUSED {
    const isLeast = fields.family === 6 && frames.packetLength[i]! <= PATH_MTU_MIN[6];
    // Its sender has cut it before, so that nobody can be told that it was too big.
    const wasCut = frames === this.#reassembly?.whole;
    if (frames.fragmentable[i] === 1 || isLeast || wasCut) return OVERSIZE_OUTER_FRAGMENTS;
    return this.#oversize.refuse(frames, i, fields, device, now, mtu);
  }

  /** Puts a datagram together that only whole can be protected, and protects it. */
  #reassemble(
    frames: FrameBatch,
    i: number,
    fields: PacketFields,
    slot: number,
    device: TunIndex,
    now: Instant,
  ): false {
    const { table } = this.#context;
    this.#reassembly ??= new Reassembly(this.#context);
    const reassembly = this.#reassembly;
    const { whole } = reassembly;
    if (reassembly.isFull) this.#sealAndSend.run(whole);
    const policy = table.u32[(slotOffset(table, slot) + Slot.POLICY) >> 2]!;
    const made = reassembly.take(frames, i, fields, policy, now);
    if (made === NOT_WHOLE) return false;
    whole.slot[made] = SKIP_SLOT;
    if (parseIpPacket(whole.bytes, whole.offset[made]!, whole.length[made]!, this.#wholeFields))
      this.protect(whole, made, this.#wholeFields, slot, device, now);
    else this.#drop(Drop.malformedPacket, whole, made);
    return false;
  }

  /** Fragments of IPv6 are made by its sender, and the system makes none of what its own link takes whole. */
  #fragmentSocket(endpointAt: number, socket: number): number {
    const { bytes } = this.#context.table;
    if (bytes[endpointAt + EndpointRecord.FAMILY] === 4 || !hasLocalAddress(bytes, endpointAt)) return socket;
    const whole = this.#context.wholeSocket(6);
    return whole === NO_SOCKET ? socket : whole;
  }

  /** Lets what was cut or put together in this turn leave, and forgets what has waited long enough. */
  flush(now: Instant): void {
    this.#oversize.flush();
    this.#ah?.flush();
    if (this.#reassembly === undefined) return;
    this.#reassembly.expire(now);
    if (this.#reassembly.whole.count > 0) this.#sealAndSend.run(this.#reassembly.whole);
  }

  nextTimeout(): Instant | undefined {
    return this.#reassembly?.nextExpiry();
  }

  #protectByAh(
    frames: FrameBatch,
    i: number,
    fields: PacketFields,
    slot: number,
    endpoint: { readonly index: number; readonly at: number },
    device: TunIndex,
    now: Instant,
  ): void {
    if (frames.segments[i] === 1) frames.length[i] = frames.packetLength[i] = fields.totalLength;
    this.#ah ??= new AhOutbound(this.#context);
    const base = slotOffset(this.#context.table, slot);
    frames.fragmentable[i] = this.#isDfClear(fields, base, endpoint.at) ? 1 : 0;
    const mtu = this.#ah.take(frames, i, fields, slot, endpoint, now, false);
    if (mtu === AH_FRAGMENT) this.#reassemble(frames, i, fields, slot, device, now);
    if (mtu < 0 || !this.#isMadeToFit(frames, i, fields, slot, device, now, mtu)) return;
    const mayCut = frames.fragmentable[i] === 1;
    if (this.#ah.take(frames, i, fields, slot, endpoint, now, mayCut) !== AH_TAKEN)
      this.#drop(Drop.tooBig, frames, i);
  }

  /** IPv6 has no DF: only who sends a packet fragments it. */
  #isDfClear({ dontFragment }: PacketFields, base: number, endpointAt: number): boolean {
    const { u32, bytes } = this.#context.table;
    if (bytes[endpointAt + EndpointRecord.FAMILY] !== 4) return false;
    return !outerDf(dontFragment, u32[(base + Slot.DF) >> 2]!);
  }

  #drop(reason: number, frames: FrameBatch, i: number): false {
    this.#context.dropFrame(reason, frames, i);
    return false;
  }
}

/** Absent, the system chooses it. */
function hasLocalAddress(bytes: Uint8Array, endpointAt: number): boolean {
  let any = 0;
  for (let octet = 0; octet < 16; octet++) any |= bytes[endpointAt + EndpointRecord.LOCAL_ADDRESS + octet]!;
  return any !== 0;
}

/** Octets that the cipher sees of all packets of a frame. */
function sealedOctets(frames: FrameBatch, i: number, blockSize: number): number {
  const padTo = frames.padTo[i]!;
  const strip = frames.strip[i]!;
  const padded = paddedLength(Math.max(frames.packetLength[i]! - strip, padTo), blockSize);
  const others = frames.segments[i]! - 1;
  if (others === 0) return padded;
  const last = frames.length[i]! - strip - others * frames.segmentLength[i]!;
  return others * padded + paddedLength(Math.max(last, padTo), blockSize);
}
