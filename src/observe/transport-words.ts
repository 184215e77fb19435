/** How messages travel, in words: NAT, moved peers, fragments, cookies. */
import { formatEndpoint } from "../base/udp-endpoint.ts";
import type { NatSituation } from "../ike/connection-state.ts";
import type { IkeNotice } from "../ike/notice.ts";
import { answerNotHeard, fragmentsShrunk } from "./message-size-words.ts";
import { peerText } from "./place-words.ts";

type TransportNotice = IkeNotice & {
  readonly code:
    | "natDetected"
    | "peerMoved"
    | "fragmentsShrunk"
    | "answerNotHeard"
    | "cookieRequired"
    | "cookiesOn"
    | "cookiesOff";
};

/** The sentence first, then lines that explain it. */
export function transportWords(notice: TransportNotice): readonly string[] {
  const peer = peerText(notice.remote);
  switch (notice.code) {
    case "natDetected":
      return [`${peer}: ${natText(notice.nat)}`];
    case "peerMoved":
      return [
        `the way to the peer changed from ${formatEndpoint(notice.from)} to ${formatEndpoint(notice.to)}; the SAs follow`,
      ];
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
