/** Certificates of a peer in, verdict out (RFC 5280 section 6, RFC 4945, RFC 6960): no clock, no network, no state. */
import { equal } from "../base/bytes.ts";
import { WireError } from "../wire/wire-error.ts";
import { type Certificate, decodeCertificate } from "../wire/x509/certificate.ts";
import { type ClaimedIdentity, identityNames, provesIdentity } from "./certificate-identity.ts";
import { PATHS_MAX, RECEIVED_CERTIFICATES_MAX, RECEIVED_OCTETS_MAX } from "./limits.ts";
import { findPaths, type Path, type SearchFindings, SignatureBudget } from "./path-building.ts";
import { refusePath } from "./path-validation.ts";
import { type CertificateLabel, type CertificateRefusal, labelOf } from "./refusal.ts";
import { checkRevocation, type RevocationKnowledge, type RevocationRequest } from "./revocation.ts";

export interface PeerCertificates {
  /** DER in the order of the CERT payloads: the peer's own first, then any in between [AUTH-10]. */
  readonly received: readonly Uint8Array[];
  /** DER of the CAs that are trusted. */
  readonly trustAnchors: readonly Uint8Array[];
  /** DER of peers' own certificates that are trusted as they are; what they signed is not, even if they call themselves CAs. */
  readonly pinned: readonly Uint8Array[];
  /** DER of CAs that are known and not trusted by themselves. */
  readonly intermediates: readonly Uint8Array[];
  /** What the peer claims to be; whether that is who we expect is the PAD's affair. */
  readonly identity: ClaimedIdentity;
  /** Milliseconds since 1970. */
  readonly wallClock: number;
}

/** A path to what is trusted, good but for what may have been revoked. */
export interface TrustedPath {
  readonly kind: "found";
  /** SubjectPublicKeyInfo in DER of the peer's key. */
  readonly publicKey: Uint8Array;
  readonly path: Path;
  /** What is left of it is for lists and responses. */
  readonly budget: SignatureBudget;
  readonly wallClock: number;
}

interface Refused {
  readonly kind: "refused";
  readonly refusal: CertificateRefusal;
}

export type PeerVerdict =
  | {
      readonly kind: "trusted";
      /** The peer's certificate first, the trusted one last. */
      readonly path: readonly CertificateLabel[];
      /** When the first certificate of the path ends, in milliseconds since 1970. */
      readonly expiresAt: number;
      /** Of these nobody could say whether they are revoked, and the configuration does not insist. */
      readonly unproven: readonly CertificateLabel[];
    }
  /** The path is good; whether something was revoked is known only with these. Ask again with what came of it. */
  | { readonly kind: "needs"; readonly requests: readonly RevocationRequest[] }
  | Refused;

/** The path that leads from the peer's certificate to a trusted one. Never throws for what a peer sent. */
export function findTrustedPath(peer: PeerCertificates): TrustedPath | Refused {
  const refusal = refuseSize(peer.received);
  if (refusal !== undefined) return { kind: "refused", refusal };
  const pool: Certificate[] = [];
  let undecoded: CertificateRefusal | undefined;
  for (const [position, bytes] of peer.received.entries()) {
    const certificate = decode(bytes, position);
    if (!("check" in certificate)) pool.push(certificate);
    else if (position === 0) return { kind: "refused", refusal: certificate };
    else undecoded ??= certificate;
  }
  const [target] = pool;
  if (target === undefined) return { kind: "refused", refusal: { check: "noCertificate" } };
  const verdict = validateTarget(peer, target, pool.slice(1));
  const isIncomplete = verdict.kind === "refused" && verdict.refusal.check === "unknownIssuer";
  return isIncomplete && undecoded !== undefined ? { kind: "refused", refusal: undecoded } : verdict;
}

function refuseSize(received: readonly Uint8Array[]): CertificateRefusal | undefined {
  if (received.length > RECEIVED_CERTIFICATES_MAX)
    return { check: "tooManyCertificates", limit: RECEIVED_CERTIFICATES_MAX, unit: "certificates" };
  const octets = received.reduce((sum, { length }) => sum + length, 0);
  if (octets > RECEIVED_OCTETS_MAX)
    return { check: "tooManyCertificates", limit: RECEIVED_OCTETS_MAX, unit: "octets" };
  return undefined;
}

function decode(bytes: Uint8Array, position: number): Certificate | CertificateRefusal {
  try {
    return decodeCertificate(bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return { check: "badEncoding", position, detail: error.message };
  }
}

/** What was read of configured octets, for as long as the configuration has them: each peer is checked against the same. */
const read = new WeakMap<Uint8Array, Certificate>();

function configured(bytes: Uint8Array): Certificate {
  const known = read.get(bytes);
  if (known !== undefined) return known;
  const certificate = decodeCertificate(bytes);
  read.set(bytes, certificate);
  return certificate;
}

function validateTarget(
  peer: PeerCertificates,
  target: Certificate,
  sent: readonly Certificate[],
): TrustedPath | Refused {
  const { trustAnchors, pinned, intermediates, wallClock } = peer;
  const budget = new SignatureBudget();
  const anchors = trustAnchors.map(configured);
  const others = distinct([...sent, ...intermediates.map(configured)], [target, ...anchors]);
  const findings: SearchFindings = { refusal: undefined };
  let refusal: CertificateRefusal | undefined;
  let paths = 0;
  const isPinned = pinned.some((bytes) => equal(bytes, target.encoded));
  for (const path of isPinned
    ? ([[target]] as const)
    : findPaths(target, anchors, others, budget, findings)) {
    const problem = refusePath(path, wallClock);
    if (problem === undefined) return forIdentity(path, peer, budget);
    refusal ??= problem;
    if (++paths === PATHS_MAX) break;
  }
  refusal ??= findings.refusal ?? { check: "noCertificate" };
  return { kind: "refused", refusal };
}

function forIdentity(
  path: Path,
  { identity, wallClock }: PeerCertificates,
  budget: SignatureBudget,
): TrustedPath | Refused {
  const [own] = path;
  if (!provesIdentity(own, identity))
    return {
      kind: "refused",
      refusal: { check: "identity", certificate: labelOf(own), names: identityNames(own) },
    };
  return { kind: "found", publicKey: own.publicKey, path, budget, wallClock };
}

/** Whether anything on the path was revoked: the last check of a peer, for who has the key of the certificate. */
export function judgeRevocation(
  { path, budget, wallClock }: TrustedPath,
  revocation: RevocationKnowledge,
): PeerVerdict {
  const verdict = checkRevocation(path, wallClock, revocation, budget);
  if (verdict.kind !== "passed") return verdict;
  const expiresAt = Math.min(...path.map(({ notAfter }) => notAfter));
  return { kind: "trusted", path: path.map(labelOf), expiresAt, unproven: verdict.unproven };
}

/** Each certificate once, and none of `except`. */
function distinct(
  certificates: readonly Certificate[],
  except: readonly Certificate[],
): readonly Certificate[] {
  const kept: Certificate[] = [];
  for (const certificate of certificates)
    if (![...except, ...kept].some(({ encoded }) => equal(encoded, certificate.encoded)))
      kept.push(certificate);
  return kept;
}
