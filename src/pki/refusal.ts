/** Why certificates are not believed: a closed union of stable codes with data instead of prose. */
import { toHex } from "../base/bytes.ts";
import type { Certificate } from "../wire/x509/certificate.ts";
import { nameText } from "../wire/x509/distinguished-name.ts";

/** Which certificate. Whoever made it chose both: escape before showing. */
export interface CertificateLabel {
  readonly subject: string;
  /** Hexadecimal. */
  readonly serial: string;
}

export function labelOf({ subject, serial }: Certificate): CertificateLabel {
  return { subject: nameText(subject), serial: toHex(serial) };
}

interface About {
  readonly certificate: CertificateLabel;
}

/** Uses of a key by the names of RFC 5280 section 4.2.1.3. */
export type NeededUsage = "digitalSignature" | "keyCertSign" | "cRLSign";

export type CertificateRefusal =
  | { readonly check: "noCertificate" }
  | {
      readonly check: "tooManyCertificates";
      readonly limit: number;
      readonly unit: "certificates" | "octets";
    }
  /** `position`: 0 is the peer's own. */
  | { readonly check: "badEncoding"; readonly position: number; readonly detail: string }
  /** Nobody with the name `issuer` is trusted or was sent along. */
  | (About & { readonly check: "unknownIssuer"; readonly issuer: string })
  | (About & { readonly check: "badSignature" })
  | (About & { readonly check: "unknownAlgorithm"; readonly algorithm: string })
  | (About & { readonly check: "weakSignature"; readonly hash: string })
  /** `bits` 0: no kind of key that is known here. */
  | (About & { readonly check: "weakKey"; readonly bits: number })
  | (About & { readonly check: "keyTooLarge"; readonly bits: number })
  | (About & { readonly check: "notYetValid"; readonly notBefore: number })
  | (About & { readonly check: "expired"; readonly notAfter: number })
  | (About & { readonly check: "notCa" })
  | (About & { readonly check: "pathTooLong"; readonly allowed: number })
  | (About & { readonly check: "keyUsage"; readonly needed: NeededUsage })
  /** Object identifiers of the purposes that it has. */
  | (About & { readonly check: "extendedKeyUsage"; readonly purposes: readonly string[] })
  /** `constraining`: whose constraints `name` does not keep. */
  | (About & {
      readonly check: "nameConstraints";
      readonly name: string;
      readonly constraining: CertificateLabel;
    })
  | (About & { readonly check: "criticalExtension"; readonly extension: string })
  | (About & { readonly check: "explicitPolicy" })
  | {
      readonly check: "tooMuchWork";
      readonly limit: number;
      readonly unit: "signatures" | "certificates in a path";
    }
  /** The certificate does not name the identity that the peer claims; `names`: some that it has. */
  | (About & { readonly check: "identity"; readonly names: readonly string[] })
  | (About & {
      readonly check: "revoked";
      readonly source: "crl" | "ocsp";
      /** Milliseconds since 1970. */
      readonly at: number;
      /** CRLReason (RFC 5280 section 5.3.1). */
      readonly reason: number | undefined;
    })
  /** `mode: strict`, and nothing says that it is good. `causes`: what was wrong with what there was. */
  | (About & { readonly check: "revocationUnknown"; readonly causes: readonly RevocationCause[] });

/** Why a CRL or OCSP response, or an attempt to get one, proved nothing. */
export interface RevocationCause {
  /** Where it came from or was to come from; absent: it was configured or kept. */
  readonly url?: string;
  readonly cause:
    | "nowhereToAsk"
    | "notFetched"
    | "badEncoding"
    | "stale"
    | "notYetValid"
    | "badSignature"
    | "wrongResponder"
    | "responderRevoked"
    | "responderUnproven"
    | "indirect"
    | "delta"
    | "partial"
    | "criticalExtension"
    | "answeredError"
    | "answeredUnknown";
  readonly detail?: string;
}
