/** Traffic selectors (RFC 4301 section 4.4.1.1, RFC 7296 sections 2.9 and 3.13): values, intersection, narrowing, wire form. */
import { type AddressRange, containsRange, intersectRange } from "../base/address-range.ts";
import { compareIpAddress, familyOf, IpAddress, nextIpAddress } from "../base/ip-address.ts";
import type { TrafficSelectorWire } from "../wire/ike/payload.ts";
import { TrafficSelectorType } from "../wire/ike/registries.ts";
import { WireError } from "../wire/wire-error.ts";

/** Ports, or ICMP type * 256 + code (RFC 7296 section 3.13.1); start above end stands for OPAQUE. */
export interface PortRange {
  readonly start: number;
  readonly end: number;
}

/** One side's selector: addresses, protocol (0 is any) and ports of that side. */
export interface TrafficSelector {
  readonly addresses: AddressRange;
  readonly protocol: number;
  readonly ports: PortRange;
}

export const ANY_PROTOCOL = 0;
export const ANY_PORT: PortRange = { start: 0, end: 65535 };
/** RFC 7296 section 3.13.1: matches only packets whose ports cannot be seen. */
export const OPAQUE_PORT: PortRange = { start: 65535, end: 0 };

/** What a child SA may carry, seen from one gateway: any local selector paired with any remote one. */
export interface SelectorPair {
  readonly local: readonly TrafficSelector[];
  readonly remote: readonly TrafficSelector[];
}

/** A selector for every packet from or to the addresses. */
export function addressSelector(addresses: AddressRange): TrafficSelector {
  return { addresses, protocol: ANY_PROTOCOL, ports: ANY_PORT };
}

export function isOpaquePort(ports: PortRange): boolean {
  return ports.start > ports.end;
}

export function isAnyPort(ports: PortRange): boolean {
  return ports.start === 0 && ports.end === 65535;
}

/** Whether every packet that `inner` matches is matched by `outer`; ANY holds OPAQUE, a range of ports does not. */
export function containsSelector(outer: TrafficSelector, inner: TrafficSelector): boolean {
  return containsTransport(outer, inner) && containsRange(outer.addresses, inner.addresses);
}

function containsTransport(outer: TrafficSelector, inner: TrafficSelector): boolean {
  if (outer.protocol !== ANY_PROTOCOL && outer.protocol !== inner.protocol) return false;
  if (isAnyPort(outer.ports)) return true;
  if (isOpaquePort(outer.ports) || isOpaquePort(inner.ports))
    return isOpaquePort(outer.ports) && isOpaquePort(inner.ports);
  return outer.ports.start <= inner.ports.start && inner.ports.end <= outer.ports.end;
}

/** The selector for what both match, or `undefined` when no packet matches both. */
export function intersectSelector(a: TrafficSelector, b: TrafficSelector): TrafficSelector | undefined {
  if (a.protocol !== b.protocol && a.protocol !== ANY_PROTOCOL && b.protocol !== ANY_PROTOCOL)
    return undefined;
  const addresses = intersectRange(a.addresses, b.addresses);
  const ports = intersectPorts(a.ports, b.ports);
  if (addresses === undefined || ports === undefined) return undefined;
  return { addresses, protocol: a.protocol === ANY_PROTOCOL ? b.protocol : a.protocol, ports };
}

function intersectPorts(a: PortRange, b: PortRange): PortRange | undefined {
  if (isAnyPort(a)) return b;
  if (isAnyPort(b)) return a;
  if (isOpaquePort(a) || isOpaquePort(b)) return isOpaquePort(a) && isOpaquePort(b) ? OPAQUE_PORT : undefined;
  const start = Math.max(a.start, b.start);
  const end = Math.min(a.end, b.end);
  return start <= end ? { start, end } : undefined;
}

/** Whether one pair is matched by some packet that the other matches too. */
export function pairsOverlap(a: SelectorPair, b: SelectorPair): boolean {
  return someIntersect(a.local, b.local) && someIntersect(a.remote, b.remote);
}

function someIntersect(a: readonly TrafficSelector[], b: readonly TrafficSelector[]): boolean {
  return a.some((one) => b.some((other) => intersectSelector(one, other) !== undefined));
}

export function sameSelector(a: TrafficSelector, b: TrafficSelector): boolean {
  return containsSelector(a, b) && containsSelector(b, a);
}

/**
 * Whether every selector of `inner` lies within the union of `outer`: what an initiator asks of the answer to its
 * offer (RFC 7296 section 2.9).
 */
export function withinSelectors(
  inner: readonly TrafficSelector[],
  outer: readonly TrafficSelector[],
): boolean {
  return inner.every((one) => covers(outer, one));
}

function covers(outer: readonly TrafficSelector[], inner: TrafficSelector): boolean {
  const ranges = outer
    .filter((one) => containsTransport(one, inner))
    .map((one) => intersectRange(one.addresses, inner.addresses))
    .filter((range) => range !== undefined)
    .sort((a, b) => compareIpAddress(a.start, b.start));
  let next: IpAddress | undefined = inner.addresses.start;
  for (const range of ranges) {
    if (next === undefined || compareIpAddress(range.start, next) > 0) break;
    if (compareIpAddress(range.end, next) >= 0) next = nextIpAddress(range.end);
  }
  return next === undefined || compareIpAddress(next, inner.addresses.end) > 0;
}

/**
 * What of an offer a policy allows, as a responder answers it: the intersection in the offer's order, without selectors
 * that another one of the answer holds already (RFC 7296 section 2.9) [CHILD-03].
 * @param offered - seen from the responder: `local` is TSr, `remote` is TSi
 * @returns `undefined` when nothing is left on either side: TS_UNACCEPTABLE [CHILD-04]
 */
export function narrow(configured: SelectorPair, offered: SelectorPair): SelectorPair | undefined {
  const local = narrowSide(configured.local, offered.local);
  const remote = narrowSide(configured.remote, offered.remote);
  return local.length === 0 || remote.length === 0 ? undefined : { local, remote };
}

/** The most selectors of a side that an SA has room for; what lies beyond is narrowed away. */
const NARROWED_SELECTORS_MAX = 32;

function narrowSide(
  configured: readonly TrafficSelector[],
  offered: readonly TrafficSelector[],
): readonly TrafficSelector[] {
  const both = offered.flatMap((offer) => configured.map((own) => intersectSelector(offer, own)));
  return withoutContained(
    both.filter((one) => one !== undefined),
    NARROWED_SELECTORS_MAX,
  );
}

/** The selectors that no other one holds, in the order in which what they hold came first; at most `most`. */
export function withoutContained(
  selectors: readonly TrafficSelector[],
  most: number,
): readonly TrafficSelector[] {
  const kept: TrafficSelector[] = [];
  for (const selector of selectors) {
    if (kept.some((one) => containsSelector(one, selector))) continue;
    const narrower = kept.findIndex((one) => containsSelector(selector, one));
    if (narrower < 0) {
      if (kept.length < most) kept.push(selector);
      continue;
    }
    kept[narrower] = selector;
    for (let i = kept.length - 1; i > narrower; i--)
      if (containsSelector(selector, kept[i]!)) kept.splice(i, 1);
  }
  return kept;
}

export interface NarrowedChoice {
  /** Of the policies that were asked. */
  readonly index: number;
  readonly selectors: SelectorPair;
  /** Another policy would have allowed more of the offer: ADDITIONAL_TS_POSSIBLE [CHILD-05]. */
  readonly isMorePossible: boolean;
}

/**
 * Which of several policies answers an offer: the first that allows the offer's first selectors wholly, else the first
 * that allows a part of them, else the first that allows anything (RFC 7296 section 2.9) [CHILD-03] [CHILD-05].
 */
export function narrowFirst(
  configured: readonly SelectorPair[],
  offered: SelectorPair,
): NarrowedChoice | undefined {
  const first: SelectorPair = { local: offered.local.slice(0, 1), remote: offered.remote.slice(0, 1) };
  let best: { index: number; selectors: SelectorPair; rank: number } | undefined;
  let allowing = 0;
  for (const [index, policy] of configured.entries()) {
    const selectors = narrow(policy, offered);
    if (selectors === undefined) continue;
    allowing++;
    const rank =
      withinSelectors(first.local, selectors.local) && withinSelectors(first.remote, selectors.remote)
        ? 0
        : pairsOverlap(first, selectors)
          ? 1
          : 2;
    if (best === undefined || rank < best.rank) best = { index, selectors, rank };
  }
  if (best === undefined) return undefined;
  return { index: best.index, selectors: best.selectors, isMorePossible: allowing > 1 };
}

export function selectorToWire({ addresses, protocol, ports }: TrafficSelector): TrafficSelectorWire {
  return {
    type:
      familyOf(addresses.start) === 4
        ? TrafficSelectorType.IPV4_ADDR_RANGE
        : TrafficSelectorType.IPV6_ADDR_RANGE,
    protocol,
    startPort: ports.start,
    endPort: ports.end,
    startAddress: addresses.start,
    endAddress: addresses.end,
  };
}

/**
 * Reads a selector that a peer sent [CHILD-06].
 * @returns `undefined` for a type that this project does not know: it takes no part in narrowing
 * @throws {@link WireError} `WIRE_BAD_LENGTH` when the addresses do not fit the type, `WIRE_BAD_VALUE` when a start lies
 *   above its end (65535-0, which is OPAQUE, excepted)
 */
export function selectorFromWire(wire: TrafficSelectorWire): TrafficSelector | undefined {
  if (wire.type !== TrafficSelectorType.IPV4_ADDR_RANGE && wire.type !== TrafficSelectorType.IPV6_ADDR_RANGE)
    return undefined;
  const length = wire.type === TrafficSelectorType.IPV4_ADDR_RANGE ? 4 : 16;
  if (wire.startAddress.length !== length || wire.endAddress.length !== length)
    throw new WireError(
      "WIRE_BAD_LENGTH",
      0,
      `traffic selector of type ${wire.type} has no ${length}-octet addresses`,
    );
  const start = IpAddress(wire.startAddress.slice());
  const end = IpAddress(wire.endAddress.slice());
  if (compareIpAddress(start, end) > 0)
    throw new WireError("WIRE_BAD_VALUE", 0, "traffic selector starts at an address above its last one");
  const ports: PortRange = { start: wire.startPort, end: wire.endPort };
  const isOpaque = ports.start === OPAQUE_PORT.start && ports.end === OPAQUE_PORT.end;
  if (ports.start > ports.end && !isOpaque)
    throw new WireError("WIRE_BAD_VALUE", 0, `traffic selector has ports ${ports.start} to ${ports.end}`);
  return { addresses: { start, end }, protocol: wire.protocol, ports };
}

/** Reads a TS payload's selectors; those of unknown type are left out. @throws {@link WireError} as {@link selectorFromWire} */
export function selectorsFromWire(wire: readonly TrafficSelectorWire[]): readonly TrafficSelector[] {
  return wire.map(selectorFromWire).filter((selector) => selector !== undefined);
}
