/** The contract of the sans-I/O IKEv2 machine: events in, actions out, in order (RFC 7296). */
import type { Branded } from "../base/brand.ts";
import type { Instant } from "../base/instant.ts";
import type { Spi } from "../base/spi.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import type { UnreachableReport } from "../base/unreachable-report.ts";
import type { SignatureFlaw } from "../crypto/auth-signature.ts";
import type { SignatureScheme } from "../crypto/signature-scheme.ts";
import type { CertificateRefusal } from "../pki/refusal.ts";
import type { Identification, PeerAuthentication, PrivateKeyId } from "../policy/connection.ts";
import type { DataPlaneCommand, DataPlaneEvent } from "../policy/data-plane.ts";
import type { CertPayload } from "../wire/ike/payload.ts";
import type { IkeNotice } from "./notice.ts";
import type { TracedMessage } from "./trace.ts";

export type JobId = Branded<number, "JobId">;

/** What speaks against a peer that was to prove its identity. */
export type PeerFinding =
  /** Its key is trusted, its signature is not what it ought to be. */
  | { readonly check: "signature"; readonly flaw: SignatureFlaw }
  | { readonly check: "certificate"; readonly refusal: CertificateRefusal };

/** A slow or secret computation, asked for by an action and answered by a `computed` event. */
export type Work =
  | { readonly kind: "generateKeyExchange"; readonly method: number }
  | {
      readonly kind: "deriveSharedSecret";
      readonly method: number;
      readonly privateValue: Uint8Array;
      readonly peerPublicValue: Uint8Array;
    }
  /** Sign with a private key that only its holder has. */
  | {
      readonly kind: "sign";
      readonly key: PrivateKeyId;
      readonly scheme: SignatureScheme;
      /** Subject of the key's certificate; comes back with the signature. */
      readonly certificate?: string;
      readonly octets: Uint8Array;
    }
  /** Check the peer's AUTH payload over these octets, and that its key is one of those that are trusted for its identity. */
  | {
      readonly kind: "verifyPeer";
      readonly identity: Identification;
      readonly trust: Exclude<PeerAuthentication, { kind: "psk" }>;
      /** CERT payloads as received. */
      readonly certificates: readonly CertPayload[];
      /** AUTH method and data as received. */
      readonly method: number;
      readonly data: Uint8Array;
      readonly octets: Uint8Array;
    }
  /** A responder's whole part, also of a KEM, which can begin only with the peer's value [PQ-20]. */
  | {
      readonly kind: "answerKeyExchange";
      readonly method: number;
      readonly peerPublicValue: Uint8Array;
    };

export type WorkResult =
  | { readonly kind: "keyExchange"; readonly privateValue: Uint8Array; readonly publicValue: Uint8Array }
  | { readonly kind: "sharedSecret"; readonly secret: Uint8Array }
  /** Method and data of an AUTH payload. */
  | {
      readonly kind: "signed";
      readonly method: number;
      readonly data: Uint8Array;
      /** `rsa-pss sha256` */
      readonly scheme: string;
      readonly certificate?: string;
    }
  | {
      readonly kind: "peerVerified";
      readonly scheme: string;
      /** Subject of the peer's certificate; absent with a raw key. */
      readonly certificate?: string;
      readonly isRevocationUnknown?: true;
    }
  | { readonly kind: "peerRefused"; readonly finding: PeerFinding }
  | { readonly kind: "keyExchangeAnswer"; readonly publicValue: Uint8Array; readonly secret: Uint8Array }
  /** The peer's value is not acceptable [INIT-11] [INIT-12]. */
  | { readonly kind: "refused"; readonly reason: string }
  /** This gateway could not compute it; nothing that a peer sent is the reason. */
  | { readonly kind: "failed"; readonly reason: string };

/** `connection`, or one child of it. */
export interface Target {
  /** Name in the configuration, or `NAME#2` for the second peer of one that serves many. */
  readonly connection: string;
  readonly child?: string;
}

export type IkeCommand =
  | { readonly kind: "up"; readonly target: Target }
  | { readonly kind: "down"; readonly target: Target }
  | { readonly kind: "rekey"; readonly target: Target }
  /** Send deletes for everything and start nothing new; the daemon is about to stop. */
  | { readonly kind: "shutdown" };

/** A size that may or may not get through to the peer of a child SA. */
export interface PathProbe {
  /** The child SA whose way it is. */
  readonly inboundSpi: Spi;
  /** Octets of the IP packet; when answered, of the one that was sent, which may be a few shorter. */
  readonly octets: number;
}

/** `fits`: the peer got it whole. `tooBig`: it got it, but not whole. `unknown`: not sent, or its IKE SA ended first. */
export type PathProbeOutcome = "fits" | "tooBig" | "unknown";

export type IkeEvent =
  | {
      readonly kind: "datagram";
      readonly local: UdpEndpoint;
      readonly remote: UdpEndpoint;
      /** The IKE message itself: without the non-ESP marker of port 4500 (RFC 3948 section 2.2). */
      readonly bytes: Uint8Array;
    }
  | { readonly kind: "timeout" }
  | { readonly kind: "computed"; readonly job: JobId; readonly result: WorkResult }
  | { readonly kind: "dataPlane"; readonly event: DataPlaneEvent }
  | { readonly kind: "command"; readonly command: IkeCommand }
  /** Find out whether packets of this size reach a peer; answered by one `pathProbed`. */
  | { readonly kind: "probePath"; readonly probe: PathProbe }
  /** A message of ours did not arrive, as somebody says. */
  | { readonly kind: "unreachable"; readonly report: UnreachableReport }
  /** The host's addresses or routes are others now. */
  | { readonly kind: "pathsChanged" };

export type IkeAction =
  | {
      readonly kind: "send";
      readonly local: UdpEndpoint;
      readonly remote: UdpEndpoint;
      /** An IKE message; whoever sends it from the NAT port puts the non-ESP marker in front [NAT-04]. */
      readonly bytes: Uint8Array;
      /** Nobody on the way may fragment it. */
      readonly dontFragment?: true;
      /** Over IPv6, where nobody on the way would: in fragments that every path carries, if it is longer. */
      readonly inFragments?: true;
    }
  /** One octet 0xFF (RFC 3948 section 2.3). */
  | { readonly kind: "sendKeepalive"; readonly local: UdpEndpoint; readonly remote: UdpEndpoint }
  | { readonly kind: "compute"; readonly job: JobId; readonly work: Work }
  | { readonly kind: "dataPlane"; readonly command: DataPlaneCommand }
  | { readonly kind: "notice"; readonly notice: IkeNotice }
  | { readonly kind: "message"; readonly message: TracedMessage }
  | { readonly kind: "pathProbed"; readonly probe: PathProbe; readonly outcome: PathProbeOutcome };

export interface Timeout {
  readonly at: Instant;
  readonly reason: string;
}

export interface IkeMachine {
  /** Feeds one event and returns what is to be done now, in this order. Never throws for what a peer sent. */
  handle(event: IkeEvent, now: Instant): readonly IkeAction[];
  /** When to feed `timeout`, and why. Early or repeated timeouts do nothing. */
  nextTimeout(): Timeout | undefined;
}
