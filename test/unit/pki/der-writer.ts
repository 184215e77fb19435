/** Writes DER for tests, and what is no DER where a test wants that. */
import { concat, utf8 } from "../../../src/base/bytes.ts";

export function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = concat(...parts);
  return concat(Uint8Array.of(tag), lengthOf(content.length), content);
}

function lengthOf(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  return Uint8Array.of(0x80 | octets.length, ...octets);
}

export const sequence = (...parts: readonly Uint8Array[]) => der(0x30, ...parts);
export const set = (...parts: readonly Uint8Array[]) => der(0x31, ...parts);
export const explicit = (number: number, ...parts: readonly Uint8Array[]) => der(0xa0 | number, ...parts);
export const implicit = (number: number, content: Uint8Array) => der(0x80 | number, content);
export const octetString = (content: Uint8Array) => der(0x04, content);
export const bitString = (content: Uint8Array, unused = 0) => der(0x03, Uint8Array.of(unused), content);
export const boolean = (value: boolean) => der(0x01, Uint8Array.of(value ? 0xff : 0));
export const utf8String = (text: string) => der(0x0c, utf8(text));
export const printableString = (text: string) => der(0x13, utf8(text));
export const ia5String = (text: string) => der(0x16, utf8(text));
export const NULL = der(0x05);

/** A number of 0 or more. */
export function integer(value: number | Uint8Array): Uint8Array {
  if (typeof value !== "number") return der(0x02, value);
  const octets: number[] = [];
  for (let rest = value; rest > 0; rest = Math.floor(rest / 256)) octets.unshift(rest % 256);
  if (octets.length === 0 || octets[0]! >= 0x80) octets.unshift(0);
  return der(0x02, Uint8Array.from(octets));
}

export function oid(text: string): Uint8Array {
  const [root, second, ...rest] = text.split(".").map(BigInt) as [bigint, bigint, ...bigint[]];
  const octets = [root * 40n + second, ...rest].flatMap((arc) => {
    const digits = [Number(arc & 0x7fn)];
    for (let left = arc >> 7n; left > 0n; left >>= 7n) digits.unshift(Number(left & 0x7fn) | 0x80);
    return digits;
  });
  return der(0x06, Uint8Array.from(octets));
}

/** GeneralizedTime from 2050 on, as RFC 5280 wants it, or where asked for. */
export function time(milliseconds: number, isGeneralized = false): Uint8Array {
  const text = new Date(milliseconds)
    .toISOString()
    .replace(/\.\d+Z$/, "Z")
    .replace(/[-:T]/g, "");
  return !isGeneralized && text < "2050" ? der(0x17, utf8(text.slice(2))) : der(0x18, utf8(text));
}
