/** Checksums of packets in transport mode whose addresses a NAT has changed (RFC 3948 section 3.1.2) [NAT-08]. */
import { addToSum, foldSum, updateChecksum } from "../wire/ip/checksum.ts";
import { IPV4_SOURCE } from "../wire/ip/ipv4.ts";
import { IPV6_SOURCE } from "../wire/ip/ipv6.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";

/** Octet of the checksum in what has a pseudo header, or -1. */
function checksumAt(protocol: number, family: number): number {
  if (protocol === IpProtocol.TCP) return 16;
  if (protocol === IpProtocol.UDP) return 6;
  return protocol === IpProtocol.ICMPV6 && family === 6 ? 2 : -1;
}

/**
 * Makes the transport checksum of the packet at `at` one of the addresses that its header has now. What was damaged stays
 * damaged.
 * @param payload - where the transport header starts
 * @param end - of the packet
 * @param originalSum - 16-bit sum of the two addresses that the sender saw
 */
export function translateChecksum(
  bytes: Uint8Array,
  at: number,
  payload: number,
  end: number,
  protocol: number,
  originalSum: number,
): void {
  const family = bytes[at]! >>> 4;
  const place = checksumAt(protocol, family);
  if (place < 0 || payload + place + 2 > end) return;
  const word = payload + place;
  const before = (bytes[word]! << 8) | bytes[word + 1]!;
  // No checksum at all, which IPv4 allows.
  if (protocol === IpProtocol.UDP && before === 0) return;
  const [addresses, length] = family === 4 ? [at + IPV4_SOURCE, 8] : [at + IPV6_SOURCE, 32];
  let after = updateChecksum(before, originalSum, foldSum(addToSum(0, bytes, addresses, length)));
  // Zero would say that there is none (RFC 768).
  if (protocol === IpProtocol.UDP && after === 0) after = 0xffff;
  bytes[word] = after >>> 8;
  bytes[word + 1] = after;
}
