/**
 * Integrity algorithms by transform number: truncated HMACs (RFC 2404, RFC 4868) and AES MACs (RFC 3566, RFC 4494), and
 * AES-GMAC, which is AH's alone (RFC 4543 sections 4 and 5.3).
 */
import { concat, wipe } from "../base/bytes.ts";
import { Integ, nameOf } from "../wire/ike/registries.ts";
import { aesCmac, aesXcbc } from "./aes-mac.ts";
import { CryptoError } from "./error.ts";
import type { HashName } from "./provider.ts";
import { provider } from "./providers/selected.ts";

export interface IntegAlgorithm {
  readonly id: number;
  /** Octets cut from KEYMAT: for HMAC as long as the hash [ESP-22], of GMAC the key and 4 octets of salt [AH-17]. */
  readonly keyLength: number;
  /** Octets on the wire: the first half of a SHA-2 hash [ESP-22], 12 of the others; GMAC's IV and tag. */
  readonly icvLength: number;
  /** How many of them, the first, are an IV that no key may see twice. */
  readonly ivLength: number;
  /** HMAC over a hash, or a MAC of AES. */
  readonly mac: HashName | "aes-xcbc" | "aes-cmac" | "aes-gmac";
}

const GMAC_IV_LENGTH = 8;
const GMAC_TAG_LENGTH = 16;
const GMAC_SALT_LENGTH = 4;

const ROWS: readonly IntegAlgorithm[] = [
  { id: Integ.HMAC_SHA1_96, keyLength: 20, icvLength: 12, ivLength: 0, mac: "sha1" },
  { id: Integ.AES_XCBC_96, keyLength: 16, icvLength: 12, ivLength: 0, mac: "aes-xcbc" },
  { id: Integ.AES_CMAC_96, keyLength: 16, icvLength: 12, ivLength: 0, mac: "aes-cmac" },
  gmac(Integ.AES_128_GMAC, 16),
  gmac(Integ.AES_192_GMAC, 24),
  gmac(Integ.AES_256_GMAC, 32),
  { id: Integ.HMAC_SHA2_256_128, keyLength: 32, icvLength: 16, ivLength: 0, mac: "sha256" },
  { id: Integ.HMAC_SHA2_384_192, keyLength: 48, icvLength: 24, ivLength: 0, mac: "sha384" },
  { id: Integ.HMAC_SHA2_512_256, keyLength: 64, icvLength: 32, ivLength: 0, mac: "sha512" },
];

function gmac(id: number, cipherKeyLength: number): IntegAlgorithm {
  return {
    id,
    keyLength: cipherKeyLength + GMAC_SALT_LENGTH,
    icvLength: GMAC_IV_LENGTH + GMAC_TAG_LENGTH,
    ivLength: GMAC_IV_LENGTH,
    mac: "aes-gmac",
  };
}

/** `ivLength` of a transform, without looking for it: for each packet of AH. */
export function integIvLength(id: number): number {
  return id >= Integ.AES_128_GMAC && id <= Integ.AES_256_GMAC ? GMAC_IV_LENGTH : 0;
}

/** The algorithm, or `undefined` when it is not supported. The same object each time. */
export function integAlgorithm(id: number): IntegAlgorithm | undefined {
  return ROWS.find((row) => row.id === id);
}

/**
 * The check value over the parts, truncated to `icvLength`. Compare with `constantTimeEqual`.
 * @throws {@link CryptoError} when the key's length does not fit, or the algorithm needs an IV
 */
export function computeIcv(
  alg: IntegAlgorithm,
  key: Uint8Array,
  ...parts: readonly Uint8Array[]
): Uint8Array {
  checkKey(alg, key);
  const full = macOf(alg, key, parts);
  const icv = full.slice(0, alg.icvLength);
  wipe(full);
  return icv;
}

function checkKey(alg: IntegAlgorithm, key: Uint8Array): void {
  if (key.length !== alg.keyLength)
    throw new CryptoError(
      "CRYPTO_KEY_LENGTH",
      `INTEG ${nameOf(Integ, alg.id)} takes ${alg.keyLength} octets of key, not ${key.length}`,
    );
}

function macOf({ id, mac }: IntegAlgorithm, key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  if (mac === "aes-gmac")
    throw new CryptoError("CRYPTO_UNSUPPORTED", `INTEG ${nameOf(Integ, id)} needs an IV; it is AH's alone`);
  if (mac === "aes-xcbc") return aesXcbc(key, parts);
  if (mac === "aes-cmac") return aesCmac(key, parts);
  return provider.hmac(mac, key, parts);
}

const NOTHING = new Uint8Array(0);

/**
 * AH's authentication data over the parts: the IV, then the tag (RFC 4543 section 4) [AH-17].
 * @param key - of `keyLength` octets, salt included
 * @param iv - of `ivLength` octets; never twice with one key for what is sent
 * @throws {@link CryptoError} when a length does not fit, or the algorithm is no GMAC
 */
export function computeGmac(
  alg: IntegAlgorithm,
  key: Uint8Array,
  iv: Uint8Array,
  ...parts: readonly Uint8Array[]
): Uint8Array {
  if (alg.mac !== "aes-gmac")
    throw new CryptoError("CRYPTO_UNSUPPORTED", `INTEG ${nameOf(Integ, alg.id)} takes no IV`);
  checkKey(alg, key);
  if (iv.length !== alg.ivLength)
    throw new CryptoError(
      "CRYPTO_IV_LENGTH",
      `INTEG ${nameOf(Integ, alg.id)} takes ${alg.ivLength} octets of IV, not ${iv.length}`,
    );
  const salt = key.length - GMAC_SALT_LENGTH;
  const nonce = concat(key.subarray(salt), iv);
  const tag = provider.seal(
    "aes-gcm",
    key.subarray(0, salt),
    nonce,
    concat(...parts),
    NOTHING,
    GMAC_TAG_LENGTH,
  );
  return concat(iv, tag);
}
