/** The Vendor ID payload (RFC 7296 section 3.12). */
import type { ByteReader } from "../../byte-reader.ts";
import type { ByteWriter } from "../../byte-writer.ts";
import type { VendorIdPayload } from "../payload.ts";

/** Reads a body; `data` is a view of the input. */
export function decodeVendorId(body: ByteReader): VendorIdPayload {
  return { kind: "V", data: body.rest() };
}

export function encodeVendorId(payload: VendorIdPayload, writer: ByteWriter): void {
  writer.octets(payload.data);
}
