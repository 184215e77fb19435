/** The IKE SA as plain data, one type per state (RFC 7296 sections 1.2 and 2). */
import type { DurationMs, Instant } from "../../base/instant.ts";
import type { IkeSpi, Spi } from "../../base/spi.ts";
import type { UdpEndpoint } from "../../base/udp-endpoint.ts";
import type { NoncePair } from "../../crypto/keymat.ts";
import type { Identification } from "../../policy/connection.ts";
import type { PacketSelectors } from "../../policy/data-plane.ts";
import type { SelectorPair } from "../../policy/traffic-selector.ts";
import type { CertPayload, Payload, Proposal } from "../../wire/ike/payload.ts";
import type { Allowance } from "../allowance.ts";
import type { IkeSuite, Move, NatSituation, ProofFacts, Proofs, Unreachable } from "../connection-state.ts";
import type { JobId, PathProbe } from "../machine.ts";
import type { FailureNotice, IkeDownReason } from "../notice.ts";
import type { Authentication } from "./authentication.ts";
import type { ChildSa, Lingering } from "./child-sa.ts";
import type { FollowUp } from "./follow-up.ts";
import type { Fragmentation } from "./fragmentation.ts";
import type { IkeSaId } from "./ike-sa-id.ts";
import type { MessageWindow } from "./message-window.ts";
import type { Mobike } from "./mobike.ts";
import type {
  CreateChildExchange,
  FollowUpExchange,
  OwnKeyExchange,
  RekeyIkeExchange,
} from "./own-exchange.ts";
import type { Protection } from "./sk-payload.ts";

interface Common {
  readonly id: IkeSaId;
  /** Not to be mixed up with who began an exchange. */
  readonly isOriginalInitiator: boolean;
  readonly initiatorSpi: IkeSpi;
  readonly responderSpi: IkeSpi;
  local: UdpEndpoint;
  remote: UdpEndpoint;
}

/** The child that IKE_AUTH is to bring along. */
export interface FirstChild {
  readonly name: string;
  readonly inboundSpi: Spi;
  readonly offered: SelectorPair;
}

/** The last error that an unauthenticated IKE_SA_INIT response held; believed when nothing better comes [INIT-16]. */
interface InitDoubt {
  readonly notifyType: number;
  readonly believeAt: Instant;
  /** What exactly was wrong, where the notify type does not say it. */
  readonly mismatch: FailureNotice | undefined;
}

/** We want an IKE SA: IKE_SA_INIT request being made, sent, or answered and under computation. */
export interface InitiatingIkeSa extends Common {
  readonly state: "initiating";
  readonly connection: string;
  phase: "generating" | "sent" | "deriving";
  readonly startedAt: Instant;
  readonly nonce: Uint8Array;
  /** Value of our NAT_DETECTION_SOURCE_IP, kept so that retries repeat it. */
  readonly natSource: Uint8Array;
  keyExchange: OwnKeyExchange;
  cookie: Uint8Array | undefined;
  restarts: number;
  request:
    | { readonly bytes: Uint8Array; tries: number; nextAt: Instant; unreachable?: Unreachable }
    | undefined;
  doubt: InitDoubt | undefined;
  /** The response under computation. */
  answer: InitAnswer | undefined;
  job: Job | undefined;
  /** First packet that asked for the child (RFC 7296 section 2.9). */
  readonly packet: PacketSelectors | undefined;
  /** The IKE SA whose authentication this one repeats. */
  renews: IkeSaId | undefined;
}

export interface InitAnswer {
  readonly bytes: Uint8Array;
  readonly responderSpi: IkeSpi;
  readonly suite: IkeSuite;
  readonly peerPublicValue: Uint8Array;
  readonly peerNonce: Uint8Array;
  readonly takes: PeerTakes;
  readonly nat: NatSituation;
  readonly fragmentation: Fragmentation | undefined;
  /** Both ends sent USE_PPK. */
  readonly usesPpk: boolean;
  /** The peer takes IKE_AUTH without a child (RFC 6023) [CHILD-27]. */
  readonly canBeChildless: boolean;
}

/** What AUTH is computed over on both sides (RFC 7296 section 2.15). */
export interface InitTranscript {
  readonly request: Uint8Array;
  readonly response: Uint8Array;
  readonly nonces: NoncePair;
  /** Present when IKE_INTERMEDIATE exchanges came in between (RFC 9242 section 3.3.2). */
  readonly intermediate?: IntermediateTranscript;
}

/** What the peer said about the proofs that it takes. */
export interface PeerTakes {
  /** SIGNATURE_HASH_ALGORITHMS; absent: it sent none, so that only the older methods are left [AUTH-13]. */
  readonly hashes: readonly number[] | undefined;
  /** Key hashes of CAs from its certificate requests [AUTH-10]. */
  readonly authorities: readonly Uint8Array[];
}

export interface IntermediateTranscript {
  /** IntAuth_iN and IntAuth_rN. */
  readonly initiator: Uint8Array;
  readonly responder: Uint8Array;
  /** Message ID of the first IKE_AUTH request. */
  readonly authMessageId: number;
}

/** Key exchanges after the first one, each in an IKE_INTERMEDIATE exchange of its own (RFC 9370 section 2.2.2). */
export interface AdditionalKeyExchanges {
  /** Methods still to come; the first is under way [PQ-13]. */
  methods: readonly number[];
  /** IntAuth of each side so far; empty before the first exchange (RFC 9242 section 3.3.2). */
  initiator: Uint8Array;
  responder: Uint8Array;
}

/**
 * The peer answered IKE_SA_INIT: additional key exchanges are under way, our AUTH is being made, our IKE_AUTH request is on its
 * way, or the response is being checked.
 */
export interface AuthenticatingIkeSa extends Common {
  readonly state: "authenticating";
  phase: "exchanging" | "proving" | "sent" | "checking";
  readonly connection: string;
  readonly startedAt: Instant;
  protection: Protection;
  readonly fragmentation: Fragmentation | undefined;
  readonly window: MessageWindow;
  transcript: InitTranscript;
  readonly nat: NatSituation;
  readonly localIdentity: Identification;
  readonly firstChild: FirstChild | undefined;
  /** Both ends sent USE_PPK. */
  readonly usesPpk: boolean;
  /** AUTH data of ours without a PPK, for a peer that may not have it [PQ-03]. */
  noPpkAuth: Uint8Array | undefined;
  readonly additional: AdditionalKeyExchanges | undefined;
  /** Our side of the one of them that is under way. */
  keyExchange: OwnKeyExchange | undefined;
  readonly takes: PeerTakes;
  /** By what we proved our identity, once that is sent. */
  proof: ProofFacts | undefined;
  /** What IKE_AUTH tells besides AUTH about our key, while that is being made. */
  certificates: readonly CertPayload[];
  /** The response while it is being checked. */
  response: readonly Payload[] | undefined;
  job: Job | undefined;
  /** What the peer sends meanwhile: to it the IKE SA is there. */
  inbox: InboxMessage[];
  /** The IKE SA whose authentication this one repeats. */
  renews: IkeSaId | undefined;
}

/** An IKE_AUTH request that waits for a computation: first the peer's AUTH is checked, then ours is made. */
export interface PendingAuth {
  readonly messageId: number;
  readonly payloads: readonly Payload[];
  readonly step: "checking" | "proving";
  /** By what the peer proved its identity. */
  readonly peerProof: ProofFacts | undefined;
  /** What the response tells besides AUTH about our key. */
  readonly certificates: readonly CertPayload[];
  /** Names of the connections that the peer may be; the first is being looked at. Empty: it is nobody, and is not to notice that soon. */
  readonly candidates: readonly string[];
  /** What spoke against those that were looked at already. */
  readonly failure: FailureNotice | undefined;
}

/** A peer wants an IKE SA: its IKE_SA_INIT request is being answered, or was. */
export interface HalfOpenIkeSa extends Common {
  readonly state: "halfOpen";
  readonly begunAt: Instant;
  expiresAt: Instant;
  /** Where it is counted: a single configured address, or a prefix of strangers. */
  readonly slot: { readonly isReserved: boolean; readonly keys: readonly string[] };
  /** Connections that the peer may be, best first. */
  readonly candidates: readonly string[];
  readonly request: Uint8Array;
  /** Names the request among others [MID-06]. */
  readonly digest: string;
  /** The one of the request's proposals that was chosen, with one transform of each type. */
  readonly proposal: Proposal;
  response: Uint8Array | undefined;
  /** How often the response may still be repeated. */
  readonly repeatable: Allowance;
  /** How often that was done. */
  repeats: number;
  readonly suite: IkeSuite;
  readonly nonces: NoncePair;
  readonly peerPublicValue: Uint8Array;
  keyExchange: OwnKeyExchange;
  readonly nat: NatSituation;
  protection: Protection | undefined;
  readonly fragmentation: Fragmentation | undefined;
  readonly window: MessageWindow;
  /** IKE_AUTH candidates that wait for the keys, and where they came from. */
  inbox: readonly InboxMessage[];
  failedOpens: number;
  /** Both ends sent USE_PPK. */
  readonly usesPpk: boolean;
  readonly additional: AdditionalKeyExchanges | undefined;
  /** Message ID of the IKE_INTERMEDIATE request under computation. */
  intermediateId: number | undefined;
  /** SIGNATURE_HASH_ALGORITHMS of the peer. */
  readonly hashes: readonly number[] | undefined;
  /** The IKE_AUTH request under computation. */
  auth: PendingAuth | undefined;
  /** Refused: kept to repeat the refusal only. */
  isRefused: boolean;
  job: Job | undefined;
}

export interface InboxMessage {
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  readonly bytes: Uint8Array;
}

/** What an established IKE SA does with the result of a computation. */
export type Continuation =
  | { readonly kind: "request"; readonly request: PlannedRequest }
  | {
      readonly kind: "response";
      readonly payloads: readonly Payload[];
      readonly exchange: CreateChildExchange | RekeyIkeExchange;
    }
  | { readonly kind: "answer"; readonly messageId: number; readonly payloads: readonly Payload[] }
  | {
      readonly kind: "answerWithKey";
      readonly messageId: number;
      readonly payloads: readonly Payload[];
      readonly keyExchange: OwnKeyExchange;
    }
  /** The response to IKE_FOLLOWUP_KE. */
  | {
      readonly kind: "followUp";
      readonly payloads: readonly Payload[];
      readonly exchange: FollowUpExchange;
    }
  | { readonly kind: "followUpAnswer"; readonly messageId: number; readonly payloads: readonly Payload[] };

/** A CREATE_CHILD_SA or IKE_FOLLOWUP_KE request that waits for its key pair. */
export type PlannedRequest =
  | {
      readonly kind: "createChild";
      readonly child: string;
      readonly replaces: Spi | undefined;
      readonly sibling: number;
      /** Number of the pair of selectors that is asked for; 0: the child as it is configured. */
      readonly pair: number;
      readonly keRetries: number;
    }
  | { readonly kind: "rekeyIke"; readonly keRetries: number }
  | {
      readonly kind: "followUp";
      readonly parent: CreateChildExchange | RekeyIkeExchange;
      readonly created: readonly Payload[];
      readonly secrets: readonly Uint8Array[];
      /** Link data of the last response. */
      readonly link: Uint8Array;
    };

export interface Job {
  readonly id: JobId;
  readonly deadline: Instant;
  readonly method: number;
  readonly continuation: Continuation | undefined;
}

interface Orphan {
  readonly inboundSpi: Spi;
  /** ESP or AH. */
  readonly protocolId: number;
  /** The SPI is only reserved: it is given back once the peer has answered. */
  readonly isReserved: boolean;
}

/** Both ends are authenticated. */
export interface EstablishedIkeSa extends Common {
  readonly state: "established";
  readonly connection: string;
  /** Number of the peer among those of a connection that serves many; 0 when it serves one. */
  readonly instance: number;
  readonly localIdentity: Identification;
  readonly peerIdentity: Identification;
  readonly proofs: Proofs;
  nat: NatSituation;
  /** Absent: not agreed on (RFC 4555). */
  mobike?: Mobike | undefined;
  /** The last change of addresses; absent: none. */
  moved?: (Move & { readonly at: Instant }) | undefined;
  readonly protection: Protection;
  readonly fragmentation: Fragmentation | undefined;
  readonly window: MessageWindow;
  readonly establishedAt: Instant;
  /** When the first IKE SA of this line was authenticated. */
  readonly authenticatedAt: Instant;
  readonly authentication: Authentication;
  /** The lower nonce of the exchange that made it, for the choice between duplicates. */
  readonly lowestNonce: Uint8Array;
  rekeyAt: Instant;
  readonly expiresAt: Instant;
  rekeyNotBefore: Instant | undefined;
  rekeyFailures: number;
  /** Last authentic message. */
  lastHeardAt: Instant;
  lastSentAt: Instant;
  children: ChildSa[];
  /** Children for which the peer takes no further SA beside those that are there [RES-03]. */
  refusedSiblings: string[];
  /** Children whose peer turned out to want less than all of them in one SA (RFC 7296 section 2.9). */
  splits: { readonly child: string; readonly saPer: "pair" | "host" }[];
  /** How many CREATE_CHILD_SA requests of the peer may still be answered, and when that was reckoned. */
  childRequests: { allowance: number; since: Instant };
  lingering: Lingering[];
  /** Children that are gone or never were installed here, and that the peer must be told to delete. */
  orphans: Orphan[];
  /** What the peer began to make and has further key exchanges to do for. */
  followUps: FollowUp[];
  job: Job | undefined;
  /** Messages and events that wait for the job. */
  inbox: InboxMessage[];
  /** Made by the peer while our own rekey of this older IKE SA is in flight; has no children until that is decided. */
  heldFor: IkeSaId | undefined;
  /** The last request that was answered at once took so long; absent before the first. */
  roundTrip?: DurationMs;
  /** Waits until nothing else is to be sent. */
  pathProbe?: PathProbe | undefined;
  /** Another IKE SA with the same peer stays; this one is to be closed by the peer, or by us at this time. */
  redundantUntil: Instant | undefined;
  /** The IKE SA with the same peer that this one takes the place of once it has all its children. */
  elder?: IkeSaId | undefined;
}

/** On its way out: its children are gone or moved. */
export interface LeavingIkeSa extends Common {
  readonly state: "leaving";
  readonly connection: string;
  readonly protection: Protection;
  readonly fragmentation: Fragmentation | undefined;
  readonly window: MessageWindow;
  readonly reason: IkeDownReason;
  /** The IKE SA that took the children. */
  readonly successor: IkeSaId | undefined;
  /** Who sends the Delete; when the peer fails to do so by the deadline, we do. `nobody`: all is said. */
  deletedBy: "us" | "peer" | "nobody";
  deadline: Instant;
}

/** IKE SAs that have keys, a window and an authenticated or refused peer. */
export type ProtectedIkeSa = AuthenticatingIkeSa | EstablishedIkeSa | LeavingIkeSa;
export type IkeSa = InitiatingIkeSa | HalfOpenIkeSa | ProtectedIkeSa;
