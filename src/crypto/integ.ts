/** Integrity algorithms by transform number: HMAC-SHA2, truncated (RFC 4868 section 2). */
import { wipe } from "../base/bytes.ts";
import { Integ, nameOf } from "../wire/ike/registries.ts";
import { CryptoError } from "./error.ts";
import type { HashName } from "./provider.ts";
import { provider } from "./providers/selected.ts";

export interface IntegAlgorithm {
  readonly id: number;
  /** Octets cut from KEYMAT: as long as the hash [ESP-22]. */
  readonly keyLength: number;
  /** Octets on the wire: the first half of the hash [ESP-22]. */
  readonly icvLength: number;
  /** HMAC over this hash. */
  readonly hash: HashName;
}

const ROWS: readonly IntegAlgorithm[] = [
  { id: Integ.HMAC_SHA2_256_128, keyLength: 32, icvLength: 16, hash: "sha256" },
  { id: Integ.HMAC_SHA2_384_192, keyLength: 48, icvLength: 24, hash: "sha384" },
  { id: Integ.HMAC_SHA2_512_256, keyLength: 64, icvLength: 32, hash: "sha512" },
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
  const full = provider.hmac(alg.hash, key, parts);
  const icv = full.slice(0, alg.icvLength);
  wipe(full);
  return icv;
}
