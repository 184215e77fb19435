/** What a lane reads and writes, copied for whoever captures. It sits on the lane's way to the system, so that it misses nothing. */
import type { FrameBatch } from "../base/frame-batch.ts";
import type { IpAddress } from "../base/ip-address.ts";
import {
  DATAGRAM_META_STRIDE,
  META_HEADER_LENGTH,
  META_LOCAL_ADDRESS,
  META_REMOTE_ADDRESS,
  PACKET_OK,
  PACKET_TOO_BIG,
  type PacketBatch,
} from "../base/packet-batch.ts";
import { endpointOffset } from "../policy/endpoint-record.ts";
import { fillInboundKey, fillOutboundKey } from "../policy/packet-key.ts";
import { createPacketKey, writeAddressWords } from "../policy/selector-record.ts";
import { lookupSpd, NO_POLICY } from "../policy/spd.ts";
import { createPacketFields, type PacketFields, parseIpPacket } from "../wire/ip/ip-packet.ts";
import { CAPTURE_OUTBOUND, CaptureKind, CaptureRecord, CaptureRing, sourceOf } from "./capture-ring.ts";
import { Drop } from "./drop-reason.ts";
import type { CopyOctets } from "./hand-over.ts";
import type { LaneContext } from "./lane-context.ts";
import type { PacketIo, SocketIndex, SocketRole, TunIndex } from "./packet-io.ts";

/** What is wanted of all that passes. */
export interface CaptureFilter {
  /** Octets that are kept of a packet. */
  readonly snapLength: number;
  /** One of the ends of the packet, inner or outer. */
  readonly host?: IpAddress;
  /** Of a connection: inner packets of these policies, by index, and outer ones to and from these peers. Absent: of all. */
  readonly only?: { readonly policies: readonly number[]; readonly peers: readonly IpAddress[] };
}

const NO_RECORD = -1;
const NOT_DROPPED = 0;

const KINDS: Readonly<Record<SocketRole, number>> = {
  ike: CaptureKind.UDP,
  nat: CaptureKind.UDP,
  esp: CaptureKind.ESP,
  ah: CaptureKind.AH,
  whole: CaptureKind.WHOLE,
};

export class Tap {
  readonly #context: LaneContext;
  readonly #copy: CopyOctets;
  readonly #ring: CaptureRing;
  readonly #snapLength: number;
  readonly #host: Uint32Array | undefined;
  readonly #hostOctets: IpAddress | undefined;
  readonly #policies: Uint8Array | undefined;
  readonly #peers: readonly IpAddress[];
  readonly #fields = createPacketFields();
  readonly #key = createPacketKey();
  readonly #at = new Float64Array(1);
  /** Records of the batch that was read last, which drops may still mark. */
  #read: PacketBatch | undefined;
  #records = new Int32Array(0);

  /** @param copy - of octets, without making an object */
  constructor(context: LaneContext, memory: SharedArrayBuffer, filter: CaptureFilter, copy: CopyOctets) {
    this.#context = context;
    this.#copy = copy;
    this.#ring = new CaptureRing(memory);
    this.#snapLength = filter.snapLength;
    this.#hostOctets = filter.host;
    if (filter.host !== undefined) {
      this.#host = new Uint32Array(4);
      writeAddressWords(this.#host, 0, filter.host);
    }
    this.#peers = filter.only?.peers ?? [];
    if (filter.only === undefined) return;
    this.#policies = new Uint8Array(context.table.size.policies);
    for (const policy of filter.only.policies) this.#policies[policy] = 1;
  }

  /** At the begin of a turn. */
  begin(now: number): void {
    this.#at[0] = now;
  }

  /** Whoever captures may see what was noted so far; drops of it make records of their own from now on. */
  publish(): void {
    this.#read = undefined;
    this.#ring.publish();
  }

  /** What the host sent into a device. */
  noteFrames(device: TunIndex, frames: FrameBatch): void {
    this.#beginBatch(frames);
    for (let i = 0; i < frames.count; i++)
      this.#records[i] = this.#putInner(
        device,
        frames.bytes,
        frames.offset[i]!,
        frames.length[i]!,
        CAPTURE_OUTBOUND,
        NOT_DROPPED,
        0,
      );
  }

  /** What the host took, and what it refused, among packets `first` to `end`. @param isOffered - by packet, before it was asked */
  noteWritten(device: TunIndex, batch: PacketBatch, first: number, end: number, isOffered: Uint8Array): void {
    for (let i = first; i < end; i++) {
      if (isOffered[i] === 0) continue;
      const reason = batch.status[i] === PACKET_OK ? NOT_DROPPED : Drop.tunRefused + 1;
      this.#putInner(device, batch.bytes, batch.offset[i]!, batch.length[i]!, 0, reason, 0);
    }
  }

  /** What came from a socket. */
  noteReceived(socket: SocketIndex, batch: PacketBatch): void {
    const { role } = this.#context.io.sockets[socket]!;
    this.#beginBatch(batch);
    for (let i = 0; i < batch.count; i++) {
      const meta = i * DATAGRAM_META_STRIDE;
      const header = batch.meta[meta + META_HEADER_LENGTH]!;
      const kind = header > 0 ? CaptureKind.WHOLE : KINDS[role];
      const at = batch.offset[i]! - header;
      const length = batch.length[i]! + header;
      this.#records[i] = this.#isOuterWanted(batch.meta, meta)
        ? this.#put(kind | (socket << 16), batch.bytes, at, length, NOT_DROPPED)
        : NO_RECORD;
      this.#writeOuter(this.#records[i]!, batch.meta, meta, batch.tos[i]!);
    }
  }

  /** What left by a socket, and what the system refused. @param isOffered - by packet, before it was asked */
  noteSent(socket: SocketIndex, batch: PacketBatch, isOffered: Uint8Array): void {
    const { io, table } = this.#context;
    const kind = KINDS[io.sockets[socket]!.role] | CAPTURE_OUTBOUND | (socket << 16);
    for (let i = 0; i < batch.count; i++) {
      if (isOffered[i] === 0) continue;
      const meta = endpointOffset(table, batch.endpoint[i]!);
      if (!this.#isOuterWanted(table.bytes, meta)) continue;
      const status = batch.status[i];
      const refusal = status === PACKET_TOO_BIG ? Drop.sendTooBig : Drop.sendFailed;
      const reason = status === PACKET_OK ? NOT_DROPPED : refusal + 1;
      const record = this.#put(kind, batch.bytes, batch.offset[i]!, batch.length[i]!, reason);
      this.#writeOuter(record, table.bytes, meta, batch.tos[i]!);
    }
  }

  /** An inner packet on its way out is dropped. */
  dropOutbound(reason: number, bytes: Uint8Array, at: number, length: number): void {
    const batch = this.#read;
    if (batch !== undefined && batch.bytes === bytes) {
      const i = indexOf(batch, at);
      if (i >= 0) {
        this.#mark(i, reason);
        return;
      }
    }
    const device = this.#likelyDevice(bytes, at, length);
    this.#putInner(device, bytes, at, length, CAPTURE_OUTBOUND, reason + 1, 0);
  }

  /** Of what was held, and comes from no device any more: the first one that has a policy for it. */
  #likelyDevice(bytes: Uint8Array, at: number, length: number): TunIndex {
    const fields = this.#fields;
    if (!parseIpPacket(bytes, at, length, fields)) return 0;
    for (let device = 0; device < this.#context.spds.length; device++)
      if (this.#policyOf(device, fields, CAPTURE_OUTBOUND) !== NO_POLICY) return device;
    return 0;
  }

  /** An inner packet that came through the SA of `spi` goes no further. */
  dropInbound(reason: number, bytes: Uint8Array, at: number, length: number, spi: number): void {
    this.#putInner(0, bytes, at, length, 0, reason + 1, spi);
  }

  /** Datagram `i` of the batch that was received last is dropped. */
  dropDatagram(reason: number, batch: PacketBatch, i: number): void {
    if (this.#read === batch) this.#mark(i, reason);
  }

  #mark(i: number, reason: number): void {
    const record = this.#records[i]!;
    if (record !== NO_RECORD) this.#ring.u32[record + CaptureRecord.REASON] = reason + 1;
  }

  #beginBatch(batch: PacketBatch): void {
    this.#ring.publish();
    this.#read = batch;
    if (this.#records.length < batch.capacity) this.#records = new Int32Array(batch.capacity);
  }

  #putInner(
    device: TunIndex,
    bytes: Uint8Array,
    at: number,
    length: number,
    direction: number,
    reason: number,
    spi: number,
  ): number {
    const fields = this.#fields;
    const isPacket = parseIpPacket(bytes, at, length, fields);
    const policy = isPacket ? this.#policyOf(device, fields, direction) : NO_POLICY;
    if (this.#policies !== undefined && (policy === NO_POLICY || this.#policies[policy] !== 1))
      return NO_RECORD;
    const host = this.#host;
    if (
      host !== undefined &&
      !(isPacket && (isSame(host, fields.source) || isSame(host, fields.destination)))
    )
      return NO_RECORD;
    const record = this.#put(CaptureKind.INNER | direction | (device << 16), bytes, at, length, reason);
    if (record === NO_RECORD) return record;
    const { u32 } = this.#ring;
    u32[record + CaptureRecord.SPI] = spi;
    u32[record + CaptureRecord.POLICY] = policy === NO_POLICY ? 0 : policy + 1;
    return record;
  }

  /** The policy whose packet it is by its selectors, whatever was decided about it. */
  #policyOf(device: TunIndex, fields: PacketFields, direction: number): number {
    const spd = this.#context.spds[device];
    if (spd === undefined) return NO_POLICY;
    if (direction === CAPTURE_OUTBOUND) fillOutboundKey(this.#key, fields);
    else fillInboundKey(this.#key, fields);
    const entry = lookupSpd(spd, this.#key);
    return entry < 0 ? NO_POLICY : spd.policy[entry]!;
  }

  #isOuterWanted(meta: Uint8Array, at: number): boolean {
    const host = this.#hostOctets;
    if (
      host !== undefined &&
      !isAt(meta, at + META_REMOTE_ADDRESS, host) &&
      !isAt(meta, at + META_LOCAL_ADDRESS, host)
    )
      return false;
    if (this.#policies === undefined) return true;
    for (const peer of this.#peers) if (isAt(meta, at + META_REMOTE_ADDRESS, peer)) return true;
    return false;
  }

  #put(kind: number, bytes: Uint8Array, at: number, length: number, reason: number): number {
    const captured = Math.min(length, this.#snapLength);
    const record = this.#ring.put(captured, sourceOf(kind));
    if (record === NO_RECORD) return record;
    const { u32, f64 } = this.#ring;
    u32[record + CaptureRecord.KIND] = kind;
    u32[record + CaptureRecord.LENGTH] = length;
    u32[record + CaptureRecord.CAPTURED] = captured;
    u32[record + CaptureRecord.REASON] = reason;
    u32[record + CaptureRecord.SPI] = 0;
    u32[record + CaptureRecord.POLICY] = 0;
    f64[(record + CaptureRecord.AT) >> 1] = this.#at[0]!;
    this.#copy(bytes, at, captured, this.#ring.bytes, (record + CaptureRecord.OCTETS) * 4);
    return record;
  }

  #writeOuter(record: number, meta: Uint8Array, at: number, tos: number): void {
    if (record === NO_RECORD) return;
    this.#ring.u32[record + CaptureRecord.TOS] = tos;
    this.#copy(meta, at, META_OCTETS, this.#ring.bytes, (record + CaptureRecord.META) * 4);
  }
}

/** Addresses, ports and family. */
const META_OCTETS = 40;

/** The lane's way to the system with a tap in it; without a capture each call costs one comparison more. */
export class TappedPacketIo implements PacketIo {
  readonly tunCount: number;
  readonly sockets: PacketIo["sockets"];
  readonly sendFragmentable?: NonNullable<PacketIo["sendFragmentable"]>;
  tap: Tap | undefined;
  readonly #io: PacketIo;
  #isOffered = new Uint8Array(0);

  constructor(io: PacketIo) {
    this.#io = io;
    this.tunCount = io.tunCount;
    this.sockets = io.sockets;
    if (io.sendFragmentable === undefined) return;
    this.sendFragmentable = (socket, from) => {
      if (this.tap !== undefined) this.#offer(from);
      io.sendFragmentable!(socket, from);
      this.tap?.noteSent(socket, from, this.#isOffered);
    };
  }

  readTun(tun: TunIndex, into: FrameBatch): void {
    this.#io.readTun(tun, into);
    if (this.tap !== undefined && into.count > 0) this.tap.noteFrames(tun, into);
  }

  writeTun(tun: TunIndex, from: PacketBatch): void {
    if (this.tap !== undefined) this.#offer(from);
    this.#io.writeTun(tun, from);
    this.tap?.noteWritten(tun, from, 0, from.count, this.#isOffered);
  }

  writeTunSome(tun: TunIndex, from: PacketBatch, first: number): number {
    if (this.tap === undefined) return this.#io.writeTunSome(tun, from, first);
    this.#offer(from);
    const next = this.#io.writeTunSome(tun, from, first);
    this.tap.noteWritten(tun, from, first, next, this.#isOffered);
    return next;
  }

  receive(socket: SocketIndex, into: PacketBatch): void {
    this.#io.receive(socket, into);
    if (this.tap !== undefined && into.count > 0) this.tap.noteReceived(socket, into);
  }

  send(socket: SocketIndex, from: PacketBatch): void {
    if (this.tap !== undefined) this.#offer(from);
    this.#io.send(socket, from);
    this.tap?.noteSent(socket, from, this.#isOffered);
  }

  /** Packets that are left out bear a status too. */
  #offer({ capacity, count, status, length }: PacketBatch): void {
    if (this.#isOffered.length < capacity) this.#isOffered = new Uint8Array(capacity);
    for (let i = 0; i < count; i++) this.#isOffered[i] = status[i] === PACKET_OK && length[i]! > 0 ? 1 : 0;
  }
}

/** Frames lie in their order. */
function indexOf({ offset, count }: PacketBatch, at: number): number {
  let low = 0;
  let high = count - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (offset[middle] === at) return middle;
    if (offset[middle]! < at) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

function isSame(a: Uint32Array, b: Uint32Array): boolean {
  return a[0] === b[0] && a[1] === b[1] && a[2] === b[2] && a[3] === b[3];
}

function isAt(bytes: Uint8Array, at: number, address: IpAddress): boolean {
  for (let octet = 0; octet < address.length; octet++) if (bytes[at + octet] !== address[octet]) return false;
  return true;
}
