/** What a probe may cost the peer that it asks, and us. */
import { DurationMs, seconds } from "../../base/instant.ts";
import type { RetransmissionPlan } from "../sa/retransmission.ts";

/** Questions of one probe. A peer that takes half of all there is answers about forty. */
export const QUESTIONS_MAX = 64;
/** Between an answer and the next question: at most ten questions in a second. */
export const QUESTION_PAUSE = DurationMs(100);
/** When a question that got no answer is repeated, and given up. */
export const QUESTION_PLAN: RetransmissionPlan = {
  first: seconds(1),
  growth: 1.3,
  longest: seconds(2),
  tries: 3,
};
/** Questions in a row without an answer, after which a peer that had answered is left alone. */
export const SILENCES_MAX = 2;
/**
 * Full answers of one probe: each leaves a half-open IKE SA behind, and peers allow an address few of them at a time (strongSwan
 * five, for half a minute), which the gateway on this host may need itself.
 */
export const FULL_ANSWERS_MAX = 3;
/** Cookies that one question follows (RFC 7296 section 2.6), and methods that the first one does. */
export const COOKIES_MAX = 2;
export const METHODS_MAX = 2;
/** Datagrams that are looked at per question; a peer sends one or two. */
export const DATAGRAMS_MAX = 16;
/** Octets of a datagram that are looked at. */
export const DATAGRAM_OCTETS_MAX = 16_384;
/** Vendor IDs that are kept of an answer, and octets of each. */
export const VENDOR_IDS_MAX = 16;
export const VENDOR_ID_OCTETS_MAX = 128;
