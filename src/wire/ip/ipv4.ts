/** The IPv4 header (RFC 791 section 3.1), read and changed in place; `at` is where a header of full length starts. */
import { internetChecksum, updateChecksum } from "./checksum.ts";

export const IPV4_HEADER_LENGTH = 20;
export const IPV4_SOURCE = 12;
export const IPV4_DESTINATION = 16;

const TOTAL_LENGTH = 2;
const FLAGS_AND_OFFSET = 6;
const TTL = 8;
const CHECKSUM = 10;
const DONT_FRAGMENT = 0x4000;
const MORE_FRAGMENTS = 0x2000;
const OFFSET_MASK = 0x1fff;

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at]! << 8) | bytes[at + 1]!;
}

function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}

/** Octets of the header with its options, 0 to 60; below 20 it is malformed. */
export function ipv4HeaderLength(bytes: Uint8Array, at: number): number {
  return (bytes[at]! & 0x0f) * 4;
}

export function ipv4Tos(bytes: Uint8Array, at: number): number {
  return bytes[at + 1]!;
}

/** Octets of header and payload. */
export function ipv4TotalLength(bytes: Uint8Array, at: number): number {
  return u16(bytes, at + TOTAL_LENGTH);
}

export function ipv4DontFragment(bytes: Uint8Array, at: number): boolean {
  return (u16(bytes, at + FLAGS_AND_OFFSET) & DONT_FRAGMENT) !== 0;
}

export function ipv4MoreFragments(bytes: Uint8Array, at: number): boolean {
  return (u16(bytes, at + FLAGS_AND_OFFSET) & MORE_FRAGMENTS) !== 0;
}

/** Octets of the original payload in front of this fragment. */
export function ipv4FragmentOffset(bytes: Uint8Array, at: number): number {
  return (u16(bytes, at + FLAGS_AND_OFFSET) & OFFSET_MASK) * 8;
}

/** Tells the datagram apart whose fragments belong together, with the addresses and the protocol. */
export function ipv4Identification(bytes: Uint8Array, at: number): number {
  return u16(bytes, at + 4);
}

export function ipv4Ttl(bytes: Uint8Array, at: number): number {
  return bytes[at + TTL]!;
}

export function ipv4Protocol(bytes: Uint8Array, at: number): number {
  return bytes[at + 9]!;
}

/** Whether the header checksum is right; the header's length must have been checked. */
export function ipv4ChecksumIsValid(bytes: Uint8Array, at: number): boolean {
  return internetChecksum(bytes, at, ipv4HeaderLength(bytes, at)) === 0;
}

/** Computes and stores the header checksum. */
export function writeIpv4Checksum(bytes: Uint8Array, at: number): void {
  putU16(bytes, at + CHECKSUM, 0);
  putU16(bytes, at + CHECKSUM, internetChecksum(bytes, at, ipv4HeaderLength(bytes, at)));
}

/** Replaces total length and identification, and computes the checksum anew. */
export function setIpv4Length(
  bytes: Uint8Array,
  at: number,
  totalLength: number,
  identification: number,
): void {
  putU16(bytes, at + TOTAL_LENGTH, totalLength);
  putU16(bytes, at + 4, identification);
  writeIpv4Checksum(bytes, at);
}

/** Lets the packet be fragmented, which needs an identification, and computes the checksum anew. */
export function clearIpv4DontFragment(bytes: Uint8Array, at: number, identification: number): void {
  putU16(bytes, at + 4, identification);
  putU16(bytes, at + FLAGS_AND_OFFSET, 0);
  writeIpv4Checksum(bytes, at);
}

/** Replaces protocol and total length, and computes the checksum anew. */
export function setIpv4Protocol(bytes: Uint8Array, at: number, protocol: number, totalLength: number): void {
  bytes[at + 9] = protocol;
  putU16(bytes, at + TOTAL_LENGTH, totalLength);
  writeIpv4Checksum(bytes, at);
}

/** Replaces the TOS octet and keeps the checksum right. */
export function setIpv4Tos(bytes: Uint8Array, at: number, tos: number): void {
  const before = u16(bytes, at);
  bytes[at + 1] = tos;
  putU16(bytes, at + CHECKSUM, updateChecksum(u16(bytes, at + CHECKSUM), before, u16(bytes, at)));
}

/**
 * Makes the packet a fragment, and its checksum right; DF is clear then.
 * @param totalLength - octets of header and payload
 * @param offset - octets of the original payload in front of it, a multiple of 8
 */
export function setIpv4Fragment(
  bytes: Uint8Array,
  at: number,
  totalLength: number,
  offset: number,
  hasMore: boolean,
): void {
  putU16(bytes, at + TOTAL_LENGTH, totalLength);
  putU16(bytes, at + FLAGS_AND_OFFSET, (offset >>> 3) | (hasMore ? MORE_FRAGMENTS : 0));
  writeIpv4Checksum(bytes, at);
}

/**
 * Writes a header without options, with DF and identification 0 (RFC 6864 section 4.1), and its checksum; the addresses must be in place at IPV4_SOURCE and IPV4_DESTINATION.
 * @param totalLength - octets of header and payload
 */
export function writeIpv4Header(
  bytes: Uint8Array,
  at: number,
  totalLength: number,
  protocol: number,
  tos: number,
  ttl: number,
): void {
  bytes[at] = 0x45;
  bytes[at + 1] = tos;
  putU16(bytes, at + TOTAL_LENGTH, totalLength);
  putU16(bytes, at + 4, 0);
  putU16(bytes, at + FLAGS_AND_OFFSET, DONT_FRAGMENT);
  bytes[at + TTL] = ttl;
  bytes[at + 9] = protocol;
  writeIpv4Checksum(bytes, at);
}
