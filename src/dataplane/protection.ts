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
import type { PacketFields } from "../wire/ip/ip-packet.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { AH_TAKEN, AhOutbound } from "./ah-outbound.ts";
import { Drop } from "./drop-reason.ts";
import { type LaneContext, NO_SOCKET, SKIP_SLOT } from "./lane-context.ts";
import { clampMss, isSyn } from "./mss.ts";
import { OVERSIZE_OUTER_FRAGMENTS, OVERSIZE_REFUSED, OVERSIZE_REPLACED, type Oversize } from "./oversize.ts";
import type { PacedSas } from "./paced-sas.ts";
import type { TunIndex } from "./packet-io.ts";
import { slotInnerMtu } from "./slot-mtu.ts";
import { StallWatch } from "./stall-watch.ts";
import { STRIPPED, stripHeader } from "./transport-mode.ts";

const NOTHING = new Uint8Array(0);

export class Protection {
  readonly #context: LaneContext;
  readonly #oversize: Oversize;
  /** Made for the first packet with AH. */
  #ah: AhOutbound | undefined;
  readonly #paced: PacedSas;
  readonly #stalls = new StallWatch();

  constructor(context: LaneContext, oversize: Oversize, paced: PacedSas) {
    this.#context = context;
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
      return this.#drop(context.reasonNotGiven(), packets);
    }
    const endpoint = Atomics.load(u32, (base + Slot.ENDPOINT) >> 2);
    const endpointAt = endpointOffset(table, endpoint);
    if (u32[(base + Slot.PROTOCOL) >> 2] === IpProtocol.AH) {
      this.#protectByAh(frames, i, fields, slot, { index: endpoint, at: endpointAt }, device, now);
      return false;
    }
    const isTransport = u32[(base + Slot.MODE) >> 2] === SaMode.TRANSPORT;
    const socket = context.socketFor(endpointAt, isTransport);
    if (socket === NO_SOCKET) return this.#drop(Drop.noSocket, packets);
    if (packets === 1) frames.length[i] = frames.packetLength[i] = fields.totalLength;
    frames.strip[i] = 0;
    frames.nextHeader[i] = fields.family === 4 ? IpProtocol.IPV4 : IpProtocol.IPV6;
    frames.tos[i] = outerTos(fields.tos, u32[(base + Slot.DSCP) >> 2]!, u32[(base + Slot.ECN) >> 2]!);
    frames.fragmentable[i] = this.#isDfClear(fields, base, endpointAt) ? 1 : 0;
    if (isTransport) {
      const reason = stripHeader(frames, i, fields, table, endpointAt);
      if (reason !== STRIPPED) return this.#drop(reason, packets);
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
      return this.#drop(Drop.saExpired, packets);
    }
    if (packets === 1) this.#watch(frames, i, fields, base, endpoint, mtu, now);
    frames.slot[i] = slot;
    frames.endpoint[i] = endpoint;
    frames.socket[i] = socket;
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
    // In transport mode only whole packets are protected (RFC 4301 section 7).
    const fitting =
      frames.strip[i]! > 0
        ? this.#oversize.refuse(frames, i, fields, device, now, mtu)
        : this.#oversize.fit(frames, i, fields, slot, device, now, mtu, this);
    if (fitting === OVERSIZE_REFUSED) return this.#drop(Drop.tooBig, frames.segments[i]!);
    if (fitting === OVERSIZE_OUTER_FRAGMENTS) frames.fragmentable[i] = 1;
    return fitting !== OVERSIZE_REPLACED;
  }

  /** Lets what was cut in this turn leave. */
  flush(): void {
    this.#oversize.flush();
    this.#ah?.flush();
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
    const mtu = this.#ah.take(frames, i, fields, slot, endpoint, now);
    if (mtu === AH_TAKEN) return;
    this.#oversize.refuse(frames, i, fields, device, now, mtu);
    this.#drop(Drop.tooBig, frames.segments[i]!);
  }

  /** IPv6 has no DF: only who sends a packet fragments it. */
  #isDfClear({ dontFragment }: PacketFields, base: number, endpointAt: number): boolean {
    const { u32, bytes } = this.#context.table;
    if (bytes[endpointAt + EndpointRecord.FAMILY] !== 4) return false;
    return !outerDf(dontFragment, u32[(base + Slot.DF) >> 2]!);
  }

  #drop(reason: number, packets: number): false {
    this.#context.count(reason, packets);
    return false;
  }
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
