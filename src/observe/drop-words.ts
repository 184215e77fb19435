/** Counted drops in words, for status: the reasons of the data plane, and those that are no loss at all. */
const WORDS: Readonly<Record<string, string>> = {
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
  otherLane: "came in on another lane than its SA's",
  replayed: "seen before (replayed)",
  leftOfWindow: "too old for the replay window",
  sequenceTooHigh: "an impossible sequence number",
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
};

/** Ends that are meant to be. */
const HARMLESS: ReadonlySet<string> = new Set(["keepalive", "dummy", "icmpRateLimited"]);

/** The reason in words; the reason itself where it is none of the data plane's. */
export function dropWords(reason: string): string {
  return Object.hasOwn(WORDS, reason) ? WORDS[reason]! : reason;
}

/** Whether a count of it is worth an operator's look. */
export function isWorthALook(reason: string): boolean {
  return !HARMLESS.has(reason);
}
