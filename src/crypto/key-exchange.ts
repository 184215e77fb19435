/** Key exchange methods by transform number: MODP (RFC 3526), ECP (RFC 5903), X25519 (RFC 8031). */
import { compare, wipe } from "../base/bytes.ts";
import type { RandomSource } from "../base/random.ts";
import { KeyExchangeMethod, nameOf } from "../wire/ike/registries.ts";
import { constantTimeEqual } from "./constant-time.ts";
import { CryptoError } from "./error.ts";
import { MODP_GROUPS, type ModpRow } from "./modp-groups.ts";
import type { CurveName } from "./provider.ts";
import { provider } from "./providers/selected.ts";

export interface KeyExchangeAlgorithm {
  readonly id: number;
  /** Octets of key exchange data in a KE payload [INIT-10] [INIT-13]. */
  readonly publicValueLength: number;
  /** Octets of g^ir [INIT-10] [INIT-13]. */
  readonly sharedSecretLength: number;
}

export interface KeyExchangePair {
  /** Secret: wipe it after use. */
  readonly privateValue: Uint8Array;
  readonly publicValue: Uint8Array;
}

/** How one method works; lengths are checked before any of it is called. */
interface Row extends KeyExchangeAlgorithm {
  readonly privateValueLength: number;
  /** Bits of the first private octet that are not part of the value are zero here. */
  readonly topMask: number;
  /** `undefined` for octets that are no private value of this method. */
  publicValue(privateValue: Uint8Array): Uint8Array | undefined;
  /** `undefined` for a value that must not be used. */
  sharedSecret(privateValue: Uint8Array, peer: Uint8Array): Uint8Array | undefined;
}

/** A good source needs a second try for P-256 once in 2^32; a broken one must not loop for ever. */
export const PRIVATE_VALUE_ATTEMPTS_MAX = 64;

function modpRow(group: ModpRow): Row {
  const length = group.prime.length;
  const two = new Uint8Array(length);
  two[length - 1] = 2;
  const primeMinusTwo = Uint8Array.from(group.prime);
  // The primes are odd and end in ff, so nothing is borrowed.
  primeMinusTwo[length - 1] = group.prime[length - 1]! - 2;
  return {
    id: group.id,
    publicValueLength: length,
    sharedSecretLength: length,
    privateValueLength: group.exponentLength,
    topMask: 0xff,
    publicValue: (exponent) => {
      const value = provider.modpPublicValue(group, exponent);
      return compare(value, two) < 0 ? undefined : value;
    },
    // [INIT-11] 0, 1, p-1 and anything from p on give away the secret or no group element (RFC 6989 section 2.1).
    sharedSecret: (exponent, peer) =>
      compare(peer, two) < 0 || compare(peer, primeMinusTwo) > 0
        ? undefined
        : provider.modpSharedSecret(group, exponent, peer),
  };
}

function ecpRow(id: number, curve: CurveName, fieldLength: number, topMask: number): Row {
  return {
    id,
    publicValueLength: 2 * fieldLength,
    sharedSecretLength: fieldLength,
    privateValueLength: fieldLength,
    topMask,
    publicValue: (scalar) => provider.ecpPublicValue(curve, scalar),
    // [INIT-11] [INIT-13] The provider refuses what is off the curve and gives x alone.
    sharedSecret: (scalar, peer) => provider.ecpSharedSecret(curve, scalar, peer),
  };
}

const X25519_LENGTH = 32;
const X25519_ZERO = new Uint8Array(X25519_LENGTH);
const X25519_ROW: Row = {
  id: KeyExchangeMethod.CURVE25519,
  publicValueLength: X25519_LENGTH,
  sharedSecretLength: X25519_LENGTH,
  privateValueLength: X25519_LENGTH,
  topMask: 0xff,
  publicValue: (scalar) => provider.x25519PublicValue(scalar),
  sharedSecret: x25519SharedSecret,
};

/** [INIT-12] The top bit of the peer's value does not count, and an all-zero secret is refused (RFC 8031 section 3.2). */
function x25519SharedSecret(scalar: Uint8Array, peer: Uint8Array): Uint8Array | undefined {
  const masked = Uint8Array.from(peer);
  masked[X25519_LENGTH - 1] = masked[X25519_LENGTH - 1]! & 0x7f;
  const secret = provider.x25519SharedSecret(scalar, masked);
  return secret === undefined || constantTimeEqual(secret, X25519_ZERO) ? undefined : secret;
}

const ROWS: ReadonlyMap<number, Row> = new Map(
  [
    ...MODP_GROUPS.map(modpRow),
    ecpRow(KeyExchangeMethod.ECP_256, "p256", 32, 0xff),
    ecpRow(KeyExchangeMethod.ECP_384, "p384", 48, 0xff),
    ecpRow(KeyExchangeMethod.ECP_521, "p521", 66, 0x01),
    X25519_ROW,
  ].map((row) => [row.id, row]),
);

/** The method, or `undefined` when it is not supported. The same object each time. */
export function keyExchangeAlgorithm(id: number): KeyExchangeAlgorithm | undefined {
  return ROWS.get(id);
}

/**
 * Makes a fresh pair; the private value is nothing but octets of `random`, so that a seed replays it.
 * @throws {@link CryptoError} `CRYPTO_UNSUPPORTED` for a method that is not supported
 */
export function generateKeyExchange(id: number, random: RandomSource): KeyExchangePair {
  const row = supportedRow(id);
  for (let attempt = 0; attempt < PRIVATE_VALUE_ATTEMPTS_MAX; attempt++) {
    const privateValue = random.secretBytes(row.privateValueLength);
    privateValue[0] = privateValue[0]! & row.topMask;
    // A private value outside the group's order is drawn anew, not reduced: every value stays equally likely.
    const publicValue = row.publicValue(privateValue);
    if (publicValue !== undefined) return { privateValue, publicValue };
    wipe(privateValue);
  }
  throw new CryptoError(
    "CRYPTO_BAD_RANDOM",
    `the random source gave no private value for ${nameOf(KeyExchangeMethod, id)} in ${PRIVATE_VALUE_ATTEMPTS_MAX} attempts`,
  );
}

/**
 * g^ir from our private and the peer's public value, `sharedSecretLength` octets, padded on the left [INIT-10].
 * Checks the peer's value with every call [INIT-18].
 * @throws {@link CryptoError} `CRYPTO_BAD_PUBLIC_VALUE` when the peer's value has the wrong length or must not be used;
 * other codes only for this side's own mistakes
 */
export function deriveSharedSecret(
  id: number,
  privateValue: Uint8Array,
  peerPublicValue: Uint8Array,
): Uint8Array {
  const row = supportedRow(id);
  const name = nameOf(KeyExchangeMethod, id);
  if (privateValue.length !== row.privateValueLength)
    throw new CryptoError(
      "CRYPTO_BAD_PRIVATE_VALUE",
      `a private value of ${name} has ${row.privateValueLength} octets, not ${privateValue.length}`,
    );
  if (peerPublicValue.length !== row.publicValueLength)
    throw new CryptoError(
      "CRYPTO_BAD_PUBLIC_VALUE",
      `the peer's key exchange data for ${name} has ${peerPublicValue.length} octets, not ${row.publicValueLength}`,
    );
  const secret = row.sharedSecret(privateValue, peerPublicValue);
  if (secret === undefined)
    throw new CryptoError(
      "CRYPTO_BAD_PUBLIC_VALUE",
      `the peer's key exchange data for ${name} is not a value that the group allows`,
    );
  return secret;
}

function supportedRow(id: number): Row {
  const row = ROWS.get(id);
  if (row === undefined)
    throw new CryptoError(
      "CRYPTO_UNSUPPORTED",
      `key exchange ${nameOf(KeyExchangeMethod, id)} is not supported`,
    );
  return row;
}
