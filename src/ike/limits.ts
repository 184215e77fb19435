/** Every bound of the IKE side: what a stranger or a peer may make us store, send or compute, and for how long. */
import { DurationMs, minutes, seconds } from "../base/instant.ts";

// --- specification constants ---

/** Octets of a nonce (RFC 7296 section 3.9) [INIT-09]. */
export const NONCE_LENGTH_MIN = 16;
export const NONCE_LENGTH_MAX = 256;
/** Octets of a cookie (RFC 7296 section 2.6) [INIT-07]. */
export const COOKIE_LENGTH_MIN = 1;
export const COOKIE_LENGTH_MAX = 64;
/** Seconds of silence before a NAT-keepalive (RFC 3948 section 4) [NAT-06]. */
export const NAT_KEEPALIVE_INTERVAL = seconds(20);
/** Past this an IKE SA is rekeyed, long before a message ID could wrap [MID-11]. */
export const MESSAGE_ID_REKEY = 0x40000000;
/** Past this no request leaves any more; the IKE SA is closed instead [MID-11]. */
export const MESSAGE_ID_CLOSE = 0x7fffffff;
/** Counter IVs used or skipped before a rekey; numbers count exactly up to 2^53 [ENC-10]. */
export const IV_REKEY = 2 ** 48;
/** Counter IVs skipped when a stored IKE SA is taken up again, so that none is used twice [ENC-10]. */
export const IV_SKIP_ON_RESUME = 2 ** 33;
/** Past this nothing is sealed any more: the IKE SA ends [ENC-10]. */
export const IV_CLOSE = 2 ** 52;

// --- our choices ---

/** Key hashes of CAs that are sent in, or read from, certificate requests. */
export const AUTHORITIES_MAX = 64;

/** Octets of our nonces: as long as the longest PRF key needs by half, and more than 128 bits. */
export const NONCE_LENGTH = 32;
/** Octets of a datagram that are looked at; longer ones are malformed. RFC 7296 section 2 asks for 3000 [HDR-15]. */
export const MESSAGE_LENGTH_MAX = 16_384;
/** Half-open IKE SAs of addresses that no connection names singly [ERR-06]. */
export const HALF_OPEN_STRANGERS_MAX = 256;
/** Strangers' half-open IKE SAs from which on a cookie is asked for [INIT-06]. */
export const COOKIE_THRESHOLD = 16;
/** Half-open IKE SAs of one IPv4 /24 or IPv6 /64 among strangers, and of one IPv6 /48 [ERR-06]. */
export const HALF_OPEN_PER_PREFIX_MAX = 8;
export const HALF_OPEN_PER_SITE_MAX = 32;
/** Half-open IKE SAs kept free for each connection that names an address singly, at that address [ERR-06]. */
export const HALF_OPEN_RESERVED_PER_ADDRESS = 4;
/** Half-open IKE SAs per connection of a configured address from which on it is asked for a cookie too [INIT-06]. */
export const COOKIE_THRESHOLD_PER_ADDRESS = 2;
/** Connections with one address, many peers behind a NAT for instance, that each give it more places. */
export const CONNECTIONS_COUNTED_PER_ADDRESS_MAX = 64;
/** A peer that got our IKE_SA_INIT response has this long for a valid IKE_AUTH request. */
export const HALF_OPEN_LIFETIME = seconds(30);
/** IKE_AUTH candidates kept while the shared secret is computed: whole ones, and octets of fragments. */
export const HALF_OPEN_INBOX_MAX = 4;
export const HALF_OPEN_INBOX_FRAGMENTS_OCTETS_MAX = 32_768;
/** Octets of the IP packets that a long message is cut into; and the size that is tried when those seem to get lost, the one that
 * RFC 7383 section 2.5.1 recommends for each family [FRAG-10]. */
export const FRAGMENT_PACKET = 1280;
export const FRAGMENT_PACKET_LEAST = { 4: 576, 6: 1280 } as const;
/** Transmissions of a request, and repetitions of the peer's, after which its packets are taken to be too large. */
export const FRAGMENT_PATIENCE_TRIES = 2;
/** Repetitions of a request that make it known that our answer gets lost. */
export const ANSWER_UNHEARD_REPEATS = 3;
/** Fragments of one message, and octets that they make together; both also bound what is held of each direction [FRAG-07]. */
export const FRAGMENTS_PER_MESSAGE_MAX = 256;
export const REASSEMBLED_OCTETS_MAX = 65_536;
/** An incomplete message is discarded this long after its first fragment [FRAG-07]. */
export const REASSEMBLY_LIFETIME = seconds(30);
/** Failed opens of IKE_AUTH requests after which a half-open IKE SA computes nothing more [ERR-08]. */
export const HALF_OPEN_FAILURES_MAX = 64;
/** A cookie secret is used for this long, and accepted for as long again. */
export const COOKIE_SECRET_LIFETIME = seconds(60);
/** Restarts of one IKE_SA_INIT exchange by COOKIE and INVALID_KE_PAYLOAD together [INIT-08]. */
export const INIT_RESTARTS_MAX = 6;
/** An unauthenticated error in IKE_SA_INIT is believed after this long without a better answer [INIT-16]. */
export const INIT_ERROR_PATIENCE = seconds(3);
/** Stateless replies (INVALID_IKE_SPI, INVALID_MAJOR_VERSION, refusals of IKE_SA_INIT) per second, to configured addresses
 * together and to all others together [ERR-03]. */
export const STATELESS_REPLIES_PER_SECOND = 20;
/** Cookies given out per second; a cookie is shorter than the request that it answers [INIT-06]. */
export const COOKIE_REPLIES_PER_SECOND = 2000;
/** Times that one stored answer is sent again, at once and per second in the long run: peers that repeat a request wait longer, and
 * a request that was overheard must not make a stream of answers to an address of somebody's choice [MID-06]. */
export const ANSWER_REPEATS_BURST = 8;
export const ANSWER_REPEATS_PER_SECOND = 4;
/** Messages that wait for an IKE SA that waits for a computation. */
export const INBOX_MAX = 8;
/** A computation that has not come back by then has failed. */
export const JOB_DEADLINE = seconds(15);
/** Child SAs of one IKE SA, old ones included; beyond, NO_ADDITIONAL_SAS [CHILD-21]. */
export const CHILD_SAS_PER_IKE_SA_MAX = 256;
/** Child SAs of all IKE SAs of a connection; beyond, NO_ADDITIONAL_SAS [CHILD-21]. */
export const CHILD_SAS_PER_CONNECTION_MAX = 20_000;
/** CREATE_CHILD_SA requests of a peer that are answered in one IKE SA, at once and in the long run; beyond, TEMPORARY_FAILURE. */
export const CHILD_REQUESTS_BURST = 256;
export const CHILD_REQUESTS_PER_SECOND = 20;
/** Pairs of selectors of one child that are asked for one by one. */
export const PAIRS_PER_CHILD_MAX = 64;
/** A peer that makes SAs for a child has this long to make further ones before we do. */
export const PAIR_PATIENCE = seconds(5);
/** Wait before a pair of selectors that the peer does not take is asked for again, while others of the child stand. */
export const REFUSED_PAIR_RETRY = minutes(60);
/** SAs that a peer may bind to its resources for one child, whatever the number of our lanes; beyond, TS_MAX_QUEUE [RES-04]. */
export const RESOURCE_SAS_PER_CHILD_MAX = 64;
/** IKE SAs that peers may keep with one connection; beyond, AUTHENTICATION_FAILED. */
export const IKE_SAS_PER_CONNECTION_MAX = 10_000;
/** Peers of one connection whose numbers are remembered, more than can have an IKE SA; and octets of an identity kept for that. */
export const PEERS_REMEMBERED_MAX = 20_000;
export const PEER_KEY_OCTETS_MAX = 256;
/** Of the identities that a peer might have had, so many are named when it has none of them. */
export const EXPECTED_TOLD_MAX = 4;
/** Traffic selectors read from one TS payload. */
export const TRAFFIC_SELECTORS_MAX = 64;
/** SAs of one IKE SA that wait for the peer's IKE_FOLLOWUP_KE; beyond, TEMPORARY_FAILURE. */
export const FOLLOW_UPS_MAX = 4;
/** How long they wait, anew after each exchange: RFC 9370 section 2.2.4 advises 5 to 20 seconds. */
export const FOLLOW_UP_LIFETIME = seconds(20);
/** Octets of random link data. */
export const FOLLOW_UP_LINK_LENGTH = 16;
/** Retries of one exchange after INVALID_KE_PAYLOAD. */
export const KE_RETRIES_MAX = 3;
/**
 * The inbound half of a child that was replaced stays until nothing has come for so long [CHILD-11], and at most so long
 * after the Delete.
 */
export const LINGER = seconds(5);
export const LINGER_MAX = minutes(1);
/** A responder's new child sends at the latest this long after the response, sign of life or not. */
export const OUTBOUND_DEFERRAL_MAX = seconds(60);
/** How often a deferred outbound SA looks whether the peer has begun to use the new one. */
export const OUTBOUND_DEFERRAL_POLL = DurationMs(200);
/** Whoever ought to delete a replaced SA has this long before we do it. */
export const REPLACED_PATIENCE = seconds(30);
/** Whoever repeats an authentication has so long to set up all children on the new IKE SA before the old one is closed. */
export const HAND_OVER_PATIENCE = seconds(30);
/** What was authenticated under settings that have changed ends then, unless that has been repeated: peers are changed one after the other. */
export const OUTDATED_PATIENCE = seconds(60);
/** A child that the peer makes beside one on an older IKE SA is sent through at the latest after this. */
export const BESIDE_DEFERRAL = seconds(3);
/** A peer that announces a shorter AUTH_LIFETIME is believed to mean this. */
export const AUTH_LIFETIME_LEAST = seconds(10);
/** Part of the announced AUTH_LIFETIME by which the authentication is repeated early. */
export const REAUTH_LEAD = 0.1;
/** Part of it after which a peer may begin, by the lead and the most that jitter takes off. */
export const REAUTH_EARLIEST = 0.4;
/** A peer that was told by AUTH_LIFETIME has so many times that long before we repeat the authentication ourselves. */
export const REAUTH_PATIENCE_FACTOR = 1.1;
/** A half-open IKE SA that was refused keeps its place this long, to repeat the refusal. */
export const HALF_OPEN_REFUSED_LIFETIME = seconds(10);
/** How long the answer to a peer that was refused is kept for its retransmissions. */
export const REFUSED_LIFETIME = seconds(30);
/** Two IKE SAs begun by both ends within this span count as begun at once. */
export const SIMULTANEOUS_SPAN = seconds(30);
/** First wait after TEMPORARY_FAILURE, doubled with each (RFC 7296 section 2.25). */
export const BUSY_RETRY = seconds(1);
export const BUSY_RETRY_MAX = seconds(30);
/** Waits between tries of a connection or child that fails: doubled up to the cap, both ± a quarter at random. */
export const RETRY_FIRST = seconds(2);
export const RETRY_MAX = minutes(2);
/** An SA that lived less than this counts as a failed try, so that two ends that disagree do not spin. */
export const STABLE_AFTER = seconds(30);
/** Random part of the wait before an SA that lived is set up again, so that both ends seldom start at once. */
export const RECONNECT_JITTER = seconds(1);
/** A request sent this often without answer, and this long without a sign of life, make an IKE SA doubtful. */
export const DOUBTFUL_TRIES = 6;
export const DOUBTFUL_SILENCE = seconds(10);
/** The hard limit in time lies this part of the rekey time behind it. */
export const EXPIRY_FACTOR = 0.25;
/** And at least this long behind it. */
export const EXPIRY_MARGIN_MIN = minutes(1);
/** Path probes: tries that nobody may fragment, then tries in fragments; later ones are empty. */
export const PROBE_WHOLE_TRIES = 2;
export const PROBE_FRAGMENTED_TRIES = 2;
/** Round trips to wait after a try that nobody may fragment, within bounds; and the wait where none was measured. */
export const PROBE_ROUND_TRIPS = 3;
export const PROBE_PATIENCE_MIN = DurationMs(150);
export const PROBE_PATIENCE_MAX = seconds(3);
export const PROBE_PATIENCE_UNKNOWN = DurationMs(600);
/** Further addresses of a peer that are remembered, and of ours that it is told (RFC 4555 section 3.4). */
export const PEER_ADDRESSES_MAX = 16;
/** Octets of a COOKIE2 (RFC 4555 section 4.2.5: 8 to 64) [MOB-04]. */
export const COOKIE2_LENGTH = 16;
/** Updates that may meet an unexpected NAT before the addresses are given up (RFC 4555 section 3.9). */
export const MOVE_NAT_RETRIES = 3;
/** Transmissions of a request after which another pair of addresses is tried. */
export const PATH_PATIENCE_TRIES = 3;
/** Under MOBIKE ESP from another address that nobody answers at is looked into at most once in this span. */
export const ESP_HINT_PAUSE = seconds(30);
/** Notices about drops: at most one in this span for each reason. */
export const DROP_NOTICE_INTERVAL = seconds(1);
