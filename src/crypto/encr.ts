/** Encryption algorithms by transform number (RFC 7296 section 3.3.2), and what they do to octets. */
import { concat } from "../base/bytes.ts";
import { Encr, nameOf } from "../wire/ike/registries.ts";
import { CryptoError } from "./error.ts";
import type { AeadName, CipherName } from "./provider.ts";
import { provider } from "./providers/selected.ts";

export interface EncrAlgorithm {
  readonly id: number;
  /** Key length attribute: the key without its salt [ESP-17]; 0 for ciphers that take none [ENC-12]. */
  readonly keyBits: number;
  /** Octets cut from KEYMAT: the key, then its salt [ESP-17] [ESP-18] [ESP-19] [ESP-20] [ENC-08]. */
  readonly keyLength: number;
  readonly saltLength: number;
  /** Octets of IV on the wire [ENC-06]. */
  readonly ivLength: number;
  /** Octets of IV that the functions here take: as on the wire, or what both ends make of the sequence number. */
  readonly nonceIvLength: number;
  /** Octets of the combined mode's own check value; 0 for a cipher that needs an integrity algorithm. */
  readonly icvLength: number;
  /** The plaintext is a multiple of this: 1 for stream-like ciphers, whatever alignment a protocol adds. */
  readonly blockSize: number;
  readonly isAead: boolean;
  /** One IV twice under one key would give it away: IVs are counters, and CBC's are random instead [ENC-10]. */
  readonly needsUniqueIv: boolean;
  readonly mode: CipherMode;
}

/** `aes-gmac` authenticates what stays readable (RFC 4543), `null` does nothing (RFC 2410). */
type CipherMode = AeadName | CipherName | "aes-gmac" | "null";

interface Row {
  readonly id: number;
  readonly mode: CipherMode;
  readonly keyBits: readonly number[];
  /** Octets of key where no key length attribute says it. */
  readonly fixedKeyLength?: number;
  readonly saltLength: number;
  readonly ivLength: number;
  readonly nonceIvLength?: number;
  readonly icvLength: number;
  readonly blockSize: number;
}

const AES_KEY_BITS = [128, 192, 256];

/** AES-GCM (RFC 4106 sections 3 to 8) and what is cut like it. */
const GCM = { keyBits: AES_KEY_BITS, saltLength: 4, ivLength: 8, icvLength: 16, blockSize: 1 };
/** RFC 4309 sections 3 and 7: one octet of salt less. */
const CCM = { ...GCM, mode: "aes-ccm" as const, saltLength: 3 };
/** RFC 7634 section 2. */
const CHACHA = { ...GCM, mode: "chacha20-poly1305" as const, keyBits: [0], fixedKeyLength: 32 };
/** RFC 8750 section 3: the IV is not sent. */
const IMPLICIT_IV = { ivLength: 0, nonceIvLength: 8 };

const ROWS: readonly Row[] = [
  // RFC 3602 sections 2 and 3.
  {
    id: Encr.AES_CBC,
    mode: "aes-cbc",
    keyBits: AES_KEY_BITS,
    saltLength: 0,
    ivLength: 16,
    icvLength: 0,
    blockSize: 16,
  },
  // RFC 3686 sections 2 and 5.
  {
    id: Encr.AES_CTR,
    mode: "aes-ctr",
    keyBits: AES_KEY_BITS,
    saltLength: 4,
    ivLength: 8,
    icvLength: 0,
    blockSize: 1,
  },
  // RFC 2451 section 2.
  {
    id: Encr.DES3,
    mode: "3des-cbc",
    keyBits: [0],
    fixedKeyLength: 24,
    saltLength: 0,
    ivLength: 8,
    icvLength: 0,
    blockSize: 8,
  },
  { id: Encr.NULL, mode: "null", keyBits: [0], saltLength: 0, ivLength: 0, icvLength: 0, blockSize: 1 },
  { id: Encr.AES_GCM_16, mode: "aes-gcm", ...GCM },
  { id: Encr.AES_GCM_12, mode: "aes-gcm", ...GCM, icvLength: 12 },
  { id: Encr.AES_GCM_8, mode: "aes-gcm", ...GCM, icvLength: 8 },
  { id: Encr.AES_CCM_16, ...CCM },
  { id: Encr.AES_CCM_12, ...CCM, icvLength: 12 },
  { id: Encr.AES_CCM_8, ...CCM, icvLength: 8 },
  { id: Encr.CHACHA20_POLY1305, ...CHACHA },
  // RFC 4543 sections 3 and 5.
  { id: Encr.NULL_AUTH_AES_GMAC, mode: "aes-gmac", ...GCM },
  { id: Encr.AES_CCM_8_IIV, ...CCM, icvLength: 8, ...IMPLICIT_IV },
  { id: Encr.AES_GCM_16_IIV, mode: "aes-gcm", ...GCM, ...IMPLICIT_IV },
  { id: Encr.CHACHA20_POLY1305_IIV, ...CHACHA, ...IMPLICIT_IV },
];

const ALGORITHMS: readonly EncrAlgorithm[] = ROWS.flatMap((row) =>
  row.keyBits.map((keyBits) => ({
    id: row.id,
    keyBits,
    keyLength: (row.fixedKeyLength ?? keyBits / 8) + row.saltLength,
    saltLength: row.saltLength,
    ivLength: row.ivLength,
    nonceIvLength: row.nonceIvLength ?? row.ivLength,
    icvLength: row.icvLength,
    blockSize: row.blockSize,
    isAead: row.icvLength > 0,
    needsUniqueIv: row.saltLength > 0,
    mode: row.mode,
  })),
);

/** The algorithm, or `undefined` when it is not supported or the key length is none of its own. The same object each time. */
export function encrAlgorithm(id: number, keyBits: number): EncrAlgorithm | undefined {
  return ALGORITHMS.find((algorithm) => algorithm.id === id && algorithm.keyBits === keyBits);
}

const NOTHING = new Uint8Array(0);

/**
 * Encrypts and authenticates (RFC 5282 section 3, RFC 4106 section 3, RFC 4309 section 5, RFC 4543 section 3).
 * @param key - of `keyLength` octets, salt included
 * @param iv - of `nonceIvLength` octets; never twice with one key [ENC-10]
 * @returns ciphertext (of GMAC: the plaintext) followed by the ICV
 * @throws {@link CryptoError} when a length does not fit the algorithm
 */
export function sealAead(
  alg: EncrAlgorithm,
  key: Uint8Array,
  iv: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  checkAead(alg, key, iv);
  const cipherKey = key.subarray(0, key.length - alg.saltLength);
  const nonce = nonceOf(alg, key, iv);
  if (alg.mode !== "aes-gmac")
    return provider.seal(alg.mode as AeadName, cipherKey, nonce, aad, plaintext, alg.icvLength);
  // [ESP-23] associated data, IV and payload are all that is authenticated; nothing is encrypted.
  const covered = concat(aad, iv, plaintext);
  return concat(plaintext, provider.seal("aes-gcm", cipherKey, nonce, covered, NOTHING, alg.icvLength));
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
  checkAead(alg, key, iv);
  if (sealed.length < alg.icvLength) return undefined;
  const cipherKey = key.subarray(0, key.length - alg.saltLength);
  const nonce = nonceOf(alg, key, iv);
  if (alg.mode !== "aes-gmac")
    return provider.open(alg.mode as AeadName, cipherKey, nonce, aad, sealed, alg.icvLength);
  const plaintext = sealed.slice(0, sealed.length - alg.icvLength);
  const icv = sealed.subarray(plaintext.length);
  const verdict = provider.open("aes-gcm", cipherKey, nonce, concat(aad, iv, plaintext), icv, alg.icvLength);
  return verdict === undefined ? undefined : plaintext;
}

/**
 * Encrypts with a cipher that authenticates nothing: whole blocks of CBC (RFC 3602 section 2), any octets of CTR
 * (RFC 3686 section 4).
 * @param key - of `keyLength` octets, salt included
 * @param iv - unpredictable for CBC [ESP-21], never twice with one key for CTR [ESP-20]
 * @throws {@link CryptoError} when a length does not fit the algorithm
 */
export function encrypt(
  alg: EncrAlgorithm,
  key: Uint8Array,
  iv: Uint8Array,
  plaintext: Uint8Array,
): Uint8Array {
  const cipher = checkCipher(alg, key, iv, plaintext);
  if (cipher === "null") return plaintext.slice();
  return provider.encrypt(
    cipher,
    key.subarray(0, key.length - alg.saltLength),
    startOf(alg, key, iv),
    plaintext,
  );
}

/**
 * Decrypts; the padding stays in place.
 * @throws {@link CryptoError} `CRYPTO_BLOCK_LENGTH` when the ciphertext is no whole number of blocks
 */
export function decrypt(
  alg: EncrAlgorithm,
  key: Uint8Array,
  iv: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array {
  const cipher = checkCipher(alg, key, iv, ciphertext);
  if (cipher === "null") return ciphertext.slice();
  return provider.decrypt(
    cipher,
    key.subarray(0, key.length - alg.saltLength),
    startOf(alg, key, iv),
    ciphertext,
  );
}

/** The salt from the end of the key, then the IV [ENC-06]. */
function nonceOf(alg: EncrAlgorithm, key: Uint8Array, iv: Uint8Array): Uint8Array {
  return concat(key.subarray(key.length - alg.saltLength), iv);
}

const FIRST_BLOCK = Uint8Array.of(0, 0, 0, 1);

/** CBC's IV, or CTR's first counter block: nonce, IV, and a block counter that starts at 1 [ESP-20]. */
function startOf(alg: EncrAlgorithm, key: Uint8Array, iv: Uint8Array): Uint8Array {
  return alg.mode === "aes-ctr" ? concat(nonceOf(alg, key, iv), FIRST_BLOCK) : iv;
}

function checkAead(alg: EncrAlgorithm, key: Uint8Array, iv: Uint8Array): void {
  if (!alg.isAead)
    throw new CryptoError("CRYPTO_UNSUPPORTED", `ENCR ${nameOf(Encr, alg.id)} is no combined-mode cipher`);
  checkLengths(alg, key, iv);
}

function checkCipher(
  alg: EncrAlgorithm,
  key: Uint8Array,
  iv: Uint8Array,
  blocks: Uint8Array,
): CipherName | "null" {
  if (alg.isAead)
    throw new CryptoError("CRYPTO_UNSUPPORTED", `ENCR ${nameOf(Encr, alg.id)} is a combined-mode cipher`);
  checkLengths(alg, key, iv);
  if (blocks.length % alg.blockSize !== 0)
    throw new CryptoError(
      "CRYPTO_BLOCK_LENGTH",
      `${blocks.length} octets are no whole number of blocks of ${alg.blockSize}`,
    );
  return alg.mode as CipherName | "null";
}

function checkLengths(alg: EncrAlgorithm, key: Uint8Array, iv: Uint8Array): void {
  if (key.length !== alg.keyLength)
    throw new CryptoError(
      "CRYPTO_KEY_LENGTH",
      `ENCR ${nameOf(Encr, alg.id)} takes ${alg.keyLength} octets of key and salt, not ${key.length}`,
    );
  if (iv.length !== alg.nonceIvLength)
    throw new CryptoError(
      "CRYPTO_IV_LENGTH",
      `ENCR ${nameOf(Encr, alg.id)} takes ${alg.nonceIvLength} octets of IV, not ${iv.length}`,
    );
}
