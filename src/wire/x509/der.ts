/** Reads DER (X.690): definite and shortest lengths, one encoding for each value, and never outside of the input. */
import { ByteReader } from "../byte-reader.ts";
import { WireError } from "../wire-error.ts";

/** Identifier octets that X.509 uses: universal types, and `[n]` primitive or constructed. */
export const Tag = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  NULL: 0x05,
  OBJECT_IDENTIFIER: 0x06,
  ENUMERATED: 0x0a,
  UTF8_STRING: 0x0c,
  SEQUENCE: 0x30,
  SET: 0x31,
  PRINTABLE_STRING: 0x13,
  TELETEX_STRING: 0x14,
  IA5_STRING: 0x16,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
  UNIVERSAL_STRING: 0x1c,
  BMP_STRING: 0x1e,
} as const;

export const contextTag = (number: number): number => 0x80 | number;
export const constructedTag = (number: number): number => 0xa0 | number;

/** Octets of an object identifier, at most. */
const OBJECT_IDENTIFIER_OCTETS_MAX = 64;

/** One element; both are views of the input. */
export interface DerElement {
  /** Identifier octet. */
  readonly tag: number;
  readonly content: Uint8Array;
  /** With identifier and length. */
  readonly encoded: Uint8Array;
}

export interface BitString {
  readonly octets: Uint8Array;
  /** Bits of the last octet that do not count; they are zero. */
  readonly unusedBits: number;
}

/** A cursor over the elements of one constructed value. Every reader throws {@link WireError} at what is not DER. */
export class DerReader {
  readonly #reader: ByteReader;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#reader = new ByteReader(bytes);
  }

  get isAtEnd(): boolean {
    return this.#reader.remaining === 0;
  }

  /** The next element's identifier octet; `undefined` at the end. */
  get nextTag(): number | undefined {
    return this.#bytes[this.#reader.offset];
  }

  expectEnd(what: string): void {
    this.#reader.expectEnd(what);
  }

  any(what: string): DerElement {
    const reader = this.#reader;
    const start = reader.offset;
    const tag = reader.u8();
    if ((tag & 0x1f) === 0x1f) throw this.error(`${what} has a tag number above 30`);
    const content = reader.octets(this.#length(what));
    return { tag, content, encoded: this.#bytes.subarray(start, reader.offset) };
  }

  #length(what: string): number {
    const first = this.#reader.u8();
    if (first < 0x80) return first;
    const count = first & 0x7f;
    if (count === 0 || count > 4) throw this.error(`the length of ${what} is not in DER's form`);
    let length = 0;
    for (let i = 0; i < count; i++) length = length * 256 + this.#reader.u8();
    if (length < 0x80 || length < 256 ** (count - 1))
      throw this.error(`the length of ${what} is longer than it need be`);
    return length;
  }

  element(tag: number, what: string): DerElement {
    if (this.nextTag !== tag)
      throw this.error(
        `${what} should have the tag 0x${tag.toString(16)}, and has ${this.nextTag?.toString(16) ?? "ended"}`,
      );
    return this.any(what);
  }

  /** `undefined`, and nothing read, when something else comes next. */
  optional(tag: number, what: string): DerElement | undefined {
    return this.nextTag === tag ? this.any(what) : undefined;
  }

  sequence(what: string): DerReader {
    return new DerReader(this.element(Tag.SEQUENCE, what).content);
  }

  /** The content of an explicit or constructed `[number]`, when it comes next. */
  tagged(number: number, what: string): DerReader | undefined {
    const element = this.optional(constructedTag(number), what);
    return element === undefined ? undefined : new DerReader(element.content);
  }

  objectIdentifier(what: string): string {
    return objectIdentifierText(this.element(Tag.OBJECT_IDENTIFIER, what).content, what);
  }

  /** Content octets: two's complement, big-endian, shortest. */
  integer(what: string): Uint8Array {
    return checkInteger(this.element(Tag.INTEGER, what).content, what);
  }

  /** A number from 0 to 2^31 - 1. */
  smallInteger(what: string): number {
    return smallNumber(this.integer(what), what);
  }

  /** DEFAULT FALSE: what is left out is false. */
  booleanOrFalse(what: string): boolean {
    const element = this.optional(Tag.BOOLEAN, what);
    return element !== undefined && booleanValue(element.content, what);
  }

  bitString(what: string): BitString {
    return bitStringValue(this.element(Tag.BIT_STRING, what).content, what);
  }

  octetString(what: string): Uint8Array {
    return this.element(Tag.OCTET_STRING, what).content;
  }

  error(message: string): WireError {
    return this.#reader.error("WIRE_BAD_VALUE", message);
  }
}

function bad(message: string): WireError {
  return new WireError("WIRE_BAD_VALUE", 0, message);
}

/** One value that is the whole of `bytes`. */
export function readWhole<T>(bytes: Uint8Array, what: string, read: (reader: DerReader) => T): T {
  const reader = new DerReader(bytes);
  const value = read(reader);
  reader.expectEnd(what);
  return value;
}

/** @throws {@link WireError} for a non-shortest form */
export function checkInteger(content: Uint8Array, what: string): Uint8Array {
  if (content.length === 0) throw bad(`${what} is a number without octets`);
  const [first, second] = content;
  if (content.length > 1 && ((first === 0 && second! < 0x80) || (first === 0xff && second! >= 0x80)))
    throw bad(`${what} is a number with more octets than it needs`);
  return content;
}

export function smallNumber(content: Uint8Array, what: string): number {
  checkInteger(content, what);
  if (content.length > 4 || content[0]! >= 0x80) throw bad(`${what} is out of range`);
  return content.reduce((value, octet) => value * 256 + octet, 0);
}

export function booleanValue(content: Uint8Array, what: string): boolean {
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff))
    throw bad(`${what} is neither TRUE nor FALSE`);
  return content[0] === 0xff;
}

export function bitStringValue(content: Uint8Array, what: string): BitString {
  const unusedBits = content[0];
  if (unusedBits === undefined || unusedBits > 7 || (content.length === 1 && unusedBits !== 0))
    throw bad(`${what} is no bit string`);
  const last = content.at(-1)!;
  if (content.length > 1 && (last & ((1 << unusedBits) - 1)) !== 0)
    throw bad(`${what} has unused bits that are set`);
  return { octets: content.subarray(1), unusedBits };
}

/** Dotted text, `2.5.29.15`. */
export function objectIdentifierText(content: Uint8Array, what: string): string {
  if (content.length === 0 || content.length > OBJECT_IDENTIFIER_OCTETS_MAX || content.at(-1)! >= 0x80)
    throw bad(`${what} is no object identifier`);
  const arcs: string[] = [];
  let arc = 0n;
  let isFirstOctet = true;
  for (const octet of content) {
    if (isFirstOctet && octet === 0x80) throw bad(`${what} is an object identifier with superfluous octets`);
    arc = (arc << 7n) | BigInt(octet & 0x7f);
    isFirstOctet = octet < 0x80;
    if (!isFirstOctet) continue;
    if (arcs.length === 0) {
      const root = arc < 40n ? 0n : arc < 80n ? 1n : 2n;
      arcs.push(String(root), String(arc - 40n * root));
    } else arcs.push(String(arc));
    arc = 0n;
  }
  return arcs.join(".");
}

const DAYS_IN_MONTH = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/**
 * Milliseconds since 1970 of a time as RFC 5280 section 4.1.2.5 allows it: in seconds, in UTC, without fractions.
 * @throws {@link WireError} for other forms and for days that there are not
 */
export function timeValue({ tag, content }: DerElement, what: string): number {
  const text = String.fromCharCode(...content.subarray(0, 16));
  const pattern = tag === Tag.UTC_TIME ? /^(\d\d)(\d{10})Z$/ : /^(\d{4})(\d{10})Z$/;
  const match = tag === Tag.UTC_TIME || tag === Tag.GENERALIZED_TIME ? pattern.exec(text) : null;
  if (match === null || content.length > 15)
    throw bad(`${what} is no time in the form YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ`);
  const years = Number(match[1]);
  const year = tag === Tag.GENERALIZED_TIME ? years : years < 50 ? 2000 + years : 1900 + years;
  const [month, day, hour, minute, second] = match[2]!.match(/\d\d/g)!.map(Number) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = (DAYS_IN_MONTH[month - 1] ?? 0) + (isLeap && month === 2 ? 1 : 0);
  if (day < 1 || day > days || hour > 23 || minute > 59 || second > 59) throw bad(`${what} is no time`);
  return ((daysSince1970(year, month, day) * 24 + hour) * 60 + minute) * 60_000 + second * 1000;
}

/** In the Gregorian calendar; years are counted from March, so that the leap day is a year's last. */
function daysSince1970(year: number, month: number, day: number): number {
  const y = month > 2 ? year : year - 1;
  const monthsFromMarch = (month + 9) % 12;
  const leapDays = Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400);
  return y * 365 + leapDays + Math.floor((monthsFromMarch * 153 + 2) / 5) + day - 1 - 719_468;
}
