/** The Authentication Header (RFC 4302 section 2), read and written in place. */
import { putUint32, uint32At } from "../../base/bytes.ts";

/** Next header, payload length, reserved, SPI, sequence number. */
export const AH_FIXED_LENGTH = 12;

const NEXT_HEADER = 0;
const PAYLOAD_LENGTH = 1;
const SPI = 4;
const SEQUENCE = 8;
/** The payload length field counts words of 4 octets, less 2. */
const WORD = 4;
const WORDS_LESS = 2;

/** Octets of the header with its ICV, padded to a multiple of 4, or 8 over IPv6 [AH-01] [AH-08]. */
export function ahHeaderLength(icvLength: number, family: number): number {
  const multiple = family === 4 ? WORD : 2 * WORD;
  return Math.ceil((AH_FIXED_LENGTH + icvLength) / multiple) * multiple;
}

/** Octets that a received header says it has; at least 8. */
export function ahReceivedLength(bytes: Uint8Array, at: number): number {
  return (bytes[at + PAYLOAD_LENGTH]! + WORDS_LESS) * WORD;
}

export function ahNextHeader(bytes: Uint8Array, at: number): number {
  return bytes[at + NEXT_HEADER]!;
}

export function ahSpi(bytes: Uint8Array, at: number): number {
  return uint32At(bytes, at + SPI);
}

/** The 32 bits that are transmitted. */
export function ahSequence(bytes: Uint8Array, at: number): number {
  return uint32At(bytes, at + SEQUENCE);
}

/**
 * Writes a header whose reserved field, sequence number, ICV and padding are zero [AH-02]; the engine fills in number and ICV.
 * @param length - octets of the whole header, see {@link ahHeaderLength}
 */
export function writeAhHeader(
  bytes: Uint8Array,
  at: number,
  length: number,
  nextHeader: number,
  spi: number,
): void {
  bytes.fill(0, at, at + length);
  bytes[at + NEXT_HEADER] = nextHeader;
  bytes[at + PAYLOAD_LENGTH] = length / WORD - WORDS_LESS;
  putUint32(bytes, at + SPI, spi);
}
