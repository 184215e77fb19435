/** The computation behind `verifyPeer`: which key the peer is trusted with, and whether that key signed (RFC 7296 section 2.15). */
import { type SignatureFlaw, verifyAuth } from "../../crypto/auth-signature.ts";
import type { CertificateRefusal } from "../../pki/refusal.ts";
import type {
  RevocationAttempt,
  RevocationData,
  RevocationKnowledge,
  RevocationRequest,
} from "../../pki/revocation.ts";
import { findTrustedPath, judgeRevocation, type PeerCertificates } from "../../pki/validate-peer.ts";
import type { CertificateTrust } from "../../policy/connection.ts";
import { CertEncoding } from "../../wire/ike/registries.ts";
import type { Work, WorkResult } from "../machine.ts";

type PeerProof = Extract<Work, { kind: "verifyPeer" }>;

/** What has been fetched for one check. */
export interface Fetched {
  readonly data: readonly RevocationData[];
  readonly attempts: readonly RevocationAttempt[];
}

export const NOTHING_FETCHED: Fetched = { data: [], attempts: [] };

/** Everything else is good; with what comes of these the check is made again. */
export interface RevocationNeeded {
  readonly kind: "revocationNeeded";
  readonly requests: readonly RevocationRequest[];
}

/** @param wallClock - milliseconds since 1970, for the validity of certificates */
export function verifyPeer(
  proof: PeerProof,
  wallClock: number,
  fetched: Fetched,
): WorkResult | RevocationNeeded {
  const { trust } = proof;
  return trust.kind === "pubkey"
    ? byRawKey(proof, trust.keys, trust.takesSha1)
    : byCertificate(proof, trust, wallClock, fetched);
}

/** One of the configured keys has to have signed; what the peer sends along proves nothing (RFC 7670 section 3). */
function byRawKey(
  { method, data, octets }: PeerProof,
  keys: readonly Uint8Array[],
  takesSha1?: boolean,
): WorkResult {
  let flaw: SignatureFlaw = { flaw: "wrong" };
  for (const key of keys) {
    const verdict = verifyAuth(key, method, data, octets, takesSha1);
    if (verdict.kind === "good") return { kind: "peerVerified", scheme: verdict.scheme };
    flaw = verdict.flaw;
  }
  return { kind: "peerRefused", finding: { check: "signature", flaw } };
}

function byCertificate(
  proof: PeerProof,
  { anchors: trustAnchors, intermediates, pinned, revocation: { mode, lists } }: CertificateTrust,
  wallClock: number,
  { data: found, attempts }: Fetched,
): WorkResult | RevocationNeeded {
  const { identity, certificates } = proof;
  // [AUTH-11] hash and URL was never asked for; certificates of other kinds say nothing here.
  const received = certificates
    .filter(({ encoding }) => encoding === CertEncoding.X509_SIGNATURE)
    .map((certificate) => certificate.data);
  const configured = lists.map((bytes): RevocationData => ({ kind: "crl", bytes }));
  const revocation = { mode, data: [...configured, ...found], attempts };
  const peer = { trustAnchors, pinned, intermediates, identity, wallClock };
  // A peer whose certificate is configured need not send it.
  const isKnown = received.length === 0 && pinned.length > 0;
  let refused: WorkResult | undefined;
  for (const sent of isKnown ? pinned.map((certificate) => [certificate]) : [received]) {
    const result = byChain(proof, { ...peer, received: sent }, revocation);
    if (result.kind !== "peerRefused") return result;
    refused ??= result;
  }
  return refused!;
}

function byChain(
  { method, data, octets, trust }: PeerProof,
  peer: PeerCertificates,
  revocation: RevocationKnowledge,
): WorkResult | RevocationNeeded {
  const path = findTrustedPath(peer);
  if (path.kind === "refused") return refusedFor(path.refusal);
  const signature = verifyAuth(path.publicKey, method, data, octets, trust.takesSha1);
  if (signature.kind === "bad")
    return { kind: "peerRefused", finding: { check: "signature", flaw: signature.flaw } };
  // Only for who has the certificate's key are lists read and fetched; its octets alone are no secret.
  const verdict = judgeRevocation(path, revocation);
  if (verdict.kind === "refused") return refusedFor(verdict.refusal);
  if (verdict.kind === "needs") return { kind: "revocationNeeded", requests: verdict.requests };
  const [own] = verdict.path;
  const { scheme } = signature;
  return {
    ...{ kind: "peerVerified", scheme },
    ...(own === undefined ? {} : { certificate: own.subject }),
    ...(verdict.unproven.length === 0 ? {} : { isRevocationUnknown: true }),
  };
}

function refusedFor(refusal: CertificateRefusal): WorkResult {
  return { kind: "peerRefused", finding: { check: "certificate", refusal } };
}
