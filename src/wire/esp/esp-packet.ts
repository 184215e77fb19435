/** ESP packets (RFC 4303 section 2): header fields, padding and trailer, and what TFC padding hides; all in place. */
import { putUint32, uint32At } from "../../base/bytes.ts";
import { IPV4_HEADER_LENGTH, ipv4TotalLength } from "../ip/ipv4.ts";
import { IPV6_HEADER_LENGTH, ipv6PayloadLength } from "../ip/ipv6.ts";
import { IpProtocol } from "../ip/protocol.ts";

/** SPI and sequence number. */
export const ESP_HEADER_LENGTH = 8;
/** Pad length and next header. */
export const ESP_TRAILER_LENGTH = 2;
/** Pad length is one octet. */
export const ESP_PADDING_MAX = 255;
/** A header and the shortest payload that ends on four octets; every algorithm asks for more. */
export const ESP_PACKET_LENGTH_MIN = ESP_HEADER_LENGTH + 4;

/** uint32. */
export function espSpi(bytes: Uint8Array, at: number): number {
  return uint32At(bytes, at);
}

/** The 32 bits that are transmitted. */
export function espSequence(bytes: Uint8Array, at: number): number {
  return uint32At(bytes, at + 4);
}

/** @param sequence - the low 32 bits */
export function writeEspHeader(bytes: Uint8Array, at: number, spi: number, sequence: number): void {
  putUint32(bytes, at, spi);
  putUint32(bytes, at + 4, sequence);
}

/**
 * Writes padding 1, 2, 3 and so on [ESP-08], pad length and next header.
 * @param at - octet behind the payload
 * @returns octet behind the trailer
 */
export function writeEspTrailer(
  bytes: Uint8Array,
  at: number,
  padLength: number,
  nextHeader: number,
): number {
  for (let i = 0; i < padLength; i++) bytes[at + i] = i + 1;
  bytes[at + padLength] = padLength;
  bytes[at + padLength + 1] = nextHeader;
  return at + padLength + ESP_TRAILER_LENGTH;
}

/** The next header field of a decrypted packet that ends in front of `end`. */
export function espNextHeader(bytes: Uint8Array, end: number): number {
  return bytes[end - 1]!;
}

/** The pad length field of a decrypted packet that ends in front of `end`. */
export function espReceivedPadLength(bytes: Uint8Array, end: number): number {
  return bytes[end - 2]!;
}

/**
 * Octets in front of the padding of a decrypted packet `bytes[start .. end)`, TFC padding included, or -1 when the pad
 * length does not fit or the padding is not 1, 2, 3 and so on [ESP-08]. Only for packets whose integrity was verified.
 */
export function espPayloadLength(bytes: Uint8Array, start: number, end: number): number {
  if (end - start < ESP_TRAILER_LENGTH) return -1;
  const padLength = espReceivedPadLength(bytes, end);
  const payloadEnd = end - ESP_TRAILER_LENGTH - padLength;
  if (payloadEnd < start) return -1;
  for (let i = 0; i < padLength; i++) if (bytes[payloadEnd + i] !== i + 1) return -1;
  return payloadEnd - start;
}

/**
 * Octets of the inner packet of tunnel mode as its own header says, so that TFC padding behind it is left out [ESP-11].
 * @param nextHeader - of the ESP trailer: 4 or 41
 * @returns -1 when the payload is no packet of that family or is shorter than it says
 */
export function innerPacketLength(
  bytes: Uint8Array,
  at: number,
  payloadLength: number,
  nextHeader: number,
): number {
  let length = -1;
  if (nextHeader === IpProtocol.IPV4) {
    if (payloadLength < IPV4_HEADER_LENGTH || bytes[at]! >>> 4 !== 4) return -1;
    length = ipv4TotalLength(bytes, at);
    if (length < IPV4_HEADER_LENGTH) return -1;
  } else if (nextHeader === IpProtocol.IPV6) {
    if (payloadLength < IPV6_HEADER_LENGTH || bytes[at]! >>> 4 !== 6) return -1;
    length = IPV6_HEADER_LENGTH + ipv6PayloadLength(bytes, at);
  }
  return length <= payloadLength ? length : -1;
}

/** A dummy packet, sent to hide how much traffic there is; to be dropped without an error [ESP-10]. */
export function isDummyPacket(nextHeader: number): boolean {
  return nextHeader === IpProtocol.NO_NEXT_HEADER;
}
