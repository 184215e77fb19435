/** TCP and UDP superpackets, and the packets that a network card would make of them (RFC 9293 section 3.7.1, RFC 768). */
import { FRAME_TCP4, FRAME_TCP6, FRAME_UDP } from "../../base/frame-batch.ts";
import { OctetCopy } from "../../base/octet-copy.ts";
import { addToSum, finishSum, pseudoHeaderSum } from "./checksum.ts";
import { IPV4_HEADER_LENGTH, ipv4HeaderLength, ipv4TotalLength, writeIpv4Checksum } from "./ipv4.ts";
import { IPV6_HEADER_LENGTH, ipv6PayloadLength } from "./ipv6.ts";
import { IpProtocol } from "./protocol.ts";

const TCP_HEADER_LENGTH = 20;
const UDP_HEADER_LENGTH = 8;
const TCP_CHECKSUM = 16;
const UDP_CHECKSUM = 6;
const FIN_AND_PSH = 0x09;
const CWR = 0x80;

const copy = new OctetCopy();

/** The first octets of a superpacket, which each of its packets begins with. */
export interface SuperpacketHeaders {
  readonly isTcp: boolean;
  readonly ipLength: number;
  /** IP and transport header. */
  readonly length: number;
}

/**
 * Reads the headers of `bytes[at .. at + length)`.
 * @returns undefined unless it is a whole packet of that kind with a payload, no fragment, without extension headers
 */
export function superpacketHeaders(
  bytes: Uint8Array,
  at: number,
  length: number,
  kind: number,
): SuperpacketHeaders | undefined {
  if (length < IPV4_HEADER_LENGTH) return undefined;
  const version = bytes[at]! >>> 4;
  const isTcp = kind === FRAME_TCP4 || kind === FRAME_TCP6;
  if (!isTcp && kind !== FRAME_UDP) return undefined;
  if ((version !== 4 && version !== 6) || (isTcp && (version === 4) !== (kind === FRAME_TCP4)))
    return undefined;
  const ipLength = version === 4 ? ipv4HeaderLength(bytes, at) : IPV6_HEADER_LENGTH;
  if (ipLength < IPV4_HEADER_LENGTH || length < ipLength + UDP_HEADER_LENGTH) return undefined;
  const isFragment = version === 4 && (((bytes[at + 6]! << 8) | bytes[at + 7]!) & 0x3fff) !== 0;
  const total =
    version === 4 ? ipv4TotalLength(bytes, at) : IPV6_HEADER_LENGTH + ipv6PayloadLength(bytes, at);
  const protocol = bytes[at + (version === 4 ? 9 : 6)]!;
  if (isFragment || total !== length || protocol !== (isTcp ? IpProtocol.TCP : IpProtocol.UDP))
    return undefined;
  if (!isTcp) return length > ipLength + 8 ? { isTcp, ipLength, length: ipLength + 8 } : undefined;
  if (length < ipLength + TCP_HEADER_LENGTH) return undefined;
  const tcpLength = (bytes[at + ipLength + 12]! >>> 4) * 4;
  const headers = ipLength + tcpLength;
  return tcpLength >= TCP_HEADER_LENGTH && headers < length
    ? { isTcp, ipLength, length: headers }
    : undefined;
}

/** Packet `index` of a superpacket: a new array. */
export function cutSegment(
  superpacket: Uint8Array,
  headers: SuperpacketHeaders,
  segmentLength: number,
  index: number,
): Uint8Array {
  const packet = new Uint8Array(headers.length + segmentLength);
  const view = new DataView(packet.buffer);
  const length = writeSegment(
    packet,
    view,
    superpacket,
    0,
    superpacket.length,
    headers,
    segmentLength,
    index,
  );
  return packet.subarray(0, length);
}

/**
 * Writes packet `index` of the superpacket `bytes[at .. at + length)` to the begin of `packet`, without allocating.
 * @param view - of `packet`
 * @returns its octets
 */
export function writeSegment(
  packet: Uint8Array,
  view: DataView,
  bytes: Uint8Array,
  at: number,
  length: number,
  headers: SuperpacketHeaders,
  segmentLength: number,
  index: number,
): number {
  const { isTcp, ipLength } = headers;
  const from = headers.length + index * segmentLength;
  const end = Math.min(from + segmentLength, length);
  const octets = headers.length + end - from;
  copy.run(bytes, at, packet, 0, headers.length);
  copy.run(bytes, at + from, packet, headers.length, end - from);
  if (packet[0]! >>> 4 === 4) {
    view.setUint16(2, octets);
    view.setUint16(4, view.getUint16(4) + index);
    writeIpv4Checksum(packet, 0);
  } else {
    view.setUint16(4, octets - ipLength);
  }
  if (isTcp) {
    view.setUint32(ipLength + 4, view.getUint32(ipLength + 4) + index * segmentLength);
    if (index > 0) packet[ipLength + 13]! &= ~CWR;
    if (end < length) packet[ipLength + 13]! &= ~FIN_AND_PSH;
  } else {
    view.setUint16(ipLength + 4, octets - ipLength);
  }
  writeChecksum(packet, view, headers, octets);
  return octets;
}

function writeChecksum(
  packet: Uint8Array,
  view: DataView,
  { isTcp, ipLength }: SuperpacketHeaders,
  octets: number,
): void {
  const field = ipLength + (isTcp ? TCP_CHECKSUM : UDP_CHECKSUM);
  const length = octets - ipLength;
  const is4 = packet[0]! >>> 4 === 4;
  view.setUint16(field, 0);
  const protocol = isTcp ? IpProtocol.TCP : IpProtocol.UDP;
  const pseudo = pseudoHeaderSum(packet, is4 ? 12 : 8, is4 ? 4 : 16, protocol, length);
  const checksum = finishSum(addToSum(pseudo, packet, ipLength, length));
  // In UDP zero means that there is none.
  view.setUint16(field, !isTcp && checksum === 0 ? 0xffff : checksum);
}
