/** The Configuration payload and its attributes (RFC 7296 section 3.15). */
import type { ByteReader } from "../../byte-reader.ts";
import type { ByteWriter } from "../../byte-writer.ts";
import type { ConfigurationAttribute, CpPayload } from "../payload.ts";

/** A reply lists at most a few addresses, servers and split networks; each costs four octets or more. */
export const MAX_CONFIGURATION_ATTRIBUTES = 256;

const TYPE_MASK = 0x7fff;

/**
 * Reads a body; the values are views of the input, and the reserved bit of each type is ignored.
 * @throws {@link WireError}
 */
export function decodeCp(body: ByteReader): CpPayload {
  const cfgType = body.u8();
  body.skip(3);
  const attributes: ConfigurationAttribute[] = [];
  while (body.remaining > 0) {
    if (attributes.length === MAX_CONFIGURATION_ATTRIBUTES) {
      throw body.error(
        "WIRE_TOO_MANY",
        `a configuration payload has more than ${MAX_CONFIGURATION_ATTRIBUTES} attributes`,
      );
    }
    const type = body.u16() & TYPE_MASK;
    const length = body.u16();
    attributes.push({ type, value: body.octets(length) });
  }
  return { kind: "CP", cfgType, attributes };
}

/** @throws {RangeError} when there are too many attributes or a type has more than 15 bits */
export function encodeCp(payload: CpPayload, writer: ByteWriter): void {
  if (payload.attributes.length > MAX_CONFIGURATION_ATTRIBUTES) {
    throw new RangeError(`a configuration payload takes ${MAX_CONFIGURATION_ATTRIBUTES} attributes at most`);
  }
  writer.u8(payload.cfgType);
  writer.zeros(3);
  for (const { type, value } of payload.attributes) {
    if (type > TYPE_MASK) throw new RangeError(`${type} is no configuration attribute type`);
    writer.u16(type);
    writer.u16(value.length);
    writer.octets(value);
  }
}
