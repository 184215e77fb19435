/** Where AH or ESP goes in transport mode (RFC 4302 section 3.1.1, RFC 4303 section 3.1.1). */
import { ipv4HeaderLength } from "./ipv4.ts";
import { IPV6_HEADER_LENGTH, MAX_EXTENSION_HEADERS } from "./ipv6.ts";
import { IpProtocol } from "./protocol.ts";

export interface SecurityPlace {
  /** Octets of the packet in front of the security header. */
  offset: number;
  /** Octet of the packet that names what follows: it will name the security header. */
  nextHeaderAt: number;
}

const IPV4_PROTOCOL = 9;
const IPV6_NEXT_HEADER = 6;

/**
 * Behind the IPv4 header with its options; behind the IPv6 headers that every hop or the hops of a route look at: hop-by-hop,
 * routing, fragment, and destination options in front of a routing header [AH-10].
 * @param bytes - a packet at `at` whose headers were found well-formed, up to `end`
 * @returns false when the chain does not end
 */
export function findSecurityPlace(bytes: Uint8Array, at: number, end: number, into: SecurityPlace): boolean {
  if (bytes[at]! >>> 4 === 4) {
    into.offset = ipv4HeaderLength(bytes, at);
    into.nextHeaderAt = IPV4_PROTOCOL;
    return true;
  }
  into.offset = IPV6_HEADER_LENGTH;
  into.nextHeaderAt = IPV6_NEXT_HEADER;
  for (let count = 0; count <= MAX_EXTENSION_HEADERS; count++) {
    const header = at + into.offset;
    const type = bytes[at + into.nextHeaderAt]!;
    if (!isInFront(type, bytes[header])) return true;
    const length = type === IpProtocol.FRAGMENT ? 8 : 8 + bytes[header + 1]! * 8;
    if (header + length > end) return false;
    into.nextHeaderAt = into.offset;
    into.offset += length;
  }
  return false;
}

function isInFront(type: number, following: number | undefined): boolean {
  if (type === IpProtocol.DESTINATION_OPTIONS) return following === IpProtocol.ROUTING;
  return type === IpProtocol.HOP_BY_HOP || type === IpProtocol.ROUTING || type === IpProtocol.FRAGMENT;
}
