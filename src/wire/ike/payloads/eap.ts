/** The Extensible Authentication payload (RFC 7296 section 3.16): one EAP packet (RFC 3748 section 4). */
import type { ByteReader } from "../../byte-reader.ts";
import type { ByteWriter } from "../../byte-writer.ts";
import type { EapPayload } from "../payload.ts";

const EAP_HEADER_LENGTH = 4;

/**
 * Reads a body; `message` is a view of the input and includes the EAP header.
 * @throws {@link WireError} when the EAP packet is shorter than its header or than it claims
 */
export function decodeEap(body: ByteReader): EapPayload {
  const message = body.rest();
  const claimed = message.length < EAP_HEADER_LENGTH ? -1 : (message[2]! << 8) | message[3]!;
  if (claimed !== message.length) {
    throw body.error(
      "WIRE_BAD_LENGTH",
      `an EAP message of ${message.length} octets has another length inside`,
    );
  }
  return { kind: "EAP", message };
}

export function encodeEap(payload: EapPayload, writer: ByteWriter): void {
  writer.octets(payload.message);
}
