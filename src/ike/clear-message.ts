/** A traced message as octets in clear: what it would be without its SK payload (RFC 7296 section 3). */
import { ByteWriter } from "../wire/byte-writer.ts";
import { encodeHeader, IKE_HEADER_LENGTH } from "../wire/ike/header.ts";
import { encodePayloadChain } from "../wire/ike/message.ts";
import type { TracedMessage } from "./trace.ts";

/** The inner payloads directly behind the header, whose lengths and next payload say so. */
export function clearMessage({ header, payloads, inner }: TracedMessage): Uint8Array {
  const { first, bytes } = inner ?? encodePayloadChain(payloads);
  const writer = new ByteWriter();
  encodeHeader(header, first, IKE_HEADER_LENGTH + bytes.length, writer);
  writer.octets(bytes);
  return writer.finish();
}
