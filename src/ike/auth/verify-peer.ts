/** The computation behind `verifyPeer`: which key the peer is trusted with, and whether that key signed (RFC 7296 section 2.15). */
import { type SignatureFlaw, verifyAuth } from "../../crypto/auth-signature.ts";
import type { RevocationAttempt, RevocationData, RevocationRequest } from "../../pki/revocation.ts";
import { validatePeer } from "../../pki/validate-peer.ts";
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
    ? byRawKey(proof, trust.keys)
    : byCertificate(proof, trust, wallClock, fetched);
}

/** One of the configured keys has to have signed; what the peer sends along proves nothing (RFC 7670 section 3). */
function byRawKey({ method, data, octets }: PeerProof, keys: readonly Uint8Array[]): WorkResult {
  let flaw: SignatureFlaw = { flaw: "wrong" };
  for (const key of keys) {
    const verdict = verifyAuth(key, method, data, octets);
    if (verdict.kind === "good") return { kind: "peerVerified", scheme: verdict.scheme };
    flaw = verdict.flaw;
  }
  return { kind: "peerRefused", finding: { check: "signature", flaw } };
}

function byCertificate(
  { identity, certificates, method, data, octets }: PeerProof,
  { anchors: trustAnchors, intermediates, pinned, revocation: { mode, lists } }: CertificateTrust,
  wallClock: number,
  { data: found, attempts }: Fetched,
): WorkResult | RevocationNeeded {
  // [AUTH-11] hash and URL was never asked for; certificates of other kinds say nothing here.
  const received = certificates
    .filter(({ encoding }) => encoding === CertEncoding.X509_SIGNATURE)
    .map((certificate) => certificate.data);
  const configured = lists.map((bytes): RevocationData => ({ kind: "crl", bytes }));
  const revocation = { mode, data: [...configured, ...found], attempts };
  const judge = (sent: readonly Uint8Array[]) =>
    validatePeer({ received: sent, trustAnchors, intermediates, identity, wallClock, revocation });
  // A peer whose certificate is configured need not send it.
  const known = received.length > 0 ? [] : pinned.map((certificate) => judge([certificate]));
  const verdict = known.find(({ kind }) => kind === "trusted") ?? judge(received);
  if (verdict.kind === "refused")
    return { kind: "peerRefused", finding: { check: "certificate", refusal: verdict.refusal } };
  const signature = verifyAuth(verdict.publicKey, method, data, octets);
  if (signature.kind === "bad")
    return { kind: "peerRefused", finding: { check: "signature", flaw: signature.flaw } };
  // Only for who has the certificate's key is anything fetched; its octets alone are no secret.
  if (verdict.kind === "needs") return { kind: "revocationNeeded", requests: verdict.requests };
  const [own] = verdict.path;
  const { scheme } = signature;
  return {
    ...{ kind: "peerVerified", scheme },
    ...(own === undefined ? {} : { certificate: own.subject }),
    ...(verdict.unproven.length === 0 ? {} : { isRevocationUnknown: true }),
  };
}
