/** The IPv6 header and its chain of extension headers (RFC 8200 sections 3 and 4), read and changed in place. */
import { uint32At } from "../../base/bytes.ts";
import { IpProtocol } from "./protocol.ts";

export const IPV6_HEADER_LENGTH = 40;
export const IPV6_SOURCE = 8;
export const IPV6_DESTINATION = 24;
export const IPV6_NEXT_HEADER = 6;
/** RFC 8200 section 4.1 has use for six; a longer chain is there to tire whoever walks it. */
export const MAX_EXTENSION_HEADERS = 8;

const PAYLOAD_LENGTH = 4;
const HOP_LIMIT = 7;

export function ipv6TrafficClass(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! & 0x0f) << 4) | (bytes[at + 1]! >>> 4);
}

/** Octets behind the fixed header; 0 also stands for a jumbogram, which is not supported. */
export function ipv6PayloadLength(bytes: Uint8Array, at: number): number {
  return (bytes[at + PAYLOAD_LENGTH]! << 8) | bytes[at + PAYLOAD_LENGTH + 1]!;
}

export function ipv6HopLimit(bytes: Uint8Array, at: number): number {
  return bytes[at + HOP_LIMIT]!;
}

export function setIpv6TrafficClass(bytes: Uint8Array, at: number, trafficClass: number): void {
  bytes[at] = (bytes[at]! & 0xf0) | (trafficClass >>> 4);
  bytes[at + 1] = ((trafficClass & 0x0f) << 4) | (bytes[at + 1]! & 0x0f);
}

/** @param length - octets behind the fixed header */
export function setIpv6PayloadLength(bytes: Uint8Array, at: number, length: number): void {
  bytes[at + PAYLOAD_LENGTH] = length >>> 8;
  bytes[at + PAYLOAD_LENGTH + 1] = length;
}

/** Writes a fixed header with flow label 0; the addresses must be in place at IPV6_SOURCE and IPV6_DESTINATION. */
export function writeIpv6Header(
  bytes: Uint8Array,
  at: number,
  payloadLength: number,
  nextHeader: number,
  trafficClass: number,
  hopLimit: number,
): void {
  bytes[at] = 0x60 | (trafficClass >>> 4);
  bytes[at + 1] = (trafficClass & 0x0f) << 4;
  bytes[at + 2] = 0;
  bytes[at + 3] = 0;
  bytes[at + PAYLOAD_LENGTH] = payloadLength >>> 8;
  bytes[at + PAYLOAD_LENGTH + 1] = payloadLength;
  bytes[at + IPV6_NEXT_HEADER] = nextHeader;
  bytes[at + HOP_LIMIT] = hopLimit;
}

/** What {@link walkExtensionHeaders} found; made once and used for every packet. */
export interface ExtensionHeaders {
  /** The protocol behind the headers, or the first header of another fragment's data that cannot be seen. */
  protocol: number;
  /** Octet of the packet where that protocol's header starts, from the IPv6 header on. */
  upperOffset: number;
  hasFragmentHeader: boolean;
  /** Octets of the original packet in front of this fragment. */
  fragmentOffset: number;
  moreFragments: boolean;
  /** uint32; 0 without a fragment header. */
  fragmentId: number;
  /** What the fragment header names as the first header of the original packet's data. */
  fragmentNextHeader: number;
  /** Octet of the packet behind the fragment header. */
  fragmentDataOffset: number;
  /** Octet of the packet that names the fragment header. */
  fragmentNamedAt: number;
}

export function createExtensionHeaders(): ExtensionHeaders {
  return {
    protocol: 0,
    upperOffset: 0,
    hasFragmentHeader: false,
    fragmentOffset: 0,
    moreFragments: false,
    fragmentId: 0,
    fragmentNextHeader: 0,
    fragmentDataOffset: 0,
    fragmentNamedAt: 0,
  };
}

/**
 * Passes over hop-by-hop, routing, fragment and destination option headers, as RFC 4301 section 4.4.1.1 has it for the
 * selectors; AH and ESP count as upper protocols. Stops at the fragment header of a fragment that is not the first.
 * @param at - start of the IPv6 header
 * @param end - end of the packet
 * @returns false when the chain is too long, runs past `end`, or has a header where RFC 8200 does not allow it
 */
export function walkExtensionHeaders(
  bytes: Uint8Array,
  at: number,
  end: number,
  into: ExtensionHeaders,
): boolean {
  let namedAt = at + IPV6_NEXT_HEADER;
  let next = bytes[namedAt]!;
  let cursor = at + IPV6_HEADER_LENGTH;
  into.hasFragmentHeader = false;
  into.fragmentOffset = 0;
  into.moreFragments = false;
  into.fragmentId = 0;
  for (let count = 0; isExtensionHeader(next) && into.fragmentOffset === 0; count++) {
    if (count === MAX_EXTENSION_HEADERS || end - cursor < 8) return false;
    if (next === IpProtocol.HOP_BY_HOP && count > 0) return false;
    let headerLength = 8;
    if (next === IpProtocol.FRAGMENT) {
      if (into.hasFragmentHeader) return false;
      into.hasFragmentHeader = true;
      into.fragmentOffset = (bytes[cursor + 2]! << 8) | (bytes[cursor + 3]! & 0xf8);
      into.moreFragments = (bytes[cursor + 3]! & 1) !== 0;
      into.fragmentId = uint32At(bytes, cursor + 4);
      into.fragmentNextHeader = bytes[cursor]!;
      into.fragmentDataOffset = cursor + 8 - at;
      into.fragmentNamedAt = namedAt - at;
    } else {
      headerLength += bytes[cursor + 1]! * 8;
      if (headerLength > end - cursor) return false;
    }
    namedAt = cursor;
    next = bytes[namedAt]!;
    cursor += headerLength;
  }
  into.protocol = next;
  into.upperOffset = cursor - at;
  return true;
}

/** Headers that selectors look past; AH and ESP are not among them (RFC 4301 section 4.4.1.1). */
export function isExtensionHeader(protocol: number): boolean {
  return (
    protocol === IpProtocol.HOP_BY_HOP ||
    protocol === IpProtocol.ROUTING ||
    protocol === IpProtocol.FRAGMENT ||
    protocol === IpProtocol.DESTINATION_OPTIONS
  );
}
