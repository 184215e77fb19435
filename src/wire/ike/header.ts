/** The IKE header (RFC 7296 section 3.1). */
import { fromHex } from "../../base/bytes.ts";
import { IkeSpi } from "../../base/spi.ts";
import { ByteReader } from "../byte-reader.ts";
import type { ByteWriter } from "../byte-writer.ts";
import type { IkeHeader } from "./payload.ts";

export const IKE_HEADER_LENGTH = 28;
/** The version that this project speaks [HDR-02]. */
export const IKE_MAJOR_VERSION = 2;
const IKE_MINOR_VERSION = 0;

const FLAG_INITIATOR = 0x08;
const FLAG_RESPONSE = 0x20;

/** What the sender of a message chooses; the rest of its header follows from the payloads. */
export type OutgoingHeader = Pick<
  IkeHeader,
  "initiatorSpi" | "responderSpi" | "exchangeType" | "isFromInitiator" | "isResponse" | "messageId"
>;

/**
 * Reads the first 28 octets of a message of any version, so that a wrong version can be answered. Whether `length` agrees
 * with the octets received is for decodeMessage to say. The version bit and reserved flags are ignored [HDR-03].
 * @throws {@link WireError} `WIRE_TRUNCATED` when there are fewer than 28 octets
 */
export function decodeHeader(bytes: Uint8Array): IkeHeader {
  const reader = new ByteReader(bytes);
  const initiatorSpi = IkeSpi(reader.octets(8));
  const responderSpi = IkeSpi(reader.octets(8));
  const nextPayload = reader.u8();
  const version = reader.u8();
  const exchangeType = reader.u8();
  const flags = reader.u8();
  const messageId = reader.u32();
  const length = reader.u32();
  return {
    initiatorSpi,
    responderSpi,
    nextPayload,
    majorVersion: version >>> 4,
    minorVersion: version & 0x0f,
    exchangeType,
    isFromInitiator: (flags & FLAG_INITIATOR) !== 0,
    isResponse: (flags & FLAG_RESPONSE) !== 0,
    messageId,
    length,
  };
}

/**
 * Writes a header of version 2.0 with the version bit and the reserved flags clear [HDR-02].
 * @param length - octets of the whole message
 * @throws {RangeError} when a value does not fit its field
 */
export function encodeHeader(
  header: OutgoingHeader,
  nextPayload: number,
  length: number,
  writer: ByteWriter,
): void {
  writer.octets(fromHex(header.initiatorSpi));
  writer.octets(fromHex(header.responderSpi));
  writer.u8(nextPayload);
  writer.u8((IKE_MAJOR_VERSION << 4) | IKE_MINOR_VERSION);
  writer.u8(header.exchangeType);
  writer.u8((header.isFromInitiator ? FLAG_INITIATOR : 0) | (header.isResponse ? FLAG_RESPONSE : 0));
  writer.u32(header.messageId);
  writer.u32(length);
}
