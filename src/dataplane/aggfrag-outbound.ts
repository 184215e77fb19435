/** Inner packets of AGGFRAG SAs on their way into payloads, by the clock or as they come (RFC 9347 sections 2.2 and 2.4). */
import { FRAME_PLAIN, type FrameBatch } from "../base/frame-batch.ts";
import type { AggfragCongestion } from "../esp/aggfrag-congestion.ts";
import { AggfragSender } from "../esp/aggfrag-sender.ts";
import { ConstantRate } from "../esp/constant-rate.ts";
import { AggfragMode, Slot } from "../policy/sa-table.ts";
import { slotOffset } from "../policy/sad.ts";
import {
  AGGFRAG_CC_HEADER_LENGTH,
  AGGFRAG_HEADER_LENGTH,
  emptyReport,
  writeCongestionReport,
} from "../wire/esp/aggfrag.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { superpacketHeaders, writeSegment } from "../wire/ip/superpacket.ts";
import { aggfragPacketSize } from "./aggfrag-congestions.ts";
import { Drop } from "./drop-reason.ts";
import type { LaneContext } from "./lane-context.ts";
import type { MadePayloads } from "./made-payloads.ts";

/** What waits for a constant rate is at most so old, and within these bounds in octets. */
const QUEUE_MS = 100;
const QUEUE_OCTETS_MIN = 128 * 1024;
const QUEUE_OCTETS_MAX = 4 * 1024 * 1024;
/** Where congestion has lowered the rate, so many octets may wait at least. */
const QUEUE_ADAPTED_MIN = 16 * 1024;
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
  /** Absent: nobody asked for any. */
  readonly congestion: AggfragCongestion | undefined;
  readonly headerLength: number;
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
  readonly #report = emptyReport();

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
        : this.#open(slot, startOf(slot), now);
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

  #open(slot: number, startAt: number, now: number): Stream {
    const octetsPerSecond = this.#get(slot, Slot.AGGFRAG_RATE);
    const wanted = Math.floor((octetsPerSecond * QUEUE_MS) / 1000);
    const octets = Math.min(Math.max(wanted, QUEUE_OCTETS_MIN), QUEUE_OCTETS_MAX);
    const inbound = this.#get(slot, Slot.PAIR) - 1;
    const congestion = inbound < 0 ? undefined : this.#context.congestions.of(inbound, now);
    return {
      slot,
      keyGeneration: this.#get(slot, Slot.KEY_GENERATION),
      policy: this.#get(slot, Slot.POLICY),
      isConstant: this.#get(slot, Slot.AGGFRAG_MODE) === AggfragMode.CONSTANT,
      isWhole: this.#get(slot, Slot.AGGFRAG_WHOLE) === 1,
      sender: new AggfragSender(octets, Math.ceil(octets / PACKET_OCTETS_USUAL)),
      rate: new ConstantRate(startAt),
      congestion,
      headerLength: congestion === undefined ? AGGFRAG_HEADER_LENGTH : AGGFRAG_CC_HEADER_LENGTH,
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
    return this.#capacity(stream) - stream.headerLength;
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
    if (isOverfull(stream) || !sender.enqueue(bytes, at, length)) {
      this.#context.dropOutbound(Drop.aggfragQueueFull, 1, bytes, at, length);
      return;
    }
    if (stream.isConstant) return;
    if (isFirst) stream.flushAt = now + this.#get(stream.slot, Slot.AGGFRAG_DELAY) / 1000;
    const capacity = this.#capacity(stream);
    while (sender.waiting >= capacity - stream.headerLength) if (!this.#send(stream, capacity, now)) return;
  }

  /** Sends what is due. */
  turn(now: number): void {
    if (this.#gone.length > 0) this.#settleGone(now);
    for (let k = 0; k < this.#streams.length; k++) {
      const stream = this.#streams[k]!;
      if (stream.isConstant) this.#keepRate(stream, now);
      else if (now >= stream.flushAt) this.#flush(stream, now);
      // Nothing was to be sent that a report could go with.
      else if (now >= reportAt(stream)) this.#send(stream, this.#capacity(stream), now);
    }
  }

  /** [TFS-04] one payload for each interval, with whatever there is to carry. */
  #keepRate(stream: Stream, now: number): void {
    if (now < stream.rate.dueAt) return;
    const capacity = this.#capacity(stream);
    const outer = aggfragPacketSize(this.#context.table, stream.slot);
    stream.congestion?.sender?.expire(stream.congestion.rtt, outer, now);
    const intervalMs = (outer * 1000) / this.#rate(stream);
    while (stream.rate.take(now, intervalMs)) this.#send(stream, capacity, now);
    if (stream.congestion !== undefined) this.#show(stream, stream.congestion);
  }

  /** Octets a second. */
  #rate({ congestion, slot }: Stream): number {
    return congestion?.sender?.rate ?? this.#get(slot, Slot.AGGFRAG_RATE);
  }

  /** For whoever asks how the tunnel is. */
  #show({ slot }: Stream, { sender, rtt, lossInterval }: AggfragCongestion): void {
    this.#put(slot, Slot.AGGFRAG_RATE_NOW, Math.ceil(sender?.rate ?? 0));
    this.#put(slot, Slot.AGGFRAG_RTT, Math.round(rtt * 1000));
    this.#put(slot, Slot.AGGFRAG_LOSS_INTERVAL, lossInterval);
  }

  #flush(stream: Stream, now: number): void {
    const capacity = this.#capacity(stream);
    while (stream.sender.packets > 0) if (!this.#send(stream, capacity, now)) break;
    stream.flushAt = Number.POSITIVE_INFINITY;
  }

  /** Makes one payload; false when the SA may not carry it. */
  #send(stream: Stream, capacity: number, now: number): boolean {
    const { slot, sender, isConstant, isWhole, congestion, headerLength } = stream;
    while (isWhole && sender.frontLength > capacity - headerLength) {
      sender.dropFront();
      this.#context.count(Drop.tooBig);
    }
    if (capacity <= headerLength) return false;
    const { frames } = this.#payloads;
    const i = this.#payloads.append(capacity);
    if (i < 0) return false;
    const at = frames.offset[i]!;
    const written = sender.fill(frames.bytes, at, capacity, isConstant, !isWhole, headerLength);
    if (congestion !== undefined) {
      congestion.tell(this.#report, this.#transmitDelay(stream), now);
      writeCongestionReport(frames.bytes, at, this.#report);
    }
    frames.length[i] = written;
    frames.packetLength[i] = written;
    return this.#payloads.protect(i, slot, IpProtocol.AGGFRAG, now);
  }

  /** Milliseconds between two payloads of a constant rate; without one they leave as they come. */
  #transmitDelay(stream: Stream): number {
    if (!stream.isConstant) return 0;
    return (aggfragPacketSize(this.#context.table, stream.slot) * 1000) / this.#rate(stream);
  }

  /** Nothing is ever due. */
  get isIdle(): boolean {
    return this.#streams.length === 0;
  }

  nextTimeout(): number {
    let next = Number.POSITIVE_INFINITY;
    for (let k = 0; k < this.#streams.length; k++) {
      const stream = this.#streams[k]!;
      const { isConstant, rate, flushAt } = stream;
      next = Math.min(next, isConstant ? rate.dueAt : Math.min(flushAt, reportAt(stream)));
    }
    return next;
  }

  #capacity({ slot }: Stream): number {
    return this.#payloads.capacity(slot, this.#get(slot, Slot.AGGFRAG_PACKET_SIZE));
  }

  #get(slot: number, field: number): number {
    const { table } = this.#context;
    return Atomics.load(table.u32, (slotOffset(table, slot) + field) >> 2);
  }

  #put(slot: number, field: number, value: number): void {
    const { table } = this.#context;
    Atomics.store(table.u32, (slotOffset(table, slot) + field) >> 2, value);
  }
}

/** A queue that was made for the configured rate must not grow old where less of it is left. */
function isOverfull({ congestion, sender }: Stream): boolean {
  const rate = congestion?.sender?.rate;
  return rate !== undefined && sender.waiting > Math.max(QUEUE_ADAPTED_MIN, (rate * QUEUE_MS) / 1000);
}

function reportAt({ congestion }: Stream): number {
  return congestion === undefined ? Number.POSITIVE_INFINITY : congestion.reportAt;
}
