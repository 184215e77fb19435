/** Finds chains of signatures from a certificate to one that is trusted (RFC 4158), within bounds. */
import { equal } from "../base/bytes.ts";
import { verifySignature } from "../crypto/verify.ts";
import type { Certificate } from "../wire/x509/certificate.ts";
import { equalNames, nameText } from "../wire/x509/distinguished-name.ts";
import { acceptableAlgorithm, refuseKey } from "./key-strength.ts";
import { PATH_CERTIFICATES_MAX, SIGNATURE_CHECKS_MAX } from "./limits.ts";
import { type CertificateRefusal, labelOf } from "./refusal.ts";

/** The peer's certificate first, the trusted one last; each is signed with the key of the next. */
export type Path = readonly [Certificate, ...Certificate[]];

/** Counts signature checks down; they are what a stranger could make us do without end. */
export class SignatureBudget {
  #left = SIGNATURE_CHECKS_MAX;

  get isSpent(): boolean {
    return this.#left <= 0;
  }

  /** @returns false when none are left */
  take(): boolean {
    return this.#left-- > 0;
  }
}

/** Why no path, or no further one, was found; the most telling reason wins. */
export interface SearchFindings {
  refusal: CertificateRefusal | undefined;
}

interface Search {
  readonly anchors: readonly Certificate[];
  readonly others: readonly Certificate[];
  readonly budget: SignatureBudget;
  readonly findings: SearchFindings;
  /** What came of verifying one certificate with the key of another. */
  readonly verified: Map<Certificate, Map<Certificate, CertificateRefusal | undefined>>;
}

/**
 * Paths from `target` to one of `anchors`, shortest ways first where several certificates fit. All signatures of a path are
 * good; nothing else has been checked. `others` are certificates that may lie in between, trusted or not.
 */
export function* findPaths(
  target: Certificate,
  anchors: readonly Certificate[],
  others: readonly Certificate[],
  budget: SignatureBudget,
  findings: SearchFindings,
): Generator<Path> {
  const search = { anchors, others, budget, findings, verified: new Map() };
  if (anchors.some(({ encoded }) => equal(encoded, target.encoded))) yield [target];
  else yield* extend(search, [target]);
}

function* extend(search: Search, path: Path): Generator<Path> {
  const last = path.at(-1)!;
  const trusted = issuersOf(last, search.anchors);
  const further = issuersOf(last, search.others).filter((candidate) => !isOnPath(candidate, path));
  if (trusted.length + further.length === 0) {
    note(search, { check: "unknownIssuer", certificate: labelOf(last), issuer: nameText(last.issuer) });
    return;
  }
  if (path.length === PATH_CERTIFICATES_MAX) {
    note(search, { check: "tooMuchWork", limit: PATH_CERTIFICATES_MAX, unit: "certificates in a path" });
    return;
  }
  for (const issuer of trusted) if (isSignedBy(search, last, issuer)) yield [...path, issuer];
  for (const issuer of further)
    if (isSignedBy(search, last, issuer)) yield* extend(search, [...path, issuer]);
}

/** Certificates of the issuer's name, those whose key identifier fits first. */
function issuersOf(certificate: Certificate, candidates: readonly Certificate[]): readonly Certificate[] {
  const wanted = certificate.extensions.authorityKeyIdentifier;
  const rank = ({ extensions: { subjectKeyIdentifier } }: Certificate) => {
    if (wanted === undefined || subjectKeyIdentifier === undefined) return 1;
    return equal(wanted, subjectKeyIdentifier) ? 0 : 2;
  };
  return candidates
    .filter(({ subject }) => equalNames(subject, certificate.issuer))
    .sort((a, b) => rank(a) - rank(b));
}

/** The same name with the same key twice makes no path better: CAs that certify each other are a loop. */
function isOnPath(candidate: Certificate, path: Path): boolean {
  return path.some(
    ({ subject, publicKey }) =>
      equalNames(subject, candidate.subject) && equal(publicKey, candidate.publicKey),
  );
}

function isSignedBy(search: Search, certificate: Certificate, issuer: Certificate): boolean {
  let known = search.verified.get(certificate);
  if (known === undefined) {
    known = new Map();
    search.verified.set(certificate, known);
  }
  if (!known.has(issuer)) {
    const refusal = refuseSignature(search.budget, certificate, issuer);
    known.set(issuer, refusal);
    if (refusal !== undefined) note(search, refusal);
  }
  return known.get(issuer) === undefined;
}

function refuseSignature(
  budget: SignatureBudget,
  certificate: Certificate,
  issuer: Certificate,
): CertificateRefusal | undefined {
  const algorithm = acceptableAlgorithm(certificate.signatureAlgorithm);
  if ("check" in algorithm) return { ...algorithm, certificate: labelOf(certificate) };
  const weak = refuseKey(issuer);
  if (weak !== undefined) return weak;
  if (!budget.take()) return { check: "tooMuchWork", limit: SIGNATURE_CHECKS_MAX, unit: "signatures" };
  const isGood = verifySignature(issuer.publicKey, algorithm, certificate.signedPart, certificate.signature);
  return isGood ? undefined : { check: "badSignature", certificate: labelOf(certificate) };
}

/** An unknown issuer says less than anything else that was found. */
function note({ findings }: Search, refusal: CertificateRefusal): void {
  if (findings.refusal === undefined || findings.refusal.check === "unknownIssuer")
    findings.refusal = refusal;
}
