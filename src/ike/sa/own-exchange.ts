/** What an exchange that we began is for, and what its response is checked against. */
import type { DurationMs } from "../../base/instant.ts";
import type { IkeSpi, Spi } from "../../base/spi.ts";
import type { SelectorPair } from "../../policy/traffic-selector.ts";
import type { Payload } from "../../wire/ike/payload.ts";
import type { IkeSaId } from "./ike-sa-id.ts";

/** An SA that the peer made in an exchange that crossed ours (RFC 7296 section 2.8.1). */
interface Crossing<Made> {
  readonly made: Made;
  /** The lower of the two nonces of the peer's exchange. */
  readonly lowestNonce: Uint8Array;
}

/** Our side of a Diffie-Hellman exchange in flight; `method` 0 is none. */
export interface OwnKeyExchange {
  readonly method: number;
  /** Secret; wiped when the exchange ends. */
  readonly privateValue: Uint8Array;
  readonly publicValue: Uint8Array;
}

/** CREATE_CHILD_SA for a new child, or for one that replaces another. */
export interface CreateChildExchange {
  readonly kind: "createChild";
  /** Name of the child in the configuration. */
  readonly child: string;
  /** Inbound SPI of the child that is replaced; absent for a new one. */
  readonly replaces: Spi | undefined;
  /** Number of the SA among those that stand beside each other. */
  readonly sibling: number;
  /** Number of the pair of selectors that is asked for; 0: the child as it is configured. */
  readonly pair: number;
  readonly inboundSpi: Spi;
  readonly nonce: Uint8Array;
  readonly keyExchange: OwnKeyExchange;
  /** Selectors as sent. */
  readonly offered: SelectorPair;
  readonly keRetries: number;
  /** Inbound SPI of the child that the peer made meanwhile for the same purpose. */
  crossing: Crossing<Spi> | undefined;
}

/** CREATE_CHILD_SA for a new IKE SA in place of this one. */
export interface RekeyIkeExchange {
  readonly kind: "rekeyIke";
  readonly initiatorSpi: IkeSpi;
  readonly nonce: Uint8Array;
  readonly keyExchange: OwnKeyExchange;
  readonly keRetries: number;
  /** The IKE SA that the peer made meanwhile. */
  crossing: Crossing<IkeSaId> | undefined;
}

/** IKE_FOLLOWUP_KE: an additional key exchange of a CREATE_CHILD_SA that the peer has answered (RFC 9370 section 2.2.4). */
export interface FollowUpExchange {
  readonly kind: "followUp";
  readonly parent: CreateChildExchange | RekeyIkeExchange;
  /** The response to CREATE_CHILD_SA. */
  readonly created: readonly Payload[];
  /** Of the key exchanges so far, the first one's first. */
  readonly secrets: readonly Uint8Array[];
  readonly keyExchange: OwnKeyExchange;
}

/** INFORMATIONAL filled up to the size of a packet whose way is in question. */
export interface PathProbeExchange {
  readonly kind: "pathProbe";
  readonly inboundSpi: Spi;
  /** Octets of the IP packet. */
  readonly octets: number;
  /** Wait after each try that nobody may fragment. */
  readonly patience: DurationMs;
}

/** UPDATE_SA_ADDRESSES (RFC 4555 section 3.5). */
export interface UpdateAddressesExchange {
  readonly kind: "updateAddresses";
  /** Number of the change that it tells of. */
  readonly change: number;
  /** What a peer at an address where it never answered before has to send back. */
  readonly cookie: Uint8Array | undefined;
}

/** COOKIE2 alone (RFC 4555 section 3.7). */
export interface CheckRoutabilityExchange {
  readonly kind: "checkRoutability";
  readonly change: number;
  readonly cookie: Uint8Array;
}

export type OwnExchange =
  | { readonly kind: "auth" }
  | { readonly kind: "intermediate" }
  /** INFORMATIONAL without payloads. */
  | { readonly kind: "liveness" }
  | { readonly kind: "deleteIke" }
  /** Inbound SPIs of the children to delete; some of them may be reserved only. */
  | {
      readonly kind: "deleteChildren";
      readonly inboundSpis: readonly Spi[];
      readonly reserved: readonly Spi[];
    }
  /** The peer's AUTH was wrong: tell it, then forget it (RFC 7296 section 2.21.2). */
  | { readonly kind: "authenticationFailed" }
  /** Our further addresses (RFC 4555). */
  | { readonly kind: "tellAddresses" }
  | UpdateAddressesExchange
  | CheckRoutabilityExchange
  | CreateChildExchange
  | RekeyIkeExchange
  | FollowUpExchange
  | PathProbeExchange;
