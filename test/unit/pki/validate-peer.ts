/** Both checks of a peer's certificates in a row, as IKE makes them before and after the signature. */
import type { RevocationKnowledge } from "../../../src/pki/revocation.ts";
import { findTrustedPath, judgeRevocation, type PeerCertificates } from "../../../src/pki/validate-peer.ts";

/** A verdict that lets the peer in has its public key too. */
export function validatePeer(peer: PeerCertificates, revocation: RevocationKnowledge) {
  const found = findTrustedPath(peer);
  if (found.kind === "refused") return found;
  return { ...judgeRevocation(found, revocation), publicKey: found.publicKey };
}
