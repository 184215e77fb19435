/** Private keys in Node's OpenSSL: read, told apart, signed with. */
import {
  constants,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  type SignKeyObjectInput,
  sign,
} from "node:crypto";
import type { SignatureScheme, SigningKeyType } from "../signature-scheme.ts";
import type { EcdsaEncoding } from "../verify.ts";

/** A private key inside OpenSSL. It can be handed to another thread; its octets never come out again. */
export type PrivateKeyHandle = KeyObject;

export interface ReadPrivateKey {
  readonly handle: PrivateKeyHandle;
  /** `undefined`: OpenSSL knows it, IKEv2 has no signature for it. */
  readonly type: SigningKeyType | undefined;
  /** Bits of an RSA modulus; 0 for other keys. */
  readonly bits: number;
  /** SubjectPublicKeyInfo in DER. */
  readonly publicKey: Uint8Array;
}

export type PrivateKeyReading =
  | { readonly kind: "key"; readonly key: ReadPrivateKey }
  | { readonly kind: "needsPassword" }
  | { readonly kind: "wrongPassword" }
  | { readonly kind: "none" };

const CURVES: Readonly<Record<string, SigningKeyType>> = {
  prime256v1: "p256",
  secp384r1: "p384",
  secp521r1: "p521",
};

/**
 * Reads PKCS#8 (also encrypted), PKCS#1 or SEC1, in PEM or DER.
 * @param password - for encrypted ones
 */
export function readPrivateKey(octets: Uint8Array, password: Uint8Array | undefined): PrivateKeyReading {
  const isPem = Buffer.from(octets.buffer, octets.byteOffset, octets.length).includes("-----BEGIN ");
  const passphrase = password === undefined ? {} : { passphrase: Buffer.from(password) };
  const key = octets as Buffer;
  const attempts = isPem
    ? [() => createPrivateKey({ key, format: "pem", ...passphrase })]
    : (["pkcs8", "pkcs1", "sec1"] as const).map(
        (type) => () => createPrivateKey({ key, format: "der", type, ...passphrase }),
      );
  let failure: PrivateKeyReading = { kind: "none" };
  for (const attempt of attempts) {
    try {
      return { kind: "key", key: described(attempt()) };
    } catch (error) {
      const reason = failureOf(error, password !== undefined);
      if (failure.kind === "none") failure = reason;
    }
  }
  return failure;
}

function failureOf(error: unknown, hasPassword: boolean): PrivateKeyReading {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  if (code === "ERR_MISSING_PASSPHRASE" || code === "ERR_OSSL_CRYPTO_INTERRUPTED_OR_CANCELLED")
    return { kind: "needsPassword" };
  return { kind: hasPassword && code.includes("BAD_DECRYPT") ? "wrongPassword" : "none" };
}

function described(handle: KeyObject): ReadPrivateKey {
  const { asymmetricKeyDetails: details } = handle;
  const publicKey = new Uint8Array(createPublicKey(handle).export({ format: "der", type: "spki" }));
  return { handle, type: typeOf(handle), bits: details?.modulusLength ?? 0, publicKey };
}

function typeOf({
  asymmetricKeyType: kind,
  asymmetricKeyDetails: details,
}: KeyObject): SigningKeyType | undefined {
  if (kind === "rsa" || kind === "ed25519" || kind === "ed448") return kind;
  return kind === "ec" ? CURVES[details?.namedCurve ?? ""] : undefined;
}

/** The signature in the scheme's form; for ECDSA in the encoding that is asked for. */
export function signWithKey(
  key: PrivateKeyHandle,
  scheme: SignatureScheme,
  octets: Uint8Array,
  ecdsaEncoding: EcdsaEncoding,
): Uint8Array {
  return new Uint8Array(sign(hashOf(scheme), octets, signInput(key, scheme, ecdsaEncoding)));
}

/** The same in libuv's pool of threads, of which many work side by side. */
export function signWithKeyElsewhere(
  key: PrivateKeyHandle,
  scheme: SignatureScheme,
  octets: Uint8Array,
  ecdsaEncoding: EcdsaEncoding,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    sign(hashOf(scheme), octets, signInput(key, scheme, ecdsaEncoding), (error, signature) =>
      error === null ? resolve(new Uint8Array(signature)) : reject(error),
    );
  });
}

function hashOf({ hash }: SignatureScheme): string | null {
  return hash === "none" ? null : hash;
}

function signInput(
  key: PrivateKeyHandle,
  { algorithm }: SignatureScheme,
  ecdsaEncoding: EcdsaEncoding,
): SignKeyObjectInput {
  const input: SignKeyObjectInput = { key };
  if (algorithm === "rsa-pkcs1") input.padding = constants.RSA_PKCS1_PADDING;
  if (algorithm === "rsa-pss") {
    input.padding = constants.RSA_PKCS1_PSS_PADDING;
    input.saltLength = constants.RSA_PSS_SALTLEN_DIGEST;
  }
  if (algorithm === "ecdsa") input.dsaEncoding = ecdsaEncoding === "der" ? "der" : "ieee-p1363";
  return input;
}
