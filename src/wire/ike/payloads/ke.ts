/** The Key Exchange payload (RFC 7296 section 3.4). */
import type { ByteReader } from "../../byte-reader.ts";
import type { ByteWriter } from "../../byte-writer.ts";
import type { KePayload } from "../payload.ts";

/** Reads a body; `data` is a view of the input, whose length the method decides. */
export function decodeKe(body: ByteReader): KePayload {
  const method = body.u16();
  body.skip(2);
  return { kind: "KE", method, data: body.rest() };
}

export function encodeKe(payload: KePayload, writer: ByteWriter): void {
  writer.u16(payload.method);
  writer.u16(0);
  writer.octets(payload.data);
}
