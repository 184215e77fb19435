/** Every notice of the IKE side in words: the sentence first, then lines that explain it; all safe to print. */
import type { Instant } from "../base/instant.ts";
import { formatSpi } from "../base/spi.ts";
import { formatEndpoint } from "../base/udp-endpoint.ts";
import type { ChildDownReason, IkeNotice } from "../ike/notice.ts";
import type { SaLimit } from "../policy/data-plane.ts";
import { transformKeyword } from "../policy/proposal-keyword.ts";
import { NotifyType, nameOf, TransformType } from "../wire/ike/registries.ts";
import { aggfragOff } from "./aggfrag-words.ts";
import { proofText } from "./authentication-words.ts";
import { askingInParts, childSaRekeyed, childSaUp, networksShared } from "./child-words.ts";
import { IKE_DROPS } from "./drop-words.ts";
import { failureWords } from "./failure-words.ts";
import { identityText } from "./identity-text.ts";
import { peerText } from "./place-words.ts";
import { inText } from "./span-text.ts";
import { ikeSuiteText } from "./suite-words.ts";
import { isTransportNotice, natText, transportWords } from "./transport-words.ts";

/** @param now - for times that lie ahead */
export function noticeWords(notice: IkeNotice, now: Instant): readonly string[] {
  if (isTransportNotice(notice)) return transportWords(notice);
  const peer = peerText(notice.remote);
  switch (notice.code) {
    case "ikeSaUp":
      return ikeSaUp(notice, now);
    case "ikeSaDown":
      return [`IKE SA with ${peer} is down: ${DOWN_REASONS[notice.reason]}`];
    case "ikeSaRekeyed":
      return [
        `IKE SA with ${peer} rekeyed by ${byWhom(notice.role)}: ${ikeSuiteText(notice.suite)}, next rekey ${inText(notice.rekeyAt, now)}`,
      ];
    case "childSaUp":
      return childSaUp(notice, now);
    case "networksShared":
      return networksShared(notice);
    case "childSaDown":
      return [`child SA ${formatSpi(notice.spis.inboundSpi)} is down: ${DOWN_REASONS[notice.reason]}`];
    case "childSaRekeyed":
      return childSaRekeyed(notice, now);
    case "askingInParts":
      return askingInParts(notice);
    case "rekeyPostponed":
    case "reauthPostponed":
      return postponed(notice, now);
    case "aggfragOff":
      return aggfragOff(notice);
    case "keyExchangesUnfinished":
      return [
        `${peer} began a rekey or a new child and never came to its last key exchange; what was kept for it is forgotten`,
      ];
    case "softLimit":
      return [
        `child SA ${formatSpi(notice.spis.inboundSpi)} has reached its limit of ${LIMITS[notice.limit]}; it is rekeyed`,
      ];
    case "invalidKeRetry":
      return [
        `${peer} wants ${transformKeyword(TransformType.KE, notice.wanted)} in place of ${transformKeyword(TransformType.KE, notice.sent)}; sent again`,
        "to save this round trip, write the wanted one first in the proposal",
      ];
    case "unauthenticatedNotify":
      return [`${peer} sent ${nameOf(NotifyType, notice.notifyType)} that nobody vouches for; it is ignored`];
    case "droppedMessage":
      return [
        `dropped an IKE message of ${peer}: ${IKE_DROPS[notice.reason]} (${notice.total} since the start)`,
      ];
    case "retrying":
      return [`next try with ${peer} ${inText(notice.at, now)} (${notice.attempt} so far)`];
    case "connecting":
      return [`calling ${peer} from ${formatEndpoint(notice.local)}`];
    case "noConnectionFor":
      return [
        `${peer} called, and no connection has this remote address`,
        "if it is a peer of yours, add its address to remote.address of its connection",
      ];
    default:
      return failureWords(notice);
  }
}

function postponed(
  notice: IkeNotice & { readonly code: "rekeyPostponed" | "reauthPostponed" },
  now: Instant,
): string[] {
  const peer = peerText(notice.remote);
  const next = `next try ${inText(notice.at, now)}, traffic goes on meanwhile`;
  if (notice.code === "reauthPostponed")
    return [
      `the authentication with ${peer} could not be repeated; ${next}`,
      ...failureWords(notice.failure).slice(0, 1),
    ];
  const why =
    notice.notifyType === undefined
      ? "the peer is busy"
      : `the peer answered ${nameOf(NotifyType, notice.notifyType)}`;
  return [`rekey with ${peer} did not succeed (${why}); ${next}`];
}

function ikeSaUp(notice: IkeNotice & { readonly code: "ikeSaUp" }, now: Instant): string[] {
  const peer = peerText(notice.remote);
  return [
    `IKE SA with ${peer} (${identityText(notice.peerIdentity)}) is up, ${natText(notice.nat)}: ${ikeSuiteText(notice.suite)}, rekey ${inText(notice.rekeyAt, now)}`,
    `we: ${proofText(notice.proofs.ours)}; they: ${proofText(notice.proofs.theirs)}`,
  ];
}

const byWhom = (role: "initiator" | "responder") => (role === "initiator" ? "us" : "the peer");

const LIMITS: Readonly<Record<SaLimit, string>> = {
  octets: "data",
  packets: "packets",
  sequenceNumbers: "sequence numbers",
};

const DOWN_REASONS: Readonly<Record<ChildDownReason, string>> = {
  command: "as commanded",
  configurationChanged: "the configuration has it no longer",
  shutdown: "the gateway stops",
  deletedByPeer: "the peer deleted it",
  noAnswer: "the peer no longer answers",
  replaced: "a newer one with the same peer took its place",
  rekeyed: "its successor has taken over",
  expired: "its lifetime ended before a rekey succeeded",
  authenticationFailed: "authentication failed",
  reauthenticated: "both sides have authenticated anew, and another one has taken over",
  authenticationExpired: "nobody repeated the authentication in time (ike.reauth)",
  protocolError: "the peer sent something that cannot be understood",
  notComputed: "this gateway could not compute a key exchange",
  hardLimit: "it has reached its limit of data, packets or sequence numbers",
  inactive: "nothing passed through it for as long as inactivity says",
  moveRefused: "the peer does not follow us to another address",
  redundant: "both sides had rekeyed at once, and this one is not needed",
};
