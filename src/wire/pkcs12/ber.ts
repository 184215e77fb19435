/** Turns BER (X.690) into DER as far as PKCS#12 files of older programs need it: indefinite lengths, strings in pieces. */
import { wipe } from "../../base/bytes.ts";
import { ByteReader } from "../byte-reader.ts";
import { DerReader, Tag } from "../x509/der.ts";
import { encodeElement } from "../x509/der-writer.ts";

/** Values inside of each other, and values of one. */
const DEPTH_MAX = 32;
const PARTS_MAX = 16_384;
const CONSTRUCTED = 0x20;
const END_OF_CONTENTS = 0x00;

/**
 * The one value that `bytes` holds, with definite and shortest lengths and whole octet strings. What octet strings contain
 * stays as it is. Always octets of their own, for the caller to wipe.
 * @throws {@link WireError}
 */
export function derOf(bytes: Uint8Array, what: string): Uint8Array {
  const reader = new ByteReader(bytes);
  const value = readValue(reader, 0);
  if (value === undefined) throw reader.error("WIRE_BAD_VALUE", `${what} ends before it begins`);
  reader.expectEnd(what);
  return value;
}

/** `undefined`: the octets that end a value of indefinite length. */
function readValue(reader: ByteReader, depth: number): Uint8Array | undefined {
  if (depth > DEPTH_MAX)
    throw reader.error("WIRE_TOO_MANY", `more than ${DEPTH_MAX} values inside of each other`);
  const tag = reader.u8();
  if ((tag & 0x1f) === 0x1f) throw reader.error("WIRE_BAD_VALUE", "a tag number above 30");
  const length = readLength(reader);
  if (tag === END_OF_CONTENTS) {
    if (length !== 0) throw reader.error("WIRE_BAD_VALUE", "an end with content");
    return undefined;
  }
  if ((tag & CONSTRUCTED) !== 0) return joined(tag, readParts(reader, length, depth + 1));
  if (length === undefined) throw reader.error("WIRE_BAD_LENGTH", "a simple value without length");
  return encodeElement(tag, reader.octets(length));
}

/** `undefined`: indefinite. */
function readLength(reader: ByteReader): number | undefined {
  const first = reader.u8();
  if (first < 0x80) return first;
  const count = first & 0x7f;
  if (count === 0) return undefined;
  if (count > 4) throw reader.error("WIRE_BAD_LENGTH", "a length of more than 4 octets");
  let length = 0;
  for (let i = 0; i < count; i++) length = length * 256 + reader.u8();
  return length;
}

function readParts(outer: ByteReader, length: number | undefined, depth: number): readonly Uint8Array[] {
  const reader = length === undefined ? outer : outer.span(length);
  const parts: Uint8Array[] = [];
  while (length === undefined || reader.remaining > 0) {
    const part = readValue(reader, depth);
    if (part !== undefined) parts.push(part);
    else if (length === undefined) break;
    else throw reader.error("WIRE_BAD_VALUE", "an end inside of a value with a length");
    if (parts.length > PARTS_MAX) throw reader.error("WIRE_TOO_MANY", `more than ${PARTS_MAX} parts`);
  }
  return parts;
}

function joined(tag: number, parts: readonly Uint8Array[]): Uint8Array {
  const whole =
    tag === (Tag.OCTET_STRING | CONSTRUCTED)
      ? encodeElement(Tag.OCTET_STRING, ...parts.map(octetsOf))
      : encodeElement(tag, ...parts);
  // They are copies, and may be of a key.
  wipe(...parts);
  return whole;
}

function octetsOf(part: Uint8Array): Uint8Array {
  return new DerReader(part).octetString("a piece of an octet string");
}
