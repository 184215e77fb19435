/** The peer's side of authentication: judged at once, or by a computation (RFC 7296 section 2.15) [AUTH-09]. */
import type { Identification, PeerAuthentication } from "../../policy/connection.ts";
import type { AuthPayload, CertPayload, Payload } from "../../wire/ike/payload.ts";
import { AuthMethod } from "../../wire/ike/registries.ts";
import type { Work } from "../machine.ts";
import type { Protection } from "../sa/sk-payload.ts";
import { verifySharedKeyMic } from "./psk.ts";

export type PeerCheck =
  | { readonly kind: "proven" }
  | { readonly kind: "disproved"; readonly cause: "wrongKey" | "otherMethod" }
  | { readonly kind: "asked"; readonly work: Work };

const SIGNATURES: readonly number[] = [
  AuthMethod.RSA_SIGNATURE,
  AuthMethod.ECDSA_SHA256_P256,
  AuthMethod.ECDSA_SHA384_P384,
  AuthMethod.ECDSA_SHA512_P521,
  AuthMethod.DIGITAL_SIGNATURE,
];

/**
 * Whether the peer has what its identity asks for.
 * @param octets - those of `authOctets` for the peer's side
 * @param payloads - its message, whose CERT payloads count
 */
export function checkPeer(
  protection: Protection,
  octets: Uint8Array,
  trust: PeerAuthentication,
  identity: Identification,
  { method, data }: AuthPayload,
  payloads: readonly Payload[],
): PeerCheck {
  if (trust.kind === "psk") {
    if (method !== AuthMethod.SHARED_KEY) return { kind: "disproved", cause: "otherMethod" };
    const isProven = verifySharedKeyMic(protection, octets, trust.secret, data);
    return isProven ? { kind: "proven" } : { kind: "disproved", cause: "wrongKey" };
  }
  if (!SIGNATURES.includes(method)) return { kind: "disproved", cause: "otherMethod" };
  const certificates = payloads.filter((payload): payload is CertPayload => payload.kind === "CERT");
  return { kind: "asked", work: { kind: "verifyPeer", identity, trust, certificates, method, data, octets } };
}
