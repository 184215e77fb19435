/** Distinguished names: reading, comparing (RFC 5280 section 7.1) and showing them. */
import { fromStrictUtf8, toHex } from "../../base/bytes.ts";
import { type DerElement, DerReader, readWhole, Tag } from "./der.ts";
import { AttributeType } from "./object-identifiers.ts";

/** Attributes of one name, at most. */
const ATTRIBUTES_MAX = 64;

export interface NameAttribute {
  readonly type: string;
  /** Absent: not a string, or not in its own encoding. */
  readonly text?: string;
  readonly encoded: Uint8Array;
}

export interface DistinguishedName {
  /** DER of the whole name. */
  readonly encoded: Uint8Array;
  /** Attributes of one relative name belong together; nearly always there is one. */
  readonly relativeNames: readonly (readonly NameAttribute[])[];
  /** For each relative name a text that is the same for names that compare equal. */
  readonly keys: readonly string[];
  /** All of `keys` in one. */
  readonly key: string;
}

/** Reads the name that comes next. @throws {@link WireError} */
export function readName(reader: DerReader, what: string): DistinguishedName {
  const { encoded, content } = reader.element(Tag.SEQUENCE, what);
  const sequence = new DerReader(content);
  const relativeNames: NameAttribute[][] = [];
  let count = 0;
  while (!sequence.isAtEnd) {
    const set = new DerReader(sequence.element(Tag.SET, what).content);
    const attributes: NameAttribute[] = [];
    do {
      const attribute = set.sequence(what);
      const type = attribute.objectIdentifier(what);
      attributes.push(attributeOf(type, attribute.any(what)));
      attribute.expectEnd(what);
      if (++count > ATTRIBUTES_MAX)
        throw sequence.error(`${what} has more than ${ATTRIBUTES_MAX} attributes`);
    } while (!set.isAtEnd);
    relativeNames.push(attributes);
  }
  const keys = relativeNames.map(relativeKey);
  return { encoded, relativeNames, keys, key: keys.join("\u0000") };
}

/** @throws {@link WireError} */
export function decodeName(bytes: Uint8Array): DistinguishedName {
  return readWhole(bytes, "a distinguished name", (reader) => readName(reader, "a distinguished name"));
}

function attributeOf(type: string, element: DerElement): NameAttribute {
  const text = stringValue(element);
  return { type, encoded: element.encoded, ...(text === undefined ? {} : { text }) };
}

/** The text of a string of any of the types that names use. */
export function stringValue({ tag, content }: DerElement): string | undefined {
  switch (tag) {
    case Tag.UTF8_STRING:
      return fromStrictUtf8(content);
    case Tag.PRINTABLE_STRING:
    case Tag.IA5_STRING:
      return content.every((octet) => octet < 0x80) ? latin1(content) : undefined;
    case Tag.TELETEX_STRING:
      return latin1(content);
    case Tag.BMP_STRING:
      return wide(content, 2);
    case Tag.UNIVERSAL_STRING:
      return wide(content, 4);
    default:
      return undefined;
  }
}

function latin1(content: Uint8Array): string {
  let text = "";
  for (const octet of content) text += String.fromCharCode(octet);
  return text;
}

function wide(content: Uint8Array, width: 2 | 4): string | undefined {
  if (content.length % width !== 0) return undefined;
  let text = "";
  for (let at = 0; at < content.length; at += width) {
    let code = 0;
    for (let i = 0; i < width; i++) code = code * 256 + content[at + i]!;
    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return undefined;
    text += String.fromCodePoint(code);
  }
  return text;
}

/** Case and the width of blanks do not count (RFC 5280 section 7.1, RFC 4518 section 2). */
function prepared(text: string): string {
  return text.normalize("NFKC").toLowerCase().normalize("NFKC").trim().replace(/\s+/gu, " ");
}

function relativeKey(attributes: readonly NameAttribute[]): string {
  return attributes
    .map(({ type, text, encoded }) =>
      text === undefined ? `${type}#${toHex(encoded)}` : `${type}=${JSON.stringify(prepared(text))}`,
    )
    .sort()
    .join("\u0001");
}

export function equalNames(a: DistinguishedName, b: DistinguishedName): boolean {
  return a.key === b.key;
}

/** Whether `name` is `base` or lies below it (RFC 5280 section 4.2.1.10). */
export function isBelow(name: DistinguishedName, base: DistinguishedName): boolean {
  return base.keys.length <= name.keys.length && base.keys.every((key, i) => key === name.keys[i]);
}

/**
 * Whether `name` is what an operator expects: the same relative names, where the value `*` stands for any value.
 * Only single attributes can be left open.
 */
export function matchesPattern(name: DistinguishedName, pattern: DistinguishedName): boolean {
  if (name.keys.length !== pattern.keys.length) return false;
  return pattern.relativeNames.every((attributes, i) => {
    const [attribute] = attributes;
    if (attributes.length !== 1 || attribute!.text !== "*") return pattern.keys[i] === name.keys[i];
    const presented = name.relativeNames[i]!;
    return presented.length === 1 && presented[0]!.type === attribute!.type;
  });
}

const SHORT_NAMES = new Map(Object.entries(AttributeType).map(([short, type]) => [type, short]));

/** `C=CH, O=Example, CN=gw.example.net`, in the order of the encoding. Others choose the text: escape before showing. */
export function nameText({ relativeNames }: DistinguishedName): string {
  return relativeNames
    .map((attributes) =>
      attributes
        .map(({ type, text, encoded }) => {
          const value = text === undefined ? `#${toHex(encoded)}` : text.replace(/[,+"\\<>;=]/g, "\\$&");
          return `${SHORT_NAMES.get(type) ?? type}=${value}`;
        })
        .join(" + "),
    )
    .join(", ");
}
