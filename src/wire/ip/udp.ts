/** The UDP header (RFC 768), read in place; `at` is where a header of 8 octets starts. */
import { addToSum, finishSum, pseudoHeaderSum } from "./checksum.ts";
import { IpProtocol } from "./protocol.ts";

export const UDP_HEADER_LENGTH = 8;

export function udpSourcePort(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

export function udpDestinationPort(bytes: Uint8Array, at: number): number {
  return (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/** Octets of header and payload as the header claims. */
export function udpLength(bytes: Uint8Array, at: number): number {
  return (bytes[at + 4]! << 8) | bytes[at + 5]!;
}

export function udpChecksum(bytes: Uint8Array, at: number): number {
  return (bytes[at + 6]! << 8) | bytes[at + 7]!;
}

/**
 * Computes and stores the checksum of a whole datagram.
 * @param addresses - where the IP header's source address starts, `addressLength` (4 or 16) octets each
 * @param length - octets of UDP header and payload
 */
export function writeUdpChecksum(
  bytes: Uint8Array,
  at: number,
  length: number,
  addresses: number,
  addressLength: number,
): void {
  bytes[at + 6] = 0;
  bytes[at + 7] = 0;
  const sum = pseudoHeaderSum(bytes, addresses, addressLength, IpProtocol.UDP, length);
  const checksum = finishSum(addToSum(sum, bytes, at, length));
  // Zero on the wire means "none".
  bytes[at + 6] = checksum === 0 ? 0xff : checksum >>> 8;
  bytes[at + 7] = checksum === 0 ? 0xff : checksum;
}
