/** TUN devices and sockets as queues in memory: what the system does for a lane, without the system. */

import { concat } from "../../../src/base/bytes.ts";
import {
  appendFrame,
  clearFrames,
  FRAME_TCP4,
  FRAME_TCP6,
  FRAME_UDP,
  type FrameBatch,
} from "../../../src/base/frame-batch.ts";
import {
  DATAGRAM_META_STRIDE,
  META_FAMILY,
  META_HEADER_LENGTH,
  META_LOCAL_ADDRESS,
  META_LOCAL_PORT,
  META_REMOTE_ADDRESS,
  META_REMOTE_PORT,
  META_TOS,
  PACKET_NOT_SENT,
  PACKET_OK,
  PACKET_TOO_BIG,
  type PacketBatch,
} from "../../../src/base/packet-batch.ts";
import type { UdpEndpoint } from "../../../src/base/udp-endpoint.ts";
import type { LaneSocket, PacketIo, SocketIndex, TunIndex } from "../../../src/dataplane/packet-io.ts";
import { readEndpointRecord } from "../../../src/policy/endpoint-record.ts";
import type { SaTable } from "../../../src/policy/sa-table.ts";
import { ipv4ChecksumIsValid, ipv4DontFragment, ipv4TotalLength } from "../../../src/wire/ip/ipv4.ts";
import { ipv6PayloadLength, ipv6TrafficClass } from "../../../src/wire/ip/ipv6.ts";
import { findSecurityPlace } from "../../../src/wire/ip/security-place.ts";
import { superpacketHeaders } from "../../../src/wire/ip/superpacket.ts";
import { OuterReassembly, udpPayload } from "./outer-reassembly.ts";

/** A datagram on the wire: a UDP payload, or with ports 0 an ESP or AH packet, or a fragment of a packet of any kind. */
export interface Datagram {
  /** The IP header of a packet without UDP, where there is more to say of it than `tos`. */
  readonly header?: Uint8Array;
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  readonly tos: number;
  readonly bytes: Uint8Array;
}

/** TCP or UDP with the payloads of several packets, of `segmentLength` octets each but the last. */
export interface Superpacket {
  readonly bytes: Uint8Array;
  readonly segmentLength: number;
}

export interface SentDatagram extends Datagram {
  readonly socket: SocketIndex;
  readonly hasDf: boolean;
}

const DEFAULT_SOCKETS: readonly LaneSocket[] = [
  { role: "ike", family: 4, localPort: 500 },
  { role: "nat", family: 4, localPort: 4500 },
  { role: "esp", family: 4, localPort: 0 },
  { role: "ah", family: 4, localPort: 0 },
  { role: "whole", family: 4, localPort: 0, sendsOnly: true },
  { role: "ike", family: 6, localPort: 500 },
  { role: "nat", family: 6, localPort: 4500 },
  { role: "esp", family: 6, localPort: 0 },
  { role: "ah", family: 6, localPort: 0 },
  { role: "whole", family: 6, localPort: 0, sendsOnly: true },
];

/** Whether datagram `i` has the meta of the one before it. */
function isSameOrigin(meta: Uint8Array, i: number): boolean {
  const at = i * DATAGRAM_META_STRIDE;
  for (let octet = at; octet < at + DATAGRAM_META_STRIDE; octet++)
    if (meta[octet] !== meta[octet - DATAGRAM_META_STRIDE]) return false;
  return true;
}

export class MemoryPacketIo implements PacketIo {
  readonly tunCount: number;
  readonly sockets: readonly LaneSocket[];
  readonly #table: SaTable;
  /** Packets and superpackets that the host sends into each device. */
  readonly fromHost: (Uint8Array | Superpacket)[][];
  /** Packets that each device gave to the host. */
  readonly toHost: Uint8Array[][];
  readonly #fragments = new OuterReassembly();
  /** Datagrams that wait at each socket. */
  readonly arrived: Datagram[][];
  readonly sent: SentDatagram[] = [];
  /** Longer outer packets are refused, headers included. */
  pathMtu = 1500;
  /** Called once, in the middle of a turn: when the lane asks a device for packets. */
  beforeRead: (() => void) | undefined;
  /** Of one {@link writeTunSome}. */
  tunWritesMax = Number.POSITIVE_INFINITY;
  /** Called for each packet that the host gets: it may answer at once. */
  afterWrite: ((packet: Uint8Array) => void) | undefined;
  isRefusingTunWrites = false;
  isRefusingSends = false;

  constructor(table: SaTable, tunCount = 1, sockets: readonly LaneSocket[] = DEFAULT_SOCKETS) {
    this.#table = table;
    this.tunCount = tunCount;
    this.sockets = sockets;
    this.fromHost = Array.from({ length: tunCount }, () => []);
    this.toHost = Array.from({ length: tunCount }, () => []);
    this.arrived = sockets.map(() => []);
  }

  /** Puts a datagram where the system would: by family, and by port or as raw ESP; fragments once they are whole. */
  arrive(arriving: Datagram): void {
    const datagram = this.#whole(arriving);
    if (datagram === undefined) return;
    const family = datagram.local.address.length === 4 ? 4 : 6;
    const socket = this.sockets.findIndex((one) =>
      datagram.local.port === 0
        ? one.role === roleOf(datagram) && one.family === family
        : (one.role === "ike" || one.role === "nat") &&
          one.family === family &&
          one.localPort === datagram.local.port,
    );
    if (socket >= 0) this.arrived[socket]!.push(datagram);
  }

  #whole(arriving: Datagram): Datagram | undefined {
    const { header, local, remote, tos, bytes } = arriving;
    if (header === undefined) return arriving;
    const arrived = concat(header, bytes);
    const packet = this.#fragments.take(arrived);
    if (packet === undefined) return undefined;
    if (packet === arrived) return arriving;
    const isV4 = packet[0]! >> 4 === 4;
    if (packet[isV4 ? 9 : 6] !== 17) return { local, remote, ...parseWhole(packet) };
    const { ports, payload } = udpPayload(packet);
    return {
      local: { ...local, port: ports[1] },
      remote: { ...remote, port: ports[0] },
      tos,
      bytes: payload,
    };
  }

  readTun(tun: TunIndex, into: FrameBatch): void {
    const { beforeRead } = this;
    this.beforeRead = undefined;
    beforeRead?.();
    clearFrames(into);
    const queue = this.fromHost[tun]!;
    while (queue.length > 0 && placeFrame(into, queue[0]!)) queue.shift();
  }

  writeTun(tun: TunIndex, from: PacketBatch): void {
    this.#write(tun, from, 0, Number.POSITIVE_INFINITY);
  }

  writeTunSome(tun: TunIndex, from: PacketBatch, first: number): number {
    return this.#write(tun, from, first, this.tunWritesMax);
  }

  #write(tun: TunIndex, from: PacketBatch, first: number, most: number): number {
    let left = most;
    let i = first;
    for (; i < from.count && left > 0; i++) {
      if (from.status[i] !== PACKET_OK) continue;
      left--;
      if (this.isRefusingTunWrites) from.status[i] = PACKET_NOT_SENT;
      else {
        const packet = take(from, i);
        this.toHost[tun]!.push(packet);
        this.afterWrite?.(packet);
      }
    }
    return i;
  }

  receive(socket: SocketIndex, into: PacketBatch): void {
    fill(into, this.arrived[socket]!, ({ local, remote, tos, header }, i) => {
      const at = i * DATAGRAM_META_STRIDE;
      into.meta.fill(0, at, at + DATAGRAM_META_STRIDE);
      into.meta.set(remote.address, at + META_REMOTE_ADDRESS);
      into.meta.set(local.address, at + META_LOCAL_ADDRESS);
      const words = new Uint16Array(into.meta.buffer, into.meta.byteOffset + at, DATAGRAM_META_STRIDE / 2);
      words[META_REMOTE_PORT / 2] = remote.port;
      words[META_LOCAL_PORT / 2] = local.port;
      into.meta[at + META_FAMILY] = local.address.length === 4 ? 4 : 6;
      into.meta[at + META_TOS] = tos;
      // Of IPv6 the system shows no header.
      if (header !== undefined && local.address.length === 4)
        into.meta[at + META_HEADER_LENGTH] = header.length;
      into.tos[i] = tos;
      into.frame[i] = 1;
      if (i > 0) into.frame[i] = into.frame[i - 1]! + (isSameOrigin(into.meta, i) ? 0 : 1);
    });
  }

  send(socket: SocketIndex, from: PacketBatch): void {
    this.#send(socket, from, true);
  }

  sendFragmentable(socket: SocketIndex, from: PacketBatch): void {
    this.#send(socket, from, false);
  }

  #send(socket: SocketIndex, from: PacketBatch, hasDf: boolean): void {
    for (let i = 0; i < from.count; i++) {
      if (from.status[i] !== PACKET_OK) continue;
      const path = readEndpointRecord(this.#table, from.endpoint[i]!);
      const isWhole = this.sockets[socket]!.role === "whole";
      const headers = isWhole
        ? 0
        : (path.local.address.length === 4 ? 20 : 40) + (path.encapsulation === "udp" ? 8 : 0);
      if (this.isRefusingSends) from.status[i] = PACKET_NOT_SENT;
      else if (headers + from.length[i]! > this.pathMtu) from.status[i] = PACKET_TOO_BIG;
      else {
        const { local, remote } = path;
        const bytes = take(from, i);
        const common = { socket, local, remote };
        if (isWhole) this.sent.push({ ...common, ...parseWhole(bytes) });
        else this.sent.push({ ...common, tos: from.tos[i]!, hasDf, bytes });
      }
    }
  }
}

function roleOf({ header }: Datagram): "esp" | "ah" {
  if (header === undefined) return "esp";
  return header[header[0]! >> 4 === 4 ? 9 : 6] === 51 ? "ah" : "esp";
}

/** What the receiver's system makes of a packet that brings its own IP header. */
function parseWhole(packet: Uint8Array): Pick<SentDatagram, "header" | "tos" | "hasDf" | "bytes"> {
  const place = { offset: 0, nextHeaderAt: 0 };
  const isV4 = packet[0]! >> 4 === 4;
  const length = isV4 ? ipv4TotalLength(packet, 0) : 40 + ipv6PayloadLength(packet, 0);
  if (!findSecurityPlace(packet, 0, packet.length, place) || length !== packet.length)
    throw new Error("this is no whole packet");
  if (isV4 && !ipv4ChecksumIsValid(packet, 0)) throw new Error("a wrong header checksum");
  return {
    header: packet.slice(0, place.offset),
    tos: isV4 ? packet[1]! : ipv6TrafficClass(packet, 0),
    hasDf: !isV4 || ipv4DontFragment(packet, 0),
    bytes: packet.slice(place.offset),
  };
}

function placeFrame(into: FrameBatch, item: Uint8Array | Superpacket): boolean {
  const bytes = item instanceof Uint8Array ? item : item.bytes;
  const i = appendFrame(into, bytes.length);
  if (i < 0) return false;
  into.bytes.set(bytes, into.offset[i]);
  if (item instanceof Uint8Array) return true;
  const isTcp = bytes[bytes[0]! >> 4 === 4 ? 9 : 6] === 6;
  const kind = !isTcp ? FRAME_UDP : bytes[0]! >> 4 === 4 ? FRAME_TCP4 : FRAME_TCP6;
  const headers = superpacketHeaders(bytes, 0, bytes.length, kind);
  if (headers === undefined) throw new Error("this is no superpacket");
  const payload = bytes.length - headers.length;
  into.kind[i] = kind;
  into.segmentLength[i] = item.segmentLength;
  into.segments[i] = Math.ceil(payload / item.segmentLength);
  into.packetLength[i] = headers.length + Math.min(payload, item.segmentLength);
  return true;
}

function fill<T extends { readonly bytes: Uint8Array; readonly header?: Uint8Array }>(
  into: PacketBatch,
  queue: T[],
  describe: (item: T, i: number) => void,
): void {
  into.count = 0;
  let at = 0;
  while (queue.length > 0 && into.count < into.capacity) {
    const { bytes, header } = queue[0]!;
    if (at + (header?.length ?? 0) + bytes.length > into.bytes.length) break;
    if (header !== undefined) {
      into.bytes.set(header, at);
      at += header.length;
    }
    const i = into.count++;
    describe(queue.shift()!, i);
    into.bytes.set(bytes, at);
    into.offset[i] = at;
    into.length[i] = bytes.length;
    at += bytes.length;
  }
}

function take(batch: PacketBatch, i: number): Uint8Array {
  return batch.bytes.slice(batch.offset[i]!, batch.offset[i]! + batch.length[i]!);
}

/** Carries what one side has sent to the other, and the other way round; `pass` may drop, change or multiply. */
export function exchange(
  a: MemoryPacketIo,
  b: MemoryPacketIo,
  pass: (datagram: Datagram) => readonly Datagram[] = (datagram) => [datagram],
): number {
  const fromA = a.sent.splice(0);
  const fromB = b.sent.splice(0);
  for (const datagram of fromA) for (const one of pass(datagram)) b.arrive(seenByReceiver(one));
  for (const datagram of fromB) for (const one of pass(datagram)) a.arrive(seenByReceiver(one));
  return fromA.length + fromB.length;
}

function seenByReceiver({ local, remote, tos, bytes, header }: Datagram): Datagram {
  return { local: remote, remote: local, tos, bytes, ...(header === undefined ? {} : { header }) };
}
