/** The Encrypted Fragment payload (RFC 7383 section 2.5). */
import type { ByteReader } from "../../byte-reader.ts";
import type { ByteWriter } from "../../byte-writer.ts";
import type { SkfPayload } from "../payload.ts";

/**
 * Reads a body; `body` is a view of the input, and the associated data of AEAD is what precedes it in the message, the
 * fragment numbers included.
 * @throws {@link WireError} also when the number is 0 or above the total [FRAG-05]
 */
export function decodeSkf(firstInnerPayload: number, body: ByteReader): SkfPayload {
  const fragmentNumber = body.u16();
  const totalFragments = body.u16();
  if (fragmentNumber === 0 || fragmentNumber > totalFragments) {
    throw body.error("WIRE_BAD_VALUE", `there is no fragment ${fragmentNumber} of ${totalFragments}`);
  }
  return { kind: "SKF", firstInnerPayload, fragmentNumber, totalFragments, body: body.rest() };
}

export function encodeSkf(payload: SkfPayload, writer: ByteWriter): void {
  writer.u16(payload.fragmentNumber);
  writer.u16(payload.totalFragments);
  writer.octets(payload.body);
}
