/** The Authentication payload (RFC 7296 section 3.8). */
import type { ByteReader } from "../../byte-reader.ts";
import type { ByteWriter } from "../../byte-writer.ts";
import type { AuthPayload } from "../payload.ts";

/** Reads a body; `data` is a view of the input. */
export function decodeAuth(body: ByteReader): AuthPayload {
  const method = body.u8();
  body.skip(3);
  return { kind: "AUTH", method, data: body.rest() };
}

export function encodeAuth(payload: AuthPayload, writer: ByteWriter): void {
  writer.u8(payload.method);
  writer.zeros(3);
  writer.octets(payload.data);
}
