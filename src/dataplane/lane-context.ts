/** What both directions of a lane share: tables, policies, sockets, counters, and the ways to the main thread. */

import type { FrameBatch } from "../base/frame-batch.ts";
import { IpAddress } from "../base/ip-address.ts";
import {
  DATAGRAM_META_STRIDE,
  META_FAMILY,
  META_LOCAL_ADDRESS,
  META_LOCAL_PORT,
  META_REMOTE_ADDRESS,
  META_REMOTE_PORT,
  type PacketBatch,
} from "../base/packet-batch.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import type { EspEngine } from "../esp/engine.ts";
import { clearRaised, HARD_LIMIT, markRaised, SOFT_LIMIT } from "../esp/lifetime.ts";
import type { SaLimit } from "../policy/data-plane.ts";
import { EndpointRecord, type SaTable, Slot } from "../policy/sa-table.ts";
import { slotOffset } from "../policy/sad.ts";
import { type SelectorMemory, selectorMemory } from "../policy/selector-record.ts";
import { type CompiledSpd, NO_POLICY, SPD_PROTECT } from "../policy/spd.ts";
import type { PacketFields } from "../wire/ip/ip-packet.ts";
import { AggfragCongestions } from "./aggfrag-congestions.ts";
import { DROP_REASONS, Drop } from "./drop-reason.ts";
import { DROP_RECORD_OCTETS, DropRecord } from "./drop-record.ts";
import type { HandOver } from "./hand-over.ts";
import type { IkeDatagram, LaneOptions, LaneUpcall } from "./lane-options.ts";
import type { PacketIo, SocketIndex, TunIndex } from "./packet-io.ts";
import type { Tap } from "./tap.ts";

/** For a batch's `slot`: names no slot, so that the engine passes over what has it, with PACKET_NO_KEY. */
export const SKIP_SLOT = 0xffffffff;
export const NO_DEVICE = -1;
export const NO_SOCKET = -1;

export class LaneContext {
  readonly index: number;
  readonly io: PacketIo;
  readonly engine: EspEngine;
  readonly table: SaTable;
  readonly memory: SelectorMemory;
  readonly drops: Float64Array;
  readonly dropRecord: DropRecord;
  /** False when there was no room for it. */
  readonly upcall: (upcall: LaneUpcall) => boolean;
  readonly ike: (datagram: IkeDatagram) => boolean;
  readonly spds: (CompiledSpd | undefined)[];
  readonly deviceOfPolicy: Int32Array;
  readonly congestions: AggfragCongestions;
  /** SAs or policies changed since the turn before. */
  isChanged = true;
  /** Absent: there is one lane. */
  readonly handOver: HandOver | undefined;
  /** Goes up with every {@link setSpd}. */
  spdChanges = 0;
  /** While somebody captures. */
  tap: Tap | undefined;
  readonly #u16: Uint16Array;

  constructor(options: LaneOptions) {
    this.index = options.index;
    this.io = options.io;
    this.engine = options.engine;
    this.table = options.table;
    this.memory = selectorMemory(options.table.u32.buffer as ArrayBuffer);
    this.drops = options.drops ?? new Float64Array(DROP_REASONS.length);
    this.dropRecord = new DropRecord(options.dropRecord ?? new ArrayBuffer(DROP_RECORD_OCTETS));
    this.upcall = (upcall) => options.upcall(upcall) !== false;
    this.ike = options.ike;
    this.spds = new Array<CompiledSpd | undefined>(options.io.tunCount).fill(undefined);
    this.deviceOfPolicy = new Int32Array(options.table.size.policies).fill(NO_DEVICE);
    this.handOver = options.handOver;
    this.congestions = new AggfragCongestions(options.table);
    this.#u16 = this.memory.u16;
  }

  setSpd(device: TunIndex, spd: CompiledSpd): void {
    this.spds[device] = spd;
    for (let policy = 0; policy < this.deviceOfPolicy.length; policy++)
      if (this.deviceOfPolicy[policy] === device) this.deviceOfPolicy[policy] = NO_DEVICE;
    for (let entry = 0; entry < spd.policy.length; entry++) {
      const policy = spd.policy[entry]!;
      if (spd.action[entry] === SPD_PROTECT && policy !== NO_POLICY) this.deviceOfPolicy[policy] = device;
    }
    this.isChanged = true;
    this.spdChanges++;
  }

  count(reason: number, packets = 1): void {
    this.drops[reason] = this.drops[reason]! + packets;
  }

  /** Counts frame `i`, an inner packet on its way out, as dropped, and remembers it; `packets` of those that it would become. */
  dropFrame(reason: number, frames: FrameBatch, i: number, packets = frames.segments[i]!): void {
    this.dropOutbound(reason, packets, frames.bytes, frames.offset[i]!, frames.length[i]!);
  }

  /** As {@link dropFrame}, for what lies elsewhere. */
  dropOutbound(reason: number, packets: number, bytes: Uint8Array, at: number, length: number): void {
    this.count(reason, packets);
    this.dropRecord.noteOutbound(reason, packets, bytes, at, length);
    this.tap?.dropOutbound(reason, bytes, at, length);
  }

  /** Counts datagram `i` of a socket as dropped; whoever captures sees why. */
  dropDatagram(reason: number, batch: PacketBatch, i: number): void {
    this.count(reason);
    this.tap?.dropDatagram(reason, batch, i);
  }

  /** Remembers an inner packet that came through the SA of `slot` and goes no further; whoever asked counts it. */
  noteInner(reason: number, fields: PacketFields, slot: number): void {
    this.dropRecord.noteInbound(reason, fields, this.inboundSpi(slot));
  }

  /** Remembers datagram `i`, which is ESP or AH and was refused as such; `spi` as it says, with or without an SA here. */
  noteDatagram(
    reason: number,
    batch: PacketBatch,
    i: number,
    protocol: number,
    spi: number,
    hasSa: boolean,
  ): void {
    const meta = i * DATAGRAM_META_STRIDE;
    this.dropRecord.noteDatagram(reason, protocol, spi, hasSa, batch.meta, meta, batch.length[i]!);
  }

  /** Hands frame `i` to the lane whose SA it needs; false: see {@link reasonNotGiven}. */
  giveFrame(lane: number, frames: FrameBatch, i: number, device: TunIndex): boolean {
    const { handOver } = this;
    return handOver?.mayGive === true && handOver.giveFrame(lane, frames, i, device);
  }

  /** Hands datagram `i` of a socket to the lane whose SA it is for; false: see {@link reasonNotGiven}. */
  giveDatagram(lane: number, batch: PacketBatch, i: number, socket: SocketIndex): boolean {
    const { handOver } = this;
    return handOver?.mayGive === true && handOver.giveDatagram(lane, batch, i, socket);
  }

  /** Why what belongs to another lane was not handed to it. */
  reasonNotGiven(): number {
    return this.handOver?.mayGive === true ? Drop.handOverFull : Drop.otherLane;
  }

  /**
   * The socket that reaches an endpoint, or {@link NO_SOCKET}.
   * @param hasHeader - packets bring their own IP header, unless they go in UDP
   */
  socketFor(endpointOffset: number, hasHeader = false): number {
    const { bytes } = this.table;
    const family = bytes[endpointOffset + EndpointRecord.FAMILY]!;
    const isUdp = bytes[endpointOffset + EndpointRecord.ENCAPSULATION] === 1;
    const port = this.#u16[(endpointOffset + EndpointRecord.LOCAL_PORT) >> 1]!;
    const wanted = isUdp ? "nat" : hasHeader ? "whole" : "esp";
    const { sockets } = this.io;
    let other = NO_SOCKET;
    for (let socket = 0; socket < sockets.length; socket++) {
      const { role, family: socketFamily, localPort } = sockets[socket]!;
      if (socketFamily !== family || role !== wanted) continue;
      if (!isUdp || localPort === port) return socket;
      other = socket;
    }
    return other;
  }

  /** A socket that takes packets with their IP header, or {@link NO_SOCKET}. */
  wholeSocket(family: 4 | 6): number {
    const { sockets } = this.io;
    for (let socket = 0; socket < sockets.length; socket++)
      if (sockets[socket]!.role === "whole" && sockets[socket]!.family === family) return socket;
    return NO_SOCKET;
  }

  /** SPI of the inbound SA of a slot's pair. */
  inboundSpi(slot: number): number {
    const { u32 } = this.table;
    const base = slotOffset(this.table, slot) >> 2;
    if (u32[base + Slot.DIRECTION / 4] === 0) return u32[base + Slot.SPI / 4]!;
    const pair = u32[base + Slot.PAIR / 4]!;
    return pair === 0 ? 0 : u32[(slotOffset(this.table, pair - 1) + Slot.SPI) >> 2]!;
  }

  /** Reports a limit, once unless the report gets lost. */
  raise(kind: "softLimit" | "hardLimit", slot: number, reason: SaLimit): void {
    const base = slotOffset(this.table, slot);
    const limit = kind === "softLimit" ? SOFT_LIMIT : HARD_LIMIT;
    if (!markRaised(this.table, base, limit)) return;
    if (!this.upcall({ kind, inboundSpi: this.inboundSpi(slot), reason }))
      clearRaised(this.table, base, limit);
  }
}

/** Where a datagram came from, out of a batch's meta. */
export function remoteOf(meta: Uint8Array, at: number): UdpEndpoint {
  return endpointOf(meta, at, META_REMOTE_ADDRESS, META_REMOTE_PORT);
}

export function localOf(meta: Uint8Array, at: number): UdpEndpoint {
  return endpointOf(meta, at, META_LOCAL_ADDRESS, META_LOCAL_PORT);
}

function endpointOf(meta: Uint8Array, at: number, address: number, port: number): UdpEndpoint {
  const length = meta[at + META_FAMILY] === 4 ? 4 : 16;
  const ports = new Uint16Array(meta.buffer, meta.byteOffset + at + port, 1);
  return {
    address: IpAddress(meta.slice(at + address, at + address + length)),
    port: ports[0]!,
  };
}
