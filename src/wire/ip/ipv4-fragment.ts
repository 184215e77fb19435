/** Cutting an IPv4 packet into fragments (RFC 791 sections 2.3 and 3.2, RFC 815). */
import {
  IPV4_HEADER_LENGTH,
  ipv4FragmentOffset,
  ipv4HeaderLength,
  ipv4MoreFragments,
  setIpv4Fragment,
} from "./ipv4.ts";

/** Fragments begin at multiples of this. */
const UNIT = 8;
/** Options: the end of the list, and one that fills. */
const END_OF_OPTIONS = 0;
const NO_OPERATION = 1;
/** Stands in every fragment. */
const COPIED = 0x80;

/** Payload octets of a fragment of at most `mtu` octets that is not the last; 0 when nothing fits. */
export function fragmentPayload(mtu: number, headerLength: number): number {
  return Math.max(0, mtu - headerLength) & ~(UNIT - 1);
}

/**
 * Writes the fragment that carries `octets` of the packet's payload from `start` on. The packet may be a fragment itself.
 *
 * @param into - has room for header and payload at `at`, apart from the packet at `from[fromAt]`
 * @param start - a multiple of 8; with 0 the fragment has all options, else those that are to be copied
 * @param octets - a multiple of 8 unless the payload ends there
 * @param isLast - the payload ends there
 * @returns length of the fragment
 */
export function writeIpv4Fragment(
  into: Uint8Array,
  at: number,
  from: Uint8Array,
  fromAt: number,
  start: number,
  octets: number,
  isLast: boolean,
): number {
  const whole = ipv4HeaderLength(from, fromAt);
  for (let i = 0; i < IPV4_HEADER_LENGTH; i++) into[at + i] = from[fromAt + i]!;
  const headerLength = writeOptions(into, at, from, fromAt, whole, start === 0);
  for (let i = 0; i < octets; i++) into[at + headerLength + i] = from[fromAt + whole + start + i]!;
  const offset = ipv4FragmentOffset(from, fromAt) + start;
  const hasMore = !isLast || ipv4MoreFragments(from, fromAt);
  into[at] = 0x40 | (headerLength / 4);
  setIpv4Fragment(into, at, headerLength + octets, offset, hasMore);
  return headerLength + octets;
}

/** Copies the options that belong into this fragment; returns the length of its header. */
function writeOptions(
  into: Uint8Array,
  at: number,
  from: Uint8Array,
  fromAt: number,
  whole: number,
  isFirst: boolean,
): number {
  if (isFirst) {
    for (let i = IPV4_HEADER_LENGTH; i < whole; i++) into[at + i] = from[fromAt + i]!;
    return whole;
  }
  let end = IPV4_HEADER_LENGTH;
  for (let i = IPV4_HEADER_LENGTH; i < whole; ) {
    const type = from[fromAt + i]!;
    if (type === END_OF_OPTIONS) break;
    const length = type === NO_OPERATION ? 1 : i + 1 < whole ? from[fromAt + i + 1]! : 0;
    // Whoever reads the first fragment stops here as well.
    if (length < 1 || (type !== NO_OPERATION && length < 2) || i + length > whole) break;
    if ((type & COPIED) !== 0) for (let k = 0; k < length; k++) into[at + end++] = from[fromAt + i + k]!;
    i += length;
  }
  while (end % 4 !== 0) into[at + end++] = END_OF_OPTIONS;
  return end;
}
