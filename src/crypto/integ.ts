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
}

interface Row extends IntegAlgorithm {
  readonly hash: HashName;
}

const ROWS: readonly Row[] = [
  { id: Integ.HMAC_SHA2_256_128, keyLength: 32, icvLength: 16, hash: "sha256" },
  { id: Integ.HMAC_SHA2_384_192, keyLength: 48, icvLength: 24, hash: "sha384" },
  { id: Integ.HMAC_SHA2_512_256, keyLength: 64, icvLength: 32, hash: "sha512" },
];

const rowOf = (id: number): Row | undefined => ROWS.find((row) => row.id === id);

/** The algorithm, or `undefined` when it is not supported. The same object each time. */
export function integAlgorithm(id: number): IntegAlgorithm | undefined {
  return rowOf(id);
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
  const row = rowOf(alg.id);
  if (row === undefined)
    throw new CryptoError("CRYPTO_UNSUPPORTED", `INTEG ${nameOf(Integ, alg.id)} is not supported`);
  if (key.length !== row.keyLength)
    throw new CryptoError(
      "CRYPTO_KEY_LENGTH",
      `INTEG ${nameOf(Integ, alg.id)} takes ${row.keyLength} octets of key, not ${key.length}`,
    );
  const full = provider.hmac(row.hash, key, parts);
  const icv = full.slice(0, row.icvLength);
  wipe(full);
  return icv;
}
