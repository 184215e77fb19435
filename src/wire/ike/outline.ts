/** What a chain of payloads consists of, without a look at what the payloads say. */
import { ByteReader } from "../byte-reader.ts";
import { decodeGenericHeader } from "./generic-header.ts";
import { MAX_PAYLOADS_PER_MESSAGE } from "./message.ts";
import { PayloadType } from "./registries.ts";

/** Type, octets with the generic header, and notify message type: three numbers for each payload, one behind the other. */
export const OUTLINE_STRIDE = 3;
/** Third number of whatever is no notify. */
export const NO_NOTIFY = -1;

/**
 * @param first - type of the first payload
 * @returns {@link OUTLINE_STRIDE} numbers for each payload
 * @throws {@link WireError} where generic headers do not fit the octets
 */
export function outlineOf(first: number, bytes: Uint8Array): readonly number[] {
  const reader = new ByteReader(bytes);
  const outline: number[] = [];
  for (let type = first; type !== PayloadType.NONE; ) {
    if (outline.length === OUTLINE_STRIDE * MAX_PAYLOADS_PER_MESSAGE)
      throw reader.error("WIRE_TOO_MANY", `a message has more than ${MAX_PAYLOADS_PER_MESSAGE} payloads`);
    const start = reader.offset;
    const { nextPayload, bodyLength } = decodeGenericHeader(reader);
    const isNotify = type === PayloadType.N && bodyLength >= 4;
    const body = reader.offset;
    reader.skip(bodyLength);
    // Protocol and SPI size come before it (RFC 7296 section 3.10).
    const notifyType = isNotify ? (bytes[body + 2]! << 8) | bytes[body + 3]! : NO_NOTIFY;
    outline.push(type, reader.offset - start, notifyType);
    type = nextPayload;
  }
  reader.expectEnd("the last payload");
  return outline;
}
