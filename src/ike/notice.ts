/** What the IKE side has to say: a closed union of notices with stable codes and data instead of prose. */

import type { DurationMs, Instant } from "../base/instant.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { Spi } from "../base/spi.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import type {
  ConfigurationPlace,
  Identification,
  OwnAuthentication,
  PeerAuthentication,
} from "../policy/connection.ts";
import type { EspSuite, SaLimit } from "../policy/data-plane.ts";
import type { ProposalSuite } from "../policy/proposal-suite.ts";
import type { SelectorPair } from "../policy/traffic-selector.ts";
import type { Proposal } from "../wire/ike/payload.ts";
import type {
  IkeSaName,
  IkeSuite,
  Move,
  NatSituation,
  ProofFacts,
  Proofs,
  Unreachable,
} from "./connection-state.ts";
import type { PeerFinding } from "./machine.ts";

/** Our part in the exchange that a notice is about. */
export type ExchangeRole = "initiator" | "responder";

/** What a failure happened in; the RFC's name. */
export type ExchangeName =
  | "IKE_SA_INIT"
  | "IKE_INTERMEDIATE"
  | "IKE_AUTH"
  | "CREATE_CHILD_SA"
  | "IKE_FOLLOWUP_KE"
  | "INFORMATIONAL";

/** Whom a notice concerns. */
export interface Concerning {
  /** Name in the configuration, `NAME#2` for the second peer of a connection that serves many; absent: no connection yet. */
  readonly connection?: string;
  /** Child's name in the configuration, for notices about one child. */
  readonly child?: string;
  readonly remote?: UdpEndpoint;
}

/** The SPIs of a child SA, ours first. */
export interface ChildSpis {
  readonly inboundSpi: Spi;
  readonly outboundSpi: Spi;
}

export type IkeDownReason =
  /** An operator's command, a reload that took the connection away, or the end of the daemon. */
  | "command"
  | "configurationChanged"
  | "shutdown"
  /** The peer sent a Delete. */
  | "deletedByPeer"
  /** Requests were never answered; see `noAnswer` before it. */
  | "noAnswer"
  /** Replaced by a newer IKE SA with the same peer (INITIAL_CONTACT, or both started at once). */
  | "replaced"
  /** A new IKE SA took over its children. */
  | "rekeyed"
  /** The lifetime ended before a rekey succeeded. */
  | "expired"
  | "authenticationFailed"
  /** Another IKE SA with the same peer, authenticated anew, has taken over. */
  | "reauthenticated"
  /** Nobody repeated the authentication in time. */
  | "authenticationExpired"
  /** What the peer sent inside the IKE SA could not be understood. */
  | "protocolError"
  /** A key exchange that the peer had answered could not be computed here. */
  | "notComputed"
  /** We moved, the peer does not follow, and the addresses before are gone. */
  | "moveRefused";

export type ChildDownReason =
  | IkeDownReason
  /** One of the limits of the configuration or of the sequence number space. */
  | "hardLimit"
  /** Nothing passed for as long as `inactivity` says. */
  | "inactive"
  /** Both ends had rekeyed at once and this was the one too many (RFC 7296 section 2.8.1). */
  | "redundant";

export type DropReason =
  | "malformed"
  | "wrongMajorVersion"
  | "ikeVersion1"
  | "unknownSpi"
  | "zeroInitiatorSpi"
  | "unexpectedExchange"
  | "notAuthentic"
  | "notEncrypted"
  | "outsideWindow"
  | "noOutstandingRequest"
  | "tooManyHalfOpen"
  | "tooManyFromPrefix"
  | "replyRateExceeded"
  | "inboxFull"
  | "wrongCookie"
  | "badNonce"
  | "badKeyExchange"
  | "unknownConnection"
  /** An encrypted fragment, and the two have not agreed on fragments. */
  | "fragmentNotAgreed"
  /** A fragment of fewer pieces than those before, or of another exchange. */
  | "fragmentMismatch"
  | "repeatedFragment"
  | "tooManyFragments"
  | "messageTooLong";

/** How a message left. */
export interface MessageSize {
  /** Of all its packets together, and of the largest, each with its IP header. */
  readonly octets: number;
  readonly largest: number;
  readonly packets: number;
  /** Both ends take IKE fragments (RFC 7383). */
  readonly isFragmentable: boolean;
}

/** One side's choices for a transform type; `keyBits` is 0 where the transform has none. */
export interface TransformChoice {
  readonly id: number;
  readonly keyBits: number;
}

/** How two lists for one transform type compare, in the pair of proposals that is closest. */
export interface TransformDifference {
  /** IANA transform type. */
  readonly type: number;
  readonly theirs: readonly TransformChoice[];
  readonly ours: readonly TransformChoice[];
  readonly common: readonly TransformChoice[];
}

/** Both ends' view of a negotiation without common ground. */
export interface ProposalMismatch {
  readonly protocol: "ike" | "esp" | "ah";
  readonly received: readonly Proposal[];
  readonly configured: readonly ProposalSuite[];
  /** Of the closest pair; types that agree are listed too, with a non-empty `common`. */
  readonly difference: readonly TransformDifference[];
  /** Where the configuration says what we allow. */
  readonly place?: ConfigurationPlace;
}

/** Why AGGFRAG is not in use: the peer's USE_AGGFRAG is absent, or of no use to us (RFC 9347 section 5.1). */
export type AggfragRefusal = "absent" | "malformed" | "unknownFlag";

/**
 * The peer answered without USE_TRANSPORT_MODE; asked for tunnel mode; or the child's selectors are not the two outer
 * addresses.
 */
export type TransportRefusal = "notConfirmed" | "tunnelAsked" | "otherHosts";

export type AuthenticationCause = "wrongKey" | "otherMethod" | { readonly notProven: PeerFinding };

/** The peer did not send USE_PPK; it did, and then used none; it named one that is not known here. */
export type PpkRefusal = "notSupported" | "notUsed" | "unknown";

export type FailureNotice =
  /** We answered NO_PROPOSAL_CHOSEN, or the peer chose something that we had not offered. */
  | (Concerning & ProposalMismatch & { readonly code: "noCommonProposal"; readonly role: ExchangeRole })
  /** The peer answered NO_PROPOSAL_CHOSEN; all we know is what we sent. */
  | (Concerning & {
      readonly code: "proposalRejectedByPeer";
      readonly protocol: "ike" | "esp" | "ah";
      readonly sent: readonly ProposalSuite[];
      readonly place?: ConfigurationPlace;
    })
  /** Role responder: we answered TS_UNACCEPTABLE to `theirs`. Role initiator: the peer did so to `ours`; `theirs` is unknown. */
  | (Concerning & {
      readonly code: "selectorsUnacceptable";
      readonly role: ExchangeRole;
      readonly ours: SelectorPair;
      readonly theirs?: SelectorPair;
      readonly place?: ConfigurationPlace;
    })
  | (Concerning & {
      readonly code: "identityMismatch";
      readonly role: ExchangeRole;
      readonly received: Identification;
      /** What the connections of this remote address expect, the first few. */
      readonly expected: readonly Identification[];
      /** So many identities are expected besides. */
      readonly others?: number;
      /** They stand in `remote.ids`. */
      readonly areIds?: true;
      readonly place?: ConfigurationPlace;
    })
  /** The peer asked in IDr for an identity that we do not have. */
  | (Concerning & {
      readonly code: "localIdentityMismatch";
      readonly asked: Identification;
      readonly ours: Identification;
      readonly place?: ConfigurationPlace;
    })
  /**
   * The peer's AUTH does not fit the secret configured for it (wrongKey), its method is not the one configured (otherMethod),
   * or its signature or certificate is refused (notProven).
   */
  | (Concerning & {
      readonly code: "authenticationFailed";
      readonly role: ExchangeRole;
      readonly cause: AuthenticationCause;
      /** What the connection expects. */
      readonly expects: PeerAuthentication["kind"];
      readonly identity: Identification;
      /** IANA authentication method that the peer used. */
      readonly method: number;
      readonly place?: ConfigurationPlace;
    })
  /** This gateway could not make its own AUTH (proof), or not judge the peer's (check). */
  | (Concerning & {
      readonly code: "authenticationNotComputed";
      readonly what: "proof" | "check";
      readonly reason: string;
      readonly place?: ConfigurationPlace;
    })
  /** The peer takes no signature that our key can make. */
  | (Concerning & { readonly code: "noCommonSignature"; readonly place?: ConfigurationPlace })
  /** We require a postquantum preshared key, or the peer does, and it did not come to be used (RFC 8784). */
  | (Concerning & {
      readonly code: "ppkRefused";
      readonly reason: PpkRefusal;
      /** What the peer calls its key. */
      readonly id?: Uint8Array;
      readonly place?: ConfigurationPlace;
    })
  /** The peer answered AUTHENTICATION_FAILED: it has another key or does not expect our identity. */
  | (Concerning & {
      readonly code: "authenticationRejectedByPeer";
      readonly sentIdentity: Identification;
      /** By what we had proved it. */
      readonly by: OwnAuthentication["kind"];
      /** How we had signed, where we had. */
      readonly proof?: ProofFacts;
      readonly place?: ConfigurationPlace;
    })
  | (Concerning & {
      readonly code: "noAnswer";
      /** What stays unanswered. */
      readonly exchange: ExchangeName;
      readonly tries: number;
      /** The request, where its size may be the reason. */
      readonly size?: MessageSize;
      /** What was said of it, so long before it was given up. */
      readonly unreachable?: Unreachable & { readonly before: DurationMs };
    })
  /** The peer answered with an error notify that has no notice of its own. */
  | (Concerning & {
      readonly code: "errorFromPeer";
      readonly exchange: ExchangeName;
      readonly notifyType: number;
    })
  /** We refused something of the peer's, with this notify where it was told; `what` is a short name for it. */
  | (Concerning & {
      readonly code: "refused";
      readonly exchange: ExchangeName;
      readonly notifyType?: number;
      readonly what: string;
    })
  /** The peer's public value or the result of a computation was not acceptable. */
  | (Concerning & { readonly code: "keyExchangeRefused"; readonly method: number; readonly reason: string })
  /** `encapsulation: esp`, or AH, and there is a NAT between us; or `udp`, and the peer has no NAT traversal. */
  | (Concerning & {
      readonly code: "encapsulationImpossible";
      readonly protocol?: "ah";
      readonly wanted: "udp" | "esp";
      readonly nat: NatSituation;
      readonly place?: ConfigurationPlace;
    })
  /** A child in transport mode did not come about. */
  | (Concerning & {
      readonly code: "transportRefused";
      readonly role: ExchangeRole;
      readonly reason: TransportRefusal;
      readonly place?: ConfigurationPlace;
    })
  /** No address of ours leads to the remote address. */
  | (Concerning & { readonly code: "noLocalAddress"; readonly address: IpAddress })
  /** The connection has no single remote address to call; where it has names, none of them is resolved. */
  | (Concerning & {
      readonly code: "noAddressToCall";
      readonly names?: readonly string[];
      readonly place?: ConfigurationPlace;
    })
  | (Concerning & { readonly code: "peerSpeaksIkeV1" })
  /** The peer has an IKE SA already, and `unique: reject` lets it have no second one. */
  | (Concerning & {
      readonly code: "duplicateRefused";
      readonly identity: Identification;
      readonly place?: ConfigurationPlace;
    })
  /**
   * The child wants AGGFRAG payloads and the peer has them not: with a constant rate it cannot do without, so that it was
   * refused (role responder) or is deleted again (role initiator).
   */
  | (Concerning & {
      readonly code: "aggfragNotAgreed";
      readonly role: ExchangeRole;
      readonly refusal: AggfragRefusal;
      readonly place?: ConfigurationPlace;
    })
  /** The data plane has no room for another SA. */
  | (Concerning & { readonly code: "saTableFull" })
  /** The peer refused a rekey; the SA goes on until its hard limit. `isRehearsal`: it was tried right after the set-up. */
  | (Concerning & {
      readonly code: "rekeyRefused";
      readonly notifyType: number;
      /** Key exchange method of our request; 0: it had none. */
      readonly method: number;
      /** The method that INVALID_KE_PAYLOAD names. */
      readonly wanted?: number;
      readonly isRehearsal: boolean;
      readonly sent: readonly ProposalSuite[];
      readonly place?: ConfigurationPlace;
    })
  /** As many child SAs stand as one IKE SA or one connection may have. */
  | (Concerning & {
      readonly code: "childLimit";
      readonly of: "ikeSa" | "connection";
      readonly limit: number;
    });

/** What a rekeyed child SA had and its successor has otherwise; empty when they are alike. */
export interface RekeyChanges {
  readonly suite?: { readonly before: EspSuite; readonly after: EspSuite };
  /** Key exchange methods of their own. A first child has none (RFC 7296 section 1.2), so that its first rekey changes nothing. */
  readonly ke?: { readonly before: number; readonly after: number };
  /** The successor leaves out something (RFC 7296 section 2.9.2). */
  readonly narrowed?: { readonly before: SelectorPair; readonly after: SelectorPair };
}

export type IkeNotice =
  | FailureNotice
  | (Concerning & {
      readonly code: "ikeSaUp";
      readonly ikeSa: IkeSaName;
      readonly role: ExchangeRole;
      readonly local: UdpEndpoint;
      readonly suite: IkeSuite;
      readonly nat: NatSituation;
      readonly peerIdentity: Identification;
      readonly proofs: Proofs;
      readonly rekeyAt: Instant;
    })
  | (Concerning & { readonly code: "ikeSaDown"; readonly ikeSa: IkeSaName; readonly reason: IkeDownReason })
  | (Concerning & {
      readonly code: "ikeSaRekeyed";
      readonly old: IkeSaName;
      readonly ikeSa: IkeSaName;
      readonly role: ExchangeRole;
      readonly suite: IkeSuite;
      readonly rekeyAt: Instant;
    })
  | (Concerning & {
      readonly code: "childSaUp";
      readonly ikeSa: IkeSaName;
      readonly role: ExchangeRole;
      readonly spis: ChildSpis;
      readonly suite: EspSuite;
      readonly selectors: SelectorPair;
      readonly encapsulation: "udp" | "esp";
      readonly rekeyAt: Instant;
      /** The selectors are less than what the configuration asks for (RFC 7296 section 2.9). */
      readonly isNarrowed: boolean;
    })
  /** Another peer of the same connection has a child for the same networks; what goes there goes to the newest SA. */
  | (Concerning & {
      readonly code: "networksShared";
      readonly identity: Identification;
      readonly selectors: SelectorPair;
      /** The other one's name: `NAME#N`. */
      readonly other: string;
      readonly otherIdentity: Identification;
    })
  /** The peer refused a child as a whole, and is asked for `pairs` pairs of its selectors one by one, or for single hosts. */
  | (Concerning & {
      readonly code: "askingInParts";
      readonly saPer: "pair" | "host";
      readonly notifyType: number;
      readonly pairs: number;
    })
  /** The child carries inner packets one by one, since the peer has no AGGFRAG as we have it. */
  | (Concerning & { readonly code: "aggfragOff"; readonly refusal: AggfragRefusal })
  | (Concerning & {
      readonly code: "childSaDown";
      readonly ikeSa: IkeSaName;
      readonly spis: ChildSpis;
      readonly reason: ChildDownReason;
    })
  | (Concerning & {
      readonly code: "childSaRekeyed";
      readonly ikeSa: IkeSaName;
      readonly role: ExchangeRole;
      readonly old: ChildSpis;
      readonly spis: ChildSpis;
      readonly suite: EspSuite;
      readonly rekeyAt: Instant;
      readonly changes: RekeyChanges;
    })
  /** A rekey did not succeed and is tried again; the old SA still carries the traffic. */
  | (Concerning & {
      readonly code: "rekeyPostponed";
      /** Absent: the peer was busy (TEMPORARY_FAILURE). */
      readonly notifyType?: number;
      readonly at: Instant;
    })
  /** The authentication could not be repeated; the old IKE SA goes on. */
  | (Concerning & { readonly code: "reauthPostponed"; readonly at: Instant; readonly failure: FailureNotice })
  /** The peer began to make this child, or a new IKE SA, and never came to its last key exchange. */
  | (Concerning & { readonly code: "keyExchangesUnfinished" })
  | (Concerning & { readonly code: "softLimit"; readonly spis: ChildSpis; readonly limit: SaLimit })
  | (Concerning & { readonly code: "natDetected"; readonly nat: NatSituation })
  /** The peer's (or our) outer address or port changed, and the IKE SA followed. */
  | (Concerning & { readonly code: "peerMoved"; readonly from: UdpEndpoint; readonly to: UdpEndpoint })
  /** This IKE SA uses another address, of ours or of the peer; with MOBIKE the peer is told. */
  | (Concerning & Move & { readonly code: "ownAddressChanged" })
  /** The peer has followed us to another address of ours or its own, or another mapping (RFC 4555). */
  | (Concerning & Move & { readonly code: "addressesUpdated" })
  /** The peer's further addresses, all of them. */
  | (Concerning & { readonly code: "peerAddresses"; readonly addresses: readonly IpAddress[] })
  /** The peer does not follow us to this address: UNACCEPTABLE_ADDRESSES or UNEXPECTED_NAT_DETECTED. */
  | (Concerning & { readonly code: "moveRefused"; readonly local: UdpEndpoint; readonly notifyType: number })
  /** The peer wants to move to an address that the connection does not allow. */
  | (Concerning & {
      readonly code: "moveNotAllowed";
      readonly to: UdpEndpoint;
      readonly place?: ConfigurationPlace;
    })
  /** A message whose sender allows no NAT came over one. */
  | (Concerning & { readonly code: "unexpectedNat"; readonly from: UdpEndpoint })
  /** The peer's answer from its new address lacks our cookie. */
  | (Concerning & { readonly code: "routabilityFailed" })
  /** Messages in packets of the former size got no answer; from now on they are cut smaller (RFC 7383 section 2.5.2). */
  | (Concerning & { readonly code: "fragmentsShrunk"; readonly from: number; readonly to: number })
  /** The peer repeats its request, so that our answer seems to get lost. */
  | (Concerning & {
      readonly code: "answerNotHeard";
      readonly exchangeType: number;
      readonly repeats: number;
      readonly size: MessageSize;
    })
  /** The peer wants another key exchange method; the request is repeated with it. */
  | (Concerning & { readonly code: "invalidKeRetry"; readonly sent: number; readonly wanted: number })
  /** The peer wants its cookie back first. */
  | (Concerning & { readonly code: "cookieRequired" })
  /** We began to ask strangers for cookies. */
  | (Concerning & { readonly code: "cookiesOn"; readonly halfOpen: number })
  | (Concerning & { readonly code: "cookiesOff" })
  /** A notify that nobody vouches for; it changes nothing. */
  | (Concerning & { readonly code: "unauthenticatedNotify"; readonly notifyType: number })
  /** A message was dropped; at most one notice a second and reason, with all drops for that reason since the start. */
  | (Concerning & { readonly code: "droppedMessage"; readonly reason: DropReason; readonly total: number })
  /** The next try and why it is needed; `failure` is what went wrong last. */
  | (Concerning & {
      readonly code: "retrying";
      readonly at: Instant;
      readonly attempt: number;
      readonly failure?: FailureNotice;
    })
  | (Concerning & { readonly code: "connecting"; readonly local: UdpEndpoint; readonly attempt: number })
  /** A peer asked for an IKE SA and no connection has this remote address. */
  | (Concerning & { readonly code: "noConnectionFor" });

export type IkeNoticeCode = IkeNotice["code"];
