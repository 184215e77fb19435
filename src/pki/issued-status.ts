/** What one CRL or OCSP response says about one certificate, if it may say anything about it. */
import type { Certificate } from "../wire/x509/certificate.ts";
import type { SignatureBudget } from "./path-building.ts";
import type { RevocationCause } from "./refusal.ts";

/** A certificate, and the one of the path that signed it. */
export interface Issued {
  readonly certificate: Certificate;
  readonly issuer: Certificate;
  /** Milliseconds since 1970. */
  readonly wallClock: number;
  readonly budget: SignatureBudget;
}

export type IssuedStatus =
  /** `by`: says so with a certificate of its own, which may have been revoked (RFC 6960 section 4.2.2.2.1) [OCSP-06]. */
  | { readonly kind: "good"; readonly by?: Certificate }
  | { readonly kind: "revoked"; readonly at: number; readonly reason: number | undefined }
  /** It is about this certificate and proves nothing. */
  | { readonly kind: "unproven"; readonly cause: RevocationCause }
  /** It is about others. */
  | { readonly kind: "unconcerned" };

export function unproven(cause: RevocationCause["cause"], detail?: string): IssuedStatus {
  return { kind: "unproven", cause: { cause, ...(detail === undefined ? {} : { detail }) } };
}
