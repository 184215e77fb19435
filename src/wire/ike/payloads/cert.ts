/** The Certificate and Certificate Request payloads (RFC 7296 sections 3.6 and 3.7). */
import type { ByteReader } from "../../byte-reader.ts";
import type { ByteWriter } from "../../byte-writer.ts";
import type { CertPayload } from "../payload.ts";

/** Reads a body; `data` is a view of the input. */
export function decodeCert(kind: CertPayload["kind"], body: ByteReader): CertPayload {
  const encoding = body.u8();
  return { kind, encoding, data: body.rest() };
}

export function encodeCert(payload: CertPayload, writer: ByteWriter): void {
  writer.u8(payload.encoding);
  writer.octets(payload.data);
}
