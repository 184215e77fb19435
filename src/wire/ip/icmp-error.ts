/** ICMP errors about packets that cannot be sent on (RFC 792, RFC 1122 section 3.2.2, RFC 1812 section 4.3, RFC 4443). */
import { addToSum, finishSum, internetChecksum, pseudoHeaderSum } from "./checksum.ts";
import { ICMP_HEADER_LENGTH, Icmpv4Type, Icmpv6Type, mayAnswerWithError } from "./icmp.ts";
import type { PacketFields } from "./ip-packet.ts";
import { IPV4_DESTINATION, IPV4_HEADER_LENGTH, IPV4_SOURCE, writeIpv4Header } from "./ipv4.ts";
import { IPV6_DESTINATION, IPV6_HEADER_LENGTH, IPV6_SOURCE, writeIpv6Header } from "./ipv6.ts";
import { IpProtocol } from "./protocol.ts";

/** What is reported; each stands for a type and a code of either family. */
export const IcmpError = {
  /** No route: network unreachable; no route to destination. */
  NO_ROUTE: 0,
  /** The way is known but leads nowhere just now: host unreachable; address unreachable. */
  UNREACHABLE: 1,
  /** Policy forbids it: communication administratively prohibited. */
  PROHIBITED: 2,
  /** Fragmentation needed; packet too big. */
  TOO_BIG: 3,
  /** Time to live exceeded in transit; hop limit exceeded. */
  HOP_LIMIT: 4,
} as const;
export type IcmpError = (typeof IcmpError)[keyof typeof IcmpError];

/** Most octets that {@link writeIcmpError} writes. */
export const ICMP_ERROR_LENGTH_MAX = 1280;

/** RFC 1812 section 4.3.2.3: as much of the packet as keeps the whole error within this. */
const ERROR_LENGTH_MAX_V4 = 576;
/** RFC 4443 section 2.4 (c): the smallest MTU of IPv6. */
const ERROR_LENGTH_MAX_V6 = ICMP_ERROR_LENGTH_MAX;
const HOP_LIMIT = 64;
/** RFC 1812 section 4.3.2.5: precedence "internetwork control", the TOS bits of the packet, no ECN. */
const PRECEDENCE_CONTROL = 0xc0;
const TOS_BITS = 0x1c;

/** Type * 256 + code by IcmpError. */
const TYPE_AND_CODE_V4: readonly number[] = [
  Icmpv4Type.DESTINATION_UNREACHABLE * 256,
  Icmpv4Type.DESTINATION_UNREACHABLE * 256 + 1,
  Icmpv4Type.DESTINATION_UNREACHABLE * 256 + 13,
  Icmpv4Type.DESTINATION_UNREACHABLE * 256 + 4,
  Icmpv4Type.TIME_EXCEEDED * 256,
];
const TYPE_AND_CODE_V6: readonly number[] = [
  Icmpv6Type.DESTINATION_UNREACHABLE * 256,
  Icmpv6Type.DESTINATION_UNREACHABLE * 256 + 3,
  Icmpv6Type.DESTINATION_UNREACHABLE * 256 + 1,
  Icmpv6Type.PACKET_TOO_BIG * 256,
  Icmpv6Type.TIME_EXCEEDED * 256,
];

/**
 * Writes the error that answers a packet, unless that packet must not be answered with one. It comes from the address that
 * the packet was sent to: that lies behind the tunnel, where a host takes packets of this gateway's own addresses from
 * nowhere but itself.
 *
 * @param into - takes at most {@link ICMP_ERROR_LENGTH_MAX} octets from `at` on, and must not overlap the packet
 * @param bytes - holds the packet at `offset`
 * @param fields - the packet as parseIpPacket read it
 * @param mtu - octets of an IP packet that would have fitted; for TOO_BIG only, else 0
 * @returns octets written, 0 when nothing may be sent
 */
export function writeIcmpError(
  error: IcmpError,
  mtu: number,
  into: Uint8Array,
  at: number,
  bytes: Uint8Array,
  offset: number,
  fields: PacketFields,
): number {
  if (!mayReportError(fields)) return 0;
  return fields.family === 4
    ? writeV4(error, mtu, into, at, bytes, offset, fields)
    : writeV6(error, mtu, into, at, bytes, offset, fields);
}

function writeV4(
  error: IcmpError,
  mtu: number,
  into: Uint8Array,
  at: number,
  bytes: Uint8Array,
  offset: number,
  fields: PacketFields,
): number {
  const icmp = at + IPV4_HEADER_LENGTH;
  const overhead = IPV4_HEADER_LENGTH + ICMP_HEADER_LENGTH;
  const quoted = Math.min(fields.totalLength, ERROR_LENGTH_MAX_V4 - overhead);
  copy(bytes, offset + IPV4_DESTINATION, into, at + IPV4_SOURCE, 4);
  copy(bytes, offset + IPV4_SOURCE, into, at + IPV4_DESTINATION, 4);
  const tos = PRECEDENCE_CONTROL | (fields.tos & TOS_BITS);
  writeIpv4Header(into, at, overhead + quoted, IpProtocol.ICMP, tos, HOP_LIMIT);
  writeIcmpHeader(into, icmp, TYPE_AND_CODE_V4[error]!, Math.min(mtu, 0xffff));
  copy(bytes, offset, into, icmp + ICMP_HEADER_LENGTH, quoted);
  putChecksum(into, icmp, internetChecksum(into, icmp, ICMP_HEADER_LENGTH + quoted));
  return overhead + quoted;
}

function writeV6(
  error: IcmpError,
  mtu: number,
  into: Uint8Array,
  at: number,
  bytes: Uint8Array,
  offset: number,
  fields: PacketFields,
): number {
  const icmp = at + IPV6_HEADER_LENGTH;
  const overhead = IPV6_HEADER_LENGTH + ICMP_HEADER_LENGTH;
  const quoted = Math.min(fields.totalLength, ERROR_LENGTH_MAX_V6 - overhead);
  const icmpLength = ICMP_HEADER_LENGTH + quoted;
  copy(bytes, offset + IPV6_DESTINATION, into, at + IPV6_SOURCE, 16);
  copy(bytes, offset + IPV6_SOURCE, into, at + IPV6_DESTINATION, 16);
  writeIpv6Header(into, at, icmpLength, IpProtocol.ICMPV6, 0, HOP_LIMIT);
  writeIcmpHeader(into, icmp, TYPE_AND_CODE_V6[error]!, mtu);
  copy(bytes, offset, into, icmp + ICMP_HEADER_LENGTH, quoted);
  const sum = pseudoHeaderSum(into, at + IPV6_SOURCE, 16, IpProtocol.ICMPV6, icmpLength);
  putChecksum(into, icmp, finishSum(addToSum(sum, into, icmp, icmpLength)));
  return overhead + quoted;
}

function writeIcmpHeader(into: Uint8Array, at: number, typeAndCode: number, parameter: number): void {
  into[at] = typeAndCode >>> 8;
  into[at + 1] = typeAndCode;
  into[at + 2] = 0;
  into[at + 3] = 0;
  into[at + 4] = parameter >>> 24;
  into[at + 5] = parameter >>> 16;
  into[at + 6] = parameter >>> 8;
  into[at + 7] = parameter;
}

function putChecksum(into: Uint8Array, icmp: number, checksum: number): void {
  into[icmp + 2] = checksum >>> 8;
  into[icmp + 3] = checksum;
}

/** Octet by octet: `subarray` would make garbage for every packet that is refused. */
function copy(from: Uint8Array, fromAt: number, into: Uint8Array, at: number, length: number): void {
  for (let i = 0; i < length; i++) into[at + i] = from[fromAt + i]!;
}

/**
 * Whether an error about the packet may be sent: never about ICMP errors and later fragments, and neither to nor from an
 * address that is no single host's (RFC 1122 section 3.2.2, RFC 4443 section 2.4 (e)). The exception that RFC 4443 makes
 * for Packet Too Big about multicast needs an address of our own to send it from.
 */
export function mayReportError(fields: PacketFields): boolean {
  if (fields.fragmentOffset !== 0) return false;
  const icmp = fields.family === 4 ? IpProtocol.ICMP : IpProtocol.ICMPV6;
  if (fields.protocol === icmp) {
    if (!fields.hasPorts || !mayAnswerWithError(fields.family, fields.sourcePort >>> 8)) return false;
  }
  if (fields.family === 4) return isHostV4(fields.source) && isHostV4(fields.destination);
  return isHostV6(fields.source) && isHostV6(fields.destination);
}

function isHostV4(address: Uint32Array): boolean {
  const first = address[0]! >>> 24;
  return first !== 0 && first !== 127 && first < 224;
}

function isHostV6(address: Uint32Array): boolean {
  const isUnspecifiedOrLoopback =
    address[0] === 0 && address[1] === 0 && address[2] === 0 && address[3]! <= 1;
  return !isUnspecifiedOrLoopback && address[0]! >>> 24 !== 0xff;
}
