/** The Internet checksum (RFC 1071) and its incremental update (RFC 1624 section 3). */

/**
 * Adds the 16-bit words of `bytes[offset .. offset + length)` to a partial sum; an odd last octet counts as the upper half
 * of a word. Only the last of several spans may have an odd length. Lengths up to 65535 octets cannot overflow the sum.
 */
export function addToSum(sum: number, bytes: Uint8Array, offset: number, length: number): number {
  const evenEnd = offset + (length & ~1);
  for (let at = offset; at < evenEnd; at += 2) sum += (bytes[at]! << 8) | bytes[at + 1]!;
  return (length & 1) === 0 ? sum : sum + (bytes[evenEnd]! << 8);
}

/** The 16-bit checksum of a partial sum: 0 when a span that holds its own checksum is intact. */
export function finishSum(sum: number): number {
  return ~foldSum(sum) & 0xffff;
}

/** A partial sum in 16 bits, with the carries added in. */
export function foldSum(sum: number): number {
  let folded = (sum % 0x10000) + Math.floor(sum / 0x10000);
  folded = (folded & 0xffff) + (folded >>> 16);
  return (folded & 0xffff) + (folded >>> 16);
}

/** The checksum of one span, to be stored big-endian. */
export function internetChecksum(bytes: Uint8Array, offset: number, length: number): number {
  return finishSum(addToSum(0, bytes, offset, length));
}

/**
 * Partial sum of the pseudo header that UDP, TCP and ICMPv6 add (RFC 9293 section 3.1, RFC 8200 section 8.1).
 * @param addresses - where the source address starts; the destination follows it, as in both IP headers
 * @param addressLength - 4 or 16
 */
export function pseudoHeaderSum(
  bytes: Uint8Array,
  addresses: number,
  addressLength: number,
  protocol: number,
  upperLength: number,
): number {
  return addToSum(
    protocol + (upperLength >>> 16) + (upperLength & 0xffff),
    bytes,
    addresses,
    2 * addressLength,
  );
}

/** The checksum after one 16-bit word that it covers has changed from `before` to `after`. */
export function updateChecksum(checksum: number, before: number, after: number): number {
  return finishSum((~checksum & 0xffff) + (~before & 0xffff) + after);
}
