/** Transform substructures and their attributes (RFC 7296 sections 3.3.2 and 3.3.5). */
import type { ByteReader } from "../../byte-reader.ts";
import type { ByteWriter } from "../../byte-writer.ts";
import type { Transform } from "../payload.ts";

/** RFC 7296 gives a transform one attribute; more than this many are no proposal but a burden. */
export const MAX_ATTRIBUTES_PER_TRANSFORM = 16;

const MORE_TRANSFORMS = 3;
const LAST_TRANSFORM = 0;
const HEADER_LENGTH = 8;
const ATTRIBUTE_FORMAT_TV = 0x8000;
const KEY_LENGTH = 14;

/**
 * Reads one transform.
 * @param isLast - whether the proposal announces no further one
 * @throws {@link WireError}
 */
export function decodeTransform(reader: ByteReader, isLast: boolean): Transform {
  const more = reader.u8();
  if (more !== (isLast ? LAST_TRANSFORM : MORE_TRANSFORMS)) {
    throw reader.error("WIRE_BAD_VALUE", `a transform says ${more} about further ones against their number`);
  }
  reader.skip(1);
  const length = reader.u16();
  if (length < HEADER_LENGTH) {
    throw reader.error("WIRE_BAD_LENGTH", `a transform claims a length of ${length} octets`);
  }
  const body = reader.span(length - 4);
  const type = body.u8();
  body.skip(1);
  const id = body.u16();
  return { type, id, ...decodeAttributes(body) };
}

function decodeAttributes(body: ByteReader): Pick<Transform, "keyBits" | "hasUnknownAttribute"> {
  let keyBits: number | undefined;
  let isUnknown = false;
  for (let count = 1; body.remaining > 0; count++) {
    if (count > MAX_ATTRIBUTES_PER_TRANSFORM) {
      throw body.error(
        "WIRE_TOO_MANY",
        `a transform has more than ${MAX_ATTRIBUTES_PER_TRANSFORM} attributes`,
      );
    }
    const format = body.u16();
    const value = body.u16();
    if ((format & ATTRIBUTE_FORMAT_TV) === 0) body.skip(value);
    if (format === (ATTRIBUTE_FORMAT_TV | KEY_LENGTH) && keyBits === undefined) keyBits = value;
    else isUnknown = true;
  }
  return {
    ...(keyBits === undefined ? {} : { keyBits }),
    ...(isUnknown ? { hasUnknownAttribute: true } : {}),
  };
}

/** @throws {RangeError} when a value does not fit, or the transform came with attributes that are not known */
export function encodeTransform(transform: Transform, isLast: boolean, writer: ByteWriter): void {
  if (transform.hasUnknownAttribute)
    throw new RangeError("a transform with unknown attributes cannot be sent");
  const hasKeyBits = transform.keyBits !== undefined;
  writer.u8(isLast ? LAST_TRANSFORM : MORE_TRANSFORMS);
  writer.u8(0);
  writer.u16(HEADER_LENGTH + (hasKeyBits ? 4 : 0));
  writer.u8(transform.type);
  writer.u8(0);
  writer.u16(transform.id);
  if (transform.keyBits !== undefined) {
    writer.u16(ATTRIBUTE_FORMAT_TV | KEY_LENGTH);
    writer.u16(transform.keyBits);
  }
}
