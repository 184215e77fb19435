/** AGGFRAG payloads that came in, and the inner packets that come out of them (RFC 9347 section 2.5). */
import { type Instant, Instant as instant } from "../base/instant.ts";
import { OctetCopy } from "../base/octet-copy.ts";
import { createArenaBatch, PACKET_NOT_SENT, PACKET_OK, type PacketBatch } from "../base/packet-batch.ts";
import type { AggfragCongestion } from "../esp/aggfrag-congestion.ts";
import { AggfragLoss, type AggfragSink } from "../esp/aggfrag-reassembly.ts";
import { AggfragReceiver } from "../esp/aggfrag-receiver.ts";
import { AggfragMode, Slot, SlotState } from "../policy/sa-table.ts";
import { slotOffset } from "../policy/sad.ts";
import {
  AGGFRAG_CC_HEADER_LENGTH,
  aggfragHeaderLength,
  emptyReport,
  readCongestionReport,
} from "../wire/esp/aggfrag.ts";
import { ipv4Tos } from "../wire/ip/ipv4.ts";
import { ipv6TrafficClass } from "../wire/ip/ipv6.ts";
import { aggfragPacketSize } from "./aggfrag-congestions.ts";
import { Drop } from "./drop-reason.ts";
import { ACCEPTED, type InnerPackets } from "./inner-packets.ts";
import { type LaneContext, NO_DEVICE } from "./lane-context.ts";

/** Packets and octets that are delivered at once. */
const OUT_PACKETS = 256;
const OUT_OCTETS = 4 * 65_536;
/** The longest payload that waits for an earlier one, and the longest inner packet: an IPv4 packet has no more. */
const PAYLOAD_OCTETS_MAX = 9216;
const PACKET_OCTETS_MAX = 65_535;
const CE = 3;

const LOSSES: Readonly<Record<AggfragLoss, number>> = {
  [AggfragLoss.MALFORMED]: Drop.aggfragMalformed,
  [AggfragLoss.INCOMPLETE]: Drop.aggfragIncomplete,
  [AggfragLoss.TOO_LONG]: Drop.aggfragTooLong,
  [AggfragLoss.LATE]: Drop.aggfragLate,
};

interface Stream {
  readonly slot: number;
  readonly keyGeneration: number;
  readonly receiver: AggfragReceiver;
  /** Absent: nobody asked for any. */
  readonly congestion: AggfragCongestion | undefined;
}

export class AggfragInbound {
  readonly #context: LaneContext;
  readonly #inner: InnerPackets;
  readonly #out: PacketBatch = createArenaBatch(OUT_PACKETS, OUT_OCTETS);
  readonly #device = new Uint8Array(OUT_PACKETS);
  #received: Uint8Array | undefined;
  readonly #copyReceived = new OctetCopy();
  readonly #copyWaiting = new OctetCopy();
  readonly #bySlot: (Stream | undefined)[];
  #streams: Stream[] = [];
  readonly #report = emptyReport();
  /** Of the call that packets come out of. */
  #now: Instant = instant(0);

  constructor(context: LaneContext, inner: InnerPackets) {
    this.#context = context;
    this.#inner = inner;
    this.#bySlot = new Array<Stream | undefined>(context.table.size.slots).fill(undefined);
  }

  /** At the begin of a turn: forgets the SAs that went, and gives up on what has waited too long. */
  begin(now: Instant): void {
    this.#now = now;
    if (this.#context.isChanged && this.#streams.length > 0) this.#forgetGone();
    for (let k = 0; k < this.#streams.length; k++) this.#streams[k]!.receiver.expire(now);
    this.flush();
  }

  #forgetGone(): void {
    this.#streams = this.#streams.filter((stream) => {
      const isThere =
        this.#get(stream.slot, Slot.STATE) === SlotState.LIVE &&
        this.#get(stream.slot, Slot.KEY_GENERATION) === stream.keyGeneration;
      if (!isThere) this.#bySlot[stream.slot] = undefined;
      return isThere;
    });
  }

  isFor(slot: number): boolean {
    const { table } = this.#context;
    return table.u32[(slotOffset(table, slot) + Slot.AGGFRAG_MODE) >> 2] !== AggfragMode.OFF;
  }

  /**
   * Takes an authentic payload of an SA for which {@link isFor} holds; what comes out of it goes to its device with {@link flush}.
   * @param sequence - the whole number of its packet
   */
  take(batch: PacketBatch, i: number, length: number, slot: number, sequence: number, now: Instant): void {
    const isMarked = (batch.tos[i]! & CE) === CE;
    this.#now = now;
    this.#received = batch.bytes;
    const at = batch.offset[i]!;
    const { receiver, congestion } = this.#streamOf(slot, now);
    if (congestion !== undefined)
      this.#hear(congestion, slot, sequence, batch.bytes, at, length, isMarked, now);
    receiver.take(sequence, batch.bytes, at, length, isMarked, now);
  }

  /** What the peer says of our payloads, and what is to be said of its own [TFS-17] [TFS-18]. */
  #hear(
    congestion: AggfragCongestion,
    slot: number,
    sequence: number,
    bytes: Uint8Array,
    at: number,
    length: number,
    isMarked: boolean,
    now: Instant,
  ): void {
    const headerLength = aggfragHeaderLength(bytes, at, length);
    const hasReport = headerLength === AGGFRAG_CC_HEADER_LENGTH;
    if (hasReport) readCongestionReport(bytes, at, this.#report);
    congestion.arrived(sequence, isMarked, hasReport && this.#report.isPathProbed, now);
    if (length > headerLength) congestion.owe(now);
    if (!hasReport) return;
    const packetOctets = aggfragPacketSize(this.#context.table, slot);
    const rate = congestion.sender?.rate ?? this.#get(slot, Slot.AGGFRAG_RATE);
    const interval = rate === 0 ? 0 : (packetOctets * 1000) / rate;
    congestion.heard(this.#report, interval, packetOctets, now);
  }

  /** The packet with this number carries no payload of the stream. */
  pass(slot: number, sequence: number, now: Instant): void {
    this.#now = now;
    const { receiver, congestion } = this.#streamOf(slot, now);
    congestion?.arrived(sequence, false, false, now);
    receiver.pass(sequence, now);
  }

  #streamOf(slot: number, now: Instant): Stream {
    const known = this.#bySlot[slot];
    const keyGeneration = this.#get(slot, Slot.KEY_GENERATION);
    if (known?.keyGeneration === keyGeneration) return known;
    const sink: AggfragSink = {
      take: (bytes, at, length, isMarked) => this.#deliver(bytes, at, length, slot, isMarked),
      lose: (loss) => this.#context.count(LOSSES[loss]),
    };
    const receiver = new AggfragReceiver({
      sink,
      window: this.#get(slot, Slot.AGGFRAG_REORDER),
      payloadLengthMax: PAYLOAD_OCTETS_MAX,
      packetLengthMax: PACKET_OCTETS_MAX,
    });
    const congestion = this.#context.congestions.of(slot, now);
    const stream = { slot, keyGeneration, receiver, congestion };
    this.#streams = [...this.#streams.filter((one) => one !== known), stream];
    this.#bySlot[slot] = stream;
    return stream;
  }

  /** An inner packet like any other: selectors, SPD, device [TFS-06]. */
  #deliver(bytes: Uint8Array, at: number, length: number, slot: number, isMarked: boolean): void {
    const out = this.#out;
    const last = out.count - 1;
    let to = last < 0 ? 0 : out.offset[last]! + out.length[last]!;
    if (out.count === OUT_PACKETS || to + length > OUT_OCTETS) {
      this.flush();
      to = 0;
    }
    // What was put together lies in a memory of each stream, the rest where it was received.
    if (bytes === this.#received) this.#copyReceived.run(bytes, at, out.bytes, to, length);
    else this.#copyWaiting.run(bytes, at, out.bytes, to, length);
    const reason = this.#inner.check(out, to, length, slot, outerTosFor(out.bytes, to, isMarked), this.#now);
    if (reason !== ACCEPTED) {
      this.#context.count(reason);
      return;
    }
    const device = this.#inner.deviceOf(slot);
    if (device === NO_DEVICE) return;
    const i = out.count++;
    out.offset[i] = to;
    out.length[i] = length;
    this.#device[i] = device;
  }

  /** Hands what came out to its devices. */
  flush(): void {
    const out = this.#out;
    if (out.count === 0) return;
    let devices = 0;
    for (let i = 0; i < out.count; i++) devices |= 1 << this.#device[i]!;
    for (let device = 0; devices !== 0; device++, devices >>>= 1)
      if ((devices & 1) !== 0) this.#write(device);
    out.count = 0;
  }

  #write(device: number): void {
    const out = this.#out;
    for (let i = 0; i < out.count; i++)
      out.status[i] = this.#device[i] === device ? PACKET_OK : PACKET_NOT_SENT;
    this.#context.io.writeTun(device, out);
    for (let i = 0; i < out.count; i++)
      if (this.#device[i] === device && out.status[i] !== PACKET_OK) this.#context.count(Drop.tunRefused);
  }

  /** Nothing is ever due. */
  get isIdle(): boolean {
    return this.#streams.length === 0;
  }

  /** When {@link begin} has something to give up on; Infinity: never. */
  nextTimeout(): number {
    let next = Number.POSITIVE_INFINITY;
    for (let k = 0; k < this.#streams.length; k++)
      next = Math.min(next, this.#streams[k]!.receiver.expiresAt);
    return next;
  }

  #get(slot: number, field: number): number {
    const { table } = this.#context;
    return Atomics.load(table.u32, (slotOffset(table, slot) + field) >> 2);
  }
}

/** A mark that was put on a packet for another one's sake does not cost those that cannot show it [TFS-09]. */
function outerTosFor(bytes: Uint8Array, at: number, isMarked: boolean): number {
  if (!isMarked) return 0;
  const tos = bytes[at]! >>> 4 === 4 ? ipv4Tos(bytes, at) : ipv6TrafficClass(bytes, at);
  return (tos & CE) === 0 ? 0 : CE;
}
