/** SPDs of any size, among them those that are hard to search, and packets for them. */
import { IpAddress } from "../../../src/base/ip-address.ts";
import {
  createPacketKey,
  Key,
  type PacketKey,
  writeAddressWords,
} from "../../../src/policy/selector-record.ts";
import type { CompiledSpd, SpdEntry } from "../../../src/policy/spd.ts";
import { SPD_HALF_SHIFT, SPD_LEAF, SPD_NOTHING, SPD_ONLY } from "../../../src/policy/spd-nodes.ts";
import { SPD_LAST } from "../../../src/policy/spd-tree.ts";
import { ANY_PORT, type TrafficSelector } from "../../../src/policy/traffic-selector.ts";

/** Numbers that look random and are the same every time. */
export function drawing(seed: number): (most: number) => number {
  let state = seed >>> 0;
  return (most) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 0x100000000) * most);
  };
}

function ipv4(value: number): IpAddress {
  return IpAddress(Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value));
}

function ipv6(value: number): IpAddress {
  return IpAddress(
    Uint8Array.of(0xfd, 0, 0, 0, value >>> 24, value >>> 16, value >>> 8, value, ...new Uint8Array(8)),
  );
}

function ipv6End(value: number): IpAddress {
  const address = ipv6(value);
  address.fill(0xff, 8);
  return address;
}

interface Transport {
  readonly protocol?: number;
  readonly start?: number;
  readonly end?: number;
}

/** Ends included. */
function range(
  start: number,
  end: number,
  { protocol = 0, start: from, end: to }: Transport = {},
): TrafficSelector {
  const ports = from === undefined ? ANY_PORT : { start: from, end: to ?? from };
  return { addresses: { start: ipv4(start), end: ipv4(end) }, protocol, ports };
}

function range6(start: number, end: number): TrafficSelector {
  return { addresses: { start: ipv6(start), end: ipv6End(end) }, protocol: 0, ports: ANY_PORT };
}

const TEN = 0x0a000000;
const ANYWHERE = range(0, 0xffffffff);
const HERE = range(0x0a010000, 0x0a01ffff);
const THERE = range(0xac100000, 0xac1fffff);

type Selectors = SpdEntry["selectors"];
export type SpdSet = (count: number) => readonly SpdEntry[];

function entries(count: number, selectorsOf: (i: number) => Selectors): readonly SpdEntry[] {
  return Array.from({ length: count }, (_, i) => ({
    action: "protect",
    selectors: selectorsOf(i),
    policy: { name: `p${i}`, index: i },
  }));
}

/** Every set has entries that are all to be found: no entry hides another one wholly. */
export const SPD_SETS: Readonly<Record<string, SpdSet>> = {
  "a /24 behind every peer": (count) =>
    entries(count, (i) => ({ local: [HERE], remote: [range(TEN + 256 * i, TEN + 256 * i + 255)] })),
  "a /64 behind every peer": (count) =>
    entries(count, (i) => ({ local: [range6(0, 255)], remote: [range6(1000 + i, 1000 + i)] })),
  "both families": (count) =>
    entries(count, (i) => ({
      local: [HERE, range6(0, 255)],
      remote: [range(TEN + 256 * i, TEN + 256 * i + 255), range6(1000 + i, 1000 + i)],
    })),
  "a port each, one network": (count) =>
    entries(count, (i) => ({
      local: [HERE],
      remote: [range(0xac100000, 0xac1fffff, { protocol: 6, start: 6 * i, end: 6 * i + 5 })],
    })),
  "a local prefix each, one remote network": (count) =>
    entries(count, (i) => ({ local: [range(TEN + 256 * i, TEN + 256 * i + 255)], remote: [THERE] })),
  "host pairs": (count) =>
    entries(count, (i) => ({
      local: [range(TEN + (i % 100), TEN + (i % 100))],
      remote: [range(0xac100000 + i, 0xac100000 + i)],
    })),
  "nested, narrowest first": (count) =>
    entries(count, (i) => ({ local: [HERE], remote: [range(0xac100000 + count - i, 0xac1fffff)] })),
  "onion, narrowest first": (count) =>
    entries(count, (i) => ({ local: [HERE], remote: [range(0xac180000 - i, 0xac180000 + i)] })),
  "staggered, each over half of the next ones": (count) =>
    entries(count, (i) => ({
      local: [HERE],
      remote: [range(0xac100000 + i, 0xac100000 + i + (count >> 1))],
    })),
  "ports of any network crossing networks of any port": (count) =>
    entries(count, (i) =>
      i % 2 === 0
        ? { local: [HERE], remote: [range(0, 0xffffffff, { protocol: 6, start: 3 * i, end: 3 * i + 2 })] }
        : { local: [HERE], remote: [range(TEN + 256 * i, TEN + 256 * i + 255)] },
    ),
  "local networks crossing remote networks": (count) =>
    entries(count, (i) =>
      i % 2 === 0
        ? { local: [range(TEN + 256 * i, TEN + 256 * i + 255)], remote: [ANYWHERE] }
        : { local: [ANYWHERE], remote: [range(0xac100000 + 16 * i, 0xac100000 + 16 * i + 15)] },
    ),
};

/** A packet that entry `i`'s first selectors hold, at their first addresses and ports. */
export function keyWithin({ selectors }: SpdEntry, draw: (most: number) => number): PacketKey {
  const key = createPacketKey();
  const local = selectors.local[draw(selectors.local.length)]!;
  const remote = selectors.remote.find((one) => one.addresses.start.length === local.addresses.start.length)!;
  key[Key.FAMILY] = local.addresses.start.length === 4 ? 4 : 6;
  key[Key.PROTOCOL] = remote.protocol || local.protocol || 6;
  key[Key.LOCAL_PORT] = local.ports.start + draw(local.ports.end - local.ports.start + 1);
  key[Key.REMOTE_PORT] = remote.ports.start + draw(remote.ports.end - remote.ports.start + 1);
  writeAddressWords(key, Key.LOCAL_ADDRESS, draw(2) === 0 ? local.addresses.start : local.addresses.end);
  writeAddressWords(key, Key.REMOTE_ADDRESS, draw(2) === 0 ? remote.addresses.start : remote.addresses.end);
  return key;
}

export interface SearchWork {
  /** Comparisons of one field from roots to leaves, at most. */
  steps: number;
  /** Entries that are then compared as a whole, at most. */
  candidates: number;
  /** Words of all nodes and candidates. */
  words: number;
}

function entriesAt(candidates: Uint32Array, end: number): number {
  if (end === SPD_NOTHING) return 0;
  if (end >= SPD_ONLY) return 1;
  const first = end & ~SPD_LEAF;
  let past = first;
  while ((candidates[past++]! & SPD_LAST) === 0);
  return past - first;
}

/** The most that any packet whatsoever costs: over all ways through the forest. */
export function worstWork(spd: CompiledSpd): SearchWork {
  const work: SearchWork = { steps: 0, candidates: 0, words: 0 };
  for (const { roots, nodes, candidates } of [spd.ipv4, spd.ipv6]) {
    let steps = 0;
    let compared = 0;
    for (let tree = 0; tree < roots.length; tree += 2) {
      let deepest = 0;
      let most = 0;
      const open: [number, number][] = [[roots[tree]!, 0]];
      for (let next = open.pop(); next !== undefined; next = open.pop()) {
        const [node, depth] = next;
        if (node >= SPD_LEAF) {
          deepest = Math.max(deepest, depth);
          most = Math.max(most, entriesAt(candidates, node));
          continue;
        }
        const half = nodes[node]! >>> SPD_HALF_SHIFT;
        // Each comparison in a node is a step.
        const references = new Set(nodes.subarray(node + 2 * half, node + 4 * half));
        for (const reference of references) open.push([reference, depth + Math.log2(half) + 1]);
      }
      steps += deepest;
      compared += most;
    }
    work.steps = Math.max(work.steps, steps);
    work.candidates = Math.max(work.candidates, compared);
    work.words += nodes.length + candidates.length;
  }
  return work;
}
