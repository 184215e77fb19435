/**
 * What routers change in an IP header, put as AH's integrity check sees it: zero, or as it is at the destination (RFC 4302
 * section 3.3.3.1 and appendix A). In place; the caller keeps the octets as they travel.
 */
import { IPV4_DESTINATION, IPV4_HEADER_LENGTH, ipv4HeaderLength } from "../ip/ipv4.ts";
import { IPV6_DESTINATION, IPV6_HEADER_LENGTH, MAX_EXTENSION_HEADERS } from "../ip/ipv6.ts";
import { IpProtocol } from "../ip/protocol.ts";

const IPV4_TOS = 1;
const IPV4_FRAGMENT = 6;
const IPV4_TTL = 8;
const IPV4_CHECKSUM = 10;

const END_OF_OPTIONS = 0;
const NO_OPERATION = 1;
const LOOSE_SOURCE_ROUTE = 131;
const STRICT_SOURCE_ROUTE = 137;
/** Security, extended and commercial security, router alert, multi-destination delivery (RFC 4302 appendix A1). */
const IMMUTABLE_OPTIONS: readonly number[] = [130, 133, 134, 148, 149];
/** Type, length, pointer and one address. */
const SOURCE_ROUTE_MIN = 7;

const IPV6_NEXT_HEADER = 6;
const IPV6_HOP_LIMIT = 7;
const OPTION_PAD1 = 0;
/** Option types with this bit may change on the way (RFC 8200 section 4.2). */
const OPTION_MUTABLE = 0x20;
const ROUTING_TYPE = 2;
const SEGMENTS_LEFT = 3;
const ROUTING_FIRST_ADDRESS = 8;

/**
 * IPv4 [AH-03] [AH-04]. With a source route the destination is the last of its addresses [AH-07].
 * @param at - start of a header whose length was checked
 * @returns false for options that cannot be read: nobody could verify such a packet
 */
export function maskIpv4(bytes: Uint8Array, at: number): boolean {
  bytes[at + IPV4_TOS] = 0;
  bytes[at + IPV4_FRAGMENT] = 0;
  bytes[at + IPV4_FRAGMENT + 1] = 0;
  bytes[at + IPV4_TTL] = 0;
  bytes[at + IPV4_CHECKSUM] = 0;
  bytes[at + IPV4_CHECKSUM + 1] = 0;
  const end = at + ipv4HeaderLength(bytes, at);
  for (let cursor = at + IPV4_HEADER_LENGTH; cursor < end; ) {
    const type = bytes[cursor]!;
    if (type === END_OF_OPTIONS) return true;
    if (type === NO_OPERATION) {
      cursor++;
      continue;
    }
    const length = cursor + 1 < end ? bytes[cursor + 1]! : 0;
    if (length < 2 || cursor + length > end) return false;
    if (type === LOOSE_SOURCE_ROUTE || type === STRICT_SOURCE_ROUTE) {
      if (length < SOURCE_ROUTE_MIN || (length - 3) % 4 !== 0) return false;
      bytes.copyWithin(at + IPV4_DESTINATION, cursor + length - 4, cursor + length);
    }
    if (!IMMUTABLE_OPTIONS.includes(type)) bytes.fill(0, cursor, cursor + length);
    cursor += length;
  }
  return true;
}

/**
 * IPv6 with the extension headers in front of AH [AH-05] [AH-06] [AH-07].
 * @param ah - where AH starts
 * @returns false for headers whose form at the destination cannot be told, or that do not lead to `ah`
 */
export function maskIpv6(bytes: Uint8Array, at: number, ah: number): boolean {
  bytes[at] = 0x60;
  bytes.fill(0, at + 1, at + 4);
  bytes[at + IPV6_HOP_LIMIT] = 0;
  let next = bytes[at + IPV6_NEXT_HEADER]!;
  let cursor = at + IPV6_HEADER_LENGTH;
  for (let count = 0; cursor < ah; count++) {
    if (count === MAX_EXTENSION_HEADERS || ah - cursor < 8) return false;
    const length = 8 + bytes[cursor + 1]! * 8;
    if (length > ah - cursor) return false;
    if (next === IpProtocol.HOP_BY_HOP || next === IpProtocol.DESTINATION_OPTIONS) {
      if (!maskOptions(bytes, cursor + 2, cursor + length)) return false;
    } else if (next !== IpProtocol.ROUTING || !arriveByRoute(bytes, at, cursor, length)) return false;
    next = bytes[cursor]!;
    cursor += length;
  }
  return cursor === ah && next === IpProtocol.AH;
}

function maskOptions(bytes: Uint8Array, start: number, end: number): boolean {
  for (let cursor = start; cursor < end; ) {
    const type = bytes[cursor]!;
    if (type === OPTION_PAD1) {
      cursor++;
      continue;
    }
    const past = cursor + 1 < end ? cursor + 2 + bytes[cursor + 1]! : end + 1;
    if (past > end) return false;
    if ((type & OPTION_MUTABLE) !== 0) bytes.fill(0, cursor + 2, past);
    cursor = past;
  }
  return true;
}

/** A type 0 routing header as its last hop leaves it (RFC 2460 section 4.4); other types have no rule for AH. */
function arriveByRoute(bytes: Uint8Array, at: number, header: number, length: number): boolean {
  if (bytes[header + ROUTING_TYPE] !== 0) return false;
  const addresses = (length - ROUTING_FIRST_ADDRESS) / 16;
  const left = bytes[header + SEGMENTS_LEFT]!;
  if (!Number.isInteger(addresses) || left > addresses) return false;
  const destination = at + IPV6_DESTINATION;
  for (let i = addresses - left; i < addresses; i++) {
    const address = header + ROUTING_FIRST_ADDRESS + 16 * i;
    for (let octet = 0; octet < 16; octet++) {
      const visited = bytes[destination + octet]!;
      bytes[destination + octet] = bytes[address + octet]!;
      bytes[address + octet] = visited;
    }
  }
  bytes[header + SEGMENTS_LEFT] = 0;
  return true;
}
