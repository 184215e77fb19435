/** The security policy database of one TUN interface: ordered entries, compiled for lookup (RFC 4301 section 4.4.1). */
import type { ConfigurationPlace } from "./connection.ts";
import type { PolicyName } from "./data-plane.ts";
import { SelectorRecord } from "./sa-table.ts";
import {
  compareWords,
  KEY_PORT_ANY,
  KEY_PROTOCOL_ANY,
  Key,
  matchesLocal,
  matchesRemote,
  type PacketKey,
  type SelectorMemory,
  selectorMemory,
  writeSelectorRecord,
} from "./selector-record.ts";
import { selectorSpace } from "./selector-space.ts";
import { packForest, SPD_FIELD_MASK, SPD_HALF_SHIFT, SPD_LEAF, SPD_NOTHING, SPD_ONLY } from "./spd-nodes.ts";
import { plantForest, SPD_CERTAIN, SPD_LAST, type SpdForest } from "./spd-tree.ts";
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
 * Entries as plain typed arrays over memory that threads share: handing them to another thread copies nothing. Nobody
 * writes to them any more.
 */
export interface CompiledSpd {
  /** By entry: see {@link SPD_PROTECT}. */
  readonly action: Uint8Array;
  /** By entry: policy index, or {@link NO_POLICY}. */
  readonly policy: Uint32Array;
  /** By entry: octet of the first local selector record, their count, octet of the first remote one, their count. */
  readonly sides: Uint32Array;
  readonly selectors: SelectorMemory;
  readonly ipv4: SpdSearch;
  readonly ipv6: SpdSearch;
}

/** See `spd-nodes.ts`; addresses as four words each. */
export interface SpdSearch {
  readonly roots: Uint32Array;
  readonly nodes: Uint32Array;
  readonly addresses: Uint32Array;
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

/** Compiles entries in the order given: the first match decides [SPD-01]. */
export function compileSpd(entries: readonly SpdEntry[]): CompiledSpd {
  const records = entries.reduce(
    (sum, { selectors }) => sum + selectors.local.length + selectors.remote.length,
    0,
  );
  const pairs = entries.map(({ selectors }) => selectors);
  const compiled: CompiledSpd = {
    action: new Uint8Array(new SharedArrayBuffer(entries.length)),
    policy: shared(entries.map(({ policy }) => policy?.index ?? NO_POLICY)),
    sides: shared({ length: entries.length * 4 }),
    selectors: selectorMemory(new SharedArrayBuffer(records * SelectorRecord.STRIDE)),
    ipv4: sharedForest(plantForest(selectorSpace(pairs, 4))),
    ipv6: sharedForest(plantForest(selectorSpace(pairs, 16))),
  };
  let at = 0;
  const write = (side: readonly TrafficSelector[]) => {
    for (const selector of side) {
      writeSelectorRecord(compiled.selectors, at, selector);
      at += SelectorRecord.STRIDE;
    }
  };
  for (const [i, { action, selectors }] of entries.entries()) {
    compiled.action[i] = ACTIONS[action];
    compiled.sides[4 * i] = at;
    compiled.sides[4 * i + 1] = selectors.local.length;
    write(selectors.local);
    compiled.sides[4 * i + 2] = at;
    compiled.sides[4 * i + 3] = selectors.remote.length;
    write(selectors.remote);
  }
  return compiled;
}

function shared(numbers: ArrayLike<number>): Uint32Array {
  const words = new Uint32Array(new SharedArrayBuffer(numbers.length * 4));
  for (let i = 0; i < numbers.length; i++) words[i] = numbers[i] ?? 0;
  return words;
}

function sharedForest(forest: SpdForest): SpdSearch {
  const { roots, nodes, addresses, candidates } = packForest(forest);
  const words = addresses.flatMap((units) =>
    [0, 2, 4, 6].map((at) => units.charCodeAt(at) * 0x10000 + units.charCodeAt(at + 1)),
  );
  return {
    roots: shared(roots),
    nodes: shared(nodes),
    addresses: shared(words),
    candidates: shared(candidates),
  };
}

/** Of a candidate: the number of its entry. */
const ENTRY_MASK = ~(SPD_CERTAIN | SPD_LAST);

/** The first entry that matches a packet, or -1: no match means discard [SPD-01]. Allocates nothing. */
export function lookupSpd(spd: CompiledSpd, key: PacketKey): number {
  const search = key[Key.FAMILY] === 4 ? spd.ipv4 : spd.ipv6;
  const { roots } = search;
  let found = -1;
  for (let tree = 0; tree < roots.length; tree += 2) {
    if (found >= 0 && roots[tree + 1]! > found) break;
    found = firstAt(spd, search, findEnd(search, roots[tree]!, key), key, found);
  }
  return found;
}

/** The first entry that matches where a search ended, unless `found` comes before it. */
function firstAt(spd: CompiledSpd, search: SpdSearch, end: number, key: PacketKey, found: number): number {
  if (end < SPD_ONLY) return firstOfLeaf(spd, search.candidates, end, key, found);
  if (end === SPD_NOTHING) return found;
  const entry = end & ~SPD_ONLY;
  return found >= 0 && found < entry ? found : entry;
}

function firstOfLeaf(
  spd: CompiledSpd,
  candidates: Uint32Array,
  leaf: number,
  key: PacketKey,
  found: number,
): number {
  for (let i = leaf & ~SPD_LEAF; ; i++) {
    const candidate = candidates[i]!;
    const entry = candidate & ENTRY_MASK;
    if (found >= 0 && entry > found) return found;
    if (candidate >= SPD_CERTAIN || entryMatches(spd, entry, key)) return entry;
    if ((candidate & SPD_LAST) !== 0) return found;
  }
}

function entryMatches(spd: CompiledSpd, entry: number, key: PacketKey): boolean {
  const side = 4 * entry;
  return (
    matchesRemote(spd.selectors, spd.sides[side + 2]!, spd.sides[side + 3]!, key) &&
    matchesLocal(spd.selectors, spd.sides[side]!, spd.sides[side + 1]!, key)
  );
}

/** The reference where the search for a packet ends, see `spd-nodes.ts`. */
function findEnd(search: SpdSearch, root: number, key: PacketKey): number {
  const { nodes } = search;
  let at = root;
  while (at < SPD_LEAF) at = nodes[at + 2 * (nodes[at]! >>> SPD_HALF_SHIFT) + partOf(search, at, key)]!;
  return at;
}

/** How many values of a node a packet is at or above. */
function partOf({ nodes, addresses }: SpdSearch, at: number, key: PacketKey): number {
  const field = nodes[at]! & SPD_FIELD_MASK;
  let step = nodes[at]! >>> SPD_HALF_SHIFT;
  let part = 0;
  if (field < Key.LOCAL_ADDRESS || key[Key.FAMILY] === 4) {
    const value = key[field]!;
    // Counted, not jumped: whether a packet is above a value cannot be foreseen.
    for (; step > 0; step >>= 1) part += Number(value >= nodes[at + part + step]!) * step;
  } else
    for (; step > 0; step >>= 1)
      if (compareWords(key, field, addresses, 4 * nodes[at + part + step]!) >= 0) part += step;
  return part;
}

/** Ends of searches that {@link firstPossibleEntry} looks at. */
const POSSIBLE_LEAVES_MAX = 64;
/** Too many to say. */
export const UNDECIDED = -2;

/**
 * The first entry that matches some packet with this key, whose ports or protocol may be KEY_PORT_ANY and KEY_PROTOCOL_ANY;
 * -1 when none does, {@link UNDECIDED} when that takes too long to find out. Allocates nothing.
 */
export function firstPossibleEntry(spd: CompiledSpd, key: PacketKey): number {
  const search = key[Key.FAMILY] === 4 ? spd.ipv4 : spd.ipv6;
  possible.entry = -1;
  possible.leaves = 0;
  for (let tree = 0; tree < search.roots.length; tree += 2)
    searchPossible(spd, search, search.roots[tree]!, key);
  return possible.leaves > POSSIBLE_LEAVES_MAX ? UNDECIDED : possible.entry;
}

const possible = { entry: -1, leaves: 0 };

function searchPossible(spd: CompiledSpd, search: SpdSearch, reference: number, key: PacketKey): void {
  const { nodes } = search;
  if (reference < SPD_LEAF) {
    const field = nodes[reference]! & SPD_FIELD_MASK;
    const half = nodes[reference]! >>> SPD_HALF_SHIFT;
    const isOpen = key[field]! === (field === Key.PROTOCOL ? KEY_PROTOCOL_ANY : KEY_PORT_ANY);
    const first = field < Key.LOCAL_ADDRESS && isOpen ? 0 : partOf(search, reference, key);
    const last = field < Key.LOCAL_ADDRESS && isOpen ? 2 * half - 1 : first;
    for (let part = first; part <= last && possible.leaves <= POSSIBLE_LEAVES_MAX; part++) {
      const next = nodes[reference + 2 * half + part]!;
      // The last one stands several times where there are fewer values.
      if (part === first || next !== nodes[reference + 2 * half + part - 1]!)
        searchPossible(spd, search, next, key);
    }
    return;
  }
  possible.leaves++;
  possible.entry = firstAt(spd, search, reference, key, possible.entry);
}
