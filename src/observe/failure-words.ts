/** Failures of negotiations in words: what happened, to whom, why, and what to do, one table row per notice code. */
import { formatIpAddress } from "../base/ip-address.ts";
import type { FailureNotice } from "../ike/notice.ts";
import { formatSuite, transformKeyword } from "../policy/proposal-keyword.ts";
import { IdType, NotifyType, nameOf, TransformType } from "../wire/ike/registries.ts";
import { aggfragNotAgreed } from "./aggfrag-words.ts";
import {
  authenticationFailed,
  authenticationRejected,
  noCommonSignature,
  notComputed,
} from "./authentication-words.ts";
import { childLimit, rekeyRefused } from "./child-words.ts";
import { escapeForeign } from "./escape.ts";
import { identityText, isConfigurable } from "./identity-text.ts";
import { sizeLines } from "./message-size-words.ts";
import { atPlace, configuredName, keyOf, peerText } from "./place-words.ts";
import { ppkRefused } from "./ppk-words.ts";
import { mismatchLines, proposalsKey } from "./proposal-words.ts";
import { selectorLines } from "./selector-words.ts";
import { unreachableLines } from "./unreachable-words.ts";

type Notice<Code extends FailureNotice["code"]> = FailureNotice & { readonly code: Code };

/** The sentence first, then lines that explain it and say what to do; all safe to print. */
export function failureWords(notice: FailureNotice): readonly string[] {
  switch (notice.code) {
    case "noCommonProposal":
      return noCommonProposal(notice);
    case "proposalRejectedByPeer":
      return proposalRejected(notice);
    case "selectorsUnacceptable":
      return selectorLines(notice);
    case "identityMismatch":
      return identityMismatch(notice);
    case "localIdentityMismatch":
      return localIdentityMismatch(notice);
    case "authenticationFailed":
      return authenticationFailed(notice);
    case "authenticationRejectedByPeer":
      return authenticationRejected(notice);
    case "authenticationNotComputed":
      return notComputed(notice);
    case "noCommonSignature":
      return noCommonSignature(notice);
    case "ppkRefused":
      return ppkRefused(notice);
    case "noAnswer":
      return noAnswer(notice);
    case "errorFromPeer":
      return errorFromPeer(notice);
    case "refused":
      return refusedByUs(notice);
    case "keyExchangeRefused":
      return [
        `the key exchange ${transformKeyword(TransformType.KE, notice.method)} with ${peerText(notice.remote)} failed: ${escapeForeign(notice.reason)}`,
      ];
    case "encapsulationImpossible":
      return encapsulationImpossible(notice);
    case "aggfragNotAgreed":
      return aggfragNotAgreed(notice);
    case "transportRefused":
      return transportRefused(notice);
    case "noLocalAddress":
      return [
        `no address of this machine leads to ${formatIpAddress(notice.address)}`,
        "there is no route to it, or gateway.listen and local.address leave out the address that the route would use",
      ];
    case "noAddressToCall":
      return noAddressToCall(notice);
    case "peerSpeaksIkeV1":
      return [
        `${peerText(notice.remote)} speaks IKEv1, which is not supported`,
        "have IKEv2 switched on there (strongSwan: version = 2; Cisco: crypto ikev2; FortiGate: set ike-version 2)",
      ];
    case "duplicateRefused":
      return duplicateRefused(notice);
    case "childLimit":
      return childLimit(notice);
    case "rekeyRefused":
      return rekeyRefused(notice);
    case "saTableFull":
      return [
        `there is no room for another SA with ${peerText(notice.remote)}; take connections or children away`,
      ];
    default:
      return notice satisfies never;
  }
}

function noAddressToCall(notice: Notice<"noAddressToCall">): string[] {
  const names = notice.names?.join(", ");
  const key = keyOf(notice, "remote.address");
  if (names !== undefined)
    return [
      `there is nobody to call: no name server has an address for ${names} so far`,
      `they are asked again every minute; look at the name in ${key}${atPlace(notice.place)} and at this machine's name servers`,
    ];
  return [
    "there is nobody to call: the connection has no single remote address",
    `give ${key} one${atPlace(notice.place)}, or let the peer call: keep: respond`,
  ];
}

function duplicateRefused(notice: Notice<"duplicateRefused">): string[] {
  return [
    `${peerText(notice.remote)} (${identityText(notice.identity)}) has an IKE SA already, and called for a second one`,
    `it is let in once the first one is gone, or with INITIAL_CONTACT; ${keyOf(notice, "ike.unique")}${atPlace(notice.place)} is reject: replace lets the newer one in`,
  ];
}

function refusedByUs(notice: Notice<"refused">): string[] {
  const { exchange, remote, what, notifyType } = notice;
  return [
    `refused ${exchange} of ${peerText(remote)}: ${escapeForeign(what)}`,
    ...(notifyType === undefined ? [] : [`they were told ${nameOf(NotifyType, notifyType)}`]),
  ];
}

const protocolWord = (protocol: "ike" | "esp" | "ah") => protocol.toUpperCase();

function noCommonProposal(notice: Notice<"noCommonProposal">): string[] {
  const protocol = protocolWord(notice.protocol);
  const peer = peerText(notice.remote);
  const summary =
    notice.role === "responder"
      ? `no common ${protocol} proposal with ${peer}`
      : `${peer} chose an ${protocol} proposal that was not offered`;
  return [summary, ...mismatchLines(notice)];
}

function proposalRejected(notice: Notice<"proposalRejectedByPeer">): string[] {
  const lines = [`${peerText(notice.remote)} rejected our ${protocolWord(notice.protocol)} proposal`];
  const [first, ...more] = notice.sent.map(formatSuite);
  if (first !== undefined) lines.push(`they answered NO_PROPOSAL_CHOSEN to ${first}`);
  lines.push(...more.map((suite) => `and to ${suite}`));
  const key =
    notice.connection === undefined
      ? "the proposals"
      : proposalsKey(notice.protocol, notice.connection, notice.child);
  lines.push(
    `write into ${key}${atPlace(notice.place)} what is configured there; their log says what they allow`,
  );
  if (notice.protocol !== "ike")
    lines.push(
      "some peers answer so when the networks differ, or when only one side wants a key exchange for the child (PFS)",
    );
  return lines;
}

function identityMismatch(notice: Notice<"identityMismatch">): string[] {
  const received = identityText(notice.received);
  const expected = notice.expected.map(identityText);
  if (notice.others !== undefined) expected.push(`one of ${notice.others} others`);
  const where = notice.areIds === true ? keyOf(notice, "remote.ids") : keyOf(notice, "remote");
  const entry = notice.areIds === true ? "an entry" : "id:";
  const lines = [
    `${peerText(notice.remote)} calls itself ${received}, and ${
      expected.length === 0 ? "no connection expects that" : `we expect ${expected.join(" or ")}`
    }`,
  ];
  const isAddress =
    notice.received.idType === IdType.IPV4_ADDR || notice.received.idType === IdType.IPV6_ADDR;
  if (isAddress && expected.length > 0)
    lines.push("a peer that has no identity configured calls itself by its own address, also behind a NAT");
  lines.push(
    isConfigurable(notice.received)
      ? `if it is the right peer, write ${entry} ${quoted(received)} into ${where}${atPlace(notice.place)}, or give it the expected identity`
      : `an identity of this type cannot be configured here; give the peer the expected one`,
  );
  return lines;
}

/** YAML would not read these characters as plain text. */
function quoted(text: string): string {
  return /^[A-Za-z_][\w.@:-]*$/.test(text) && !text.endsWith(":") ? text : JSON.stringify(text);
}

function localIdentityMismatch(notice: Notice<"localIdentityMismatch">): string[] {
  const asked = identityText(notice.asked);
  return [
    `${peerText(notice.remote)} wants to talk to ${asked}, and we are ${identityText(notice.ours)}`,
    `write id: ${quoted(asked)} into ${keyOf(notice, "local")}${atPlace(notice.place)}, or have the peer expect ${identityText(notice.ours)}`,
  ];
}

function noAnswer(notice: Notice<"noAnswer">): string[] {
  return [...silenceLines(notice), ...unreachableLines(notice.unreachable)];
}

function silenceLines({ exchange, tries, remote, size, connection }: Notice<"noAnswer">): string[] {
  const peer = peerText(remote);
  const count = `${tries} ${tries === 1 ? "try" : "tries"}`;
  switch (exchange) {
    case "IKE_SA_INIT":
      return [
        `${peer} does not answer (${count})`,
        "usually the address is wrong, a firewall on the way drops UDP port 500, or no IPsec gateway runs there",
      ];
    case "IKE_INTERMEDIATE":
    case "IKE_AUTH":
      return [
        `${peer} answered the first message and is silent since (${count})`,
        ...sizeLines(size, connection),
        "usually a firewall or NAT on the way drops UDP port 4500 or large datagrams, or the peer has no connection for us and does not say so",
      ];
    case "CREATE_CHILD_SA":
    case "IKE_FOLLOWUP_KE":
    case "INFORMATIONAL":
      return [
        `${peer} no longer answers (${count}); it or the way to it is down`,
        ...sizeLines(size, connection),
      ];
    default:
      return exchange satisfies never;
  }
}

/** What an error notify usually means for an operator. */
const MEANINGS: ReadonlyMap<number, string> = new Map([
  [
    NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD,
    "it does not know a part of the message that must not be skipped",
  ],
  [NotifyType.INVALID_MAJOR_VERSION, "it speaks another version of IKE; have IKEv2 switched on there"],
  [NotifyType.INVALID_SYNTAX, "it could not read our message; its log may say where it stopped"],
  [NotifyType.INVALID_KE_PAYLOAD, "it wants another key exchange than those we offer"],
  [
    NotifyType.NO_ADDITIONAL_SAS,
    "it takes no further child SA; put the networks into one child, or ask for its limit",
  ],
  [
    NotifyType.INTERNAL_ADDRESS_FAILURE,
    "it could not assign an address; it is set up for remote access, not for a gateway",
  ],
  [
    NotifyType.FAILED_CP_REQUIRED,
    "it wants to assign an address; it is set up for remote access, not for a gateway",
  ],
  [
    NotifyType.SINGLE_PAIR_REQUIRED,
    "it takes one pair of networks per child SA; make one child for each pair",
  ],
  [NotifyType.TEMPORARY_FAILURE, "it is busy with another exchange; this is tried again"],
  [NotifyType.CHILD_SA_NOT_FOUND, "it no longer has this child SA; a new one is made"],
  [
    NotifyType.INVALID_SELECTORS,
    "a packet lay outside what it allows in this SA; compare the networks of both sides",
  ],
]);

function errorFromPeer({ exchange, notifyType, remote }: Notice<"errorFromPeer">): string[] {
  const summary = `${peerText(remote)} answered ${nameOf(NotifyType, notifyType)} to ${exchange}`;
  const meaning = MEANINGS.get(notifyType);
  return meaning === undefined ? [summary] : [summary, meaning];
}

function encapsulationImpossible(notice: Notice<"encapsulationImpossible">): string[] {
  const key = keyOf(notice, "encapsulation");
  const peer = peerText(notice.remote);
  if (notice.wanted === "udp")
    return [
      `${peer} has no NAT traversal, which UDP encapsulation needs`,
      `set ${key}${atPlace(notice.place)} to auto`,
    ];
  const where = notice.nat.weAreBehind
    ? notice.nat.peerIsBehind
      ? "both of us are"
      : "we are"
    : `${peer} is`;
  if (notice.protocol === "ah")
    return [
      `${where} behind a NAT, which changes the addresses that AH protects`,
      `use esp in place of ah in ${keyOf(notice, "children")}${atPlace(notice.place)} and over there; a peer that forces UDP encapsulation looks like this too`,
    ];
  return [
    `${where} behind a NAT, which lets no raw ESP through`,
    `set ${key}${atPlace(notice.place)} to auto; a peer that forces UDP encapsulation looks like this too`,
  ];
}

function transportRefused({ reason, role, remote, place, ...whom }: Notice<"transportRefused">): string[] {
  const peer = peerText(remote);
  const name = configuredName(whom.connection ?? "");
  const key = `connections.${name}.children.${whom.child ?? ""}`;
  switch (reason) {
    case "notConfirmed":
      return [
        `${peer} did not agree to transport mode: it answered without USE_TRANSPORT_MODE`,
        `have transport mode switched on there, or set ${key}.mode${atPlace(place)} to tunnel`,
      ];
    case "tunnelAsked":
      return [
        `${peer} asked for tunnel mode where we have transport mode`,
        `have transport mode switched on there, or set ${key}.mode${atPlace(place)} to tunnel`,
      ];
    case "otherHosts":
      return [
        `transport mode with ${peer} is for the two outer addresses alone, and ${role === "initiator" ? "what was agreed" : "the child"} names others`,
        `set ${key}.local and ${key}.remote${atPlace(place)} to the outer addresses, or mode to tunnel`,
      ];
    default:
      return reason satisfies never;
  }
}
