/** Counted drops in words, for status: the reasons of the data plane, and those that are no loss at all. */
import type { DropReason as LaneDropReason } from "../dataplane/drop-reason.ts";
import type { ReportOutcome } from "../gateway/path-mtus.ts";
import type { DropReason } from "../ike/notice.ts";

/** What the addon drops before a lane sees it. */
type AddonDrop = "oversized" | "badDatagrams" | "badVnetHeader";

/** For either direction where the reason can be met in both. */
export const LANE_DROPS: Readonly<Record<LaneDropReason | AddonDrop, string>> = {
  malformedPacket: "no whole IP packet came from the host",
  noPolicy: "no policy for it",
  policyDiscard: "discarded by policy",
  policyBypass: "to be bypassed, but routed into the tunnel device",
  loop: "an outer packet of our own came back",
  heldTooMany: "too many waited for the SA",
  heldTooOld: "waited too long for the SA",
  acquireFailed: "no SA could be made",
  tooBig: "too big for the path",
  saExpired: "the SA has reached its limit",
  sequenceExhausted: "the SA is out of sequence numbers",
  sealFailed: "the SA has no key any more",
  noSocket: "no socket for its outer protocol",
  sendTooBig: "the system found it too big",
  sendFailed: "the system refused to send it",
  keepalive: "NAT keepalives",
  shortDatagram: "too short",
  ikeRateLimited: "IKE messages beyond the rate limit",
  ikeQueueFull: "IKE messages while the queue was full",
  reservedSpi: "a reserved SPI",
  unknownSpi: "no SA has its SPI",
  otherLane: "handed from lane to lane too often",
  handOverFull: "too many for the lane of its SA",
  replayed: "seen before (replayed)",
  leftOfWindow: "outside of the replay window",
  notAuthentic: "not authentic",
  badEspLength: "an impossible ESP length",
  openFailed: "the SA has no key any more, inbound",
  inboundExpired: "the SA has reached its limit, inbound",
  badPadding: "wrong padding",
  dummy: "dummy packets",
  badNextHeader: "a next header that is no IP",
  malformedInner: "no whole IP packet inside",
  selectorMismatch: "outside the selectors of its SA",
  ecnUnmarkable: "congestion that the packet cannot tell",
  noInterface: "its policy has no device",
  tunRefused: "the host did not take it",
  icmpRateLimited: "ICMP errors beyond the rate limit",
  badFragment: "fragments of impossible length",
  tinyFragment: "fragments too small to show their ports",
  overlappingFragment: "fragments of what has passed before",
  fragmentBeforeFirst: "fragments whose first was not seen",
  fragmentHeld: "fragments that waited for their first",
  badAhLength: "an impossible AH",
  reassemblyTimedOut: "fragments whose datagram never became whole",
  reassemblyFull: "fragments, too many datagrams at a time",
  notOurHosts: "in transport mode, but not between the outer addresses",
  resynchronised: "sequence numbers found again after a long gap",
  reportRateLimited: "ICMP about our packets, beyond the rate limit",
  aggfragMalformed: "AGGFRAG payloads that follow no format",
  aggfragIncomplete: "packets of which a piece was lost",
  aggfragTooLong: "packets in pieces that are too long",
  aggfragLate: "AGGFRAG payloads that came too late",
  aggfragQueueFull: "more than the constant rate carries",
  saAwaited: "came before their SA was ready, and waited for it",
  oversized: "longer than any that is expected",
  badDatagrams: "cut off, or without a usable source",
  badVnetHeader: "an impossible offload header",
};

/** What `status` puts before the reasons of the IKE side. */
const IKE = "ike:";

/** Why an IKE message was dropped. */
export const IKE_DROPS: Readonly<Record<DropReason, string>> = {
  malformed: "it does not follow the format",
  wrongMajorVersion: "it has another major version",
  ikeVersion1: "it is IKEv1",
  unknownSpi: "no IKE SA has its SPIs",
  zeroInitiatorSpi: "its initiator SPI is zero",
  unexpectedExchange: "this exchange cannot happen now",
  notAuthentic: "it is not authentic: damaged on the way, or forged",
  notEncrypted: "it is not encrypted where it has to be",
  outsideWindow: "its message ID lies outside the window",
  noOutstandingRequest: "it answers nothing that was asked",
  tooManyHalfOpen: "too many negotiations are half open",
  tooManyFromPrefix: "its network has too many negotiations half open",
  replyRateExceeded: "its sender asked too often",
  inboxFull: "too many messages wait for the same IKE SA",
  wrongCookie: "its cookie is wrong or too old",
  badNonce: "its nonce is too short or too long",
  badKeyExchange: "its public value is not acceptable",
  unknownConnection: "no connection has its address",
  fragmentNotAgreed: "it is a fragment, and fragments were not agreed on",
  fragmentMismatch: "its fragment does not fit those before",
  repeatedFragment: "its fragment is here already",
  tooManyFragments: "it has too many fragments",
  messageTooLong: "its fragments make too long a message",
};

/** What `status` puts before the reasons for which ICMP about our packets was not believed. */
const PATH = "path:";

export const PATH_REPORTS: Readonly<Record<ReportOutcome, string>> = {
  unknownPath: "no peer has its address",
  unknownSpi: "no SA of ours has the SPI that it quotes",
  badSequence: "it quotes a packet that was never sent, or long ago",
  absurdMtu: "its size is less than every path carries",
  notSmaller: "its size is no news",
  tooOften: "the path changed a moment ago",
  hint: "it does not show the SPI; probes look whether it is true",
};

/** Ends that are meant to be. */
const HARMLESS: ReadonlySet<string> = new Set([
  "keepalive",
  "dummy",
  "icmpRateLimited",
  "reportRateLimited",
  "resynchronised",
  `${IKE}repeatedFragment`,
  "fragmentHeld",
  "saAwaited",
  `${PATH}notSmaller`,
  `${PATH}tooOften`,
  `${PATH}hint`,
]);

/** The reason in words; the reason itself where nobody knows it. */
export function dropWords(reason: string): string {
  if (reason.startsWith(IKE)) {
    const short = reason.slice(IKE.length);
    return `IKE: ${Object.hasOwn(IKE_DROPS, short) ? IKE_DROPS[short as DropReason] : short}`;
  }
  if (reason.startsWith(PATH)) {
    const short = reason.slice(PATH.length);
    return `ICMP: ${Object.hasOwn(PATH_REPORTS, short) ? PATH_REPORTS[short as ReportOutcome] : short}`;
  }
  return Object.hasOwn(LANE_DROPS, reason) ? LANE_DROPS[reason as keyof typeof LANE_DROPS] : reason;
}

/** Whether a count of it is worth an operator's look. */
export function isWorthALook(reason: string): boolean {
  return !HARMLESS.has(reason);
}
