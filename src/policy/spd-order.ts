/** The order of an interface's SPD entries, and the conflicts in it (RFC 4301 section 4.4.1). */
import type { AddressRange } from "../base/address-range.ts";
import type { ConfigurationPlace } from "./connection.ts";
import type { PolicyName } from "./data-plane.ts";
import { parseSelector } from "./selector-text.ts";
import type { SpdEntry } from "./spd.ts";
import { overlappingPairs } from "./spd-overlap.ts";
import {
  ANY_PROTOCOL,
  addressSelector,
  narrow,
  type SelectorPair,
  type TrafficSelector,
  withinSelectors,
} from "./traffic-selector.ts";

/** A child's PROTECT entry before it has its place in the order. */
export interface ProtectPolicy {
  readonly policy: { readonly name: PolicyName; readonly index: number };
  readonly selectors: SelectorPair;
  /** Higher comes first. */
  readonly priority: number;
  readonly place: ConfigurationPlace;
}

/** Overlaps that are found at most; whoever has more mends these first. */
const OVERLAPS_MAX = 64;

/** Two PROTECT entries of equal priority that some packet matches both of. */
interface SpdOverlap {
  readonly first: ProtectPolicy;
  readonly second: ProtectPolicy;
}

export interface SpdOrder {
  readonly entries: readonly SpdEntry[];
  /** Not empty: the configuration is to be refused. */
  readonly overlaps: readonly SpdOverlap[];
}

/** Link-local, multicast and broadcast: what hosts send by themselves and no tunnel is meant for. */
const UNROUTED: readonly TrafficSelector[] = [
  "169.254.0.0/16",
  "224.0.0.0/4",
  "255.255.255.255",
  "fe80::/10",
  "ff00::/8",
].map((text) => parseSelector(text)!);
const EVERYWHERE: readonly TrafficSelector[] = ["0.0.0.0/0", "::/0"].map((text) => parseSelector(text)!);

/**
 * Puts an interface's entries in order: `policies` as listed; then DISCARD for link-local and multicast destinations,
 * unless a child names nothing else as its remote side; then children by priority and the most specific selector first.
 * What matches none is discarded as well [SPD-01].
 * @param inner - networks of the interface's own addresses, which children carry also where they are link-local
 */
export function orderSpd(
  policies: readonly SpdEntry[],
  children: readonly ProtectPolicy[],
  inner: readonly AddressRange[] = [],
): SpdOrder {
  const sorted = children
    .map((child) => ({ child, open: openBits(child.selectors) }))
    .sort((a, b) => b.child.priority - a.child.priority || a.open - b.open)
    .map(({ child }) => child);
  const forUnrouted = new Set(sorted.filter(({ selectors }) => withinSelectors(selectors.remote, UNROUTED)));
  const others = sorted.filter((child) => !forUnrouted.has(child));
  const remote = inner.map(addressSelector);
  const onInner = others.flatMap((child) => {
    const selectors = narrow(child.selectors, { local: EVERYWHERE, remote });
    return selectors === undefined ? [] : [protectEntry({ ...child, selectors })];
  });
  const unrouted: SpdEntry = { action: "discard", selectors: { local: EVERYWHERE, remote: UNROUTED } };
  const entries = [
    ...policies,
    ...[...forUnrouted].map(protectEntry),
    ...onInner,
    unrouted,
    ...others.map(protectEntry),
  ];
  return { entries, overlaps: findOverlaps(children) };
}

function protectEntry({ policy, selectors, place }: ProtectPolicy): SpdEntry {
  return { action: "protect", selectors, policy, place };
}

/** Only children of one priority are compared. */
function findOverlaps(children: readonly ProtectPolicy[]): readonly SpdOverlap[] {
  const byPriority = new Map<number, number[]>();
  for (const [index, { priority }] of children.entries()) {
    const equal = byPriority.get(priority);
    if (equal === undefined) byPriority.set(priority, [index]);
    else equal.push(index);
  }
  const found: [number, number][] = [];
  for (const equal of byPriority.values()) {
    const selectors = equal.map((index) => children[index]!.selectors);
    for (const [i, j] of overlappingPairs(selectors, OVERLAPS_MAX - found.length))
      found.push([equal[i]!, equal[j]!]);
    if (found.length >= OVERLAPS_MAX) break;
  }
  return found
    .sort(([a, b], [c, d]) => a - c || b - d)
    .map(([i, j]) => ({ first: children[i]!, second: children[j]! }));
}

/** Bits of header that the widest selectors of both sides leave open. */
function openBits({ local, remote }: SelectorPair): number {
  return Math.max(...local.map(selectorBits)) + Math.max(...remote.map(selectorBits));
}

function selectorBits({ addresses, protocol, ports }: TrafficSelector): number {
  let count = 0;
  for (let i = 0; i < addresses.start.length; i++)
    count = count * 256 + (addresses.end[i]! - addresses.start[i]!);
  const open = Math.log2(count + 1) + (protocol === ANY_PROTOCOL ? 8 : 0);
  return open + (ports.start > ports.end ? 0 : Math.log2(ports.end - ports.start + 1));
}
