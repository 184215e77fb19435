/** Message IDs, the request in flight and the response kept for repetition (RFC 7296 sections 2.1 to 2.3). */
import type { Instant } from "../../base/instant.ts";
import type { UdpEndpoint } from "../../base/udp-endpoint.ts";
import { type Allowance, takeAllowance } from "../allowance.ts";
import type { Unreachable } from "../connection-state.ts";
import { ANSWER_REPEATS_BURST, ANSWER_REPEATS_PER_SECOND } from "../limits.ts";
import type { FollowUpExchange, OwnExchange } from "./own-exchange.ts";
import type { Reassembly } from "./reassembly.ts";
import type { Protection } from "./sk-payload.ts";

/** A request of ours that waits for its response. */
export interface Outstanding {
  readonly messageId: number;
  readonly exchangeType: number;
  /**
   * The message as sent, or its fragments; repeated octet for octet [MID-05] [ENC-05]. Only a path probe that got lost whole is
   * replaced, and fragments that seem too large are cut anew.
   */
  messages: readonly Uint8Array[];
  readonly sentAt: Instant;
  tries: number;
  /** When to repeat it, or to give up after the last try. */
  nextAt: Instant;
  exchange: OwnExchange;
  /** What is said of it, by whoever. */
  unreachable?: Unreachable;
}

interface LastResponse {
  readonly messageId: number;
  readonly exchangeType: number;
  messages: readonly Uint8Array[];
  /** How often the peer has repeated its request. */
  repeats: number;
  readonly repeatable: Allowance;
  /** The keys of request and response, where the IKE SA has others by now (RFC 9370 section 2.2.2). */
  sealedBy?: Protection;
}

/** Both directions count on their own [MID-02]. */
export interface MessageWindow {
  /** ID of our next request. */
  nextRequestId: number;
  /** ID of the peer's next request. */
  expectedRequestId: number;
  /** The response to the peer's last request, for its retransmissions [MID-06]. */
  lastResponse: LastResponse | undefined;
  /** Never more than one: our window is 1 whatever the peer allows [MID-08]. */
  outstanding: Outstanding | undefined;
  /** Where the peer's last request came from, and so where its answer goes (RFC 7296 section 2.11). */
  askedFrom: { readonly local: UdpEndpoint; readonly remote: UdpEndpoint } | undefined;
  /** Fragments of the peer's next request, and of its response to ours (RFC 7383). */
  partialRequest: Reassembly | undefined;
  partialResponse: Reassembly | undefined;
  /** What the peer announced by SET_WINDOW_SIZE; never reduced [MID-10]. */
  peerWindowSize: number;
}

/** @param firstId - 0 for a rekeyed IKE SA [MID-03]; 1 for our requests after our own IKE_SA_INIT [MID-01] */
export function newMessageWindow(firstId: { own: number; peer: number }): MessageWindow {
  return {
    nextRequestId: firstId.own,
    expectedRequestId: firstId.peer,
    lastResponse: undefined,
    outstanding: undefined,
    askedFrom: undefined,
    partialRequest: undefined,
    partialResponse: undefined,
    peerWindowSize: 1,
  };
}

/** How often an answer that leaves now may leave again. */
export function newRepeatable(now: Instant): Allowance {
  return { allowance: ANSWER_REPEATS_BURST, since: now };
}

export function mayRepeat(repeatable: Allowance, now: Instant): boolean {
  return takeAllowance(repeatable, ANSWER_REPEATS_BURST, ANSWER_REPEATS_PER_SECOND, now);
}

/** What we have under way; key exchanges that follow CREATE_CHILD_SA are still that exchange. */
export function ownExchange({
  outstanding,
}: MessageWindow): Exclude<OwnExchange, FollowUpExchange> | undefined {
  const exchange = outstanding?.exchange;
  return exchange?.kind === "followUp" ? exchange.parent : exchange;
}

/** What a request with this ID is: the next one, the last one again, or nothing we look at [MID-06] [MID-09]. */
export function classifyRequest(window: MessageWindow, messageId: number): "next" | "repeated" | "outside" {
  if (messageId === window.expectedRequestId) return "next";
  return window.lastResponse?.messageId === messageId ? "repeated" : "outside";
}
