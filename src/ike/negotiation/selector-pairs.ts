/**
 * A child's selectors in parts: pairs of one local and one remote selector, for peers that take no more than one pair in an SA,
 * and SAs for single hosts or flows, whose selectors a packet gives (RFC 7296 section 2.9, RFC 4301 section 4.4.1.2).
 */
import type { ChildConfiguration } from "../../policy/connection.ts";
import type { PacketSelectors } from "../../policy/data-plane.ts";
import {
  ANY_PORT,
  ANY_PROTOCOL,
  containsSelector,
  intersectSelector,
  pairsOverlap,
  type SelectorPair,
  type TrafficSelector,
} from "../../policy/traffic-selector.ts";
import { PAIRS_PER_CHILD_MAX } from "../limits.ts";
import type { ChildSa } from "../sa/child-sa.ts";
import type { EstablishedIkeSa } from "../sa/ike-sa.ts";

/** What an SA of a child is for: `all` that it names, or one pair of its selectors, one pair of addresses, one flow. */
export type SaPer = "all" | "pair" | "host" | "flow";

type Asked = Pick<ChildConfiguration, "name" | "saPer">;

/** How a child is asked for in this IKE SA: as configured, or as its peer turned out to want it. */
export function saPerOf({ splits }: Pick<EstablishedIkeSa, "splits">, { name, saPer }: Asked): SaPer {
  const learnt = splits.find(({ child }) => child === name)?.saPer;
  if (saPer === undefined || saPer === "pair") return learnt ?? saPer ?? "all";
  return saPer;
}

/** Whether SAs of it are made for packets alone, each with the packet's own values [SPD-05]. */
export function isPerPacket(saPer: SaPer): saPer is "host" | "flow" {
  return saPer === "host" || saPer === "flow";
}

/**
 * Pairs that a packet can lie in, row by row; they are numbered from 1.
 * @returns nothing when there are too many to be asked for one by one
 */
export function pairsOf({ local, remote }: SelectorPair): readonly SelectorPair[] {
  const pairs: SelectorPair[] = [];
  for (const one of local)
    for (const other of remote) if (goTogether(one, other)) pairs.push({ local: [one], remote: [other] });
  return pairs.length > PAIRS_PER_CHILD_MAX ? [] : pairs;
}

function goTogether(one: TrafficSelector, other: TrafficSelector): boolean {
  if (one.addresses.start.length !== other.addresses.start.length) return false;
  return one.protocol === other.protocol || one.protocol === ANY_PROTOCOL || other.protocol === ANY_PROTOCOL;
}

export function holdsPacket({ local, remote }: SelectorPair, packet: PacketSelectors): boolean {
  return (
    local.some((one) => containsSelector(one, packet.local)) &&
    remote.some((one) => containsSelector(one, packet.remote))
  );
}

/** Number of the pair that a packet lies in; 0: none. */
export function pairOfPacket(pairs: readonly SelectorPair[], packet: PacketSelectors): number {
  return pairs.findIndex((one) => holdsPacket(one, packet)) + 1;
}

/** Numbers of the pairs of which nothing is in any of these SAs. */
export function untouchedPairs(
  pairs: readonly SelectorPair[],
  standing: readonly Pick<ChildSa, "selectors">[],
): readonly number[] {
  return pairs.flatMap((pair, i) =>
    standing.some(({ selectors }) => pairsOverlap(pair, selectors)) ? [] : [i + 1],
  );
}

/**
 * What is asked for in a new SA. Of a whole child: all of it, and in front the packet that wants the SA, so that a responder
 * that narrows keeps it (RFC 7296 section 2.9).
 * @param pair - number of the pair, for an SA that is to hold no more than that; 0 for the child as a whole
 */
export function offerFor(
  configured: SelectorPair,
  saPer: SaPer,
  pair: number,
  packet: PacketSelectors | undefined,
): SelectorPair {
  const pairs = pairsOf(configured);
  const asked = packet !== undefined && holdsPacket(configured, packet) ? packet : undefined;
  if (isPerPacket(saPer)) {
    const [first] = pairs;
    const one = pairs[(asked === undefined ? 0 : pairOfPacket(pairs, asked)) - 1] ?? first ?? configured;
    if (asked === undefined) return singleHosts(one, firstAddresses(one));
    return saPer === "flow" ? { local: [asked.local], remote: [asked.remote] } : singleHosts(one, asked);
  }
  const only = saPer === "pair" ? (asked && pairOfPacket(pairs, asked)) || 1 : 0;
  const one = pairs[(pair || only) - 1];
  if (one !== undefined) return one;
  if (asked === undefined) return configured;
  return { local: [asked.local, ...configured.local], remote: [asked.remote, ...configured.remote] };
}

/**
 * What is asked for when an SA is rekeyed: the configured selectors that it has a part in, or just its own where a packet gave
 * them. Never less than it carries, and no packet in front (RFC 7296 section 2.9.2) [CHILD-28].
 */
export function rekeyOffer(configured: SelectorPair, saPer: SaPer, old: SelectorPair): SelectorPair {
  if (isPerPacket(saPer)) return old;
  const touched = (side: readonly TrafficSelector[], of: readonly TrafficSelector[]) =>
    side.filter((one) => of.some((other) => intersectSelector(one, other) !== undefined));
  const local = touched(configured.local, old.local);
  const remote = touched(configured.remote, old.remote);
  return local.length === 0 || remote.length === 0 ? old : { local, remote };
}

/** A pair narrowed to the addresses of a packet, whatever its ports. */
function singleHosts({ local, remote }: SelectorPair, packet: PacketSelectors): SelectorPair {
  return { local: singleHost(local, packet.local), remote: singleHost(remote, packet.remote) };
}

function singleHost(
  side: readonly TrafficSelector[],
  { addresses }: TrafficSelector,
): readonly TrafficSelector[] {
  const host: TrafficSelector = { addresses, protocol: ANY_PROTOCOL, ports: ANY_PORT };
  return side
    .map((one) => intersectSelector(one, host))
    .filter((one) => one !== undefined)
    .slice(0, 1);
}

/** IKE_AUTH has to bring an SA, though no packet asks for one. */
function firstAddresses({ local, remote }: SelectorPair): PacketSelectors {
  const first = (one: TrafficSelector): TrafficSelector => {
    const { start } = one.addresses;
    return { ...one, addresses: { start, end: start } };
  };
  return { local: first(local[0]!), remote: first(remote[0]!) };
}

/** Whether every selector names one address. */
export function isBetweenHosts({ local, remote }: SelectorPair): boolean {
  const isSingle = ({ addresses: { start, end } }: TrafficSelector) =>
    start.every((octet, i) => octet === end[i]);
  return local.length === 1 && remote.length === 1 && [...local, ...remote].every(isSingle);
}
