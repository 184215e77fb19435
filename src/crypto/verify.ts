/** Verifies signatures with public keys as certificates carry them (RFC 5280 section 4.1.2.7). */

import type { SignatureAlgorithm } from "./algorithm-identifier.ts";
import { publicKeyFacts, verifyWithKey } from "./providers/node-signature.ts";

export type PublicKeyFacts =
  | { readonly kind: "rsa" | "rsa-pss"; readonly bits: number; readonly hasLargeExponent: boolean }
  | { readonly kind: "ec"; readonly curve: string; readonly bits: number }
  | { readonly kind: "ed25519" | "ed448" };

/** What kind of key a SubjectPublicKeyInfo in DER holds; `undefined`: none that signs, or no key at all. */
export function describePublicKey(publicKey: Uint8Array): PublicKeyFacts | undefined {
  return publicKeyFacts(publicKey);
}

/** How ECDSA signatures are written: SEQUENCE of r and s, or both at full length (RFC 4754 section 3). */
export type EcdsaEncoding = "der" | "r|s";

const KINDS: Readonly<Record<SignatureAlgorithm["algorithm"], readonly PublicKeyFacts["kind"][]>> = {
  "rsa-pkcs1": ["rsa"],
  "rsa-pss": ["rsa", "rsa-pss"],
  ecdsa: ["ec"],
  ed25519: ["ed25519"],
  ed448: ["ed448"],
};

/** Whether a key of this kind can have made signatures of this kind [AUTH-12]. */
export function fitsAlgorithm(facts: PublicKeyFacts, { algorithm }: SignatureAlgorithm): boolean {
  return KINDS[algorithm].includes(facts.kind);
}

/**
 * Whether `signature` over `data` was made with the private half of `publicKey` (SubjectPublicKeyInfo in DER). False also
 * for a key of another kind, for one that is none, and for a signature in another encoding.
 */
export function verifySignature(
  publicKey: Uint8Array,
  algorithm: SignatureAlgorithm,
  data: Uint8Array,
  signature: Uint8Array,
  ecdsaEncoding: EcdsaEncoding = "der",
): boolean {
  const facts = publicKeyFacts(publicKey);
  if (facts === undefined || !fitsAlgorithm(facts, algorithm)) return false;
  return verifyWithKey(publicKey, algorithm, data, signature, ecdsaEncoding);
}
