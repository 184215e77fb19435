/** Octet strings: joining, comparing, hexadecimal and UTF-8 forms. Not for secrets: see crypto/constant-time. */
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8");
const strictDecoder = new TextDecoder("utf-8", { fatal: true });

/** Whether this machine writes the low octet of a number first. */
export const IS_LITTLE_ENDIAN = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1;

/** Returns the parts one after another in a new array. */
export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Whether two octet strings are the same; stops at the first difference, so never use it on secrets. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Orders octet strings as unsigned big-endian digits, a proper prefix first; negative, zero or positive. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = a[i]! - b[i]!;
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Octets that are turned into text at once: what a call takes as arguments lies on the stack. */
const HEX_AT_ONCE = 1024;
/** Character codes of the digits. */
const DIGITS = [..."0123456789abcdef"].map((digit) => digit.charCodeAt(0));

/**
 * Lower-case hexadecimal without separators. Made at once: V8 keeps what is put together from pieces as its pieces, at 32 octets each,
 * and such texts are keys that live as long as an IKE SA.
 */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (let from = 0; from < bytes.length; from += HEX_AT_ONCE)
    text += String.fromCharCode.apply(
      null,
      digitsOf(bytes, from, Math.min(from + HEX_AT_ONCE, bytes.length)),
    );
  return text;
}

function digitsOf(bytes: Uint8Array, from: number, to: number): number[] {
  const codes = new Array<number>(2 * (to - from));
  for (let i = from, at = 0; i < to; i++) {
    codes[at++] = DIGITS[bytes[i]! >> 4]!;
    codes[at++] = DIGITS[bytes[i]! & 15]!;
  }
  return codes;
}

/**
 * Reads hexadecimal without separators.
 * @throws {RangeError} on an odd length or a character that is no hexadecimal digit
 */
export function fromHex(text: string): Uint8Array {
  if (text.length % 2 !== 0 || /[^0-9a-fA-F]/.test(text)) throw new RangeError("not hexadecimal octets");
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++)
    bytes[i] = (digitOf(text.charCodeAt(2 * i)) << 4) | digitOf(text.charCodeAt(2 * i + 1));
  return bytes;
}

/** @param code - of `0` to `9`, `a` to `f` or `A` to `F` */
function digitOf(code: number): number {
  return code <= 0x39 ? code - 0x30 : (code | 0x20) - 0x57;
}

/** The UTF-8 form of a string. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** Reads UTF-8; what is malformed becomes U+FFFD. */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** Reads UTF-8, or `undefined` when it is malformed. */
export function fromStrictUtf8(bytes: Uint8Array): string | undefined {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The big-endian number of 32 bits that begins at `at`. */
export function uint32At(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}

/** Writes the low 32 bits of `value` from `at` on, big-endian. */
export function putUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

/** Overwrites secrets that are no longer needed. */
export function wipe(...secrets: readonly (Uint8Array | undefined)[]): void {
  for (const secret of secrets) secret?.fill(0);
}
