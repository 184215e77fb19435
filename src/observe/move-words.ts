/** Changes of outer addresses in words (RFC 4555). */
import { formatIpAddress } from "../base/ip-address.ts";
import { formatEndpoint } from "../base/udp-endpoint.ts";
import type { Move } from "../ike/connection-state.ts";
import type { IkeNotice } from "../ike/notice.ts";
import { NotifyType, nameOf } from "../wire/ike/registries.ts";
import { atPlace, configuredName, peerText } from "./place-words.ts";

export type MoveNotice = IkeNotice & {
  readonly code:
    | "ownAddressChanged"
    | "addressesUpdated"
    | "peerAddresses"
    | "moveRefused"
    | "moveNotAllowed"
    | "unexpectedNat"
    | "routabilityFailed";
};

type Of<Code extends MoveNotice["code"]> = Extract<MoveNotice, { code: Code }>;

/** A move with its ends as text. */
interface MovedText {
  readonly what: Move["what"];
  readonly from: string;
  readonly to: string;
}

/** The sentence first, then lines that explain it. */
export function moveWords(notice: MoveNotice): readonly string[] {
  const peer = peerText(notice.remote);
  switch (notice.code) {
    case "ownAddressChanged":
      return [ownAddressChanged(notice)];
    case "addressesUpdated":
      return [addressesUpdated(notice)];
    case "peerAddresses":
      return [
        notice.addresses.length === 0
          ? `${peer} has no further addresses`
          : `${peer} may also be reached at ${notice.addresses.map(formatIpAddress).join(", ")}`,
      ];
    case "moveRefused":
      return moveRefused(notice);
    case "moveNotAllowed":
      return [
        `${peer} wants to move to ${formatEndpoint(notice.to)}, which its connection does not allow; the SAs stay where they are`,
        `if it may, add the address, its prefix or any to ${remoteAddressKey(notice.connection)}${atPlace(notice.place)}`,
      ];
    case "unexpectedNat":
      return [
        `${peer} allows no NAT between us, and its message came from ${formatEndpoint(notice.from)} with other addresses inside`,
        "there is a NAT on the way, or somebody changes packets; take the NAT away, or allow it over there (encapsulation: auto)",
      ];
    case "routabilityFailed":
      return [`${peer} did not send our cookie back from its new address; the IKE SA ends`];
    default:
      return notice satisfies never;
  }
}

function ownAddressChanged({ what, from, to, remote }: Of<"ownAddressChanged">): string {
  if (what === "peer")
    return `we call ${formatEndpoint(to)} in place of ${formatEndpoint(from)}; the IKE SA follows`;
  return `our way to ${peerText(remote)} changed from ${formatEndpoint(from)} to ${formatEndpoint(to)}; the IKE SA follows`;
}

function addressesUpdated({ what, from, to, remote }: Of<"addressesUpdated">): string {
  const peer = peerText(remote);
  const keys = "no new keys were needed";
  if (what === "mapping")
    return `a NAT on the way gave us another mapping, and ${peer} has followed; ${keys}`;
  if (what === "peer")
    return `${peer} has taken over from ${formatEndpoint(from)}, another address of the peer; ${keys}`;
  return `${peer} has followed us from ${formatEndpoint(from)} to ${formatEndpoint(to)}; ${keys}`;
}

/** Where an IKE SA was before, for one line of `status`. */
export function movedText({ what, from, to }: MovedText): string {
  if (what === "mapping") return "a NAT on the way gave us another mapping";
  return `${what === "own" ? "we" : "the peer"} moved from ${from} to ${to}`;
}

function moveRefused(notice: MoveNotice & { readonly code: "moveRefused" }): string[] {
  const { notifyType, local } = notice;
  const why =
    notifyType === NotifyType.UNEXPECTED_NAT_DETECTED
      ? "there is a NAT on the new way, and encapsulation: esp allows none"
      : "its configuration does not allow this address of ours";
  return [
    `${peerText(notice.remote)} does not follow us to ${formatEndpoint(local)} (${nameOf(NotifyType, notifyType)}): ${why}`,
  ];
}

function remoteAddressKey(connection: string | undefined): string {
  return connection === undefined
    ? "remote.address"
    : `connections.${configuredName(connection)}.remote.address`;
}
