/** Distinguished names as operators write them, `C=DE, O=Example, CN=gw-a`, into DER (RFC 4514 read loosely, RFC 5280 section 4.1.2.4). */
import { concat, utf8 } from "../base/bytes.ts";
import { Refusal } from "./leaf.ts";
import { printable } from "./yaml-text.ts";

/** Object identifiers in DER, without their tag, by keyword. */
const TYPES: Readonly<Record<string, readonly number[]>> = {
  cn: [0x55, 4, 3],
  sn: [0x55, 4, 4],
  serialnumber: [0x55, 4, 5],
  c: [0x55, 4, 6],
  l: [0x55, 4, 7],
  st: [0x55, 4, 8],
  s: [0x55, 4, 8],
  street: [0x55, 4, 9],
  o: [0x55, 4, 10],
  ou: [0x55, 4, 11],
  t: [0x55, 4, 12],
  title: [0x55, 4, 12],
  g: [0x55, 4, 42],
  gn: [0x55, 4, 42],
  i: [0x55, 4, 43],
  dnqualifier: [0x55, 4, 46],
  dc: [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25],
  uid: [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1],
  e: [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1],
  email: [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1],
  emailaddress: [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1],
};
const IA5 = ["dc", "e", "email", "emailaddress"];
const Tag = { SEQUENCE: 0x30, SET: 0x31, OID: 6, UTF8: 12, PRINTABLE: 19, IA5: 22 } as const;

/** Reads names in the order of the certificate; commas and slashes part them, and a backslash takes the next character as it is. */
export function encodeDistinguishedName(given: string): Uint8Array {
  const separator = given.startsWith("/") ? "/" : ",";
  const parts = split(given, separator).filter((part) => part.trim() !== "");
  if (parts.length === 0) throw bad(given, "give at least one part, such as CN=gw-a");
  return wrap(Tag.SEQUENCE, ...parts.map((part) => wrap(Tag.SET, attribute(part, given))));
}

function attribute(part: string, given: string): Uint8Array {
  const equals = part.indexOf("=");
  if (equals < 1) throw bad(given, `"${printable(part.trim())}" has no =`);
  const keyword = part.slice(0, equals).trim().toLowerCase();
  const type = TYPES[keyword];
  if (type === undefined)
    throw bad(given, `"${printable(keyword)}" is not known; the usual parts are C, ST, L, O, OU, CN, DC, E`);
  const value = part
    .slice(equals + 1)
    .trim()
    .replace(/\\(.)/g, "$1");
  if (value === "") throw bad(given, `${keyword.toUpperCase()} has no value`);
  const isPrintable = /^[A-Za-z0-9 '()+,./:=?-]*$/.test(value);
  const tag = IA5.includes(keyword) ? Tag.IA5 : isPrintable ? Tag.PRINTABLE : Tag.UTF8;
  return wrap(Tag.SEQUENCE, wrap(Tag.OID, Uint8Array.from(type)), wrap(tag, utf8(value)));
}

function split(text: string, separator: string): readonly string[] {
  const parts: string[] = [];
  let part = "";
  for (let i = 0; i < text.length; i++) {
    const character = text.charAt(i);
    if (character === separator) {
      parts.push(part);
      part = "";
    } else part += character === "\\" ? character + text.charAt(++i) : character;
  }
  return [...parts, part];
}

function wrap(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = concat(...parts);
  const { length } = content;
  const head =
    length < 0x80
      ? [tag, length]
      : length < 0x100
        ? [tag, 0x81, length]
        : [tag, 0x82, length >> 8, length & 0xff];
  return concat(Uint8Array.from(head), content);
}

function bad(given: string, advice: string): Refusal {
  return new Refusal("CONFIG_BAD_VALUE", `"${printable(given)}" is no distinguished name; ${advice}`);
}
