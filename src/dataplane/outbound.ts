/** From a TUN device to the wire: policy, SA, padding, seal, send (RFC 4301 section 5.1, RFC 4303 section 3.3). */
import type { Instant } from "../base/instant.ts";
import { Instant as instant } from "../base/instant.ts";
import {
  PACKET_NOT_SENT,
  PACKET_OK,
  PACKET_SEQUENCE_EXHAUSTED,
  PACKET_TOO_BIG,
  type PacketBatch,
} from "../base/packet-batch.ts";
import { outerDf } from "../esp/dont-fragment.ts";
import { outerTos } from "../esp/ecn.ts";
import { innerMtu, outerHeaders, paddedLength } from "../esp/effective-mtu.ts";
import { countPacket, mayCarry, reachedHard, reachedSoft } from "../esp/lifetime.ts";
import { endpointOffset } from "../policy/endpoint-record.ts";
import { fillInboundKey, fillOutboundKey, packetSelectors } from "../policy/packet-key.ts";
import { readUint64 } from "../policy/sa-record.ts";
import { EndpointRecord, Policy, Slot } from "../policy/sa-table.ts";
import { NO_SLOT, outboundFor, slotOffset } from "../policy/sad.ts";
import { createPacketKey, Key, type PacketKey } from "../policy/selector-record.ts";
import { lookupSpd, SPD_BYPASS, SPD_DISCARD } from "../policy/spd.ts";
import { ESP_TRAILER_LENGTH, writeEspTrailer } from "../wire/esp/esp-packet.ts";
import { createPacketFields, parseIpPacket, parseQuotedPacket } from "../wire/ip/ip-packet.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { Drop } from "./drop-reason.ts";
import { FLOW_UNKNOWN, FlowCache } from "./flow-cache.ts";
import { FragmentCheck } from "./fragment-check.ts";
import { FRAGMENT_FOLLOWS } from "./fragment-table.ts";
import { HeldPackets } from "./held-packets.ts";
import type { IcmpErrors } from "./icmp-errors.ts";
import { type LaneContext, NO_SOCKET, SKIP_SLOT } from "./lane-context.ts";
import type { OwnAddresses } from "./own-addresses.ts";
import type { TunIndex } from "./packet-io.ts";

/** Answers that are remembered beside SA slots. */
const NO_POLICY_MATCHES = -2;
const DISCARD = -3;
const BYPASS = -4;
/** Protected, but there is no SA: never remembered. */
const NO_SA = -1;

/** In place of a socket: the packet goes nowhere. */
const DROPPED = 0xff;

/** With any setting of DF. */
const ANY_DF = 2;

/** A policy whose negotiation just ended is not asked for again before this. */
export const ACQUIRE_INTERVAL_MS = 1000;

export class Outbound {
  readonly #context: LaneContext;
  readonly #batch: PacketBatch;
  readonly #icmp: IcmpErrors;
  readonly #own: OwnAddresses;
  readonly #flows = new FlowCache();
  readonly #fragments: FragmentCheck;
  readonly #held: HeldPackets;
  readonly #fields = createPacketFields();
  readonly #quoted = createPacketFields();
  readonly #key = createPacketKey();
  readonly #quotedKey = createPacketKey();
  /** Socket of each packet of the batch, or {@link DROPPED}. */
  readonly #socket: Uint8Array;
  /** 1: the outer IPv4 header of the packet has DF clear. */
  readonly #isFragmentable: Uint8Array;
  /** SA of each packet; the engine may write over the batch's own. */
  readonly #slot: Uint32Array;
  /** Packets of the batch that are ready for the engine. */
  #prepared = 0;
  /** Policy of the packet that was decided last. */
  #policy = 0;
  /** By policy: an acquire was raised for packets that are held. */
  readonly #isAsked: Uint8Array;
  readonly #askedAt: Float64Array;
  /** By policy: the pass over held packets in which its acquire was found to have failed. */
  readonly #failedPass: Uint32Array;
  #pass = 0;
  /** Packets are held that could leave, or whose acquire is due. */
  #isHeldDue = false;
  readonly #acquireDue = Float64Array.of(Number.POSITIVE_INFINITY);

  constructor(
    context: LaneContext,
    batch: PacketBatch,
    icmp: IcmpErrors,
    own: OwnAddresses,
    packetLengthMax: number,
  ) {
    const { policies } = context.table.size;
    this.#context = context;
    this.#batch = batch;
    this.#icmp = icmp;
    this.#own = own;
    this.#fragments = new FragmentCheck(context);
    this.#held = new HeldPackets(policies, packetLengthMax);
    this.#socket = new Uint8Array(batch.capacity);
    this.#isFragmentable = new Uint8Array(batch.capacity);
    this.#slot = new Uint32Array(batch.capacity);
    this.#isAsked = new Uint8Array(policies);
    this.#askedAt = new Float64Array(policies).fill(Number.NEGATIVE_INFINITY);
    this.#failedPass = new Uint32Array(policies);
  }

  /** Sends what was held and may leave, then one batch of each TUN device; returns the packets handled. */
  turn(now: Instant): number {
    if (this.#context.isChanged) {
      this.#flows.clear();
      this.#fragments.clear();
    }
    let handled = this.#isReleaseDue(now) ? this.#releaseHeld(now) : 0;
    const batch = this.#batch;
    for (let device = 0; device < this.#context.io.tunCount; device++) {
      batch.count = 0;
      this.#context.io.readTun(device, batch);
      if (batch.count === 0) continue;
      handled += batch.count;
      for (let i = 0; i < batch.count; i++) this.#decide(i, device, now);
      this.#sealAndSend();
    }
    return handled;
  }

  nextTimeout(): Instant | undefined {
    const expiry = this.#held.nextExpiry();
    return expiry === undefined ? undefined : instant(Math.min(expiry, this.#acquireDue[0]!));
  }

  #decide(i: number, device: TunIndex, now: Instant): void {
    const batch = this.#batch;
    const fields = this.#fields;
    this.#skip(i);
    if (!parseIpPacket(batch.bytes, batch.offset[i]!, batch.length[i]!, fields)) {
      this.#context.count(Drop.malformedPacket);
      return;
    }
    const key = this.#key;
    fillOutboundKey(key, fields);
    if (this.#isLoop(key)) {
      this.#context.count(Drop.loop);
      return;
    }
    if (fields.isFragment) {
      const reason = this.#fragments.outbound(fields, key, device, now);
      if (reason !== FRAGMENT_FOLLOWS) {
        this.#context.count(reason);
        return;
      }
    }
    let answer = this.#flows.find(key, device);
    if (answer === FLOW_UNKNOWN) answer = this.#resolve(i, device);
    if (answer >= 0) this.#protect(i, answer, device, now);
    else if (answer === NO_SA) this.#hold(i, device, now);
    else if (answer === BYPASS) this.#context.count(Drop.policyBypass);
    else {
      this.#context.count(answer === DISCARD ? Drop.policyDiscard : Drop.noPolicy);
      this.#icmp.prohibited(batch, i, fields, device, now);
    }
  }

  #skip(i: number): void {
    this.#batch.slot[i] = SKIP_SLOT;
    this.#batch.sequenceHigh[i] = 0;
    this.#slot[i] = SKIP_SLOT;
    this.#socket[i] = DROPPED;
  }

  /** One of our own outer packets: sealing it would send it round for ever. */
  #isLoop(key: PacketKey): boolean {
    const protocol = key[Key.PROTOCOL];
    if (protocol !== IpProtocol.ESP && protocol !== IpProtocol.UDP) return false;
    if (protocol === IpProtocol.UDP && !this.#isOwnPort(key[Key.LOCAL_PORT]!)) return false;
    return this.#own.hasLocal(key);
  }

  #isOwnPort(port: number): boolean {
    const { sockets } = this.#context.io;
    for (let socket = 0; socket < sockets.length; socket++)
      if (sockets[socket]!.role !== "esp" && sockets[socket]!.localPort === port) return true;
    return false;
  }

  /** Asks SPD and SAD; the answer is remembered unless it waits for an SA. */
  #resolve(i: number, device: TunIndex): number {
    const key = this.#key;
    const answer = this.#lookup(key, device);
    if (answer === NO_POLICY_MATCHES && this.#readQuoted(i)) return this.#lookup(this.#quotedKey, device);
    if (answer >= 0 && this.#held.countFor(this.#policy) > 0) {
      // The SA appeared within this turn: what is held for it leaves first, at the start of the next one.
      this.#isHeldDue = true;
      return NO_SA;
    }
    if (answer !== NO_SA) this.#flows.store(key, device, answer);
    return answer;
  }

  #lookup(key: PacketKey, device: TunIndex): number {
    const spd = this.#context.spds[device];
    const entry = spd === undefined ? -1 : lookupSpd(spd, key);
    if (spd === undefined || entry < 0) return NO_POLICY_MATCHES;
    if (spd.action[entry] === SPD_DISCARD) return DISCARD;
    if (spd.action[entry] === SPD_BYPASS) return BYPASS;
    this.#policy = spd.policy[entry]!;
    const slot = outboundFor(this.#context.table, this.#context.memory, this.#policy, key);
    return slot === NO_SLOT ? NO_SA : slot;
  }

  /** An ICMP error about a packet that came in through an SA belongs to that SA (RFC 4301 section 6.2) [SPD-12]. */
  #readQuoted(i: number): boolean {
    const batch = this.#batch;
    const quoted = this.#quoted;
    if (!parseQuotedPacket(batch.bytes, batch.offset[i]!, this.#fields, quoted)) return false;
    fillInboundKey(this.#quotedKey, quoted);
    for (let word = 0; word < 4; word++)
      if (quoted.source[word] !== this.#fields.destination[word]) return false;
    return true;
  }

  /** Makes packet `i`, which `#fields` describes, ready for the engine. */
  #protect(i: number, slot: number, device: TunIndex, now: Instant): void {
    const context = this.#context;
    const batch = this.#batch;
    const fields = this.#fields;
    const { table } = context;
    const { u32, bytes } = table;
    const base = slotOffset(table, slot);
    if (u32[(base + Slot.OWNER_LANE) >> 2] !== context.index) {
      context.count(Drop.otherLane);
      return;
    }
    const endpoint = Atomics.load(u32, (base + Slot.ENDPOINT) >> 2);
    const endpointAt = endpointOffset(table, endpoint);
    const socket = context.socketFor(endpointAt);
    if (socket === NO_SOCKET) {
      context.count(Drop.noSocket);
      return;
    }
    const blockSize = u32[(base + Slot.BLOCK_SIZE) >> 2]!;
    const icvLength = u32[(base + Slot.ICV_LENGTH) >> 2]!;
    const headers = outerHeaders(
      bytes[endpointAt + EndpointRecord.FAMILY]!,
      bytes[endpointAt + EndpointRecord.ENCAPSULATION] === 1,
    );
    const pathMtu = u32[(base + Slot.PATH_MTU) >> 2]!;
    const mtu = innerMtu(pathMtu, headers, u32[(base + Slot.IV_LENGTH) >> 2]!, icvLength, blockSize);
    const length = fields.totalLength;
    const padded = paddedLength(length, blockSize);
    const start = batch.offset[i]!;
    if (length > mtu || start + padded + icvLength > (i + 1) * batch.stride) {
      context.count(Drop.tooBig);
      this.#icmp.tooBig(batch, i, fields, device, now, mtu);
      return;
    }
    if (!mayCarry(table, base, padded)) {
      context.count(Drop.saExpired);
      context.raise("hardLimit", slot, reachedHard(table, base));
      return;
    }
    const nextHeader = fields.family === 4 ? IpProtocol.IPV4 : IpProtocol.IPV6;
    writeEspTrailer(batch.bytes, start + length, padded - length - ESP_TRAILER_LENGTH, nextHeader);
    batch.length[i] = padded;
    batch.slot[i] = slot;
    batch.endpoint[i] = endpoint;
    batch.tos[i] = outerTos(fields.tos, u32[(base + Slot.DSCP) >> 2]!, u32[(base + Slot.ECN) >> 2]!);
    this.#slot[i] = slot;
    this.#socket[i] = socket;
    this.#isFragmentable[i] = outerDf(fields.dontFragment, u32[(base + Slot.DF) >> 2]!) ? 0 : 1;
    this.#prepared++;
    if (countPacket(table, base, padded, now)) context.raise("softLimit", slot, reachedSoft(table, base));
  }

  #sealAndSend(): void {
    const batch = this.#batch;
    if (this.#prepared === 0) return;
    this.#prepared = 0;
    this.#context.engine.seal(batch);
    let sockets = 0;
    for (let i = 0; i < batch.count; i++) {
      const socket = this.#socket[i]!;
      if (socket === DROPPED) {
        batch.status[i] = PACKET_NOT_SENT;
        continue;
      }
      const isLastOfSlot = i + 1 === batch.count || this.#slot[i + 1] !== this.#slot[i];
      if (this.#checkSealed(i, isLastOfSlot)) sockets |= 1 << socket;
      else {
        this.#socket[i] = DROPPED;
        batch.status[i] = PACKET_NOT_SENT;
      }
    }
    for (let socket = 0; sockets !== 0; socket++, sockets >>>= 1)
      if ((sockets & 1) !== 0) this.#sendBySocket(socket);
  }

  /** Counts what the engine refused, and asks for a rekey while there are sequence numbers left [ESP-03]. */
  #checkSealed(i: number, isLastOfSlot: boolean): boolean {
    const context = this.#context;
    const slot = this.#slot[i]!;
    const base = slotOffset(context.table, slot);
    const status = this.#batch.status[i];
    if (status === PACKET_OK) {
      if (isLastOfSlot && this.#isSoftSequence(base)) context.raise("softLimit", slot, "sequenceNumbers");
      return true;
    }
    if (status === PACKET_SEQUENCE_EXHAUSTED) {
      context.count(Drop.sequenceExhausted);
      context.raise("hardLimit", slot, "sequenceNumbers");
    } else context.count(Drop.sealFailed);
    return false;
  }

  #isSoftSequence(base: number): boolean {
    const { table } = this.#context;
    return readUint64(table, base + Slot.SEQUENCE) >= table.f64[(base + Slot.SOFT_SEQUENCE) >> 3]!;
  }

  /** Sends the packets of one socket, those with DF apart from those without. */
  #sendBySocket(socket: number): void {
    const { io } = this.#context;
    const canFragment = io.sendFragmentable !== undefined && io.sockets[socket]!.family === 4;
    let kinds = 0;
    for (let i = 0; i < this.#batch.count; i++)
      if (this.#socket[i] === socket) kinds |= canFragment && this.#isFragmentable[i] === 1 ? 2 : 1;
    if ((kinds & 1) !== 0) this.#send(socket, canFragment ? 0 : ANY_DF);
    if ((kinds & 2) !== 0) this.#send(socket, 1);
  }

  /** Sends the packets of one socket and one setting of DF; the others are left out by their status. */
  #send(socket: number, fragmentable: number): void {
    const batch = this.#batch;
    const { io } = this.#context;
    for (let i = 0; i < batch.count; i++)
      batch.status[i] = this.#isSentBy(i, socket, fragmentable) ? PACKET_OK : PACKET_NOT_SENT;
    if (fragmentable === 1) io.sendFragmentable?.(socket, batch);
    else io.send(socket, batch);
    for (let i = 0; i < batch.count; i++) {
      if (!this.#isSentBy(i, socket, fragmentable) || batch.status[i] === PACKET_OK) continue;
      this.#context.count(batch.status[i] === PACKET_TOO_BIG ? Drop.sendTooBig : Drop.sendFailed);
    }
  }

  #isSentBy(i: number, socket: number, fragmentable: number): boolean {
    return (
      this.#socket[i] === socket && (fragmentable === ANY_DF || this.#isFragmentable[i] === fragmentable)
    );
  }

  /** Keeps packet `i` of policy `#policy` until there is an SA, and asks for one. */
  #hold(i: number, device: TunIndex, now: Instant): void {
    const batch = this.#batch;
    batch.length[i] = this.#fields.totalLength;
    if (!this.#held.hold(batch, i, this.#policy, device, now)) this.#context.count(Drop.heldTooMany);
    this.#acquire(this.#policy, now);
  }

  /** Raises an acquire unless one is on its way; packets that are held wait for its answer. */
  #acquire(policy: number, now: Instant): void {
    const { table } = this.#context;
    const word = (table.regions.policies + policy * Policy.STRIDE + Policy.ACQUIRE) >> 2;
    const hasHeld = this.#held.countFor(policy) > 0;
    if (Atomics.load(table.u32, word) === 0) {
      // Just answered: what waited for the answer is judged first, at the start of the next turn.
      if (hasHeld && this.#isAsked[policy] === 1) return;
      const due = this.#askedAt[policy]! + ACQUIRE_INTERVAL_MS;
      if (now < due) {
        this.#acquireDue[0] = Math.min(this.#acquireDue[0]!, due);
        return;
      }
      this.#askedAt[policy] = now;
      const isFirst = Atomics.compareExchange(table.u32, word, 0, 1) === 0;
      if (isFirst && !this.#context.upcall({ kind: "acquire", policy, packet: packetSelectors(this.#key) })) {
        Atomics.store(table.u32, word, 0);
        this.#acquireDue[0] = Math.min(this.#acquireDue[0]!, now + ACQUIRE_INTERVAL_MS);
        return;
      }
    }
    if (hasHeld) this.#isAsked[policy] = 1;
  }

  #isReleaseDue(now: Instant): boolean {
    const expiry = this.#held.nextExpiry();
    if (expiry === undefined) return false;
    return this.#context.isChanged || this.#isHeldDue || now >= expiry || now >= this.#acquireDue[0]!;
  }

  /** Sends held packets whose SA is there, in order; drops those whose time or negotiation is over. */
  #releaseHeld(now: Instant): number {
    const held = this.#held;
    const batch = this.#batch;
    let released = 0;
    this.#isHeldDue = false;
    this.#acquireDue[0] = Number.POSITIVE_INFINITY;
    this.#pass++;
    batch.count = 0;
    for (let position = 0; position < held.count; position++) {
      if (!this.#release(position, now)) continue;
      released++;
      const policy = held.policyAt(position);
      held.remove(position);
      if (held.countFor(policy) === 0) this.#isAsked[policy] = 0;
      if (batch.count < batch.capacity) continue;
      this.#sealAndSend();
      batch.count = 0;
    }
    held.compact();
    if (batch.count > 0) this.#sealAndSend();
    return released;
  }

  /** Whether the held packet is no longer to be held: sent on with the batch, or dropped and counted. */
  #release(position: number, now: Instant): boolean {
    const held = this.#held;
    const batch = this.#batch;
    const i = batch.count;
    const device = held.deviceAt(position);
    held.copyTo(position, batch, i);
    this.#skip(i);
    if (!parseIpPacket(batch.bytes, batch.offset[i]!, batch.length[i]!, this.#fields)) return true;
    fillOutboundKey(this.#key, this.#fields);
    if (this.#fields.isFragment && !this.#fragments.outboundAgain(this.#fields, this.#key, device, now)) {
      this.#context.count(Drop.fragmentBeforeFirst);
      return true;
    }
    const answer = this.#lookup(this.#key, device);
    if (answer >= 0) {
      batch.count++;
      this.#protect(i, answer, device, now);
      return true;
    }
    const policy = held.policyAt(position);
    if (answer !== NO_SA || this.#policy !== policy) {
      this.#context.count(Drop.noPolicy);
      return true;
    }
    if (this.#hasFailed(policy)) {
      this.#context.count(Drop.acquireFailed);
      return true;
    }
    if (held.isExpired(position, now)) {
      this.#context.count(Drop.heldTooOld);
      return true;
    }
    this.#acquire(policy, now);
    return false;
  }

  /** Whether the acquire that the policy's held packets wait for was answered without an SA for them. */
  #hasFailed(policy: number): boolean {
    if (this.#failedPass[policy] === this.#pass) return true;
    const { table } = this.#context;
    const word = (table.regions.policies + policy * Policy.STRIDE + Policy.ACQUIRE) >> 2;
    if (this.#isAsked[policy] === 0 || Atomics.load(table.u32, word) !== 0) return false;
    this.#isAsked[policy] = 0;
    this.#failedPass[policy] = this.#pass;
    return true;
  }
}
