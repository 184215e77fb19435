/** Inner packets of AGGFRAG SAs on their way into payloads, by the clock or as they come (RFC 9347 sections 2.2 and 2.4). */
import { FRAME_PLAIN, type FrameBatch } from "../base/frame-batch.ts";
import { AggfragSender } from "../esp/aggfrag-sender.ts";
import { ConstantRate } from "../esp/constant-rate.ts";
import { AggfragMode, Slot } from "../policy/sa-table.ts";
import { slotOffset } from "../policy/sad.ts";
import { AGGFRAG_HEADER_LENGTH } from "../wire/esp/aggfrag.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { superpacketHeaders, writeSegment } from "../wire/ip/superpacket.ts";
import { Drop } from "./drop-reason.ts";
import type { LaneContext } from "./lane-context.ts";
import type { MadePayloads } from "./made-payloads.ts";

/** What waits for a constant rate is at most so old, and within these bounds in octets. */
const QUEUE_MS = 100;
const QUEUE_OCTETS_MIN = 128 * 1024;
const QUEUE_OCTETS_MAX = 4 * 1024 * 1024;
/** The peer of a new SA may not know yet that it has it: its answer is still on the way. */
const START_DELAY_MS = 200;
/** In a rekey the old SA may stop before the new one begins to send. */
const SUCCESSION_MS = 250;
/** Octets of an inner packet of usual size, by which places are counted. */
const PACKET_OCTETS_USUAL = 128;
const SEGMENT_OCTETS = 65_536;

/** One SA. */
interface Stream {
  readonly slot: number;
  readonly keyGeneration: number;
  readonly policy: number;
  readonly isConstant: boolean;
  readonly isWhole: boolean;
  readonly sender: AggfragSender;
  readonly rate: ConstantRate;
  /** When the packets that wait leave without more company. */
  flushAt: number;
}

export class AggfragOutbound {
  readonly #context: LaneContext;
  readonly #payloads: MadePayloads;
  #streams: readonly Stream[] = [];
  /** SAs that went and had no successor yet; `flushAt` is when nobody waits for one any more. */
  #gone: Stream[] = [];
  readonly #bySlot: (Stream | undefined)[];
  readonly #segment = new Uint8Array(SEGMENT_OCTETS);
  readonly #segmentView = new DataView(this.#segment.buffer);

  constructor(context: LaneContext, payloads: MadePayloads) {
    this.#context = context;
    this.#payloads = payloads;
    this.#bySlot = new Array<Stream | undefined>(context.table.size.slots).fill(undefined);
  }

  /** What waits for an SA that went moves to its successor. */
  setSlots(slots: readonly number[], now: number): void {
    const before = this.#streams;
    // A successor goes on in the rhythm of its predecessor.
    const startOf = (slot: number) =>
      [...before, ...this.#gone].find(({ policy }) => policy === this.#get(slot, Slot.POLICY))?.rate.dueAt ??
      now + START_DELAY_MS;
    this.#streams = slots.map((slot) => {
      const known = this.#bySlot[slot];
      return known?.keyGeneration === this.#get(slot, Slot.KEY_GENERATION)
        ? known
        : this.#open(slot, startOf(slot));
    });
    for (const { slot } of before) this.#bySlot[slot] = undefined;
    for (const stream of this.#streams) this.#bySlot[stream.slot] = stream;
    const staying = new Set(this.#streams);
    for (const stream of before) {
      if (staying.has(stream)) continue;
      stream.flushAt = now + SUCCESSION_MS;
      this.#gone.push(stream);
    }
    this.#settleGone(now);
  }

  #open(slot: number, startAt: number): Stream {
    const octetsPerSecond = this.#get(slot, Slot.AGGFRAG_RATE);
    const wanted = Math.floor((octetsPerSecond * QUEUE_MS) / 1000);
    const octets = Math.min(Math.max(wanted, QUEUE_OCTETS_MIN), QUEUE_OCTETS_MAX);
    return {
      slot,
      keyGeneration: this.#get(slot, Slot.KEY_GENERATION),
      policy: this.#get(slot, Slot.POLICY),
      isConstant: this.#get(slot, Slot.AGGFRAG_MODE) === AggfragMode.CONSTANT,
      isWhole: this.#get(slot, Slot.AGGFRAG_WHOLE) === 1,
      sender: new AggfragSender(octets, Math.ceil(octets / PACKET_OCTETS_USUAL)),
      rate: new ConstantRate(startAt),
      flushAt: Number.POSITIVE_INFINITY,
    };
  }

  /** Those that went hand over what waits as soon as there is a successor, which may come a moment later. */
  #settleGone(now: number): void {
    this.#gone = this.#gone.filter((stream) => {
      const successor = this.#streams.find(({ policy }) => policy === stream.policy);
      if (successor !== undefined) {
        this.#context.count(Drop.aggfragQueueFull, stream.sender.moveTo(successor.sender));
        successor.flushAt = Math.min(successor.flushAt, now);
      } else if (now < stream.flushAt) return true;
      else this.#context.count(Drop.aggfragQueueFull, stream.sender.packets);
      return false;
    });
  }

  has(slot: number): boolean {
    return this.#bySlot[slot] !== undefined;
  }

  /** Octets of the longest inner packet that the SA carries: pieces have no limit of their own [TFS-15]. */
  mtu(slot: number): number {
    const stream = this.#bySlot[slot];
    if (stream === undefined || !stream.isWhole) return SEGMENT_OCTETS;
    return this.#capacity(stream) - AGGFRAG_HEADER_LENGTH;
  }

  /** Takes a copy of frame `i`, all of its packets, which are no longer than {@link mtu} says. */
  take(frames: FrameBatch, i: number, slot: number, now: number): void {
    const stream = this.#bySlot[slot];
    if (stream === undefined) {
      this.#context.dropFrame(Drop.aggfragQueueFull, frames, i);
      return;
    }
    const at = frames.offset[i]!;
    const length = frames.length[i]!;
    if (frames.kind[i] === FRAME_PLAIN) {
      this.#enqueue(stream, frames.bytes, at, length, now);
      return;
    }
    const headers = superpacketHeaders(frames.bytes, at, length, frames.kind[i]!);
    if (headers === undefined) {
      this.#context.dropFrame(Drop.malformedPacket, frames, i);
      return;
    }
    const part = frames.segmentLength[i]!;
    for (let k = 0; k < frames.segments[i]!; k++) {
      const octets = writeSegment(
        this.#segment,
        this.#segmentView,
        frames.bytes,
        at,
        length,
        headers,
        part,
        k,
      );
      this.#enqueue(stream, this.#segment, 0, octets, now);
    }
  }

  #enqueue(stream: Stream, bytes: Uint8Array, at: number, length: number, now: number): void {
    const { sender } = stream;
    const isFirst = sender.packets === 0;
    if (!sender.enqueue(bytes, at, length)) {
      this.#context.dropOutbound(Drop.aggfragQueueFull, 1, bytes, at, length);
      return;
    }
    if (stream.isConstant) return;
    if (isFirst) stream.flushAt = now + this.#get(stream.slot, Slot.AGGFRAG_DELAY) / 1000;
    const capacity = this.#capacity(stream);
    while (sender.waiting >= capacity - AGGFRAG_HEADER_LENGTH) if (!this.#send(stream, capacity, now)) return;
  }

  /** Sends what is due. */
  turn(now: number): void {
    if (this.#gone.length > 0) this.#settleGone(now);
    for (let k = 0; k < this.#streams.length; k++) {
      const stream = this.#streams[k]!;
      if (stream.isConstant) this.#keepRate(stream, now);
      else if (now >= stream.flushAt) this.#flush(stream, now);
    }
  }

  /** [TFS-04] one payload for each interval, with whatever there is to carry. */
  #keepRate(stream: Stream, now: number): void {
    if (now < stream.rate.dueAt) return;
    const capacity = this.#capacity(stream);
    const outer = this.#outerSize(stream.slot);
    const intervalMs = (outer * 1000) / this.#get(stream.slot, Slot.AGGFRAG_RATE);
    while (stream.rate.take(now, intervalMs)) this.#send(stream, capacity, now);
  }

  #flush(stream: Stream, now: number): void {
    const capacity = this.#capacity(stream);
    while (stream.sender.packets > 0) if (!this.#send(stream, capacity, now)) break;
    stream.flushAt = Number.POSITIVE_INFINITY;
  }

  /** Makes one payload; false when the SA may not carry it. */
  #send({ slot, sender, isConstant, isWhole }: Stream, capacity: number, now: number): boolean {
    while (isWhole && sender.frontLength > capacity - AGGFRAG_HEADER_LENGTH) {
      sender.dropFront();
      this.#context.count(Drop.tooBig);
    }
    if (capacity <= AGGFRAG_HEADER_LENGTH) return false;
    const { frames } = this.#payloads;
    const i = this.#payloads.append(capacity);
    if (i < 0) return false;
    const written = sender.fill(frames.bytes, frames.offset[i]!, capacity, isConstant, !isWhole);
    frames.length[i] = written;
    frames.packetLength[i] = written;
    return this.#payloads.protect(i, slot, IpProtocol.AGGFRAG, now);
  }

  /** Nothing is ever due. */
  get isIdle(): boolean {
    return this.#streams.length === 0;
  }

  nextTimeout(): number {
    let next = Number.POSITIVE_INFINITY;
    for (let k = 0; k < this.#streams.length; k++) {
      const { isConstant, rate, flushAt } = this.#streams[k]!;
      next = Math.min(next, isConstant ? rate.dueAt : flushAt);
    }
    return next;
  }

  #outerSize(slot: number): number {
    const pathMtu = this.#get(slot, Slot.PATH_MTU);
    const wanted = this.#get(slot, Slot.AGGFRAG_PACKET_SIZE);
    return wanted === 0 ? pathMtu : Math.min(wanted, pathMtu);
  }

  #capacity({ slot }: Stream): number {
    return this.#payloads.capacity(slot, this.#get(slot, Slot.AGGFRAG_PACKET_SIZE));
  }

  #get(slot: number, field: number): number {
    const { table } = this.#context;
    return Atomics.load(table.u32, (slotOffset(table, slot) + field) >> 2);
  }
}
