/** MOBIKE in one IKE SA: whether it was agreed on, and what has to be said (RFC 4555 sections 3.1 to 3.5). */
import { equal } from "../../base/bytes.ts";
import type { Instant } from "../../base/instant.ts";
import type { IpAddress } from "../../base/ip-address.ts";
import type { UdpEndpoint } from "../../base/udp-endpoint.ts";
import type { Connection } from "../../policy/connection.ts";
import type { NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { NotifyType } from "../../wire/ike/registries.ts";
import { findNotify, notify } from "../exchange/payload-list.ts";
import { childProtocol } from "../negotiation/child-protocol.ts";
import { additionalAddresses, additionalNotifies, noNatsNotify } from "../negotiation/mobike-notifies.ts";
import { isTransport } from "../negotiation/transport-mode.ts";
import type { Machine } from "../turn.ts";
import type { ProtectedIkeSa } from "./ike-sa.ts";

/** Both ends sent MOBIKE_SUPPORTED [MOB-01]. */
export interface Mobike {
  /** We called first; rekeys from either side change nothing about it (RFC 4555 section 1.3) [MOB-02]. */
  readonly isInitiator: boolean;
  /** Where else the peer may be reached, as it said last [MOB-07]. */
  peerAddresses: readonly IpAddress[];
  /** Addresses of ours that the peer was told of. */
  told: readonly IpAddress[];
  isTellDue: boolean;
  /** Goes up with each change of addresses: an update that was sent before another change decides nothing [MOB-09]. */
  change: number;
  /** As initiator: the peer has to hear of the addresses in use. */
  isUpdateDue: boolean;
  /** As responder: child SAs follow once the peer has answered at its new address. */
  isCheckDue: boolean;
  /** As responder: ESP alone says that the peer is where the IKE SA is now. */
  isHint: boolean;
  /** ESP from elsewhere is no such hint before. */
  hintsFrom: Instant | undefined;
  /** Updates in a row that met a NAT where none is allowed. */
  natRefusals: number;
  /** The last NAT_DETECTION_DESTINATION_IP of the peer, which tells how it sees us; absent before the first. */
  seenAs: Uint8Array | undefined;
  /** The peer has seen us at two places: a NAT has another mapping, of which it is about to hear. */
  isRemapped: boolean;
  /** Addresses at which the peer has answered. */
  proven: Ends;
}

export interface Ends {
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
}

/**
 * Whether a connection is for MOBIKE at all: its SAs have to be tunnels of ESP, whose selectors and checks do not hold the outer
 * addresses; and where only raw ESP will do, the operator has to ask for it.
 */
export function offersMobike({ ike, children, encapsulation }: Connection): boolean {
  if (ike.mobike === false || (ike.mobike === undefined && encapsulation === "esp")) return false;
  return !children.some((child) => isTransport(child) || childProtocol(child.proposals) === "ah");
}

type Speaker = Pick<ProtectedIkeSa, "local" | "remote"> & { readonly nat: { readonly isSupported: boolean } };

/** MOBIKE_SUPPORTED and our further addresses, for an IKE_AUTH message; nothing where MOBIKE is not wanted. */
export function mobikeNotifies(
  machine: Machine,
  connection: Connection,
  sa: Speaker,
  role: "initiator" | "responder",
): readonly NotifyPayload[] {
  if (!offersMobike(connection)) return [];
  const others = offeredBesides(machine, sa.local.address);
  return [
    notify(NotifyType.MOBIKE_SUPPORTED),
    ...(others.length === 0 ? [] : additionalNotifies(others)),
    ...(role === "initiator" && forbidsNat(connection, sa) ? [noNatsNotify(sa)] : []),
  ];
}

/** NAT traversal is not in use, so that nobody on the way may change an address (RFC 4555 section 3.9) [MOB-05]. */
export function forbidsNat({ encapsulation }: Connection, { nat }: Pick<Speaker, "nat">): boolean {
  return encapsulation === "esp" || !nat.isSupported;
}

/** What the peer's IKE_AUTH message and our settings make of it. */
export function agreedMobike(
  machine: Machine,
  connection: Connection,
  { local, remote, isOriginalInitiator }: Ends & Pick<ProtectedIkeSa, "isOriginalInitiator">,
  payloads: readonly Payload[],
): Mobike | undefined {
  if (!offersMobike(connection) || findNotify(payloads, NotifyType.MOBIKE_SUPPORTED) === undefined)
    return undefined;
  return {
    isInitiator: isOriginalInitiator,
    peerAddresses: additionalAddresses(payloads) ?? [],
    told: offeredBesides(machine, local.address),
    isTellDue: false,
    change: 0,
    isUpdateDue: false,
    isCheckDue: false,
    isHint: false,
    hintsFrom: undefined,
    natRefusals: 0,
    seenAs: undefined,
    isRemapped: false,
    proven: { local, remote },
  };
}

/** What an IKE SA that takes over goes on with; what was under way is said anew. */
export function inheritedMobike(
  mobike: Mobike | undefined,
  underWay: string | undefined,
): Mobike | undefined {
  if (mobike === undefined) return undefined;
  return {
    ...mobike,
    isUpdateDue: mobike.isUpdateDue || underWay === "updateAddresses",
    isCheckDue: mobike.isCheckDue || underWay === "checkRoutability",
    isTellDue: mobike.isTellDue || underWay === "tellAddresses",
    // The hashes hold the SPIs of the IKE SA.
    seenAs: undefined,
  };
}

/** Our addresses that the peer may use, without the one in use. */
export function offeredBesides(machine: Machine, current: IpAddress): readonly IpAddress[] {
  return machine.ownAddresses().offered.filter((address) => !equal(address, current));
}
