/** The Nonce payload (RFC 7296 section 3.9). */
import type { ByteReader } from "../../byte-reader.ts";
import type { ByteWriter } from "../../byte-writer.ts";
import type { NoncePayload } from "../payload.ts";

const NONCE_LENGTH_MIN = 16;
const NONCE_LENGTH_MAX = 256;

/**
 * Reads a body; `data` is a view of the input.
 * @throws {@link WireError} `WIRE_BAD_LENGTH` unless there are 16 to 256 octets
 */
export function decodeNonce(body: ByteReader): NoncePayload {
  const length = body.remaining;
  if (length < NONCE_LENGTH_MIN || length > NONCE_LENGTH_MAX) {
    throw body.error(
      "WIRE_BAD_LENGTH",
      `a nonce has ${length} octets, not ${NONCE_LENGTH_MIN} to ${NONCE_LENGTH_MAX}`,
    );
  }
  return { kind: "Nonce", data: body.rest() };
}

export function encodeNonce(payload: NoncePayload, writer: ByteWriter): void {
  writer.octets(payload.data);
}
