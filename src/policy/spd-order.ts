/** The order of an interface's SPD entries, and the conflicts in it (RFC 4301 section 4.4.1). */
import { toHex } from "../base/bytes.ts";
import type { ConfigurationPlace } from "./connection.ts";
import type { PolicyName } from "./data-plane.ts";
import { parseSelector } from "./selector-text.ts";
import type { SpdEntry } from "./spd.ts";
import {
  ANY_PROTOCOL,
  pairsOverlap,
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
 */
export function orderSpd(policies: readonly SpdEntry[], children: readonly ProtectPolicy[]): SpdOrder {
  const sorted = [...children].sort(
    (a, b) => b.priority - a.priority || openBits(a.selectors) - openBits(b.selectors),
  );
  const isForUnrouted = (child: ProtectPolicy) => withinSelectors(child.selectors.remote, UNROUTED);
  const unrouted: SpdEntry = { action: "discard", selectors: { local: EVERYWHERE, remote: UNROUTED } };
  const entries = [
    ...policies,
    ...sorted.filter(isForUnrouted).map(protectEntry),
    unrouted,
    ...sorted.filter((child) => !isForUnrouted(child)).map(protectEntry),
  ];
  return { entries, overlaps: findOverlaps(children) };
}

function protectEntry({ policy, selectors, place }: ProtectPolicy): SpdEntry {
  return { action: "protect", selectors, policy, place };
}

/** Sweeps over the remote addresses, so that only children that meet there are compared. */
function findOverlaps(children: readonly ProtectPolicy[]): readonly SpdOverlap[] {
  const intervals = children
    .flatMap((child, index) =>
      child.selectors.remote.map(({ addresses: { start, end } }) => ({
        index,
        start: `${start.length} ${toHex(start)}`,
        end: `${end.length} ${toHex(end)}`,
      })),
    )
    .sort((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : a.index - b.index));
  const found = new Map<number, SpdOverlap>();
  let open: typeof intervals = [];
  for (const interval of intervals) {
    open = open.filter(({ end }) => end >= interval.start);
    for (const other of open) {
      const [i, j] = [Math.min(interval.index, other.index), Math.max(interval.index, other.index)];
      const [first, second] = [children[i]!, children[j]!];
      if (i === j || first.priority !== second.priority || found.has(i * children.length + j)) continue;
      if (pairsOverlap(first.selectors, second.selectors))
        found.set(i * children.length + j, { first, second });
    }
    open.push(interval);
  }
  return [...found].sort(([a], [b]) => a - b).map(([, overlap]) => overlap);
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
