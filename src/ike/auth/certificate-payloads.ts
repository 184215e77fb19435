/** CERT and CERTREQ payloads, and what a peer says about signatures that it takes (RFC 7296 sections 3.6 and 3.7, RFC 7427 section 4). */
import { SIGNATURE_HASHES } from "../../crypto/signature-scheme.ts";
import type { OwnCertificate, PeerAuthentication } from "../../policy/connection.ts";
import { decodeSignatureHashAlgorithms, encodeSignatureHashAlgorithms } from "../../wire/ike/notify-data.ts";
import type { CertPayload, NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { CertEncoding, NotifyType } from "../../wire/ike/registries.ts";
import { WireError } from "../../wire/wire-error.ts";
import { findNotify, notify } from "../exchange/payload-list.ts";
import { AUTHORITIES_MAX } from "../limits.ts";

/** Octets of a key hash in CERTREQ: SHA-1 of a SubjectPublicKeyInfo [AUTH-10]. */
const KEY_HASH_LENGTH = 20;

/** Our hash algorithms for signatures, said in IKE_SA_INIT [AUTH-13]. */
export function signatureHashesNotify(): NotifyPayload {
  return notify(NotifyType.SIGNATURE_HASH_ALGORITHMS, encodeSignatureHashAlgorithms(SIGNATURE_HASHES));
}

/** What the peer's IKE_SA_INIT says [AUTH-13]; a list that cannot be read is none. */
export function signatureHashes(payloads: readonly Payload[]): readonly number[] | undefined {
  const said = findNotify(payloads, NotifyType.SIGNATURE_HASH_ALGORITHMS);
  if (said === undefined) return undefined;
  try {
    return decodeSignatureHashAlgorithms(said.data);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** Asks the peer for certificates that lead to CAs of ours; nothing where it is to prove itself in another way. */
export function certificateRequests(trusts: readonly PeerAuthentication[]): readonly CertPayload[] {
  const hashes = trusts.flatMap((trust) => (trust.kind === "certificate" ? trust.authorities : []));
  if (hashes.length === 0) return [];
  const distinct = [...new Map(hashes.map((hash) => [hash.join(), hash])).values()].slice(0, AUTHORITIES_MAX);
  const data = new Uint8Array(distinct.length * KEY_HASH_LENGTH);
  for (const [i, hash] of distinct.entries()) data.set(hash, i * KEY_HASH_LENGTH);
  return [{ kind: "CERTREQ", encoding: CertEncoding.X509_SIGNATURE, data }];
}

/** Key hashes of the CAs that the peer names; what follows the last whole one is passed over. */
export function requestedAuthorities(payloads: readonly Payload[]): readonly Uint8Array[] {
  const hashes: Uint8Array[] = [];
  for (const payload of payloads) {
    if (payload.kind !== "CERTREQ" || payload.encoding !== CertEncoding.X509_SIGNATURE) continue;
    for (let at = 0; at + KEY_HASH_LENGTH <= payload.data.length; at += KEY_HASH_LENGTH) {
      if (hashes.length === AUTHORITIES_MAX) return hashes;
      hashes.push(payload.data.slice(at, at + KEY_HASH_LENGTH));
    }
  }
  return hashes;
}

/** Our own certificate first, then those in between [AUTH-10]; never as hash and URL [AUTH-11]. */
export function certificatePayloads({ chain }: OwnCertificate): readonly CertPayload[] {
  return chain.map((data) => ({ kind: "CERT", encoding: CertEncoding.X509_SIGNATURE, data }));
}
