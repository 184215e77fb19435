/** Which keys and signatures are strong enough, and affordable (RFC 8247 section 4, RFC 4945 section 5.1.4). */
import { algorithmName, algorithmOf, type SignatureAlgorithm } from "../crypto/algorithm-identifier.ts";
import { describePublicKey } from "../crypto/verify.ts";
import { WireError } from "../wire/wire-error.ts";
import type { Certificate } from "../wire/x509/certificate.ts";
import { RSA_BITS_MAX, RSA_BITS_MIN } from "./limits.ts";
import { type CertificateRefusal, labelOf } from "./refusal.ts";

/** What speaks against the key of a certificate. */
export function refuseKey(certificate: Certificate): CertificateRefusal | undefined {
  const facts = describePublicKey(certificate.publicKey);
  if (facts === undefined) return { check: "weakKey", certificate: labelOf(certificate), bits: 0 };
  if (facts.kind !== "rsa" && facts.kind !== "rsa-pss") return undefined;
  const { bits, hasLargeExponent } = facts;
  if (bits < RSA_BITS_MIN) return { check: "weakKey", certificate: labelOf(certificate), bits };
  if (bits > RSA_BITS_MAX || hasLargeExponent)
    return { check: "keyTooLarge", certificate: labelOf(certificate), bits };
  return undefined;
}

type UnacceptableAlgorithm =
  | { readonly check: "unknownAlgorithm"; readonly algorithm: string }
  | { readonly check: "weakSignature"; readonly hash: string };

/** The algorithm that an AlgorithmIdentifier names, or why signatures made so count for nothing. */
export function acceptableAlgorithm(
  algorithmIdentifier: Uint8Array,
): SignatureAlgorithm | UnacceptableAlgorithm {
  const algorithm = readAlgorithm(algorithmIdentifier);
  if (algorithm === undefined)
    return { check: "unknownAlgorithm", algorithm: algorithmName(algorithmIdentifier) };
  return algorithm.hash === "sha1" ? { check: "weakSignature", hash: algorithm.hash } : algorithm;
}

function readAlgorithm(algorithmIdentifier: Uint8Array): SignatureAlgorithm | undefined {
  try {
    return algorithmOf(algorithmIdentifier);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}
