/** What policy and ESP need to know of an IP packet (RFC 4301 section 4.4.1.1), read into one reusable struct. */
import { ICMP_HEADER_LENGTH, quotesPacket } from "./icmp.ts";
import {
  IPV4_DESTINATION,
  IPV4_HEADER_LENGTH,
  IPV4_SOURCE,
  ipv4DontFragment,
  ipv4FragmentOffset,
  ipv4HeaderLength,
  ipv4Identification,
  ipv4MoreFragments,
  ipv4Protocol,
  ipv4Tos,
  ipv4TotalLength,
  ipv4Ttl,
} from "./ipv4.ts";
import {
  createExtensionHeaders,
  type ExtensionHeaders,
  IPV6_DESTINATION,
  IPV6_HEADER_LENGTH,
  IPV6_SOURCE,
  ipv6HopLimit,
  ipv6PayloadLength,
  ipv6TrafficClass,
  walkExtensionHeaders,
} from "./ipv6.ts";
import { IpProtocol } from "./protocol.ts";

/** Made once by {@link createPacketFields}, overwritten for every packet; meaningless after a parser has returned false. */
export interface PacketFields {
  family: 4 | 6;
  /** The source address as four uint32 in network order; an IPv4 address is word 0, the others are 0. */
  readonly source: Uint32Array;
  /** The destination address, likewise. */
  readonly destination: Uint32Array;
  /**
   * Protocol behind IPv6 extension headers. In a later fragment it is what the fragment header names, which may be an
   * extension header that only the first fragment holds.
   */
  protocol: number;
  /** For ICMP and ICMPv6 in both fields type * 256 + code, for Mobility Headers type * 256; 0 without `hasPorts`. */
  sourcePort: number;
  destinationPort: number;
  /** The ports, or what stands in for them, were there to read. */
  hasPorts: boolean;
  /** Whether there are ports cannot be seen: a later fragment, or a packet that is cut off before them. */
  isOpaque: boolean;
  /** Part of a larger packet; IPv6 atomic fragments (RFC 6946) are not. */
  isFragment: boolean;
  /** Octets of the original payload in front of this fragment; 0 in the first. */
  fragmentOffset: number;
  /** More of the original payload follows behind this fragment. */
  moreFragments: boolean;
  /** Identification of the packet that a fragment is part of; meaningless otherwise. */
  fragmentId: number;
  /** Octets of the original payload in this fragment: what is behind the IPv4 header or the IPv6 fragment header. */
  fragmentLength: number;
  /** The first header of the original payload: `protocol`, or an IPv6 extension header in front of it. */
  fragmentProtocol: number;
  /** IPv4's flag; always true for IPv6. */
  dontFragment: boolean;
  /** Octets from the start of the packet to the upper protocol: options and extension headers included. */
  headerLength: number;
  /** Octets of the packet as its header says; what follows in the buffer is no part of it. */
  totalLength: number;
  /** TOS or traffic class: DSCP and ECN. */
  tos: number;
  /** TTL or hop limit. */
  hopLimit: number;
  /** Scratch memory of the IPv6 parser. */
  readonly extensionHeaders: ExtensionHeaders;
}

export function createPacketFields(): PacketFields {
  return {
    family: 4,
    source: new Uint32Array(4),
    destination: new Uint32Array(4),
    protocol: 0,
    sourcePort: 0,
    destinationPort: 0,
    hasPorts: false,
    isOpaque: false,
    isFragment: false,
    fragmentOffset: 0,
    moreFragments: false,
    fragmentId: 0,
    fragmentLength: 0,
    fragmentProtocol: 0,
    dontFragment: false,
    headerLength: 0,
    totalLength: 0,
    tos: 0,
    hopLimit: 0,
    extensionHeaders: createExtensionHeaders(),
  };
}

/**
 * Reads the packet at `bytes[offset .. offset + length)`. The span must lie in `bytes`; it may be longer than the packet.
 * @returns false when it holds no whole, well-formed IPv4 or IPv6 packet; checksums are not looked at
 */
export function parseIpPacket(
  bytes: Uint8Array,
  offset: number,
  length: number,
  into: PacketFields,
): boolean {
  return parse(bytes, offset, length, into) && into.totalLength <= length;
}

/**
 * Finds the packet that an ICMP error quotes, which may be cut off behind its IP header (RFC 792, RFC 4443 section 3).
 * @param fields - the ICMP error, as {@link parseIpPacket} read it from `offset`
 * @param quoted - takes the quoted packet; its `totalLength` is what the quoted header says
 * @returns false when the packet is no ICMP error or its quotation ends before the upper protocol
 */
export function parseQuotedPacket(
  bytes: Uint8Array,
  offset: number,
  fields: PacketFields,
  quoted: PacketFields,
): boolean {
  const expected = fields.family === 4 ? IpProtocol.ICMP : IpProtocol.ICMPV6;
  if (fields.protocol !== expected || !fields.hasPorts) return false;
  if (!quotesPacket(fields.family, fields.sourcePort >>> 8)) return false;
  const skipped = fields.headerLength + ICMP_HEADER_LENGTH;
  const available = fields.totalLength - skipped;
  return (
    available > 0 && parse(bytes, offset + skipped, available, quoted) && quoted.family === fields.family
  );
}

function parse(bytes: Uint8Array, offset: number, length: number, into: PacketFields): boolean {
  if (length < IPV4_HEADER_LENGTH) return false;
  const version = bytes[offset]! >>> 4;
  if (version === 4) return parseIpv4(bytes, offset, length, into);
  return version === 6 && parseIpv6(bytes, offset, length, into);
}

function parseIpv4(bytes: Uint8Array, at: number, length: number, into: PacketFields): boolean {
  const headerLength = ipv4HeaderLength(bytes, at);
  const totalLength = ipv4TotalLength(bytes, at);
  if (headerLength < IPV4_HEADER_LENGTH || headerLength > length || headerLength > totalLength) return false;
  into.family = 4;
  readAddress(bytes, at + IPV4_SOURCE, 1, into.source);
  readAddress(bytes, at + IPV4_DESTINATION, 1, into.destination);
  into.protocol = ipv4Protocol(bytes, at);
  into.fragmentOffset = ipv4FragmentOffset(bytes, at);
  into.moreFragments = ipv4MoreFragments(bytes, at);
  into.isFragment = into.fragmentOffset !== 0 || into.moreFragments;
  into.fragmentId = ipv4Identification(bytes, at);
  into.fragmentLength = totalLength - headerLength;
  into.fragmentProtocol = into.protocol;
  into.dontFragment = ipv4DontFragment(bytes, at);
  into.headerLength = headerLength;
  into.totalLength = totalLength;
  into.tos = ipv4Tos(bytes, at);
  into.hopLimit = ipv4Ttl(bytes, at);
  readPorts(bytes, at, Math.min(length, totalLength), into);
  return true;
}

function parseIpv6(bytes: Uint8Array, at: number, length: number, into: PacketFields): boolean {
  if (length < IPV6_HEADER_LENGTH) return false;
  const totalLength = IPV6_HEADER_LENGTH + ipv6PayloadLength(bytes, at);
  const end = at + Math.min(length, totalLength);
  const { extensionHeaders } = into;
  if (!walkExtensionHeaders(bytes, at, end, extensionHeaders)) return false;
  into.family = 6;
  readAddress(bytes, at + IPV6_SOURCE, 4, into.source);
  readAddress(bytes, at + IPV6_DESTINATION, 4, into.destination);
  into.protocol = extensionHeaders.protocol;
  into.fragmentOffset = extensionHeaders.fragmentOffset;
  into.moreFragments = extensionHeaders.moreFragments;
  into.isFragment = extensionHeaders.fragmentOffset !== 0 || extensionHeaders.moreFragments;
  into.fragmentId = extensionHeaders.fragmentId;
  const { hasFragmentHeader, fragmentDataOffset, fragmentNextHeader } = extensionHeaders;
  into.fragmentLength = totalLength - (hasFragmentHeader ? fragmentDataOffset : extensionHeaders.upperOffset);
  into.fragmentProtocol = hasFragmentHeader ? fragmentNextHeader : extensionHeaders.protocol;
  into.dontFragment = true;
  into.headerLength = extensionHeaders.upperOffset;
  into.totalLength = totalLength;
  into.tos = ipv6TrafficClass(bytes, at);
  into.hopLimit = ipv6HopLimit(bytes, at);
  readPorts(bytes, at, end - at, into);
  return true;
}

function readAddress(bytes: Uint8Array, at: number, words: number, into: Uint32Array): void {
  for (let word = 0; word < 4; word++) {
    const from = at + 4 * word;
    into[word] =
      word < words
        ? (bytes[from]! << 24) | (bytes[from + 1]! << 16) | (bytes[from + 2]! << 8) | bytes[from + 3]!
        : 0;
  }
}

function readPorts(bytes: Uint8Array, at: number, length: number, into: PacketFields): void {
  into.sourcePort = 0;
  into.destinationPort = 0;
  const needed = portOctets(into.family, into.protocol);
  into.isOpaque = into.fragmentOffset !== 0 || length - into.headerLength < needed;
  into.hasPorts = needed > 0 && !into.isOpaque;
  if (!into.hasPorts) return;
  const from = at + into.headerLength;
  if (needed === PORTS) {
    into.sourcePort = (bytes[from]! << 8) | bytes[from + 1]!;
    into.destinationPort = (bytes[from + 2]! << 8) | bytes[from + 3]!;
  } else {
    const value = needed === TYPE_AND_CODE ? (bytes[from]! << 8) | bytes[from + 1]! : bytes[from + 2]! << 8;
    into.sourcePort = value;
    into.destinationPort = value;
  }
}

/** Octets of an upper header that hold what selectors call ports. */
const PORTS = 4;
const TYPE_AND_CODE = 2;
const MOBILITY_TYPE = 3;

function portOctets(family: number, protocol: number): number {
  switch (protocol) {
    case IpProtocol.TCP:
    case IpProtocol.UDP:
    case IpProtocol.SCTP:
    case IpProtocol.DCCP:
    case IpProtocol.UDP_LITE:
      return PORTS;
    case IpProtocol.ICMP:
      return family === 4 ? TYPE_AND_CODE : 0;
    case IpProtocol.ICMPV6:
      return family === 6 ? TYPE_AND_CODE : 0;
    case IpProtocol.MOBILITY:
      return family === 6 ? MOBILITY_TYPE : 0;
    default:
      return 0;
  }
}
