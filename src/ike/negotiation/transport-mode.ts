/** Transport mode in negotiations: asked for by a notify, granted by one, between the two hosts alone (RFC 7296 section 1.3.1). */
import { equal } from "../../base/bytes.ts";
import type { IpAddress } from "../../base/ip-address.ts";
import type { ChildConfiguration } from "../../policy/connection.ts";
import type { OriginalAddresses } from "../../policy/data-plane.ts";
import {
  addressSelector,
  narrow,
  type SelectorPair,
  type TrafficSelector,
  withinSelectors,
} from "../../policy/traffic-selector.ts";
import type { NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { NotifyType } from "../../wire/ike/registries.ts";
import { findNotify, notify } from "../exchange/payload-list.ts";
import type { TransportRefusal } from "../notice.ts";
import type { EstablishedIkeSa } from "../sa/ike-sa.ts";

type Ends = Pick<EstablishedIkeSa, "local" | "remote">;

export function isTransport({ handling }: Pick<ChildConfiguration, "handling">): boolean {
  return handling.mode === "transport";
}

/** USE_TRANSPORT_MODE in a request for such a child and in the answer that grants it; nothing for tunnel mode [CHILD-08]. */
export function transportNotify(configuration: ChildConfiguration): readonly NotifyPayload[] {
  return isTransport(configuration) ? [notify(NotifyType.USE_TRANSPORT_MODE)] : [];
}

export function hasTransportNotify(payloads: readonly Payload[]): boolean {
  return findNotify(payloads, NotifyType.USE_TRANSPORT_MODE) !== undefined;
}

/**
 * A child with what of its selectors is between the two ends of the IKE SA, for no other address can be in the IP header
 * that transport mode keeps; unchanged for tunnel mode. `undefined` when nothing is left.
 */
export function betweenHosts(child: ChildConfiguration, ends: Ends): ChildConfiguration | undefined {
  if (!isTransport(child)) return child;
  const selectors = narrow(child.selectors, hostsOf(ends));
  return selectors === undefined ? undefined : { ...child, selectors };
}

/** Selectors as they hold at this end, and the addresses that the peer's packets were made with. */
export interface Translated {
  readonly selectors: SelectorPair;
  readonly original?: OriginalAddresses;
}

/**
 * Selectors of the peer's for transport mode, which name the two addresses as the peer sees them: where a NAT changes one, it
 * is replaced by the one that the IKE SA has here [NAT-09]. Unchanged when they name more than one address per side, or
 * nothing is changed on the way.
 */
export function translateSelectors(
  selectors: SelectorPair,
  { local, remote, nat }: Pick<EstablishedIkeSa, "local" | "remote" | "nat">,
): Translated {
  const original = { local: onlyAddress(selectors.local), remote: onlyAddress(selectors.remote) };
  if (original.local === undefined || original.remote === undefined) return { selectors };
  const ours = nat.weAreBehind ? local.address : original.local;
  const theirs = nat.peerIsBehind ? remote.address : original.remote;
  if (equal(ours, original.local) && equal(theirs, original.remote)) return { selectors };
  return {
    selectors: { local: at(ours, selectors.local), remote: at(theirs, selectors.remote) },
    original: { local: original.local, remote: original.remote },
  };
}

function onlyAddress(side: readonly TrafficSelector[]): IpAddress | undefined {
  const [first] = side;
  if (first === undefined) return undefined;
  const { start } = first.addresses;
  return side.every(({ addresses }) => equal(addresses.start, start) && equal(addresses.end, start))
    ? start
    : undefined;
}

function at(address: IpAddress, side: readonly TrafficSelector[]): readonly TrafficSelector[] {
  return side.map((one) => ({ ...one, addresses: { start: address, end: address } }));
}

function hostsOf({ local, remote }: Ends): SelectorPair {
  return {
    local: [addressSelector({ start: local.address, end: local.address })],
    remote: [addressSelector({ start: remote.address, end: remote.address })],
  };
}

/** As initiator: why an answer to a request for transport mode is of no use; `undefined` when it is good. */
export function transportAnswerProblem(
  configuration: ChildConfiguration,
  { local, remote }: Pick<EstablishedIkeSa, "local" | "remote">,
  payloads: readonly Payload[],
  selectors: SelectorPair,
): TransportRefusal | undefined {
  if (!isTransport(configuration)) return undefined;
  if (!hasTransportNotify(payloads)) return "notConfirmed";
  const hosts = hostsOf({ local, remote });
  const isBetween =
    withinSelectors(selectors.local, hosts.local) && withinSelectors(selectors.remote, hosts.remote);
  return isBetween ? undefined : "otherHosts";
}
