/** Why a packet was not passed on: a closed list, counted per lane (RFC 4301 section 4.4.2.1, RFC 4303 section 3.4). */

/**
 * In the order of the counters. `keepalive` and `dummy` are ends that are meant to be, `resynchronised` packets went on,
 * and `fragmentHeld` and `saAwaited` ones may; counted here too.
 */
export const DROP_REASONS = [
  /** TUN: no IP packet, or one whose lengths contradict each other. */
  "malformedPacket",
  /** No entry of the SPD matches [SPD-01]. */
  "noPolicy",
  /** The first match in the SPD says DISCARD. */
  "policyDiscard",
  /** TUN: the first match says BYPASS; routes carry that out, so it must not arrive here. */
  "policyBypass",
  /** TUN: an outer packet of our own came back. */
  "loop",
  /** TUN: too many packets or octets wait for the SA. */
  "heldTooMany",
  /** TUN: the SA came too late. */
  "heldTooOld",
  /** TUN: the negotiation failed. */
  "acquireFailed",
  /** TUN: does not fit the path [SPD-10]. */
  "tooBig",
  /** Outbound SA at its hard limit [CHILD-24]. */
  "saExpired",
  /** Outbound SA out of sequence numbers [ESP-03]. */
  "sequenceExhausted",
  /** The engine refused to seal: the key is gone. */
  "sealFailed",
  /** No socket for the SA's encapsulation and address family. */
  "noSocket",
  /** The system said that it is too big for the path. */
  "sendTooBig",
  /** The system refused to send it. */
  "sendFailed",
  /** One octet 0xFF [NAT-06]. */
  "keepalive",
  /** Shorter than the header it must have [NAT-11]. */
  "shortDatagram",
  /** IKE beyond the rate that the main thread is asked to handle. */
  "ikeRateLimited",
  /** IKE while the main thread's queue is full. */
  "ikeQueueFull",
  /** SPI 0 to 255 [ESP-01] [NAT-11]. */
  "reservedSpi",
  /** No inbound SA has this SPI [ESP-15]. */
  "unknownSpi",
  /** The SA belongs to another lane, and the packet was handed over too often to be handed over again. */
  "otherLane",
  /** The SA belongs to another lane, whose queue is full. */
  "handOverFull",
  /** A sequence number seen before [ESP-04]. */
  "replayed",
  /** A sequence number left of the window, zero, or past what can be counted [ESP-04]. */
  "leftOfWindow",
  /** The integrity check failed [ESP-12] [ESP-13]. */
  "notAuthentic",
  /** Not a whole number of cipher blocks, or too short for its transforms. */
  "badEspLength",
  /** The engine refused to open: the key is gone. */
  "openFailed",
  /** Inbound SA at its hard limit [CHILD-24]. */
  "inboundExpired",
  /** Padding that is not 1, 2, 3 and so on, or longer than the payload [ESP-08]. */
  "badPadding",
  /** Next header 59 [ESP-10]. */
  "dummy",
  /** A next header that tunnel mode does not carry. */
  "badNextHeader",
  /** No IP packet inside, or longer than what came. */
  "malformedInner",
  /** The inner packet lies outside the selectors of the SA that carried it [SPD-04] [CHILD-07]. */
  "selectorMismatch",
  /** Congestion experienced on the way, and the inner packet cannot say so [ECN-02]. */
  "ecnUnmarkable",
  /** The SA's policy belongs to no TUN device. */
  "noInterface",
  /** The host did not take it from the TUN device. */
  "tunRefused",
  /** An ICMP error was due but its rate limit was reached; the packet itself is counted elsewhere. */
  "icmpRateLimited",
  /** A fragment that says more than 65,535 octets, none, or no multiple of 8 before the last, where that matters. */
  "badFragment",
  /** A fragment that leaves the ports, or TCP's flags, to another one, where ports matter (RFC 1858, RFC 3128). */
  "tinyFragment",
  /** A fragment of octets that have passed before, where ports matter, or a datagram of such; doubled, or an attack. */
  "overlappingFragment",
  /** A later fragment whose first was not seen, in time, where ports matter [SPD-13]. */
  "fragmentBeforeFirst",
  /** No drop: a later fragment came before its first, and waits for it. */
  "fragmentHeld",
  /** AH of a length that its SA does not have, or behind headers that cannot be read. */
  "badAhLength",
  /** TUN: fragments for a transport mode SA whose datagram did not become whole in time. */
  "reassemblyTimedOut",
  /** TUN: fragments for a transport mode SA that gave way to those of other datagrams. */
  "reassemblyFull",
  /** TUN: transport mode is between the two outer addresses, and this packet has others. */
  "notOurHosts",
  /** No drop: the upper half of its number was found anew after a gap of 2^32 packets or more [ESP-06]. */
  "resynchronised",
  /** ICMP about outer packets of ours beyond the rate at which it is looked at; no packet of anybody's is lost. */
  "reportRateLimited",
  /** An AGGFRAG payload or data block that follows no format [TFS-01]. */
  "aggfragMalformed",
  /** A packet of which not all pieces came [TFS-06]. */
  "aggfragIncomplete",
  /** A packet in pieces that is longer than any that is expected, or a payload too long to wait for an earlier one. */
  "aggfragTooLong",
  /** A payload that came behind the reorder window. */
  "aggfragLate",
  /** TUN: more waits for the rate of its SA than it can carry in good time, or its SA went without a successor. */
  "aggfragQueueFull",
  /** No drop: its SA is being negotiated, and it waits for that [CHILD-30]. */
  "saAwaited",
] as const;

export type DropReason = (typeof DROP_REASONS)[number];

/** Counter index of each reason. */
export const Drop: { readonly [reason in DropReason]: number } = Object.fromEntries(
  DROP_REASONS.map((reason, index) => [reason, index]),
) as { readonly [reason in DropReason]: number };

/** Octets of memory for the counters, for a lane in another thread: a `Float64Array` of one number per reason. */
export const DROP_COUNTERS_LENGTH = DROP_REASONS.length * 8;
