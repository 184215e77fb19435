/** The Encrypted payload (RFC 7296 section 3.14); what is inside needs keys and is not opened here. */
import type { ByteReader } from "../../byte-reader.ts";
import type { ByteWriter } from "../../byte-writer.ts";
import type { SkPayload } from "../payload.ts";

/** Reads a body; it is a view of the input, and the associated data of AEAD is what precedes it in the message. */
export function decodeSk(firstInnerPayload: number, body: ByteReader): SkPayload {
  return { kind: "SK", firstInnerPayload, body: body.rest() };
}

export function encodeSk(payload: SkPayload, writer: ByteWriter): void {
  writer.octets(payload.body);
}
