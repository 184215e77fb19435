/** Plain values (numbers, strings, octets, lists, records) as octets and back, without loss. */
import { utf8 } from "../../base/bytes.ts";
import { TungateError } from "../../base/errors.ts";

export type PlainValue =
  | undefined
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly PlainValue[]
  | { readonly [key: string]: PlainValue };

export class StateError extends TungateError {
  override readonly name = "StateError";
  readonly code: "STATE_MALFORMED" | "STATE_VERSION";

  constructor(code: StateError["code"], message: string) {
    super(message);
    this.code = code;
  }
}

const Tag = {
  UNDEFINED: 0,
  NULL: 1,
  FALSE: 2,
  TRUE: 3,
  NUMBER: 4,
  STRING: 5,
  OCTETS: 6,
  LIST: 7,
  RECORD: 8,
} as const;
/** Deeper than any state of ours, and far from the end of the stack. */
const DEPTH_MAX = 32;
const decoder = new TextDecoder("utf-8", { fatal: true });

/** @throws {StateError} `STATE_MALFORMED` for functions, maps and whatever else is no plain value */
export function encodePlain(value: unknown): Uint8Array {
  const parts: Uint8Array[] = [];
  write(value, parts, 0);
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function write(value: unknown, parts: Uint8Array[], depth: number): void {
  if (depth > DEPTH_MAX) throw new StateError("STATE_MALFORMED", "a state is nested too deeply");
  if (value === undefined) parts.push(Uint8Array.of(Tag.UNDEFINED));
  else if (value === null) parts.push(Uint8Array.of(Tag.NULL));
  else if (typeof value === "boolean") parts.push(Uint8Array.of(value ? Tag.TRUE : Tag.FALSE));
  else if (typeof value === "number") parts.push(Uint8Array.of(Tag.NUMBER), float(value));
  else if (typeof value === "string") writeOctets(Tag.STRING, utf8(value), parts);
  else if (value instanceof Uint8Array) writeOctets(Tag.OCTETS, value, parts);
  else if (Array.isArray(value)) {
    parts.push(Uint8Array.of(Tag.LIST), uint32(value.length));
    for (const item of value) write(item, parts, depth + 1);
  } else if (typeof value === "object" && isRecord(value)) {
    const entries = Object.entries(value);
    parts.push(Uint8Array.of(Tag.RECORD), uint32(entries.length));
    for (const [key, item] of entries) {
      writeOctets(Tag.STRING, utf8(key), parts);
      write(item, parts, depth + 1);
    }
  } else throw new StateError("STATE_MALFORMED", `a state holds a ${typeof value} that is no plain value`);
}

function isRecord(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function writeOctets(tag: number, octets: Uint8Array, parts: Uint8Array[]): void {
  parts.push(Uint8Array.of(tag), uint32(octets.length), octets);
}

function uint32(value: number): Uint8Array {
  const octets = new Uint8Array(4);
  new DataView(octets.buffer).setUint32(0, value);
  return octets;
}

function float(value: number): Uint8Array {
  const octets = new Uint8Array(8);
  new DataView(octets.buffer).setFloat64(0, value);
  return octets;
}

/** @throws {StateError} `STATE_MALFORMED` for octets that {@link encodePlain} does not make */
export function decodePlain(bytes: Uint8Array): PlainValue {
  const cursor: Cursor = { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length), at: 0 };
  const value = read(cursor, 0);
  if (cursor.at !== bytes.length) throw new StateError("STATE_MALFORMED", "octets are left behind a state");
  return value;
}

interface Cursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  at: number;
}

function take(cursor: Cursor, length: number): number {
  const { at } = cursor;
  if (at + length > cursor.bytes.length) throw new StateError("STATE_MALFORMED", "a state ends too early");
  cursor.at += length;
  return at;
}

function read(cursor: Cursor, depth: number): PlainValue {
  if (depth > DEPTH_MAX) throw new StateError("STATE_MALFORMED", "a state is nested too deeply");
  const tag = cursor.view.getUint8(take(cursor, 1));
  switch (tag) {
    case Tag.UNDEFINED:
      return undefined;
    case Tag.NULL:
      return null;
    case Tag.FALSE:
      return false;
    case Tag.TRUE:
      return true;
    case Tag.NUMBER:
      return cursor.view.getFloat64(take(cursor, 8));
    case Tag.STRING:
      return text(octets(cursor));
    case Tag.OCTETS:
      return octets(cursor);
    case Tag.LIST:
      return Array.from({ length: count(cursor) }, () => read(cursor, depth + 1));
    case Tag.RECORD:
      return record(cursor, depth);
    default:
      throw new StateError("STATE_MALFORMED", `a state has a value of unknown kind ${tag}`);
  }
}

/** A count that the octets left can hold: every item takes one at least. */
function count(cursor: Cursor): number {
  const value = cursor.view.getUint32(take(cursor, 4));
  if (value > cursor.bytes.length - cursor.at)
    throw new StateError("STATE_MALFORMED", "a state ends too early");
  return value;
}

function octets(cursor: Cursor): Uint8Array {
  const length = count(cursor);
  const at = take(cursor, length);
  return cursor.bytes.slice(at, at + length);
}

function text(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw new StateError("STATE_MALFORMED", "a state has a text that is no UTF-8");
  }
}

function record(cursor: Cursor, depth: number): PlainValue {
  const entries: [string, PlainValue][] = [];
  for (let left = count(cursor); left > 0; left--) {
    const key = read(cursor, depth + 1);
    if (typeof key !== "string") throw new StateError("STATE_MALFORMED", "a state has a key that is no text");
    entries.push([key, read(cursor, depth + 1)]);
  }
  return Object.fromEntries(entries);
}
