/** Netlink messages and their attributes, in this machine's byte order (RFC 3549 section 2.3.2). */
import { concat, IS_LITTLE_ENDIAN } from "../../base/bytes.ts";
import { WireError } from "../wire-error.ts";

export const NetlinkType = {
  ERROR: 2,
  DONE: 3,
  NEW_LINK: 16,
  GET_LINK: 18,
  SET_LINK: 19,
  NEW_ADDRESS: 20,
  DELETE_ADDRESS: 21,
  GET_ADDRESS: 22,
  NEW_ROUTE: 24,
  GET_ROUTE: 26,
} as const;

export const NetlinkFlag = {
  REQUEST: 0x001,
  ACK: 0x004,
  DUMP: 0x300,
  /** Beside NEW_...: makes what is not there. */
  CREATE: 0x400,
} as const;

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** A view of what was decoded. */
  readonly body: Uint8Array;
}

/** By type; of several with one type the last. Values are views. */
export type NetlinkAttributes = ReadonlyMap<number, Uint8Array>;

const HEADER_LENGTH = 16;
const ATTRIBUTE_HEADER_LENGTH = 4;
/** Bits of an attribute's type that say what its value is like (NLA_F_NESTED, NLA_F_NET_BYTEORDER). */
const ATTRIBUTE_TYPE_MASK = 0x3fff;

const aligned = (length: number) => (length + 3) & ~3;
const viewOf = (octets: Uint8Array) => new DataView(octets.buffer, octets.byteOffset, octets.byteLength);

/** Reads or writes the numbers of a structure, whose octets it shares. */
export class HostOrder {
  readonly #view: DataView;

  constructor(octets: Uint8Array) {
    this.#view = viewOf(octets);
  }

  u16(at: number): number {
    return this.#view.getUint16(at, IS_LITTLE_ENDIAN);
  }

  u32(at: number): number {
    return this.#view.getUint32(at, IS_LITTLE_ENDIAN);
  }

  i32(at: number): number {
    return this.#view.getInt32(at, IS_LITTLE_ENDIAN);
  }

  setU16(at: number, value: number): void {
    this.#view.setUint16(at, value, IS_LITTLE_ENDIAN);
  }

  setU32(at: number, value: number): void {
    this.#view.setUint32(at, value, IS_LITTLE_ENDIAN);
  }
}

/** A uint32 as the value of an attribute. */
export function u32Octets(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

export function encodeNetlinkMessage({ type, flags, sequence, body }: NetlinkMessage): Uint8Array {
  const header = new Uint8Array(HEADER_LENGTH);
  const words = new HostOrder(header);
  words.setU32(0, HEADER_LENGTH + body.length);
  words.setU16(4, type);
  words.setU16(6, flags);
  words.setU32(8, sequence);
  return concat(header, body);
}

/** The messages of one datagram. @throws {WireError} `WIRE_TRUNCATED`, `WIRE_BAD_LENGTH` */
export function decodeNetlinkMessages(octets: Uint8Array): NetlinkMessage[] {
  const words = new HostOrder(octets);
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at < octets.length; ) {
    const length = spanAt(octets, at, HEADER_LENGTH, () => words.u32(at));
    messages.push({
      type: words.u16(at + 4),
      flags: words.u16(at + 6),
      sequence: words.u32(at + 8),
      body: octets.subarray(at + HEADER_LENGTH, at + length),
    });
    at += aligned(length);
  }
  return messages;
}

export function encodeAttributes(attributes: NetlinkAttributes): Uint8Array {
  return concat(
    ...[...attributes].map(([type, value]) => {
      const octets = new Uint8Array(aligned(ATTRIBUTE_HEADER_LENGTH + value.length));
      const words = new HostOrder(octets);
      words.setU16(0, ATTRIBUTE_HEADER_LENGTH + value.length);
      words.setU16(2, type);
      octets.set(value, ATTRIBUTE_HEADER_LENGTH);
      return octets;
    }),
  );
}

/** @throws {WireError} `WIRE_TRUNCATED`, `WIRE_BAD_LENGTH` */
export function decodeAttributes(octets: Uint8Array): NetlinkAttributes {
  const words = new HostOrder(octets);
  const attributes = new Map<number, Uint8Array>();
  for (let at = 0; at < octets.length; ) {
    const length = spanAt(octets, at, ATTRIBUTE_HEADER_LENGTH, () => words.u16(at));
    attributes.set(
      words.u16(at + 2) & ATTRIBUTE_TYPE_MASK,
      octets.subarray(at + ATTRIBUTE_HEADER_LENGTH, at + length),
    );
    at += aligned(length);
  }
  return attributes;
}

/** How long the message or attribute at `at` is, its header included. */
function spanAt(octets: Uint8Array, at: number, least: number, read: () => number): number {
  if (at + least > octets.length) throw new WireError("WIRE_TRUNCATED", at, "netlink: a header is cut off");
  const length = read();
  if (length < least || at + length > octets.length)
    throw new WireError("WIRE_BAD_LENGTH", at, `netlink: a length of ${length} where it cannot be`);
  return length;
}

/** 0, or `-errno`, of an ERROR message, which acknowledges as well, or of a DONE message. @throws {WireError} `WIRE_TRUNCATED` */
export function netlinkStatus({ body, type }: NetlinkMessage): number {
  if (body.length < 4) {
    if (type === NetlinkType.DONE) return 0;
    throw new WireError("WIRE_TRUNCATED", 0, "netlink: an error without its number");
  }
  return new HostOrder(body).i32(0);
}
