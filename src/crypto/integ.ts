/** Integrity algorithms by transform number: truncated HMACs (RFC 2404, RFC 4868) and AES MACs (RFC 3566, RFC 4494). */
import { wipe } from "../base/bytes.ts";
import { Integ, nameOf } from "../wire/ike/registries.ts";
import { aesCmac, aesXcbc } from "./aes-mac.ts";
import { CryptoError } from "./error.ts";
import type { HashName } from "./provider.ts";
import { provider } from "./providers/selected.ts";

export interface IntegAlgorithm {
  readonly id: number;
  /** Octets cut from KEYMAT: for HMAC as long as the hash [ESP-22]. */
  readonly keyLength: number;
  /** Octets on the wire: the first half of a SHA-2 hash [ESP-22], 12 of the others. */
  readonly icvLength: number;
  /** HMAC over a hash, or a MAC of AES. */
  readonly mac: HashName | "aes-xcbc" | "aes-cmac";
}

const ROWS: readonly IntegAlgorithm[] = [
  { id: Integ.HMAC_SHA1_96, keyLength: 20, icvLength: 12, mac: "sha1" },
  { id: Integ.AES_XCBC_96, keyLength: 16, icvLength: 12, mac: "aes-xcbc" },
  { id: Integ.AES_CMAC_96, keyLength: 16, icvLength: 12, mac: "aes-cmac" },
  { id: Integ.HMAC_SHA2_256_128, keyLength: 32, icvLength: 16, mac: "sha256" },
  { id: Integ.HMAC_SHA2_384_192, keyLength: 48, icvLength: 24, mac: "sha384" },
  { id: Integ.HMAC_SHA2_512_256, keyLength: 64, icvLength: 32, mac: "sha512" },
];

/** The algorithm, or `undefined` when it is not supported. The same object each time. */
export function integAlgorithm(id: number): IntegAlgorithm | undefined {
  return ROWS.find((row) => row.id === id);
}

/**
 * The check value over the parts, truncated to `icvLength`. Compare with `constantTimeEqual`.
 * @throws {@link CryptoError} when the key's length does not fit
 */
export function computeIcv(
  alg: IntegAlgorithm,
  key: Uint8Array,
  ...parts: readonly Uint8Array[]
): Uint8Array {
  if (key.length !== alg.keyLength)
    throw new CryptoError(
      "CRYPTO_KEY_LENGTH",
      `INTEG ${nameOf(Integ, alg.id)} takes ${alg.keyLength} octets of key, not ${key.length}`,
    );
  const full = macOf(alg.mac, key, parts);
  const icv = full.slice(0, alg.icvLength);
  wipe(full);
  return icv;
}

function macOf(mac: IntegAlgorithm["mac"], key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array {
  if (mac === "aes-xcbc") return aesXcbc(key, parts);
  if (mac === "aes-cmac") return aesCmac(key, parts);
  return provider.hmac(mac, key, parts);
}
