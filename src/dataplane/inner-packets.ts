/** Inner packets against the SA that carried them and against the SPD (RFC 4301 section 5.2), and the device they go to. */
import type { Instant } from "../base/instant.ts";
import {
  type CellBatch,
  createPacketBatch,
  PACKET_NOT_SENT,
  PACKET_OK,
  type PacketBatch,
} from "../base/packet-batch.ts";
import { ECN_DROP, mergedTos } from "../esp/ecn.ts";
import { fillInboundKey, fillOutboundKey } from "../policy/packet-key.ts";
import { Slot } from "../policy/sa-table.ts";
import { NO_SLOT, saMatches, slotOffset } from "../policy/sad.ts";
import { createPacketKey } from "../policy/selector-record.ts";
import { lookupSpd, SPD_DISCARD } from "../policy/spd.ts";
import { quotesPacket } from "../wire/ip/icmp.ts";
import { createPacketFields, parseIpPacket, parseQuotedPacket } from "../wire/ip/ip-packet.ts";
import { setIpv4Tos } from "../wire/ip/ipv4.ts";
import { setIpv6TrafficClass } from "../wire/ip/ipv6.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { Drop } from "./drop-reason.ts";
import { EARLY_FRAGMENT_OCTETS_MAX, EARLY_FRAGMENTS_MAX, EarlyFragments } from "./early-fragments.ts";
import { FLOW_UNKNOWN, FlowCache } from "./flow-cache.ts";
import { FragmentCheck } from "./fragment-check.ts";
import { FRAGMENT_FOLLOWS } from "./fragment-table.ts";
import { type LaneContext, NO_DEVICE } from "./lane-context.ts";
import { LastPacket } from "./last-packet.ts";
import { clampMss, isSyn } from "./mss.ts";
import { slotInnerMtu } from "./slot-mtu.ts";

/** In place of a drop reason: the packet may be delivered. */
export const ACCEPTED = -1;

export class InnerPackets {
  readonly #context: LaneContext;
  readonly #fragments: FragmentCheck;
  /** Made for the first fragment that has to wait, and for the first that follows. */
  #early: EarlyFragments | undefined;
  #released: CellBatch | undefined;
  readonly #releasedTo = new Uint8Array(EARLY_FRAGMENTS_MAX);
  readonly #fields = createPacketFields();
  readonly #quoted = createPacketFields();
  readonly #key = createPacketKey();
  readonly #quotedKey = createPacketKey();
  /** The one of the two keys that the packet was held against policy by. */
  #judged = this.#key;
  /** What the SPD says about recent flows: a drop reason, or {@link ACCEPTED}. */
  readonly #flows: FlowCache;
  /** The packet that was accepted last, if others of its flow go by it. */
  readonly #last = new LastPacket();
  #lastSlot = NO_SLOT;
  #lastTos = 0;
  /** Its device, once that is known. */
  #lastDevice = NO_DEVICE;
  /** Why {@link deviceOf} gave none the last time. */
  refusal: number = Drop.noInterface;

  constructor(context: LaneContext) {
    this.#context = context;
    this.#flows = new FlowCache(context.table);
    this.#fragments = new FragmentCheck(context);
  }

  /** At the begin of a turn: forgets answers that may have changed. */
  begin(): void {
    this.#lastSlot = NO_SLOT;
    if (!this.#context.isChanged) return;
    this.#flows.clear();
    this.#fragments.clear();
  }

  /**
   * Holds the IP packet `batch.bytes[at .. at + length)` against the SA of `slot`, and gives it the mark of congestion
   * that the outer packet came with.
   * @returns {@link ACCEPTED}, or the reason to drop it
   */
  check(
    batch: PacketBatch,
    at: number,
    length: number,
    slot: number,
    outerTos: number,
    now: Instant,
  ): number {
    const isOfLast = slot === this.#lastSlot && outerTos === this.#lastTos;
    if (isOfLast && this.#last.isLike(batch.view, at, length)) return ACCEPTED;
    const reason = this.#check(batch, at, length, slot, outerTos, now);
    if (reason !== ACCEPTED && reason !== Drop.fragmentHeld && reason !== Drop.malformedInner)
      this.#refuse(reason, batch, at, length, slot);
    return reason;
  }

  #refuse(reason: number, batch: PacketBatch, at: number, length: number, slot: number): void {
    this.#context.noteInner(reason, this.#fields, slot);
    this.#context.tap?.dropInbound(reason, batch.bytes, at, length, this.#context.inboundSpi(slot));
  }

  #check(
    batch: PacketBatch,
    at: number,
    length: number,
    slot: number,
    outerTos: number,
    now: Instant,
  ): number {
    this.#lastSlot = NO_SLOT;
    this.#lastDevice = NO_DEVICE;
    const fields = this.#fields;
    if (!parseIpPacket(batch.bytes, at, length, fields)) return Drop.malformedInner;
    fillInboundKey(this.#key, fields);
    if (fields.isFragment) {
      const reason = this.#fragments.inbound(fields, this.#key, slot, now);
      if (reason === Drop.fragmentBeforeFirst) return this.#wait(batch.bytes, at, slot, outerTos, now);
      if (reason !== FRAGMENT_FOLLOWS) return reason;
      if (fields.fragmentOffset === 0) this.#early?.noteFirst();
    }
    if (!this.#isWithinSelectors(batch, at, slot)) return Drop.selectorMismatch;
    const tos = mergedTos(fields.tos, outerTos);
    if (tos === ECN_DROP) return Drop.ecnUnmarkable;
    if (tos !== fields.tos) {
      if (fields.family === 4) setIpv4Tos(batch.bytes, at, tos);
      else setIpv6TrafficClass(batch.bytes, at, tos);
    } else if (this.#last.remember(batch.view, at, fields)) {
      this.#lastSlot = slot;
      this.#lastTos = outerTos;
    }
    if (isSyn(batch.bytes, at, fields)) this.#clampMss(batch, at, slot);
    return ACCEPTED;
  }

  /** Keeps a later fragment until its first has come; the reason to count. */
  #wait(bytes: Uint8Array, at: number, slot: number, tos: number, now: Instant): number {
    const { totalLength } = this.#fields;
    if (totalLength > EARLY_FRAGMENT_OCTETS_MAX) return Drop.fragmentBeforeFirst;
    this.#early ??= new EarlyFragments(this.#context.table.size.policies);
    const policy = this.#fragments.policyOf(slot);
    const lost = this.#early.hold(
      bytes,
      at,
      totalLength,
      { policy, source: slot, mark: this.#spiOf(slot), tos },
      now,
    );
    if (lost > 0) this.#context.count(Drop.fragmentBeforeFirst, lost);
    return Drop.fragmentHeld;
  }

  #spiOf(slot: number): number {
    const { table } = this.#context;
    return table.u32[(slotOffset(table, slot) + Slot.SPI) >> 2]!;
  }

  /** At the end of a turn: delivers what waited for a first fragment that has come, in order of arrival. */
  releaseEarly(now: Instant): void {
    const early = this.#early;
    if (early === undefined || early.count === 0) return;
    const lost = early.expire(now);
    if (lost > 0) this.#context.count(Drop.fragmentBeforeFirst, lost);
    if (!early.takeDue()) return;
    this.#released ??= createPacketBatch(EARLY_FRAGMENTS_MAX, EARLY_FRAGMENT_OCTETS_MAX);
    const cells = this.#released;
    cells.count = 0;
    let devices = 0;
    for (let position = 0; position < EARLY_FRAGMENTS_MAX; position++) {
      const cell = early.cellAt(position);
      if (cell < 0) continue;
      const device = this.#deviceOfEarly(early, cell, cells, now);
      if (device === NO_DEVICE) continue;
      this.#releasedTo[cells.count++] = device;
      devices |= 1 << device;
    }
    for (let device = 0; devices >>> device !== 0; device++)
      if (((devices >>> device) & 1) !== 0) this.#writeEarly(cells, device);
  }

  nextTimeout(): Instant | undefined {
    return this.#early?.nextExpiry();
  }

  /** Puts a fragment into the next cell of the batch, if it may go on to the device that is returned. */
  #deviceOfEarly(early: EarlyFragments, cell: number, cells: CellBatch, now: Instant): number {
    const context = this.#context;
    const at = cells.count * cells.stride;
    const length = early.lengthOf(cell);
    const slot = early.sourceOf(cell);
    early.copyTo(cell, cells.bytes, at);
    const fields = this.#fields;
    if (!parseIpPacket(cells.bytes, at, length, fields)) return NO_DEVICE;
    fillInboundKey(this.#key, fields);
    if (!this.#fragments.canFollow(fields, this.#key, this.#fragments.policyOf(slot), now)) return NO_DEVICE;
    early.remove(cell);
    cells.offset[cells.count] = at;
    cells.length[cells.count] = length;
    // Another SA may have got the slot.
    const isSame = early.markOf(cell) === this.#spiOf(slot);
    const reason = isSame
      ? this.check(cells, at, length, slot, early.tosOf(cell), now)
      : Drop.fragmentBeforeFirst;
    if (reason === ACCEPTED) return this.deviceOf(slot);
    context.count(reason);
    return NO_DEVICE;
  }

  #writeEarly(cells: PacketBatch, device: number): void {
    for (let i = 0; i < cells.count; i++)
      cells.status[i] = this.#releasedTo[i] === device ? PACKET_OK : PACKET_NOT_SENT;
    this.#context.io.writeTun(device, cells);
    for (let i = 0; i < cells.count; i++)
      if (this.#releasedTo[i] === device && cells.status[i] !== PACKET_OK)
        this.#context.count(Drop.tunRefused);
  }

  /** What the peer's host announces bounds what is sent back through the tunnel. */
  #clampMss(batch: PacketBatch, at: number, slot: number): void {
    const { table } = this.#context;
    const base = slotOffset(table, slot);
    const setting = table.u32[(base + Slot.MSS) >> 2]!;
    clampMss(batch.bytes, at, this.#fields, slotInnerMtu(table, base, 0), setting);
  }

  /** The device for the packet that was accepted last, or NO_DEVICE: counted. */
  deviceOf(slot: number): number {
    if (this.#lastDevice !== NO_DEVICE && slot === this.#lastSlot) return this.#lastDevice;
    const context = this.#context;
    const policy = context.table.u32[(slotOffset(context.table, slot) + Slot.POLICY) >> 2]!;
    const device = context.deviceOfPolicy[policy]!;
    const reason = device === NO_DEVICE ? Drop.noInterface : this.#judge(device);
    if (reason === ACCEPTED) {
      this.#lastDevice = device;
      return device;
    }
    context.count(reason);
    context.noteInner(reason, this.#fields, slot);
    this.refusal = reason;
    return NO_DEVICE;
  }

  /**
   * The inner packet against the SA that carried it [SPD-04] [CHILD-07]. An ICMP error is judged by the packet that it
   * quotes, so that routers on the way may report what happened to the SA's traffic (RFC 4301 section 6.2) [SPD-12].
   */
  #isWithinSelectors(batch: PacketBatch, at: number, slot: number): boolean {
    const { table, memory } = this.#context;
    const fields = this.#fields;
    const icmp = fields.family === 4 ? IpProtocol.ICMP : IpProtocol.ICMPV6;
    const isError =
      fields.protocol === icmp && fields.hasPorts && quotesPacket(fields.family, fields.sourcePort >>> 8);
    this.#judged = isError ? this.#quotedKey : this.#key;
    if (!isError) return saMatches(table, memory, slot, this.#key);
    const quoted = this.#quoted;
    if (!parseQuotedPacket(batch.bytes, at, fields, quoted)) return false;
    for (let word = 0; word < 4; word++) if (quoted.source[word] !== fields.destination[word]) return false;
    fillOutboundKey(this.#quotedKey, quoted);
    return saMatches(table, memory, slot, this.#quotedKey);
  }

  /**
   * Whether the SPD has PROTECT as its first match for the packet that was just accepted, or BYPASS: what comes through
   * an SA needs it not. An entry that says DISCARD in front of a child's counts for both directions [SPD-01].
   */
  #judge(device: number): number {
    const key = this.#judged;
    let reason = this.#flows.find(key, device);
    if (reason !== FLOW_UNKNOWN) return reason;
    const spd = this.#context.spds[device];
    const entry = spd === undefined ? -1 : lookupSpd(spd, key);
    if (spd === undefined || entry < 0) reason = Drop.noPolicy;
    else reason = spd.action[entry] === SPD_DISCARD ? Drop.policyDiscard : ACCEPTED;
    this.#flows.store(key, device, reason);
    return reason;
  }
}
