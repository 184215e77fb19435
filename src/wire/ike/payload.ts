/** The values that IKEv2 payloads decode to (RFC 7296 sections 3.2 to 3.16); one codec per file in payloads/. */
import type { IkeSpi } from "../../base/spi.ts";

/** RFC 7296 section 3.1. */
export interface IkeHeader {
  readonly initiatorSpi: IkeSpi;
  readonly responderSpi: IkeSpi;
  readonly nextPayload: number;
  readonly majorVersion: number;
  readonly minorVersion: number;
  readonly exchangeType: number;
  /** I flag: the sender is the original initiator of the IKE SA. */
  readonly isFromInitiator: boolean;
  /** R flag. */
  readonly isResponse: boolean;
  readonly messageId: number;
  /** Octets of the whole message. */
  readonly length: number;
}

export interface Transform {
  readonly type: number;
  readonly id: number;
  /** Key Length attribute; absent when the attribute is absent. */
  readonly keyBits?: number;
  /** An attribute that this project does not know came along: the transform must not be selected. */
  readonly hasUnknownAttribute?: true;
}

export interface Proposal {
  readonly number: number;
  readonly protocolId: number;
  /** 0, 4 or 8 octets; any other size is kept so that the proposal can be passed over. */
  readonly spi: Uint8Array;
  readonly transforms: readonly Transform[];
}

/** RFC 7296 section 3.13.1 on the wire; see policy/traffic-selector for the value that policy computes with. */
export interface TrafficSelectorWire {
  readonly type: number;
  readonly protocol: number;
  readonly startPort: number;
  readonly endPort: number;
  /** 4 or 16 octets by type. */
  readonly startAddress: Uint8Array;
  readonly endAddress: Uint8Array;
}

export interface SaPayload {
  readonly kind: "SA";
  readonly proposals: readonly Proposal[];
}
export interface KePayload {
  readonly kind: "KE";
  readonly method: number;
  readonly data: Uint8Array;
}
export interface IdPayload {
  readonly kind: "IDi" | "IDr";
  readonly idType: number;
  readonly data: Uint8Array;
  /** The three reserved octets of a received payload where they are not zero: AUTH covers them, see idBody in payloads/id.ts. */
  readonly reserved?: number;
}
export interface CertPayload {
  readonly kind: "CERT" | "CERTREQ";
  readonly encoding: number;
  readonly data: Uint8Array;
}
export interface AuthPayload {
  readonly kind: "AUTH";
  readonly method: number;
  readonly data: Uint8Array;
}
export interface NoncePayload {
  readonly kind: "Nonce";
  readonly data: Uint8Array;
}
export interface NotifyPayload {
  readonly kind: "N";
  readonly protocolId: number;
  readonly notifyType: number;
  readonly spi: Uint8Array;
  readonly data: Uint8Array;
}
export interface DeletePayload {
  readonly kind: "D";
  readonly protocolId: number;
  /** Octets of each SPI: 0 for the IKE SA, 4 for AH and ESP. */
  readonly spis: readonly Uint8Array[];
}
export interface VendorIdPayload {
  readonly kind: "V";
  readonly data: Uint8Array;
}
export interface TsPayload {
  readonly kind: "TSi" | "TSr";
  readonly selectors: readonly TrafficSelectorWire[];
}
export interface ConfigurationAttribute {
  readonly type: number;
  readonly value: Uint8Array;
}
export interface CpPayload {
  readonly kind: "CP";
  readonly cfgType: number;
  readonly attributes: readonly ConfigurationAttribute[];
}
export interface EapPayload {
  readonly kind: "EAP";
  readonly message: Uint8Array;
}
/** RFC 7296 section 3.14; the body is opened with keys, see ike/. Always the last of a message. */
export interface SkPayload {
  readonly kind: "SK";
  readonly firstInnerPayload: number;
  /** IV, ciphertext, ICV. */
  readonly body: Uint8Array;
}
/** RFC 7383 section 2.5. */
export interface SkfPayload {
  readonly kind: "SKF";
  readonly firstInnerPayload: number;
  readonly fragmentNumber: number;
  readonly totalFragments: number;
  readonly body: Uint8Array;
}
/** A type that RFC 7296 does not define; kept with its critical bit [HDR-10] [HDR-11]. */
export interface UnknownPayload {
  readonly kind: "unknown";
  readonly payloadType: number;
  readonly critical: boolean;
  readonly body: Uint8Array;
}

export type Payload =
  | SaPayload
  | KePayload
  | IdPayload
  | CertPayload
  | AuthPayload
  | NoncePayload
  | NotifyPayload
  | DeletePayload
  | VendorIdPayload
  | TsPayload
  | CpPayload
  | EapPayload
  | SkPayload
  | SkfPayload
  | UnknownPayload;

/** A decoded message: header and the chain of payloads outside SK. */
export interface IkeMessage {
  readonly header: IkeHeader;
  readonly payloads: readonly Payload[];
}
