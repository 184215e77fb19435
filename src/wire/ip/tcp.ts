/** The TCP header (RFC 9293 section 3.1), read in place; `at` is where a header of 20 octets starts. */

export const TCP_HEADER_LENGTH = 20;
export const TCP_FLAG_SYN = 0x02;

export function tcpSourcePort(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

export function tcpDestinationPort(bytes: Uint8Array, at: number): number {
  return (bytes[at + 2]! << 8) | bytes[at + 3]!;
}

/** Octets of the header with its options, 0 to 60; below 20 it is malformed. */
export function tcpHeaderLength(bytes: Uint8Array, at: number): number {
  return (bytes[at + 12]! >>> 4) * 4;
}

/** CWR, ECE, URG, ACK, PSH, RST, SYN, FIN from the highest bit down. */
export function tcpFlags(bytes: Uint8Array, at: number): number {
  return bytes[at + 13]!;
}
