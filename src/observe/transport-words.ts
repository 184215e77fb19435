/** How messages travel, in words: NAT, moved peers, fragments, cookies. */
import { formatEndpoint } from "../base/udp-endpoint.ts";
import type { NatSituation } from "../ike/connection-state.ts";
import type { IkeNotice } from "../ike/notice.ts";
import { answerNotHeard, fragmentsShrunk } from "./message-size-words.ts";
import { type MoveNotice, moveWords } from "./move-words.ts";
import { peerText } from "./place-words.ts";

type TransportNotice =
  | MoveNotice
  | (IkeNotice & {
      readonly code:
        | "natDetected"
        | "peerMoved"
        | "fragmentsShrunk"
        | "answerNotHeard"
        | "cookieRequired"
        | "cookiesOn"
        | "cookiesOff";
    });

const CODES: ReadonlySet<IkeNotice["code"]> = new Set<TransportNotice["code"]>([
  "natDetected",
  "peerMoved",
  "fragmentsShrunk",
  "answerNotHeard",
  "cookieRequired",
  "cookiesOn",
  "cookiesOff",
  "ownAddressChanged",
  "addressesUpdated",
  "peerAddresses",
  "moveRefused",
  "moveNotAllowed",
  "unexpectedNat",
  "routabilityFailed",
]);

export function isTransportNotice(notice: IkeNotice): notice is TransportNotice {
  return CODES.has(notice.code);
}

/** The sentence first, then lines that explain it. */
export function transportWords(notice: TransportNotice): readonly string[] {
  const peer = peerText(notice.remote);
  switch (notice.code) {
    case "natDetected":
      return [`${peer}: ${natText(notice.nat)}`];
    case "peerMoved":
      return [
        `their address or NAT mapping changed from ${formatEndpoint(notice.from)} to ${formatEndpoint(notice.to)}; the SAs follow`,
      ];
    case "ownAddressChanged":
    case "addressesUpdated":
    case "peerAddresses":
    case "moveRefused":
    case "moveNotAllowed":
    case "unexpectedNat":
    case "routabilityFailed":
      return moveWords(notice);
    case "fragmentsShrunk":
      return fragmentsShrunk(notice);
    case "answerNotHeard":
      return answerNotHeard(notice);
    case "cookieRequired":
      return [`${peer} wants its cookie back first: it has many negotiations at once; sent again`];
    case "cookiesOn":
      return [
        `${notice.halfOpen} negotiations are half open; strangers have to prove their address from here on (cookies)`,
      ];
    case "cookiesOff":
      return ["fewer negotiations are half open; cookies are off again"];
    default:
      return notice satisfies never;
  }
}

/** `we are behind NAT`; NAT traversal or its absence where there is none. */
export function natText({ isSupported, weAreBehind, peerIsBehind }: NatSituation): string {
  if (!isSupported) return "the peer has no NAT traversal";
  if (weAreBehind && peerIsBehind) return "NAT on both sides";
  if (weAreBehind) return "we are behind NAT";
  return peerIsBehind ? "the peer is behind NAT or forces UDP" : "no NAT";
}
