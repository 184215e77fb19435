/** Whether any certificate of a path has been revoked, and what has to be fetched to know (RFC 5280 section 6.3, RFC 6960). */
import { equal } from "../base/bytes.ts";
import { WireError } from "../wire/wire-error.ts";
import type { Certificate } from "../wire/x509/certificate.ts";
import { decodeRevocationList, type RevocationList } from "../wire/x509/crl.ts";
import { decodeOcspResponse, type OcspResponse } from "../wire/x509/ocsp.ts";
import { crlStatus } from "./crl-check.ts";
import type { Issued, IssuedStatus } from "./issued-status.ts";
import { SIGNATURE_CHECKS_MAX, URLS_PER_CERTIFICATE_MAX } from "./limits.ts";
import { certificateIdOf, ocspStatus } from "./ocsp-check.ts";
import type { Path, SignatureBudget } from "./path-building.ts";
import { type CertificateLabel, type CertificateRefusal, labelOf, type RevocationCause } from "./refusal.ts";

/** `strict`: nothing but proof that it is good will do. `soft`: nothing but proof of revocation refuses. */
export type RevocationMode = "strict" | "soft" | "off";

/** A CRL or OCSP response in DER. */
export interface RevocationData {
  readonly kind: "crl" | "ocsp";
  /** Absent: configured. */
  readonly url?: string;
  readonly bytes: Uint8Array;
}

/** What has been asked for already. */
export interface RevocationAttempt {
  readonly request: RevocationRequest;
  /** Absent: what came is among the data. */
  readonly failure?: string;
}

export interface RevocationKnowledge {
  readonly mode: RevocationMode;
  readonly data: readonly RevocationData[];
  readonly attempts: readonly RevocationAttempt[];
}

/** What to fetch; the addresses stand in certificates that lead to a trusted one. */
export type RevocationRequest =
  | { readonly kind: "crl"; readonly url: string }
  /** `certificateId`: DER of the CertID to ask about. */
  | { readonly kind: "ocsp"; readonly url: string; readonly certificateId: Uint8Array };

export type RevocationVerdict =
  /** `unproven`: certificates of which nobody could say that they are good, in mode `soft`. */
  | { readonly kind: "passed"; readonly unproven: readonly CertificateLabel[] }
  | { readonly kind: "refused"; readonly refusal: CertificateRefusal }
  | { readonly kind: "needs"; readonly requests: readonly RevocationRequest[] };

type Evidence =
  | { readonly source: "crl"; readonly url?: string; readonly list: RevocationList }
  | { readonly source: "ocsp"; readonly url?: string; readonly response: OcspResponse };

export function checkRevocation(
  path: Path,
  wallClock: number,
  knowledge: RevocationKnowledge,
  budget: SignatureBudget,
): RevocationVerdict {
  if (knowledge.mode === "off") return { kind: "passed", unproven: [] };
  const malformed: RevocationCause[] = [];
  const evidence = knowledge.data.flatMap((one) => decode(one, malformed));
  const unproven: CertificateLabel[] = [];
  const requests: RevocationRequest[] = [];
  let firstUnknown: CertificateRefusal | undefined;
  // From the CA down: a revoked CA says more than what it signed.
  for (let i = path.length - 2; i >= 0; i--) {
    const issued = { certificate: path[i]!, issuer: path[i + 1]!, wallClock, budget };
    const causes = [...malformed];
    const responders: Certificate[] = [];
    const refusal = judge(evidence, issued, causes, responders);
    if (refusal === "good") continue;
    if (refusal !== undefined) return { kind: "refused", refusal };
    const further = openRequests(issued, responders, knowledge.attempts);
    requests.push(...further);
    unproven.push(labelOf(issued.certificate));
    firstUnknown ??= unknown(issued.certificate, causes, knowledge.attempts);
  }
  // What could not be verified any more may be what says revoked, and what was sent along may have used it up.
  if (firstUnknown !== undefined && budget.isSpent) {
    const refusal = { check: "tooMuchWork", limit: SIGNATURE_CHECKS_MAX, unit: "signatures" } as const;
    return { kind: "refused", refusal };
  }
  if (requests.length > 0) return { kind: "needs", requests };
  if (firstUnknown !== undefined && knowledge.mode === "strict")
    return { kind: "refused", refusal: firstUnknown };
  return { kind: "passed", unproven };
}

function decode({ kind, url, bytes }: RevocationData, malformed: RevocationCause[]): readonly Evidence[] {
  const from = url === undefined ? {} : { url };
  try {
    return kind === "crl"
      ? [{ source: "crl", ...from, list: decodeRevocationList(bytes) }]
      : [{ source: "ocsp", ...from, response: decodeOcspResponse(bytes) }];
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    malformed.push({ ...from, cause: "badEncoding", detail: error.message });
    return [];
  }
}

/** `undefined`: nobody knows; why is added to `causes`, and who would know if they were looked into to `responders`. */
function judge(
  evidence: readonly Evidence[],
  issued: Issued,
  causes: RevocationCause[],
  responders: Certificate[],
): CertificateRefusal | "good" | undefined {
  let isGood = false;
  for (const one of evidence) {
    const status = statusBy(one, issued);
    if (status.kind === "revoked") {
      const { at, reason } = status;
      return { check: "revoked", certificate: labelOf(issued.certificate), source: one.source, at, reason };
    }
    if (status.kind === "good") {
      const doubt = status.by === undefined ? undefined : doubtOf(status.by, issued, evidence);
      if (doubt === undefined) isGood = true;
      else causes.push({ cause: doubt, ...(one.url === undefined ? {} : { url: one.url }) });
      if (doubt === "responderUnproven") responders.push(status.by!);
    }
    if (status.kind === "unproven")
      causes.push({ ...status.cause, ...(one.url === undefined ? {} : { url: one.url }) });
    if (one.source === "ocsp" && one.response.kind === "error" && isUrlOf(one.url, issued.certificate))
      causes.push({ url: one.url!, cause: "answeredError", detail: String(one.response.status) });
  }
  return isGood ? "good" : undefined;
}

/**
 * What speaks against an OCSP responder with a certificate of its own [OCSP-06]. One that says neither where its CRL is nor that
 * nobody need look is taken, as RFC 6960 section 4.2.2.2.1 leaves it to us: such certificates live shortly.
 */
function doubtOf(
  responder: Certificate,
  issued: Issued,
  evidence: readonly Evidence[],
): "responderRevoked" | "responderUnproven" | undefined {
  const lists = evidence.filter(({ source }) => source === "crl");
  const statuses = lists.map((one) => statusBy(one, { ...issued, certificate: responder }).kind);
  if (statuses.includes("revoked")) return "responderRevoked";
  // A place that we cannot fetch from (ldap) is one as well.
  if (statuses.includes("good") || responder.extensions.crlUrls === undefined) return undefined;
  return "responderUnproven";
}

function statusBy(evidence: Evidence, issued: Issued): IssuedStatus {
  try {
    return evidence.source === "crl"
      ? crlStatus(evidence.list, issued)
      : ocspStatus(evidence.response, issued);
  } catch (error) {
    // An entry's own extensions are read when the entry is.
    if (!(error instanceof WireError)) throw error;
    return { kind: "unproven", cause: { cause: "badEncoding", detail: error.message } };
  }
}

function isUrlOf(url: string | undefined, { extensions }: Certificate): boolean {
  return url !== undefined && (extensions.ocspUrls ?? []).includes(url);
}

const FETCHABLE = /^https?:\/\//i;

/** OCSP responders first, then what says whether those are good; CRLs only when none of it helped, for they are long [OCSP-05]. */
function openRequests(
  issued: Issued,
  responders: readonly Certificate[],
  attempts: readonly RevocationAttempt[],
): readonly RevocationRequest[] {
  const requests = [
    ...ocspRequests(issued),
    ...responders.flatMap(({ extensions }) => fetchable(extensions.crlUrls)).map(crlRequest),
    ...fetchable(issued.certificate.extensions.crlUrls).map(crlRequest),
  ];
  return requests
    .filter((request) => !attempts.some((attempt) => isSameRequest(attempt.request, request)))
    .slice(0, 1);
}

function crlRequest(url: string): RevocationRequest {
  return { kind: "crl", url };
}

function ocspRequests({ certificate, issuer }: Issued): readonly RevocationRequest[] {
  const urls = fetchable(certificate.extensions.ocspUrls);
  if (urls.length === 0) return [];
  const certificateId = certificateIdOf(certificate, issuer);
  return urls.map((url) => ({ kind: "ocsp", url, certificateId }));
}

function fetchable(urls: readonly string[] = []): readonly string[] {
  return urls.filter((url) => FETCHABLE.test(url)).slice(0, URLS_PER_CERTIFICATE_MAX);
}

/** Two requests that have the same answer. */
export function isSameRequest(a: RevocationRequest, b: RevocationRequest): boolean {
  if (a.url !== b.url) return false;
  return a.kind === "ocsp" ? b.kind === "ocsp" && equal(a.certificateId, b.certificateId) : b.kind === "crl";
}

function unknown(
  certificate: Certificate,
  causes: readonly RevocationCause[],
  attempts: readonly RevocationAttempt[],
): CertificateRefusal {
  const { ocspUrls = [], crlUrls = [] } = certificate.extensions;
  const urls = [...fetchable(ocspUrls), ...fetchable(crlUrls)];
  const failed = attempts.flatMap(({ request: { url }, failure }): RevocationCause[] =>
    failure !== undefined && urls.includes(url) ? [{ url, cause: "notFetched", detail: failure }] : [],
  );
  const all = [...failed, ...causes];
  const told: readonly RevocationCause[] =
    all.length > 0 || urls.length > 0 ? all : [{ cause: "nowhereToAsk" }];
  return { check: "revocationUnknown", certificate: labelOf(certificate), causes: told };
}
