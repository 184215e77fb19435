/** Cutting an IPv6 packet into fragments, as only its source may (RFC 8200 section 4.5). */
import { IPV6_HEADER_LENGTH, setIpv6PayloadLength } from "./ipv6.ts";
import { IpProtocol } from "./protocol.ts";

export const IPV6_FRAGMENT_HEADER_LENGTH = 8;
/** Fragments begin at multiples of this. */
const UNIT = 8;

/** Where a packet is cut: the headers in front of that place stand in each fragment. */
export interface FragmentPlace {
  /** Octets of those headers. */
  readonly offset: number;
  /** Octet of the packet that names what follows them. */
  readonly nextHeaderAt: number;
}

/** Octets of the packet behind those headers in a fragment of at most `mtu` octets that is not the last; 0 when nothing fits. */
export function ipv6FragmentPayload(mtu: number, { offset }: FragmentPlace): number {
  return Math.max(0, mtu - offset - IPV6_FRAGMENT_HEADER_LENGTH) & ~(UNIT - 1);
}

/**
 * Writes the fragment that carries `octets` of what is behind `place`, from `start` on.
 *
 * @param into - has room at `at`, apart from the packet at `from[fromAt]`, which has no fragment header
 * @param identification - the same for all fragments of the packet, and hard to guess (RFC 7739)
 * @param start - a multiple of 8
 * @param octets - a multiple of 8 unless the packet ends there
 * @returns length of the fragment
 */
export function writeIpv6Fragment(
  into: Uint8Array,
  at: number,
  from: Uint8Array,
  fromAt: number,
  { offset, nextHeaderAt }: FragmentPlace,
  identification: number,
  start: number,
  octets: number,
  isLast: boolean,
): number {
  const data = at + offset + IPV6_FRAGMENT_HEADER_LENGTH;
  into.set(from.subarray(fromAt, fromAt + offset), at);
  into[at + nextHeaderAt] = IpProtocol.FRAGMENT;
  setIpv6PayloadLength(into, at, data + octets - at - IPV6_HEADER_LENGTH);
  const header = at + offset;
  into[header] = from[fromAt + nextHeaderAt]!;
  into[header + 1] = 0;
  into[header + 2] = start >>> 8;
  into[header + 3] = start | (isLast ? 0 : 1);
  for (let octet = 0; octet < 4; octet++) into[header + 4 + octet] = identification >>> (24 - 8 * octet);
  into.set(from.subarray(fromAt + offset + start, fromAt + offset + start + octets), data);
  return data + octets - at;
}
