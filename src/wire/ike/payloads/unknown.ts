/** Payloads of a type that this project does not know (RFC 7296 sections 2.5 and 3.2). */
import type { ByteReader } from "../../byte-reader.ts";
import type { ByteWriter } from "../../byte-writer.ts";
import type { UnknownPayload } from "../payload.ts";

/** Reads a body; it is a view of the input. [HDR-10] [HDR-11] */
export function decodeUnknown(payloadType: number, critical: boolean, body: ByteReader): UnknownPayload {
  return { kind: "unknown", payloadType, critical, body: body.rest() };
}

export function encodeUnknown(payload: UnknownPayload, writer: ByteWriter): void {
  writer.octets(payload.body);
}
