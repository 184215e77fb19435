/** The PAD and the children's policies of one connection (RFC 4301 section 4.4.3), as the configuration gives them. */
import type { AddressRange } from "../base/address-range.ts";
import type { Branded } from "../base/brand.ts";
import type { DurationMs } from "../base/instant.ts";
import type { IpAddress } from "../base/ip-address.ts";
import type { OlderRsaHash, RsaPadding, SigningKeyType } from "../crypto/signature-scheme.ts";
import type { PolicyName, SaHandling, SaLifetime } from "./data-plane.ts";
import type { ProposalSuite } from "./proposal-suite.ts";
import type { SelectorPair } from "./traffic-selector.ts";

/** An identity by its IKEv2 type (RFC 7296 section 3.5). */
export interface Identification {
  readonly idType: number;
  readonly data: Uint8Array;
}

/** Names a private key to whoever holds it; the key itself is never where IKE is. */
export type PrivateKeyId = Branded<string, "PrivateKeyId">;

/** A key pair of ours, its private half by name. */
export interface OwnKey {
  readonly id: PrivateKeyId;
  readonly type: SigningKeyType;
  readonly padding: RsaPadding;
  /** What an RSA key signs over for peers without RFC 7427; absent: SHA-256. */
  readonly olderHash?: OlderRsaHash;
  /** SubjectPublicKeyInfo (RFC 5280 section 4.1), DER. */
  readonly publicKey: Uint8Array;
}

/** A certificate of ours with what leads towards a CA. */
export interface OwnCertificate {
  readonly key: OwnKey;
  readonly subject: string;
  /** DER, our own first [AUTH-10]. */
  readonly chain: readonly Uint8Array[];
  /** Key hashes (20 octets, RFC 7296 section 3.7) of the authorities that the chain leads to, as far as they are known. */
  readonly authorities: readonly Uint8Array[];
}

/** How we prove our identity (RFC 4301 section 4.4.3.2). Secrets are read and never copied into the machine's state. */
export type OwnAuthentication =
  | { readonly kind: "psk"; readonly secret: Uint8Array }
  | { readonly kind: "pubkey"; readonly key: OwnKey }
  /** The first one is taken, unless the peer asks for another one's authority or cannot check its signature. */
  | { readonly kind: "certificate"; readonly certificates: readonly OwnCertificate[] };

/** What the peer has to prove its identity with. */
export type PeerAuthentication =
  | { readonly kind: "psk"; readonly secret: Uint8Array }
  /** One of these keys, each a SubjectPublicKeyInfo in DER. */
  | ({ readonly kind: "pubkey"; readonly keys: readonly Uint8Array[] } & OlderSignatures)
  | ({ readonly kind: "certificate" } & CertificateTrust & OlderSignatures);

interface OlderSignatures {
  /** RSA signatures by method 1 may be over SHA-1 (RFC 7296 section 3.8). */
  readonly takesSha1?: true;
}

/** Which certificates prove a peer's identity. */
export interface CertificateTrust {
  /** DER of CAs. */
  readonly anchors: readonly Uint8Array[];
  /** Key hashes of the anchors and the pinned (20 octets, RFC 7296 section 3.7): what we ask the peer for [AUTH-10]. */
  readonly authorities: readonly Uint8Array[];
  /** DER of peers' own certificates: trusted, known even when the peer sends none, and nobody's issuer. */
  readonly pinned: readonly Uint8Array[];
  /** DER of certificates in between that the peer may leave out. */
  readonly intermediates: readonly Uint8Array[];
  readonly revocation: {
    /** `strict`: nothing but proof that it is good will do. `soft`: nothing but proof of revocation refuses. */
    readonly mode: "strict" | "soft" | "off";
    /** DER of CRLs from files. */
    readonly lists: readonly Uint8Array[];
  };
}

/** A postquantum preshared key and the name that both ends have for it (RFC 8784). */
export interface Ppk {
  readonly id: Uint8Array;
  readonly secret: Uint8Array;
}

/** Where the configuration says something, so that a notice can name the place. */
export interface ConfigurationPlace {
  readonly file: string;
  readonly line: number;
}

export type Keep = "up" | "on-demand" | "respond";

/**
 * What becomes of an IKE SA when its peer sets up another one: `replace` gives it a moment to close the old one, then does so;
 * `keep` lets both stand unless the peer says INITIAL_CONTACT; `reject` refuses the new one, INITIAL_CONTACT excepted; `never`
 * lets all stand.
 */
export type Uniqueness = "replace" | "keep" | "reject" | "never";

/**
 * IKE SAs without a child (RFC 6023): `allow` answers them, and makes one where no child is wanted yet; `prefer` makes them
 * wherever the peer can, so that each child has a key exchange of its own; `never` does neither.
 */
export type Childless = "allow" | "prefer" | "never";

export interface Rekey {
  /** Soft limit in time, before jitter. */
  readonly time: DurationMs;
  /** Part of `time`, and of the soft limits in octets and packets, taken off at random, 0..1, so that both ends seldom start at once. */
  readonly jitter: number;
}

export interface ChildConfiguration {
  readonly name: string;
  readonly selectors: SelectorPair;
  readonly proposals: readonly ProposalSuite[];
  readonly keep: Keep;
  readonly rekey: Rekey;
  /** Closed after so long without a packet either way; absent: never. */
  readonly inactivity?: DurationMs;
  /** Octets and packets, before jitter; the hard limit in time follows from `rekey`. */
  readonly lifetime: SaLifetime;
  readonly handling: SaHandling;
  /** DSCP values (0 to 63) whose packets leave through an SA of their own, for each such SA (RFC 4301 section 4.1). */
  readonly dscpClasses?: readonly (readonly number[])[];
  /** Present: no SAs are bound to lanes, although the peer might know how (RFC 9611). */
  readonly hasNoLaneSas?: true;
  /**
   * An SA holds one pair of selectors; or one pair of addresses, or one flow, whose values the packet gives that wants it
   * (RFC 4301 section 4.4.1.2). Absent: all that the child names, and one pair where the peer takes no more.
   */
  readonly saPer?: "pair" | "host" | "flow";
  /** The first SA is rekeyed as soon as it is there, so that a rekey that cannot succeed is known at once. */
  readonly rehearse?: true;
  readonly place: ConfigurationPlace;
}

/** A peer that `remote.ids` of a connection names: a connection of its own, but for the name. */
export interface OneOfMany {
  /** Name of the connection that names it; its own is `NAME#N`. */
  readonly connection: string;
  /** `own`: each of its children is a policy. `shared`: a child is one policy for all of these peers. */
  readonly networks: "own" | "shared";
}

export interface Connection {
  readonly name: string;
  /** Absent: it stands in the configuration by itself. */
  readonly oneOf?: OneOfMany;
  readonly local: {
    /** Outer address to use and to be found at; absent: any of the gateway's. */
    readonly address?: IpAddress;
    /** Absent: our outer address. */
    readonly id?: Identification;
    readonly auth: OwnAuthentication;
  };
  readonly remote: {
    /** Single addresses are called; ranges only answer. Empty: any. */
    readonly addresses: readonly AddressRange[];
    /** DNS names that `addresses` come from, as far as they were answered: then an empty list means that none is known. */
    readonly names?: readonly string[];
    /** Where the peer listens for IKE, 500 unless told. */
    readonly port: number;
    /** Absent: the peer's outer address. `any` accepts every identity with the right key. */
    readonly id?: Identification | "any";
    readonly auth: PeerAuthentication;
  };
  /** Absent: none is used. The first is the one for our own calls; a peer that calls names one of them. */
  readonly ppk?: { readonly keys: readonly [Ppk, ...Ppk[]]; readonly isRequired: boolean };
  readonly keep: Keep;
  readonly encapsulation: "auto" | "udp" | "esp";
  readonly ike: {
    readonly proposals: readonly ProposalSuite[];
    readonly rekey: Rekey;
    /** Idle time after which the peer is asked for a sign of life. */
    readonly liveness: DurationMs;
    /** Octets of the largest IP packet that a message makes, or no fragments of messages (RFC 7383); absent: a good size. */
    readonly fragmentation?: "off" | number;
    /** An authentication is repeated before it is so old; absent: never (RFC 7296 section 2.8.3, RFC 4478). */
    readonly reauth?: DurationMs;
    /** Absent: `replace`. */
    readonly unique?: Uniqueness;
    /** Absent: `allow`. */
    readonly childless?: Childless;
    /** Addresses may change without new SAs (RFC 4555); absent: yes, unless only raw ESP will do. */
    readonly mobike?: boolean;
    readonly place: ConfigurationPlace;
  };
  readonly children: readonly ChildConfiguration[];
  readonly place: ConfigurationPlace;
}

/** `NAME/CHILD`, the policy that a child of a connection stands for. */
export function policyOf({ name, oneOf }: Pick<Connection, "name" | "oneOf">, child: string): PolicyName {
  return `${oneOf?.networks === "shared" ? oneOf.connection : name}/${child}`;
}
