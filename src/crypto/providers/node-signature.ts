/** Signatures by Node's OpenSSL. */
import { constants, type KeyObject, type VerifyKeyObjectInput, verify } from "node:crypto";
import type { SignatureAlgorithm } from "../algorithm-identifier.ts";
import type { EcdsaEncoding, PublicKeyFacts } from "../verify.ts";
import { readPublicKey } from "./node-public-key.ts";

/** Public exponents above this only cost time. */
const EXPONENT_MAX = 2n ** 32n;
/** Bits of the order of each curve that is taken. */
const CURVES: Readonly<Record<string, number>> = {
  prime256v1: 256,
  secp384r1: 384,
  secp521r1: 521,
  brainpoolP256r1: 256,
  brainpoolP384r1: 384,
  brainpoolP512r1: 512,
};

/** Keys read last, by their octets: reading one takes longer than verifying with it, and CAs come again and again. */
const KEYS_MAX = 64;
const read = new Map<string, KeyObject | undefined>();

function importKey(publicKey: Uint8Array): KeyObject | undefined {
  const octets = Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length).toString("latin1");
  const key = read.has(octets) ? read.get(octets) : readPublicKey(publicKey);
  // The map's order is that of use, so that the first is the one to go.
  read.delete(octets);
  read.set(octets, key);
  if (read.size > KEYS_MAX) read.delete(read.keys().next().value!);
  return key;
}

export function publicKeyFacts(publicKey: Uint8Array): PublicKeyFacts | undefined {
  const key = importKey(publicKey);
  const kind = key?.asymmetricKeyType;
  const details = key?.asymmetricKeyDetails;
  switch (kind) {
    case "rsa":
    case "rsa-pss":
      return {
        kind,
        bits: details?.modulusLength ?? 0,
        hasLargeExponent: (details?.publicExponent ?? 0n) > EXPONENT_MAX,
      };
    case "ec": {
      const curve = details?.namedCurve ?? "";
      const bits = CURVES[curve];
      return bits === undefined ? undefined : { kind, curve, bits };
    }
    case "ed25519":
    case "ed448":
      return { kind };
    default:
      return undefined;
  }
}

export function verifyWithKey(
  publicKey: Uint8Array,
  { algorithm, hash, saltLength }: SignatureAlgorithm,
  data: Uint8Array,
  signature: Uint8Array,
  ecdsaEncoding: EcdsaEncoding,
): boolean {
  const key = importKey(publicKey);
  if (key === undefined) return false;
  const input: VerifyKeyObjectInput = { key };
  if (algorithm === "rsa-pkcs1") input.padding = constants.RSA_PKCS1_PADDING;
  if (algorithm === "rsa-pss") {
    input.padding = constants.RSA_PKCS1_PSS_PADDING;
    input.saltLength = saltLength ?? constants.RSA_PSS_SALTLEN_AUTO;
  }
  if (algorithm === "ecdsa") input.dsaEncoding = ecdsaEncoding === "der" ? "der" : "ieee-p1363";
  try {
    return verify(hash === "none" ? null : hash, data, input, signature);
  } catch {
    // Parameters inside an RSA-PSS key may forbid this hash or salt.
    return false;
  }
}
