/** Transport mode in negotiations: asked for by a notify, granted by one, between the two hosts alone (RFC 7296 section 1.3.1). */
import type { ChildConfiguration } from "../../policy/connection.ts";
import {
  addressSelector,
  narrow,
  type SelectorPair,
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

function hostsOf({ local, remote }: Ends): SelectorPair {
  return {
    local: [addressSelector({ start: local.address, end: local.address })],
    remote: [addressSelector({ start: remote.address, end: remote.address })],
  };
}

/** As initiator: why an answer to a request for transport mode is of no use; `undefined` when it is good. */
export function transportAnswerProblem(
  configuration: ChildConfiguration,
  { local, remote, nat }: Pick<EstablishedIkeSa, "local" | "remote" | "nat">,
  payloads: readonly Payload[],
  selectors: SelectorPair,
): TransportRefusal | undefined {
  if (!isTransport(configuration)) return undefined;
  if (!hasTransportNotify(payloads)) return "notConfirmed";
  const hosts = hostsOf({ local, remote });
  if (withinSelectors(selectors.local, hosts.local) && withinSelectors(selectors.remote, hosts.remote))
    return nat.weAreBehind ? "behindNat" : undefined;
  return nat.weAreBehind || nat.peerIsBehind ? "behindNat" : "otherHosts";
}
