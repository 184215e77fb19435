/** From a TUN device to the wire: policy and SA of each frame, then seal and send (RFC 4301 section 5.1). */
import { appendFrame, clearFrames, type FrameBatch } from "../base/frame-batch.ts";
import { earlier, type Instant, Instant as instant } from "../base/instant.ts";
import { OutboundChoice } from "../policy/outbound-choice.ts";
import { fillInboundKey, fillOutboundKey, packetSelectors } from "../policy/packet-key.ts";
import { Policy } from "../policy/sa-table.ts";
import { NO_SLOT } from "../policy/sad.ts";
import { createPacketKey, Key, type PacketKey } from "../policy/selector-record.ts";
import { lookupSpd, NO_POLICY, SPD_BYPASS, SPD_DISCARD } from "../policy/spd.ts";
import { createPacketFields, parseIpPacket, parseQuotedPacket } from "../wire/ip/ip-packet.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { Drop } from "./drop-reason.ts";
import { EARLY_FRAGMENT_OCTETS_MAX, EARLY_FRAGMENTS_MAX, EarlyFragments } from "./early-fragments.ts";
import { FLOW_UNKNOWN, FlowCache } from "./flow-cache.ts";
import { FragmentCheck } from "./fragment-check.ts";
import { FRAGMENT_FOLLOWS } from "./fragment-table.ts";
import type { HandOver } from "./hand-over.ts";
import { HeldPackets } from "./held-packets.ts";
import type { IcmpErrors } from "./icmp-errors.ts";
import { type LaneContext, SKIP_SLOT } from "./lane-context.ts";
import type { OwnAddresses } from "./own-addresses.ts";
import type { PacedSas } from "./paced-sas.ts";
import type { TunIndex } from "./packet-io.ts";
import type { Protection } from "./protection.ts";
import type { SealAndSend } from "./seal-and-send.ts";

/** Answers that are remembered beside SA slots. */
const NO_POLICY_MATCHES = -2;
const DISCARD = -3;
const BYPASS = -4;
/** Protected, but there is no SA: never remembered. */
const NO_SA = -1;

/** A policy whose negotiation just ended is not asked for again before this. */
export const ACQUIRE_INTERVAL_MS = 1000;

/** What the way out is made of. */
export interface OutboundParts {
  readonly context: LaneContext;
  /** What a device gives in one turn. */
  readonly frames: FrameBatch;
  /** What the gateway makes itself, or held, in one turn. */
  readonly made: FrameBatch;
  readonly protection: Protection;
  readonly sealAndSend: SealAndSend;
  readonly paced: PacedSas;
  readonly icmp: IcmpErrors;
  readonly own: OwnAddresses;
}

export class Outbound {
  readonly #context: LaneContext;
  readonly #frames: FrameBatch;
  readonly #made: FrameBatch;
  readonly #protection: Protection;
  readonly #sealAndSend: SealAndSend;
  readonly #paced: PacedSas;
  readonly #icmp: IcmpErrors;
  readonly #own: OwnAddresses;
  readonly #flows: FlowCache;
  readonly #choice: OutboundChoice;
  #spdChanges = -1;
  readonly #fragments: FragmentCheck;
  /** Made for the first fragment that has to wait. */
  #early: EarlyFragments | undefined;
  readonly #held: HeldPackets;
  readonly #fields = createPacketFields();
  readonly #quoted = createPacketFields();
  readonly #key = createPacketKey();
  readonly #quotedKey = createPacketKey();
  /** How often each frame of the batch was handed over. */
  readonly #hops: Uint8Array;
  /** Policy of the packet that was decided last. */
  #policy = NO_POLICY;
  /** And the generation that it then had. */
  #generation = 0;
  /** By policy: an acquire was raised for packets that are held. */
  readonly #isAsked: Uint8Array;
  readonly #askedAt: Float64Array;
  /** By policy: the pass over held packets in which its acquire was found to have failed. */
  readonly #failedPass: Uint32Array;
  #pass = 0;
  /** Packets are held that could leave, or whose acquire is due. */
  #isHeldDue = false;
  readonly #acquireDue = Float64Array.of(Number.POSITIVE_INFINITY);

  constructor(parts: OutboundParts) {
    const { policies } = parts.context.table.size;
    this.#context = parts.context;
    this.#frames = parts.frames;
    this.#made = parts.made;
    this.#protection = parts.protection;
    this.#sealAndSend = parts.sealAndSend;
    this.#paced = parts.paced;
    this.#icmp = parts.icmp;
    this.#own = parts.own;
    this.#flows = new FlowCache(parts.context.table);
    this.#choice = new OutboundChoice(parts.context.table, parts.context.memory, parts.context.index);
    this.#fragments = new FragmentCheck(parts.context);
    this.#held = new HeldPackets(policies);
    this.#hops = new Uint8Array(parts.frames.capacity);
    this.#isAsked = new Uint8Array(policies);
    this.#askedAt = new Float64Array(policies).fill(Number.NEGATIVE_INFINITY);
    this.#failedPass = new Uint32Array(policies);
  }

  /**
   * Sends what was held and may leave, what other lanes have for this one, then one batch of each TUN device.
   * @returns the packets handled
   */
  turn(now: Instant): number {
    if (this.#context.isChanged) this.#fragments.clear();
    if (this.#context.spdChanges !== this.#spdChanges) {
      this.#flows.clear();
      this.#choice.clear();
    }
    this.#spdChanges = this.#context.spdChanges;
    this.#paced.begin(now);
    let handled = this.#isReleaseDue(now) ? this.#releaseHeld(now) : 0;
    const frames = this.#frames;
    const { io, handOver } = this.#context;
    if (handOver !== undefined) handled += this.#turnHandedOver(handOver, now);
    for (let device = 0; device < io.tunCount; device++) {
      clearFrames(frames);
      io.readTun(device, frames);
      handled += frames.count;
      for (let i = 0; i < frames.count; i++) this.#decide(frames, i, device, now);
      this.#releaseEarly(now);
      handOver?.wakeOthers();
      this.#send(now);
    }
    this.#paced.turn(now);
    return handled;
  }

  /** They are older than what waits at the devices. */
  #turnHandedOver(handOver: HandOver, now: Instant): number {
    const frames = this.#frames;
    let handled = 0;
    for (let lane = 0; lane < handOver.lanes; lane++) {
      handOver.takeFrames(lane, frames, this.#hops);
      handled += frames.count;
      for (let i = 0; i < frames.count; i++) {
        handOver.hops = this.#hops[i]!;
        this.#decide(frames, i, handOver.device, now);
      }
      handOver.hops = 0;
      this.#releaseEarly(now);
      this.#send(now);
    }
    handOver.wakeOthers();
    return handled;
  }

  #send(now: Instant): void {
    if (this.#frames.count > 0) this.#sealAndSend.run(this.#frames);
    if (this.#made.count > 0) this.#sealAndSend.run(this.#made);
    this.#protection.flush(now);
  }

  /** Something is sent by the clock. */
  get isTimed(): boolean {
    return !this.#paced.isIdle;
  }

  nextTimeout(): Instant | undefined {
    if (this.#isHeldDue && this.#held.count > 0) return instant(0);
    const expiry = this.#held.nextExpiry();
    const held = earlier(
      expiry === undefined ? expiry : instant(Math.min(expiry, this.#acquireDue[0]!)),
      earlier(this.#early?.nextExpiry(), this.#protection.nextTimeout()),
    );
    if (this.#paced.isIdle) return held;
    const paced = this.#paced.nextTimeout();
    return paced === Number.POSITIVE_INFINITY ? held : earlier(held, instant(paced));
  }

  #decide(frames: FrameBatch, i: number, device: TunIndex, now: Instant): void {
    const fields = this.#fields;
    frames.slot[i] = SKIP_SLOT;
    if (!parseIpPacket(frames.bytes, frames.offset[i]!, frames.length[i]!, fields)) {
      this.#context.dropFrame(Drop.malformedPacket, frames, i);
      return;
    }
    const key = this.#key;
    fillOutboundKey(key, fields);
    if (this.#isLoop(key)) {
      this.#context.dropFrame(Drop.loop, frames, i);
      return;
    }
    if (fields.isFragment) {
      const reason = this.#fragments.outbound(fields, key, device, now);
      if (reason !== FRAGMENT_FOLLOWS) {
        this.#dropFragment(reason, frames, i, device, now);
        return;
      }
      if (fields.fragmentOffset === 0) this.#early?.noteFirst();
    }
    let answer = this.#flows.find(key, device);
    if (answer === FLOW_UNKNOWN) answer = this.#resolve(frames, i, device);
    if (answer >= 0) this.#protection.protect(frames, i, fields, answer, device, now);
    else if (answer === NO_SA) this.#hold(frames, i, device, now);
    else if (answer === BYPASS) this.#context.dropFrame(Drop.policyBypass, frames, i);
    else {
      this.#context.dropFrame(answer === DISCARD ? Drop.policyDiscard : Drop.noPolicy, frames, i);
      this.#icmp.prohibited(frames, i, fields, device, now);
    }
  }

  #dropFragment(reason: number, frames: FrameBatch, i: number, device: TunIndex, now: Instant): void {
    const outcome = reason === Drop.fragmentBeforeFirst ? this.#wait(frames, i, device, now) : reason;
    if (outcome === Drop.fragmentHeld) this.#context.count(outcome);
    else this.#context.dropFrame(outcome, frames, i, 1);
  }

  /** Keeps a later fragment until its first has come; the reason to count. */
  #wait(frames: FrameBatch, i: number, device: TunIndex, now: Instant): number {
    const { totalLength } = this.#fields;
    if (totalLength > EARLY_FRAGMENT_OCTETS_MAX) return Drop.fragmentBeforeFirst;
    const { policies } = this.#context.table.size;
    this.#early ??= new EarlyFragments(policies + 1);
    // What may not be protected at all has a share of its own.
    const possible = this.#fragments.possiblePolicy(device);
    const lost = this.#early.hold(
      frames.bytes,
      frames.offset[i]!,
      totalLength,
      { policy: possible === NO_POLICY ? policies : possible, source: device, mark: 0, tos: 0 },
      now,
    );
    if (lost > 0) this.#context.count(Drop.fragmentBeforeFirst, lost);
    return Drop.fragmentHeld;
  }

  /** Sends on what waited for a first fragment that has come, in order of arrival. */
  #releaseEarly(now: Instant): void {
    const early = this.#early;
    if (early === undefined || early.count === 0) return;
    const lost = early.expire(now);
    if (lost > 0) this.#context.count(Drop.fragmentBeforeFirst, lost);
    if (!early.takeDue()) return;
    const made = this.#made;
    for (let position = 0; position < EARLY_FRAGMENTS_MAX; position++) {
      const cell = early.cellAt(position);
      const i = cell < 0 ? -1 : appendFrame(made, early.lengthOf(cell));
      if (i < 0) continue;
      early.copyTo(cell, made.bytes, made.offset[i]!);
      made.slot[i] = SKIP_SLOT;
      if (!this.#hasFirst(made, i, early.sourceOf(cell), now)) {
        made.count--;
        continue;
      }
      early.remove(cell);
      this.#decide(made, i, early.sourceOf(cell), now);
    }
  }

  #hasFirst(made: FrameBatch, i: number, device: TunIndex, now: Instant): boolean {
    const fields = this.#fields;
    if (!parseIpPacket(made.bytes, made.offset[i]!, made.length[i]!, fields)) return false;
    fillOutboundKey(this.#key, fields);
    return this.#fragments.canFollow(fields, this.#key, device, now);
  }

  /** One of our own outer packets: sealing it would send it round for ever. */
  #isLoop(key: PacketKey): boolean {
    const protocol = key[Key.PROTOCOL];
    if (protocol !== IpProtocol.ESP && protocol !== IpProtocol.AH && protocol !== IpProtocol.UDP)
      return false;
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
  #resolve(frames: FrameBatch, i: number, device: TunIndex): number {
    const key = this.#key;
    const answer = this.#lookup(key, device);
    if (answer === NO_POLICY_MATCHES && this.#readQuoted(frames, i))
      return this.#lookup(this.#quotedKey, device);
    if (answer >= 0 && this.#held.countFor(this.#policy) > 0) {
      // The SA appeared within this turn: what is held for it leaves first, at the start of the next one.
      this.#isHeldDue = true;
      return NO_SA;
    }
    if (answer !== NO_SA) this.#flows.store(key, device, answer, this.#policy, this.#generation);
    return answer;
  }

  #lookup(key: PacketKey, device: TunIndex): number {
    const spd = this.#context.spds[device];
    const entry = spd === undefined ? -1 : lookupSpd(spd, key);
    this.#policy = NO_POLICY;
    if (spd === undefined || entry < 0) return NO_POLICY_MATCHES;
    if (spd.action[entry] === SPD_DISCARD) return DISCARD;
    if (spd.action[entry] === SPD_BYPASS) return BYPASS;
    this.#policy = spd.policy[entry]!;
    this.#generation = this.#flows.generationOf(this.#policy);
    const slot = this.#choice.find(spd, entry, this.#policy, this.#generation, key);
    return slot === NO_SLOT ? NO_SA : slot;
  }

  /** An ICMP error about a packet that came in through an SA belongs to that SA (RFC 4301 section 6.2) [SPD-12]. */
  #readQuoted({ bytes, offset }: FrameBatch, i: number): boolean {
    const quoted = this.#quoted;
    if (!parseQuotedPacket(bytes, offset[i]!, this.#fields, quoted)) return false;
    fillInboundKey(this.#quotedKey, quoted);
    for (let word = 0; word < 4; word++)
      if (quoted.source[word] !== this.#fields.destination[word]) return false;
    return true;
  }

  /** Keeps packet `i` of policy `#policy` until there is an SA, and asks for one. */
  #hold(frames: FrameBatch, i: number, device: TunIndex, now: Instant): void {
    if (frames.segments[i] === 1) frames.length[i] = frames.packetLength[i] = this.#fields.totalLength;
    if (!this.#held.hold(frames, i, this.#policy, device, now))
      this.#context.dropFrame(Drop.heldTooMany, frames, i);
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
    const made = this.#made;
    let released = 0;
    this.#isHeldDue = false;
    this.#acquireDue[0] = Number.POSITIVE_INFINITY;
    this.#pass++;
    for (let position = 0; position < held.count; position++) {
      let i = held.copyTo(position, made);
      if (i < 0) {
        this.#sealAndSend.run(made);
        i = held.copyTo(position, made);
      }
      made.slot[i] = SKIP_SLOT;
      if (!this.#release(position, i, now)) {
        // Room for the next.
        made.count--;
        continue;
      }
      released++;
      const policy = held.policyAt(position);
      held.remove(position);
      if (held.countFor(policy) === 0) this.#isAsked[policy] = 0;
    }
    held.compact();
    if (made.count > 0) this.#sealAndSend.run(made);
    this.#protection.flush(now);
    return released;
  }

  /** Whether the held packet, copied to frame `i`, is no longer to be held: sent on, or dropped and counted. */
  #release(position: number, i: number, now: Instant): boolean {
    const held = this.#held;
    const made = this.#made;
    const device = held.deviceAt(position);
    if (!parseIpPacket(made.bytes, made.offset[i]!, made.length[i]!, this.#fields)) return true;
    fillOutboundKey(this.#key, this.#fields);
    if (this.#fields.isFragment && !this.#fragments.outboundAgain(this.#fields, this.#key, device, now)) {
      this.#context.dropFrame(Drop.fragmentBeforeFirst, made, i);
      return true;
    }
    const answer = this.#lookup(this.#key, device);
    if (answer >= 0) {
      this.#protection.protect(made, i, this.#fields, answer, device, now);
      return true;
    }
    const policy = held.policyAt(position);
    if (answer !== NO_SA || this.#policy !== policy) {
      this.#context.dropFrame(Drop.noPolicy, made, i);
      return true;
    }
    if (this.#hasFailed(policy)) {
      this.#context.dropFrame(Drop.acquireFailed, made, i);
      return true;
    }
    if (held.isExpired(position, now)) {
      this.#context.dropFrame(Drop.heldTooOld, made, i);
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
