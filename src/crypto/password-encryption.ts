/** Decryption with a password, by the AlgorithmIdentifiers that PKCS#12 files carry (RFC 8018, RFC 7292 appendix C). */
import { wipe } from "../base/bytes.ts";
import { type DerReader, readWhole } from "../wire/x509/der.ts";
import { CryptoError } from "./error.ts";
import { Pkcs12Purpose, pkcs12Key } from "./pkcs12-key.ts";
import type { HashName } from "./provider.ts";
import { provider } from "./providers/selected.ts";
import { decryptRc2Cbc } from "./rc2.ts";

/** Iterations of all derivations for one file together: half a minute. Files of today have up to 600,000 for each of a handful. */
export const ITERATIONS_MAX = 10_000_000;

/** A password in both forms that files are made with. */
export interface PasswordForms {
  readonly utf8: Uint8Array;
  /** UTF-16, big-endian, with two octets of zero behind it; empty: no password at all. */
  readonly bmp: Uint8Array;
}

/** Counts iterations down: a damaged count keeps nobody busy. */
export class IterationBudget {
  #left = ITERATIONS_MAX;

  take(iterations: number): void {
    this.#left -= iterations;
    if (iterations < 1) throw unsupported("a count of 0 iterations");
    if (this.#left < 0) throw unsupported(`more than ${ITERATIONS_MAX} iterations to derive its keys`);
  }
}

type Cipher = "3des-cbc" | "aes-cbc" | { readonly rc2Bits: number };

/** Encryption of PKCS#12 itself, over keys of {@link pkcs12Key} with SHA-1. */
const PKCS12_SCHEMES = new Map<string, { readonly cipher: Cipher; readonly keyLength: number }>([
  ["1.2.840.113549.1.12.1.3", { cipher: "3des-cbc", keyLength: 24 }],
  ["1.2.840.113549.1.12.1.4", { cipher: "3des-cbc", keyLength: 16 }],
  ["1.2.840.113549.1.12.1.5", { cipher: { rc2Bits: 128 }, keyLength: 16 }],
  ["1.2.840.113549.1.12.1.6", { cipher: { rc2Bits: 40 }, keyLength: 5 }],
]);
const PBES2 = "1.2.840.113549.1.5.13";
const PBKDF2 = "1.2.840.113549.1.5.12";

/** Ciphers of PBES2. */
const CIPHERS = new Map<
  string,
  { readonly cipher: Cipher; readonly keyLength: number; readonly ivLength: number }
>([
  ["2.16.840.1.101.3.4.1.2", { cipher: "aes-cbc", keyLength: 16, ivLength: 16 }],
  ["2.16.840.1.101.3.4.1.22", { cipher: "aes-cbc", keyLength: 24, ivLength: 16 }],
  ["2.16.840.1.101.3.4.1.42", { cipher: "aes-cbc", keyLength: 32, ivLength: 16 }],
  ["1.2.840.113549.3.7", { cipher: "3des-cbc", keyLength: 24, ivLength: 8 }],
]);

/** Octets of a hash, and of an HMAC with it. */
export const HASH_LENGTHS: Readonly<Record<HashName, number>> = {
  sha1: 20,
  sha256: 32,
  sha384: 48,
  sha512: 64,
};

/** HMACs, of PBKDF2 and of PBMAC1. */
const HMACS = new Map<string, HashName>([
  ["1.2.840.113549.2.7", "sha1"],
  ["1.2.840.113549.2.9", "sha256"],
  ["1.2.840.113549.2.10", "sha384"],
  ["1.2.840.113549.2.11", "sha512"],
]);

/** Names of what is not supported, for messages. */
const NAMES = new Map<string, string>([
  ["1.2.840.113549.1.12.1.1", "RC4 with 128 bits"],
  ["1.2.840.113549.1.12.1.2", "RC4 with 40 bits"],
  ["1.2.840.113549.1.5.3", "DES with MD5"],
  ["1.2.840.113549.1.5.6", "RC2 with MD5"],
  ["1.2.840.113549.1.5.10", "DES with SHA-1"],
  ["1.2.840.113549.1.5.11", "RC2 with SHA-1"],
  ["1.2.840.113549.2.5", "MD5"],
  ["1.2.840.113549.2.8", "HMAC-SHA-224"],
  ["1.2.840.113549.3.2", "RC2"],
  ["1.3.6.1.4.1.11591.4.11", "scrypt"],
  ["1.3.14.3.2.7", "DES"],
  ["2.16.840.1.101.3.4.1.6", "AES-128-GCM"],
  ["2.16.840.1.101.3.4.1.46", "AES-256-GCM"],
  ["2.16.840.1.101.3.4.2.4", "SHA-224"],
  ["2.16.840.1.101.3.4.2.8", "SHA3-256"],
]);

/** The error about an algorithm that is not done here, with its object identifier, and its name where it has one. */
export function unsupportedAlgorithm(id: string): CryptoError {
  const name = NAMES.get(id);
  return unsupported(`${name === undefined ? "" : `${name}, `}algorithm ${id}`);
}

function unsupported(what: string): CryptoError {
  return new CryptoError("CRYPTO_UNSUPPORTED", `it needs ${what}, which is not supported`);
}

/**
 * @param algorithm - DER of the AlgorithmIdentifier
 * @returns without the padding; `undefined` when that is none, as with another password
 * @throws {@link CryptoError} `CRYPTO_UNSUPPORTED`
 * @throws {@link WireError}
 */
export function decryptWithPassword(
  algorithm: Uint8Array,
  ciphertext: Uint8Array,
  password: PasswordForms,
  budget: IterationBudget,
): Uint8Array | undefined {
  return readWhole(algorithm, "an algorithm", (outer) => {
    const reader = outer.sequence("an algorithm");
    const id = reader.objectIdentifier("an algorithm");
    const scheme = PKCS12_SCHEMES.get(id);
    if (scheme === undefined && id !== PBES2) throw unsupportedAlgorithm(id);
    const parameters = reader.sequence("the parameters");
    reader.expectEnd("an algorithm");
    if (scheme === undefined) return byPbes2(parameters, ciphertext, password, budget);
    const salt = saltOf(parameters);
    const iterations = parameters.smallInteger("the count");
    parameters.expectEnd("the parameters");
    budget.take(3 * iterations);
    const key = pkcs12Key("sha1", Pkcs12Purpose.KEY, password.bmp, salt, iterations, scheme.keyLength);
    const iv = pkcs12Key("sha1", Pkcs12Purpose.IV, password.bmp, salt, iterations, 8);
    return decrypted(scheme.cipher, key, iv, ciphertext);
  });
}

function byPbes2(
  parameters: DerReader,
  ciphertext: Uint8Array,
  password: PasswordForms,
  budget: IterationBudget,
): Uint8Array | undefined {
  const derivation = parameters.sequence("the key derivation");
  const encryption = parameters.sequence("the encryption");
  parameters.expectEnd("the parameters");
  const id = encryption.objectIdentifier("the encryption");
  const found = CIPHERS.get(id);
  if (found === undefined) throw unsupportedAlgorithm(id);
  const iv = encryption.octetString("the IV");
  if (iv.length !== found.ivLength) throw encryption.error(`an IV of ${iv.length} octets`);
  const key = derivedKey(derivation, password.utf8, found.keyLength, budget);
  return decrypted(found.cipher, key, iv, ciphertext);
}

/** By PBKDF2 (RFC 8018 appendix A.2), the one derivation that is in use. */
export function derivedKey(
  derivation: DerReader,
  password: Uint8Array,
  keyLength: number,
  budget: IterationBudget,
): Uint8Array {
  const id = derivation.objectIdentifier("the key derivation");
  if (id !== PBKDF2) throw unsupportedAlgorithm(id);
  const parameters = derivation.sequence("the parameters of PBKDF2");
  const salt = saltOf(parameters);
  const iterations = parameters.smallInteger("the count");
  const isTold = parameters.nextTag === INTEGER;
  if (isTold && parameters.smallInteger("the key length") !== keyLength)
    throw parameters.error("a key length that does not fit the algorithm");
  const hash = parameters.isAtEnd ? "sha1" : hmacHash(parameters.sequence("the HMAC"));
  parameters.expectEnd("the parameters of PBKDF2");
  budget.take(iterations * Math.ceil(keyLength / HASH_LENGTHS[hash]));
  return provider.pbkdf2(hash, password, salt, iterations, keyLength);
}

const INTEGER = 0x02;

/** The hash of an HMAC's AlgorithmIdentifier. */
export function hmacHash(algorithm: DerReader): HashName {
  const id = algorithm.objectIdentifier("the HMAC");
  const hash = HMACS.get(id);
  if (hash === undefined) throw unsupportedAlgorithm(id);
  return hash;
}

function saltOf(parameters: DerReader): Uint8Array {
  const salt = parameters.octetString("the salt");
  if (salt.length === 0) throw parameters.error("an empty salt");
  return salt;
}

/** Decrypts, wipes the key, and takes the padding off (RFC 8018 section 6.1.1). */
function decrypted(
  cipher: Cipher,
  key: Uint8Array,
  iv: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array | undefined {
  const blockLength = cipher === "aes-cbc" ? 16 : 8;
  if (ciphertext.length === 0 || ciphertext.length % blockLength !== 0) {
    wipe(key);
    return undefined;
  }
  const padded =
    typeof cipher === "object"
      ? decryptRc2Cbc(key, cipher.rc2Bits, iv, ciphertext)
      : decryptBlocks(cipher, key, iv, ciphertext);
  wipe(key);
  const padding = padded.at(-1)!;
  const isPadded =
    padding >= 1 && padding <= blockLength && padded.subarray(-padding).every((one) => one === padding);
  if (isPadded) return padded.subarray(0, padded.length - padding);
  wipe(padded);
  return undefined;
}

function decryptBlocks(
  cipher: "aes-cbc" | "3des-cbc",
  key: Uint8Array,
  iv: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array {
  if (cipher === "3des-cbc" && !provider.supports(cipher)) throw unsupported("3DES");
  // Two keys are three with the first one again.
  const whole = new Uint8Array(key.length === 16 && cipher === "3des-cbc" ? 24 : key.length);
  whole.set(key);
  if (whole.length > key.length) whole.set(key.subarray(0, 8), 16);
  const plaintext = provider.decrypt(cipher, whole, iv, ciphertext);
  wipe(whole);
  return plaintext;
}
