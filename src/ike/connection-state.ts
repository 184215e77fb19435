/** What `describe()` of the IKE machine returns: plain values for status pages, the API and tests. */
import type { Instant } from "../base/instant.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { IkeSpi } from "../base/spi.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import type { UnreachableReason } from "../base/unreachable-report.ts";
import type { Identification, Keep } from "../policy/connection.ts";
import type { Encapsulation, EspSuite, PolicyName } from "../policy/data-plane.ts";
import type { SelectorPair } from "../policy/traffic-selector.ts";
import type { Refused } from "./keep-state.ts";
import type { ChildSpis, FailureNotice } from "./notice.ts";

/** Both SPIs of an IKE SA (RFC 7296 section 2.6). */
export interface IkeSaName {
  readonly initiatorSpi: IkeSpi;
  readonly responderSpi: IkeSpi;
}

/** Negotiated transforms of an IKE SA by IANA number. */
export interface IkeSuite {
  readonly encr: number;
  /** Key length attribute in bits; 0 for ciphers of fixed key length. */
  readonly encrKeyBits: number;
  /** 0 with combined-mode ciphers. */
  readonly integ: number;
  readonly prf: number;
  readonly ke: number;
  /** Methods of the key exchanges after the first, in their order; absent when there were none (RFC 9370). */
  readonly additionalKe?: readonly number[];
  /** A postquantum preshared key is mixed in (RFC 8784). */
  readonly hasPpk?: true;
}

/** What NAT detection found (RFC 7296 section 2.23). A peer that forces UDP encapsulation looks like one behind a NAT. */
export interface NatSituation {
  /** The peer sent the NAT detection notifies. */
  readonly isSupported: boolean;
  readonly weAreBehind: boolean;
  readonly peerIsBehind: boolean;
  /** We made our own hash not to match, so that both ends use UDP encapsulation. */
  readonly isForced?: boolean;
}

/** By what an identity was proven. */
export interface ProofFacts {
  /** AUTH method (RFC 7296 section 3.8). */
  readonly method: number;
  /** Of signatures: `rsa-pss sha256`. */
  readonly scheme?: string;
  /** Subject of the certificate; whoever made that chose the text: escape before showing. */
  readonly certificate?: string;
  /** Whether the certificate and those above it are revoked is not known; absent: they are not, or nobody asked. */
  readonly isRevocationUnknown?: true;
}

export interface Proofs {
  readonly ours: ProofFacts;
  readonly theirs: ProofFacts;
}

/**
 * What has to happen before something comes up: `peer` calls, a `packet` wants it, the `operator` says up, a `name` is resolved, the
 * time of a next try is there (`retry`), or its IKE SA is up (`ikeSa`).
 */
export type WaitsFor = "peer" | "packet" | "operator" | "name" | "retry" | "ikeSa";

export interface ChildState {
  /** Name in the configuration. */
  readonly name: string;
  readonly policy: PolicyName;
  readonly keep: Keep;
  /** `up` has an SA; `connecting` is being negotiated; `waiting` will be tried at `nextTryAt`; `down` is not wanted now. */
  readonly state: "up" | "connecting" | "waiting" | "down";
  /** The SA that carries the traffic. */
  readonly sa?: ChildSaState;
  /** Further SAs, for selectors that the one above leaves out; absent when there are none. */
  readonly parts?: readonly ChildSaState[];
  /** Pairs of its selectors of which no SA carries anything, while others carry the rest; absent when there are none. */
  readonly leftOut?: readonly LeftOut[];
  /** SAs that stand beside it; absent when there are none. */
  readonly siblings?: readonly SiblingState[];
  /** SAs that are about to go: rekeyed or being deleted. */
  readonly old: readonly ChildSpis[];
  /** Absent while it is up or being negotiated. */
  readonly waitsFor?: WaitsFor;
  readonly nextTryAt?: Instant;
  readonly lastFailure?: FailureNotice;
}

export interface LeftOut {
  readonly selectors: SelectorPair;
  readonly nextTryAt?: Instant;
  readonly lastFailure?: FailureNotice;
}

/** An SA for some DSCP values, or for the packets of one lane. */
export interface SiblingState extends ChildSaState {
  readonly dscps?: readonly number[];
  readonly lane?: number;
}

export interface ChildSaState extends ChildSpis {
  readonly suite: EspSuite;
  /** Key exchange method of its own (perfect forward secrecy); 0 when it has none. */
  readonly ke: number;
  /** Methods of those after it (RFC 9370). */
  readonly additionalKe?: readonly number[];
  readonly selectors: SelectorPair;
  readonly encapsulation: Encapsulation;
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  readonly upSince: Instant;
  readonly rekeyAt: Instant;
  readonly expiresAt: Instant;
}

/** The outer addresses or ports of an IKE SA changed while it stood (RFC 4555, RFC 7296 section 2.23). */
export interface Move {
  /** Whose end it is; `mapping`: a NAT before us has another one, which only the peer sees: `from` and `to` are the same. */
  readonly what: "own" | "peer" | "mapping";
  readonly from: UdpEndpoint;
  readonly to: UdpEndpoint;
}

export interface IkeSaState extends IkeSaName {
  readonly isOriginalInitiator: boolean;
  readonly suite: IkeSuite;
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  readonly localIdentity: Identification;
  readonly peerIdentity: Identification;
  readonly proofs: Proofs;
  readonly nat: NatSituation;
  /** MOBIKE was agreed on, and the peer may be reached at these addresses as well (RFC 4555). */
  readonly peerAddresses?: readonly IpAddress[];
  /** The last move; absent: none. */
  readonly moved?: Move & { readonly at: Instant };
  readonly upSince: Instant;
  readonly rekeyAt: Instant;
  /** Last message or ESP packet that proved that the peer lives. */
  readonly lastHeardAt: Instant;
  /** Last message, without ESP. */
  readonly lastIkeHeardAt: Instant;
  /** When the request left that is under way; absent: none is. */
  readonly unansweredSince?: Instant;
}

/** What is said of a request that has got no answer: a hint, which may be forged. */
export interface Unreachable {
  readonly reason: UnreachableReason;
  readonly remote: UdpEndpoint;
  /** Whose word it is. */
  readonly by: "peer" | "router" | "host";
  /** With `router`. */
  readonly reporter?: IpAddress;
  /** How often the same was said. */
  readonly count: number;
  readonly lastAt: Instant;
}

/** One connection of the configuration, or one instance (`NAME#2`) of a connection that serves many peers. */
export interface ConnectionState {
  /** Name in the configuration. */
  readonly connection: string;
  /** What is shown: the name, or `NAME#N`. */
  readonly name: string;
  readonly keep: Keep;
  /** `up` has an IKE SA (children may still be missing); `waiting` will be tried at `nextTryAt`; `down` is not wanted now. */
  readonly state: "up" | "connecting" | "waiting" | "down";
  /** Where it is or would be called. */
  readonly remote?: UdpEndpoint;
  readonly ikeSa?: IkeSaState;
  /** Absent while it is up or being negotiated. */
  readonly waitsFor?: WaitsFor;
  /** Failed tries in a row. */
  readonly failures: number;
  /** What is said of the request that is under way. */
  readonly unreachable?: Unreachable;
  readonly nextTryAt?: Instant;
  readonly lastFailure?: FailureNotice;
  /** Callers that were refused before they had proved who they are; of many instances the first one says it. */
  readonly lastRefused?: Refused;
  readonly children: readonly ChildState[];
}
