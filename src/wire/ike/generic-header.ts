/** The four octets in front of every payload (RFC 7296 section 3.2). */
import type { ByteReader } from "../byte-reader.ts";
import type { ByteWriter } from "../byte-writer.ts";

const GENERIC_HEADER_LENGTH = 4;

const FLAG_CRITICAL = 0x80;

interface GenericHeader {
  readonly nextPayload: number;
  readonly critical: boolean;
  /** Octets of the body, without these four. */
  readonly bodyLength: number;
}

/**
 * Reads a generic header; the seven reserved bits are ignored.
 * @throws {@link WireError} when it is cut off, or its length is below 4 or runs past the input [HDR-09]
 */
export function decodeGenericHeader(reader: ByteReader): GenericHeader {
  const nextPayload = reader.u8();
  const critical = (reader.u8() & FLAG_CRITICAL) !== 0;
  const length = reader.u16();
  const bodyLength = length - GENERIC_HEADER_LENGTH;
  if (bodyLength < 0) throw reader.error("WIRE_BAD_LENGTH", `a payload claims a length of ${length} octets`);
  if (bodyLength > reader.remaining) {
    throw reader.error(
      "WIRE_BAD_LENGTH",
      `a payload claims ${bodyLength} octets of body, ${reader.remaining} are there`,
    );
  }
  return { nextPayload, critical, bodyLength };
}

/** Writes a generic header whose length is filled in by {@link finishPayload}; returns where it starts. */
export function beginPayload(nextPayload: number, critical: boolean, writer: ByteWriter): number {
  const start = writer.length;
  writer.u8(nextPayload);
  writer.u8(critical ? FLAG_CRITICAL : 0);
  writer.u16(0);
  return start;
}

/** @throws {RangeError} when the payload is longer than 65535 octets */
export function finishPayload(start: number, writer: ByteWriter): void {
  writer.patchU16(start + 2, writer.length - start);
}
