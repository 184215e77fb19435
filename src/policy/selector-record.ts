/** Selectors as fixed records and packets as keys, so that a match costs a few comparisons (RFC 4301 section 4.4.1.1). */
import { IpAddress } from "../base/ip-address.ts";
import { SelectorRecord } from "./sa-table.ts";
import { ANY_PROTOCOL, type TrafficSelector } from "./traffic-selector.ts";

/** One memory in the three widths that records are read in. */
export interface SelectorMemory {
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
}

export function selectorMemory(memory: ArrayBufferLike): SelectorMemory {
  return { u8: new Uint8Array(memory), u16: new Uint16Array(memory), u32: new Uint32Array(memory) };
}

/** Positions in a packet key; `local` and `remote` are as the gateway that holds the policy sees them. */
export const Key = {
  FAMILY: 0,
  PROTOCOL: 1,
  LOCAL_PORT: 2,
  REMOTE_PORT: 3,
  /** Four words of big-endian value each; IPv4 in the first, the others zero. */
  LOCAL_ADDRESS: 4,
  REMOTE_ADDRESS: 8,
  /** Of an outbound packet: no selector, but it chooses among the SAs of a policy (RFC 4301 section 4.1). */
  DSCP: 12,
  LENGTH: 13,
} as const;

/** The header fields of one packet that selectors look at; made once and filled for each packet. */
export type PacketKey = Uint32Array;
export function createPacketKey(): PacketKey {
  return new Uint32Array(Key.LENGTH);
}

/** Stands in a key for ports that cannot be seen: a fragment that is not the first, or a protocol without ports. */
export const KEY_PORT_OPAQUE = 0x10000;

/** Stands in a key for ports, or a protocol, that a later fragment does not show: whatever a selector says, it may match. */
export const KEY_PORT_ANY = 0x20000;
export const KEY_PROTOCOL_ANY = 0x100;

export function writeSelectorRecord(memory: SelectorMemory, at: number, selector: TrafficSelector): void {
  const { addresses, protocol, ports } = selector;
  memory.u8[at + SelectorRecord.FAMILY] = addresses.start.length === 4 ? 4 : 6;
  memory.u8[at + SelectorRecord.PROTOCOL] = protocol;
  memory.u16[(at + SelectorRecord.START_PORT) / 2] = ports.start;
  memory.u16[(at + SelectorRecord.END_PORT) / 2] = ports.end;
  writeAddressWords(memory.u32, (at + SelectorRecord.START_ADDRESS) / 4, addresses.start);
  writeAddressWords(memory.u32, (at + SelectorRecord.END_ADDRESS) / 4, addresses.end);
}

/** Writes four words of big-endian value, the last three zero for IPv4. */
export function writeAddressWords(words: Uint32Array, at: number, address: Uint8Array): void {
  for (let i = 0; i < 4; i++) {
    const from = 4 * i;
    words[at + i] =
      from < address.length
        ? ((address[from]! << 24) |
            (address[from + 1]! << 16) |
            (address[from + 2]! << 8) |
            address[from + 3]!) >>>
          0
        : 0;
  }
}

export function addressFromWords(words: Uint32Array, at: number, family: number): IpAddress {
  const octets = new Uint8Array(family === 4 ? 4 : 16);
  for (let i = 0; i < octets.length; i++) octets[i] = words[at + (i >> 2)]! >>> (24 - 8 * (i & 3));
  return IpAddress(octets);
}

/** Whether one of `count` records from octet `at` on matches the key's local or remote side. */
export function matchesLocal(memory: SelectorMemory, at: number, count: number, key: PacketKey): boolean {
  for (let i = 0; i < count; i++)
    if (matchesRecord(memory, at + i * SelectorRecord.STRIDE, key, Key.LOCAL_ADDRESS, key[Key.LOCAL_PORT]!))
      return true;
  return false;
}

export function matchesRemote(memory: SelectorMemory, at: number, count: number, key: PacketKey): boolean {
  for (let i = 0; i < count; i++)
    if (matchesRecord(memory, at + i * SelectorRecord.STRIDE, key, Key.REMOTE_ADDRESS, key[Key.REMOTE_PORT]!))
      return true;
  return false;
}

/** [SPD-02] [SPD-13] */
function matchesRecord(
  memory: SelectorMemory,
  at: number,
  key: PacketKey,
  address: number,
  port: number,
): boolean {
  if (memory.u8[at + SelectorRecord.FAMILY] !== key[Key.FAMILY]) return false;
  const protocol = memory.u8[at + SelectorRecord.PROTOCOL];
  if (protocol !== ANY_PROTOCOL && protocol !== key[Key.PROTOCOL] && key[Key.PROTOCOL] !== KEY_PROTOCOL_ANY)
    return false;
  const startPort = memory.u16[(at + SelectorRecord.START_PORT) >> 1]!;
  const endPort = memory.u16[(at + SelectorRecord.END_PORT) >> 1]!;
  if ((startPort !== 0 || endPort !== 65535) && port !== KEY_PORT_ANY) {
    if (port === KEY_PORT_OPAQUE ? startPort <= endPort : port < startPort || port > endPort) return false;
  }
  const words = memory.u32;
  const start = (at + SelectorRecord.START_ADDRESS) >> 2;
  const end = (at + SelectorRecord.END_ADDRESS) >> 2;
  if (key[Key.FAMILY] === 4) return key[address]! >= words[start]! && key[address]! <= words[end]!;
  return compareWords(key, address, words, start) >= 0 && compareWords(key, address, words, end) <= 0;
}

/** Orders four words as one big-endian number: negative, zero or positive. */
export function compareWords(a: Uint32Array, at: number, b: Uint32Array, bt: number): number {
  for (let i = 0; i < 4; i++) {
    const x = a[at + i]!;
    const y = b[bt + i]!;
    if (x !== y) return x < y ? -1 : 1;
  }
  return 0;
}
