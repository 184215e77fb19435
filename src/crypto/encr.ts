/** Encryption algorithms by transform number (RFC 7296 section 3.3.2): AES-GCM, ChaCha20-Poly1305, AES-CBC. */
import { concat } from "../base/bytes.ts";
import { Encr, nameOf } from "../wire/ike/registries.ts";
import { CryptoError } from "./error.ts";
import type { AeadName } from "./provider.ts";
import { provider } from "./providers/selected.ts";

export interface EncrAlgorithm {
  readonly id: number;
  /** Key length attribute: the key without its salt [ESP-17]; 0 for ciphers that take none [ENC-12]. */
  readonly keyBits: number;
  /** Octets cut from KEYMAT: the key, then its salt [ESP-17] [ESP-18] [ENC-08]. */
  readonly keyLength: number;
  readonly saltLength: number;
  /** Octets of IV on the wire [ENC-06]. */
  readonly ivLength: number;
  /** Octets of the combined mode's own check value; 0 for a cipher that needs an integrity algorithm. */
  readonly icvLength: number;
  /** The plaintext is a multiple of this: 1 for stream-like ciphers, whatever alignment a protocol adds. */
  readonly blockSize: number;
  readonly isAead: boolean;
  readonly mode: CipherMode;
}

type CipherMode = AeadName | "aes-cbc";

interface Row {
  readonly id: number;
  readonly keyBits: readonly number[];
  /** Octets of key where no key length attribute says it. */
  readonly fixedKeyLength: number;
  readonly saltLength: number;
  readonly ivLength: number;
  readonly icvLength: number;
  readonly blockSize: number;
  readonly mode: CipherMode;
}

const AES_KEY_BITS = [128, 192, 256];

// Octets, from RFC 4106 sections 3 to 8, RFC 7634 section 2 and RFC 3602 sections 2 and 3.
const ROWS: readonly Row[] = [
  {
    id: Encr.AES_CBC,
    keyBits: AES_KEY_BITS,
    fixedKeyLength: 0,
    saltLength: 0,
    ivLength: 16,
    icvLength: 0,
    blockSize: 16,
    mode: "aes-cbc",
  },
  {
    id: Encr.AES_GCM_16,
    keyBits: AES_KEY_BITS,
    fixedKeyLength: 0,
    saltLength: 4,
    ivLength: 8,
    icvLength: 16,
    blockSize: 1,
    mode: "aes-gcm",
  },
  {
    id: Encr.CHACHA20_POLY1305,
    keyBits: [0],
    fixedKeyLength: 32,
    saltLength: 4,
    ivLength: 8,
    icvLength: 16,
    blockSize: 1,
    mode: "chacha20-poly1305",
  },
];

const ALGORITHMS: readonly EncrAlgorithm[] = ROWS.flatMap((row) =>
  row.keyBits.map((keyBits) => ({
    id: row.id,
    keyBits,
    keyLength: (row.fixedKeyLength || keyBits / 8) + row.saltLength,
    saltLength: row.saltLength,
    ivLength: row.ivLength,
    icvLength: row.icvLength,
    blockSize: row.blockSize,
    isAead: row.icvLength > 0,
    mode: row.mode,
  })),
);

/** The algorithm, or `undefined` when it is not supported or the key length is none of its own. The same object each time. */
export function encrAlgorithm(id: number, keyBits: number): EncrAlgorithm | undefined {
  return ALGORITHMS.find((algorithm) => algorithm.id === id && algorithm.keyBits === keyBits);
}

/**
 * Encrypts and authenticates (RFC 5282 section 3, RFC 4106 section 3).
 * @param key - of `keyLength` octets, salt included
 * @param iv - of `ivLength` octets; never twice with one key [ENC-10]
 * @returns ciphertext followed by the ICV
 * @throws {@link CryptoError} when a length does not fit the algorithm
 */
export function sealAead(
  alg: EncrAlgorithm,
  key: Uint8Array,
  iv: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  const cipher = aeadOf(alg);
  checkLengths(alg, key, iv);
  return provider.seal(
    cipher,
    key.subarray(0, key.length - alg.saltLength),
    nonceOf(alg, key, iv),
    aad,
    plaintext,
  );
}

/**
 * Verifies and decrypts.
 * @param sealed - ciphertext followed by the ICV
 * @returns the plaintext, or `undefined` when `sealed` is not authentic or too short
 * @throws {@link CryptoError} when the length of key or IV does not fit the algorithm
 */
export function openAead(
  alg: EncrAlgorithm,
  key: Uint8Array,
  iv: Uint8Array,
  aad: Uint8Array,
  sealed: Uint8Array,
): Uint8Array | undefined {
  const cipher = aeadOf(alg);
  checkLengths(alg, key, iv);
  if (sealed.length < alg.icvLength) return undefined;
  return provider.open(
    cipher,
    key.subarray(0, key.length - alg.saltLength),
    nonceOf(alg, key, iv),
    aad,
    sealed,
  );
}

/**
 * Encrypts whole blocks with AES-CBC (RFC 3602 section 2).
 * @throws {@link CryptoError} when a length does not fit the algorithm
 */
export function encryptCbc(
  alg: EncrAlgorithm,
  key: Uint8Array,
  iv: Uint8Array,
  padded: Uint8Array,
): Uint8Array {
  checkCbc(alg, key, iv, padded);
  return provider.encryptCbc(key, iv, padded);
}

/**
 * Decrypts whole blocks with AES-CBC; the padding stays in place.
 * @throws {@link CryptoError} `CRYPTO_BLOCK_LENGTH` when the ciphertext is no whole number of blocks
 */
export function decryptCbc(
  alg: EncrAlgorithm,
  key: Uint8Array,
  iv: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array {
  checkCbc(alg, key, iv, ciphertext);
  return provider.decryptCbc(key, iv, ciphertext);
}

function aeadOf(alg: EncrAlgorithm): AeadName {
  if (alg.mode === "aes-cbc")
    throw new CryptoError("CRYPTO_UNSUPPORTED", `ENCR ${nameOf(Encr, alg.id)} is no combined-mode cipher`);
  return alg.mode;
}

/** The salt from the end of the key, then the IV from the wire [ENC-06]. */
function nonceOf(alg: EncrAlgorithm, key: Uint8Array, iv: Uint8Array): Uint8Array {
  return concat(key.subarray(key.length - alg.saltLength), iv);
}

function checkCbc(alg: EncrAlgorithm, key: Uint8Array, iv: Uint8Array, blocks: Uint8Array): void {
  if (alg.mode !== "aes-cbc")
    throw new CryptoError("CRYPTO_UNSUPPORTED", `ENCR ${nameOf(Encr, alg.id)} is not AES-CBC`);
  checkLengths(alg, key, iv);
  if (blocks.length % alg.blockSize !== 0)
    throw new CryptoError(
      "CRYPTO_BLOCK_LENGTH",
      `${blocks.length} octets are no whole number of blocks of ${alg.blockSize}`,
    );
}

function checkLengths(alg: EncrAlgorithm, key: Uint8Array, iv: Uint8Array): void {
  if (key.length !== alg.keyLength)
    throw new CryptoError(
      "CRYPTO_KEY_LENGTH",
      `ENCR ${nameOf(Encr, alg.id)} takes ${alg.keyLength} octets of key and salt, not ${key.length}`,
    );
  if (iv.length !== alg.ivLength)
    throw new CryptoError(
      "CRYPTO_IV_LENGTH",
      `ENCR ${nameOf(Encr, alg.id)} takes ${alg.ivLength} octets of IV, not ${iv.length}`,
    );
}
