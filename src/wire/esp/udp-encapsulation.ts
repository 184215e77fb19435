/** What arrives on the NAT traversal port: ESP in UDP, IKE behind a marker, keepalives (RFC 3948 section 2). */
import { SPI_MIN } from "../../base/spi.ts";
import { IKE_HEADER_LENGTH } from "../ike/header.ts";
import { ESP_PACKET_LENGTH_MIN, espSpi } from "./esp-packet.ts";

/** Four zero octets in front of an IKE message, where ESP has its SPI [NAT-04]. */
export const NON_ESP_MARKER_LENGTH = 4;
/** The one octet of a NAT-keepalive. */
export const NAT_KEEPALIVE = 0xff;

export const NatDatagram = { IKE: 0, ESP: 1, KEEPALIVE: 2, MALFORMED: 3 } as const;
export type NatDatagram = (typeof NatDatagram)[keyof typeof NatDatagram];

/**
 * Tells what a UDP payload received on the NAT traversal port is. IKE means marker and header are there, ESP that the SPI
 * is none of the reserved ones and the shortest packet is there [NAT-11] [ESP-01].
 */
export function classifyNatDatagram(bytes: Uint8Array, at: number, length: number): NatDatagram {
  if (length === 1 && bytes[at] === NAT_KEEPALIVE) return NatDatagram.KEEPALIVE;
  if (length < ESP_PACKET_LENGTH_MIN) return NatDatagram.MALFORMED;
  const spi = espSpi(bytes, at);
  if (spi === 0) {
    return length >= NON_ESP_MARKER_LENGTH + IKE_HEADER_LENGTH ? NatDatagram.IKE : NatDatagram.MALFORMED;
  }
  return spi >= SPI_MIN ? NatDatagram.ESP : NatDatagram.MALFORMED;
}
