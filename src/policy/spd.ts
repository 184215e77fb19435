/** The security policy database of one TUN interface: ordered entries, compiled for lookup (RFC 4301 section 4.4.1). */
import type { ConfigurationPlace } from "./connection.ts";
import type { PolicyName } from "./data-plane.ts";
import { SelectorRecord } from "./sa-table.ts";
import {
  compareWords,
  Key,
  matchesLocal,
  matchesRemote,
  type PacketKey,
  type SelectorMemory,
  selectorMemory,
  writeAddressWords,
  writeSelectorRecord,
} from "./selector-record.ts";
import type { SelectorPair, TrafficSelector } from "./traffic-selector.ts";

type SpdAction = "protect" | "bypass" | "discard";

export interface SpdEntry {
  readonly action: SpdAction;
  readonly selectors: SelectorPair;
  /** Given with PROTECT: the policy and its index in the SA table. */
  readonly policy?: { readonly name: PolicyName; readonly index: number };
  readonly place?: ConfigurationPlace;
}

/**
 * Entries as plain typed arrays: one structured clone hands them to another thread. The remote addresses of each family
 * are cut into intervals, and each interval lists the entries that may match there, in order.
 */
export interface CompiledSpd {
  /** By entry: see {@link SPD_PROTECT}. */
  readonly action: Uint8Array;
  /** By entry: policy index, or {@link NO_POLICY}. */
  readonly policy: Uint32Array;
  /** By entry: octet of the first local selector record, their count, octet of the first remote one, their count. */
  readonly sides: Uint32Array;
  readonly selectors: SelectorMemory;
  readonly ipv4: RemoteIntervals;
  readonly ipv6: RemoteIntervals;
}

interface RemoteIntervals {
  /** First address of each interval, ascending, four words each. */
  readonly starts: Uint32Array;
  /** By interval, and one more: where its part of `candidates` starts. */
  readonly first: Uint32Array;
  /** Entry numbers. */
  readonly candidates: Uint32Array;
}

export const SPD_PROTECT = 0;
export const SPD_BYPASS = 1;
export const SPD_DISCARD = 2;
export const NO_POLICY = 0xffffffff;
const ACTIONS: Readonly<Record<SpdAction, number>> = {
  protect: SPD_PROTECT,
  bypass: SPD_BYPASS,
  discard: SPD_DISCARD,
};

/** Beyond this many candidates in all a family is searched entry by entry. */
const CANDIDATES_MAX = 1 << 20;

/** Compiles entries in the order given: the first match decides [SPD-01]. */
export function compileSpd(entries: readonly SpdEntry[]): CompiledSpd {
  const records = entries.reduce(
    (sum, { selectors }) => sum + selectors.local.length + selectors.remote.length,
    0,
  );
  const compiled: CompiledSpd = {
    action: Uint8Array.from(entries, ({ action }) => ACTIONS[action]),
    policy: Uint32Array.from(entries, ({ policy }) => policy?.index ?? NO_POLICY),
    sides: new Uint32Array(entries.length * 4),
    selectors: selectorMemory(new ArrayBuffer(records * SelectorRecord.STRIDE)),
    ipv4: remoteIntervals(entries, 4),
    ipv6: remoteIntervals(entries, 16),
  };
  let at = 0;
  const write = (side: readonly TrafficSelector[]) => {
    for (const selector of side) {
      writeSelectorRecord(compiled.selectors, at, selector);
      at += SelectorRecord.STRIDE;
    }
  };
  for (const [i, { selectors }] of entries.entries()) {
    compiled.sides[4 * i] = at;
    compiled.sides[4 * i + 1] = selectors.local.length;
    write(selectors.local);
    compiled.sides[4 * i + 2] = at;
    compiled.sides[4 * i + 3] = selectors.remote.length;
    write(selectors.remote);
  }
  return compiled;
}

/** @param length - octets of an address of the family */
function remoteIntervals(entries: readonly SpdEntry[], length: 4 | 16): RemoteIntervals {
  const ranges: { entry: number; start: bigint; end: bigint }[] = [];
  const breaks = new Set<bigint>([0n]);
  const last = (1n << BigInt(length * 8)) - 1n;
  for (const [entry, { selectors }] of entries.entries())
    for (const { addresses } of selectors.remote) {
      if (addresses.start.length !== length) continue;
      const range = { entry, start: toNumber(addresses.start), end: toNumber(addresses.end) };
      ranges.push(range);
      breaks.add(range.start);
      if (range.end < last) breaks.add(range.end + 1n);
    }
  const starts = [...breaks].sort((a, b) => (a < b ? -1 : 1));
  const indexOf = new Map(starts.map((start, index) => [start, index]));
  const lists: number[][] = starts.map(() => []);
  let count = 0;
  for (const { entry, start, end } of ranges) {
    const past = end < last ? indexOf.get(end + 1n)! : starts.length;
    for (let i = indexOf.get(start)!; i < past && count <= CANDIDATES_MAX; i++) {
      if (lists[i]!.at(-1) === entry) continue;
      lists[i]!.push(entry);
      count++;
    }
  }
  if (count > CANDIDATES_MAX) {
    const all = [...new Set(ranges.map(({ entry }) => entry))];
    return packIntervals([0n], [all], length);
  }
  return packIntervals(starts, lists, length);
}

function packIntervals(
  starts: readonly bigint[],
  lists: readonly (readonly number[])[],
  length: 4 | 16,
): RemoteIntervals {
  const words = new Uint32Array(starts.length * 4);
  const first = new Uint32Array(starts.length + 1);
  for (const [i, start] of starts.entries()) {
    writeAddressWords(words, 4 * i, toOctets(start, length));
    first[i + 1] = first[i]! + lists[i]!.length;
  }
  return { starts: words, first, candidates: Uint32Array.from(lists.flat()) };
}

function toNumber(address: Uint8Array): bigint {
  return address.reduce((value, octet) => (value << 8n) | BigInt(octet), 0n);
}

function toOctets(value: bigint, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => Number((value >> BigInt(8 * (length - 1 - i))) & 0xffn));
}

/** The first entry that matches a packet, or -1: no match means discard [SPD-01]. Allocates nothing. */
export function lookupSpd(spd: CompiledSpd, key: PacketKey): number {
  const intervals = key[Key.FAMILY] === 4 ? spd.ipv4 : spd.ipv6;
  const interval = findInterval(intervals.starts, key);
  const past = intervals.first[interval + 1]!;
  for (let i = intervals.first[interval]!; i < past; i++) {
    const entry = intervals.candidates[i]!;
    const side = 4 * entry;
    if (
      matchesRemote(spd.selectors, spd.sides[side + 2]!, spd.sides[side + 3]!, key) &&
      matchesLocal(spd.selectors, spd.sides[side]!, spd.sides[side + 1]!, key)
    )
      return entry;
  }
  return -1;
}

/** The last interval that starts at or below the remote address; the first starts at zero. */
function findInterval(starts: Uint32Array, key: PacketKey): number {
  let low = 0;
  let high = starts.length >> 2;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (compareWords(starts, 4 * middle, key, Key.REMOTE_ADDRESS) <= 0) low = middle;
    else high = middle;
  }
  return low;
}
