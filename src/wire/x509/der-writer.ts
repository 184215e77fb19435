/** Writes the little DER that we make ourselves: names, questions to OCSP responders, and what was BER. */
import { concat } from "../../base/bytes.ts";
import { Tag } from "./der.ts";

export function encodeElement(tag: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  return concat(Uint8Array.of(tag), encodeLength(length), ...parts);
}

function encodeLength(length: number): Uint8Array {
  if (length < 0x80) return Uint8Array.of(length);
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) octets.unshift(rest & 0xff);
  return Uint8Array.of(0x80 | octets.length, ...octets);
}

export function encodeSequence(...parts: readonly Uint8Array[]): Uint8Array {
  return encodeElement(Tag.SEQUENCE, ...parts);
}

/** @param text - dotted, with arcs below 2^31 */
export function encodeObjectIdentifier(text: string): Uint8Array {
  const [root, second, ...rest] = text.split(".").map(Number) as [number, number, ...number[]];
  const octets = [root * 40 + second, ...rest].flatMap((arc) => {
    const digits = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) digits.unshift((left & 0x7f) | 0x80);
    return digits;
  });
  return encodeElement(Tag.OBJECT_IDENTIFIER, Uint8Array.from(octets));
}
