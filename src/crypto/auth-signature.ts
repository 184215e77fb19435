/** AUTH data of signatures: made and checked (RFC 7296 section 3.8, RFC 4754 section 3, RFC 7427 section 3). */
import { concat } from "../base/bytes.ts";
import { AuthMethod } from "../wire/ike/registries.ts";
import { WireError } from "../wire/wire-error.ts";
import { algorithmName, algorithmOf, type SignatureAlgorithm } from "./algorithm-identifier.ts";
import type { PrivateKeyHandle } from "./providers/node-private-key.ts";
import { signWithKey, signWithKeyElsewhere } from "./providers/node-private-key.ts";
import {
  algorithmIdentifier,
  hashNumber,
  SIGNATURE_HASHES,
  type SignatureScheme,
} from "./signature-scheme.ts";
import { describePublicKey, fitsAlgorithm, verifySignature } from "./verify.ts";

/** Signs `octets`; ECDSA is r and s at full length in the older methods [AUTH-17], DER in the newer one. */
export function signAuth(key: PrivateKeyHandle, scheme: SignatureScheme, octets: Uint8Array): Uint8Array {
  return authData(scheme, signWithKey(key, scheme, octets, encodingOf(scheme)));
}

/** The same in a thread of Node's. */
export async function signAuthElsewhere(
  key: PrivateKeyHandle,
  scheme: SignatureScheme,
  octets: Uint8Array,
): Promise<Uint8Array> {
  return authData(scheme, await signWithKeyElsewhere(key, scheme, octets, encodingOf(scheme)));
}

function encodingOf({ method }: SignatureScheme): "der" | "r|s" {
  return method === AuthMethod.DIGITAL_SIGNATURE ? "der" : "r|s";
}

function authData(scheme: SignatureScheme, signature: Uint8Array): Uint8Array {
  if (scheme.method !== AuthMethod.DIGITAL_SIGNATURE) return signature;
  const identifier = algorithmIdentifier(scheme);
  // [AUTH-12] its length in one octet, then the identifier, then the signature.
  return concat(Uint8Array.of(identifier.length), identifier, signature);
}

/** What is wrong with a signature, whoever made it. */
export type SignatureFlaw =
  /** Method 14 without a proper AlgorithmIdentifier. */
  | { readonly flaw: "malformed" }
  | { readonly flaw: "unknownAlgorithm"; readonly algorithm: string }
  | { readonly flaw: "hashRefused"; readonly hash: string }
  /** The signature is of another kind than the key, or of another curve than the method. */
  | { readonly flaw: "otherKey"; readonly key: string }
  | { readonly flaw: "weakKey"; readonly bits: number }
  /** The octets were signed with another key, or other octets were signed. */
  | { readonly flaw: "wrong" };

export type SignatureVerdict =
  /** What it was made with, in words: `rsa-pss sha256`. */
  { readonly kind: "good"; readonly scheme: string } | { readonly kind: "bad"; readonly flaw: SignatureFlaw };

/** Curve and hash of the older methods (RFC 4754 section 7) [AUTH-17]. */
const ECDSA_METHODS: ReadonlyMap<
  number,
  { readonly curve: string; readonly hash: "sha256" | "sha384" | "sha512" }
> = new Map([
  [AuthMethod.ECDSA_SHA256_P256, { curve: "prime256v1", hash: "sha256" }],
  [AuthMethod.ECDSA_SHA384_P384, { curve: "secp384r1", hash: "sha384" }],
  [AuthMethod.ECDSA_SHA512_P521, { curve: "secp521r1", hash: "sha512" }],
]);
const SHA2 = ["sha256", "sha384", "sha512"] as const;
/** RFC 8247 section 4. */
const RSA_BITS_MIN = 2048;

/**
 * Judges the AUTH data of a peer.
 * @param publicKey - SubjectPublicKeyInfo in DER of the key that ought to have signed
 * @param takesSha1 - in method 1, which RFC 7296 section 3.8 advises SHA-1 for
 */
export function verifyAuth(
  publicKey: Uint8Array,
  method: number,
  data: Uint8Array,
  octets: Uint8Array,
  takesSha1 = false,
): SignatureVerdict {
  const facts = describePublicKey(publicKey);
  if (facts === undefined) return bad({ flaw: "otherKey", key: "unknown" });
  if ((facts.kind === "rsa" || facts.kind === "rsa-pss") && facts.bits < RSA_BITS_MIN)
    return bad({ flaw: "weakKey", bits: facts.bits });
  if (method === AuthMethod.DIGITAL_SIGNATURE) return verifyNamed(publicKey, data, octets);
  const key = facts.kind === "ec" ? facts.curve : facts.kind;
  const older = ECDSA_METHODS.get(method);
  if (older !== undefined) {
    if (key !== older.curve) return bad({ flaw: "otherKey", key });
    return verdict(publicKey, { algorithm: "ecdsa", hash: older.hash }, octets, data, "r|s");
  }
  if (method !== AuthMethod.RSA_SIGNATURE)
    return bad({ flaw: "unknownAlgorithm", algorithm: `method ${method}` });
  if (facts.kind !== "rsa") return bad({ flaw: "otherKey", key });
  // The signature tells its hash only to who looks for each.
  for (const hash of [...SHA2, "sha1"] as const) {
    const found = verdict(publicKey, { algorithm: "rsa-pkcs1", hash }, octets, data, "der");
    if (found.kind === "good")
      return hash === "sha1" && !takesSha1 ? bad({ flaw: "hashRefused", hash }) : found;
  }
  return bad({ flaw: "wrong" });
}

/** Method 14: the signature says what it is [AUTH-12] [AUTH-15] [AUTH-16]. */
function verifyNamed(publicKey: Uint8Array, data: Uint8Array, octets: Uint8Array): SignatureVerdict {
  const length = data[0] ?? 0;
  if (length === 0 || data.length <= 1 + length) return bad({ flaw: "malformed" });
  const identifier = data.subarray(1, 1 + length);
  let algorithm: SignatureAlgorithm | undefined;
  try {
    algorithm = algorithmOf(identifier);
  } catch (error) {
    if (error instanceof WireError) return bad({ flaw: "malformed" });
    throw error;
  }
  if (algorithm === undefined) return bad({ flaw: "unknownAlgorithm", algorithm: algorithmName(identifier) });
  // [AUTH-14] our notify lists all that are taken, so that one outside of it was never announced.
  const number = hashNumber(algorithm.hash);
  if (number === undefined || !SIGNATURE_HASHES.includes(number))
    return bad({ flaw: "hashRefused", hash: algorithm.hash });
  const facts = describePublicKey(publicKey);
  if (facts === undefined || !fitsAlgorithm(facts, algorithm))
    return bad({ flaw: "otherKey", key: facts?.kind ?? "unknown" });
  return verdict(publicKey, algorithm, octets, data.subarray(1 + length), "der");
}

function verdict(
  publicKey: Uint8Array,
  algorithm: SignatureAlgorithm,
  octets: Uint8Array,
  signature: Uint8Array,
  encoding: "der" | "r|s",
): SignatureVerdict {
  if (!verifySignature(publicKey, algorithm, octets, signature, encoding)) return bad({ flaw: "wrong" });
  return { kind: "good", scheme: schemeText(algorithm) };
}

/** `rsa-pss sha256` */
export function schemeText({ algorithm, hash }: Pick<SignatureAlgorithm, "algorithm" | "hash">): string {
  return hash === "none" ? algorithm : `${algorithm} ${hash}`;
}

function bad(flaw: SignatureFlaw): SignatureVerdict {
  return { kind: "bad", flaw };
}
