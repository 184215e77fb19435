/** Blocks of the pcapng format, little-endian (draft-ietf-opsawg-pcapng sections 4.1 to 4.7). */
import { utf8 } from "../../base/bytes.ts";

/** Packets that begin with their IP header. */
export const LINKTYPE_RAW = 101;

export const BlockType = {
  SECTION: 0x0a0d0d0a,
  INTERFACE: 1,
  STATISTICS: 5,
  PACKET: 6,
  SECRETS: 10,
} as const;

const Option = {
  END: 0,
  COMMENT: 1,
  /** Of a section. */
  APPLICATION: 4,
  /** Of an interface. */
  NAME: 2,
  DESCRIPTION: 3,
  /** Of a packet. */
  FLAGS: 2,
  /** Of statistics. */
  STARTED_AT: 2,
  ENDED_AT: 3,
  RECEIVED: 4,
  DROPPED: 5,
  DELIVERED: 8,
} as const;

/** Its bytes read the other way round in a file of the other byte order. */
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
/** Octets of a block besides its body: type, and its length in front and behind. */
const AROUND = 12;
/** Octets of an option's value, at most. */
const OPTION_MAX = 0xffff;
/** Fields of a packet block in front of its octets. */
const PACKET_FIELDS = 20;
const OPTION_END = 4;

/** The two lower bits of a packet's flags. */
export type Direction = "inbound" | "outbound";

export interface CapturedPacket {
  /** Position of its interface in the order of their blocks. */
  readonly interfaceIndex: number;
  /** Microseconds since 1970. */
  readonly at: number;
  readonly octets: Uint8Array;
  /** Octets before it was cut. */
  readonly length: number;
  readonly direction: Direction;
  readonly comment?: string;
}

export interface InterfaceCounts {
  readonly interfaceIndex: number;
  /** Microseconds since 1970. */
  readonly startedAt: number;
  readonly endedAt: number;
  /** Packets that were seen and wanted; those that were lost; those that are in the file. */
  readonly received: number;
  readonly lost: number;
  readonly delivered: number;
}

/** Begins a file. */
export function sectionBlock(application: string): Uint8Array {
  const options = [textOption(Option.APPLICATION, application)];
  return block(BlockType.SECTION, 16, options, (view, at) => {
    view.setUint32(at, BYTE_ORDER_MAGIC, true);
    view.setUint16(at + 4, 1, true);
    // Nobody knows how long it will be.
    view.setBigUint64(at + 8, 0xffff_ffff_ffff_ffffn, true);
  });
}

/** @param snapLength - octets that are kept of a packet, 0: all */
export function interfaceBlock(name: string, description: string, snapLength: number): Uint8Array {
  const options = [textOption(Option.NAME, name), textOption(Option.DESCRIPTION, description)];
  return block(BlockType.INTERFACE, 8, options, (view, at) => {
    view.setUint16(at, LINKTYPE_RAW, true);
    view.setUint32(at + 4, snapLength, true);
  });
}

export function packetBlock(packet: CapturedPacket): Uint8Array {
  const { interfaceIndex, at: time, octets, length, direction, comment } = packet;
  const flags = new Uint8Array(4);
  flags[0] = direction === "inbound" ? 1 : 2;
  const options: OptionValue[] = [{ code: Option.FLAGS, value: flags }];
  if (comment !== undefined) options.push(textOption(Option.COMMENT, comment));
  return block(BlockType.PACKET, PACKET_FIELDS + padded(octets.length), options, (view, at, bytes) => {
    view.setUint32(at, interfaceIndex, true);
    writeTime(view, at + 4, time);
    view.setUint32(at + 12, octets.length, true);
    view.setUint32(at + 16, length, true);
    bytes.set(octets, at + PACKET_FIELDS);
  });
}

/** What became of an interface's packets; belongs at the end. */
export function statisticsBlock(counts: InterfaceCounts): Uint8Array {
  const { interfaceIndex, startedAt, endedAt, received, lost, delivered } = counts;
  const number = (code: number, count: number) => ({ code, value: u64(count) });
  const options = [
    { code: Option.STARTED_AT, value: timeValue(startedAt) },
    { code: Option.ENDED_AT, value: timeValue(endedAt) },
    number(Option.RECEIVED, received),
    number(Option.DROPPED, lost),
    number(Option.DELIVERED, delivered),
  ];
  return block(BlockType.STATISTICS, 12, options, (view, at) => {
    view.setUint32(at, interfaceIndex, true);
    writeTime(view, at + 4, endedAt);
  });
}

/** @param type - of the secrets: four characters as a number */
export function secretsBlock(type: number, secrets: Uint8Array): Uint8Array {
  return block(BlockType.SECRETS, 8 + padded(secrets.length), [], (view, at, bytes) => {
    view.setUint32(at, type, true);
    view.setUint32(at + 4, secrets.length, true);
    bytes.set(secrets, at + 8);
  });
}

interface OptionValue {
  readonly code: number;
  readonly value: Uint8Array;
}

/** Of UTF-8, cut between characters where it is too long; a zero would end it. */
function textOption(code: number, text: string): OptionValue {
  const whole = utf8(text.replaceAll("\0", ""));
  let end = Math.min(whole.length, OPTION_MAX);
  while (end < whole.length && (whole[end]! & 0xc0) === 0x80) end--;
  return { code, value: whole.subarray(0, end) };
}

function block(
  type: number,
  fields: number,
  options: readonly OptionValue[],
  write: (view: DataView, at: number, bytes: Uint8Array) => void,
): Uint8Array {
  const octets = options.reduce((sum, { value }) => sum + 4 + padded(value.length), 0);
  const length = AROUND + fields + (options.length === 0 ? 0 : octets + OPTION_END);
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, type, true);
  view.setUint32(4, length, true);
  write(view, 8, bytes);
  let at = 8 + fields;
  for (const { code, value } of options) {
    view.setUint16(at, code, true);
    view.setUint16(at + 2, value.length, true);
    bytes.set(value, at + 4);
    at += 4 + padded(value.length);
  }
  // The end of options is four zeros.
  view.setUint32(length - 4, length, true);
  return bytes;
}

/** Options and packets end on 32 bits. */
function padded(length: number): number {
  return Math.ceil(length / 4) * 4;
}

const UINT32 = 0x1_0000_0000;

/** The upper half first, whatever the byte order. */
function writeTime(view: DataView, at: number, microseconds: number): void {
  view.setUint32(at, Math.floor(microseconds / UINT32), true);
  view.setUint32(at + 4, microseconds % UINT32, true);
}

function timeValue(microseconds: number): Uint8Array {
  const value = new Uint8Array(8);
  writeTime(new DataView(value.buffer), 0, microseconds);
  return value;
}

function u64(count: number): Uint8Array {
  const value = new Uint8Array(8);
  new DataView(value.buffer).setBigUint64(0, BigInt(count), true);
  return value;
}
