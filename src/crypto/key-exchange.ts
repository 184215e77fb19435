/** Key exchange methods by transform number: MODP, ECP, Brainpool, Curve25519, Curve448, and the KEMs among them. */
import { compare, toHex, wipe } from "../base/bytes.ts";
import type { RandomSource } from "../base/random.ts";
import { KeyExchangeMethod, nameOf } from "../wire/ike/registries.ts";
import { constantTimeEqual } from "./constant-time.ts";
import { CryptoError } from "./error.ts";
import { MODP_GROUPS, type ModpRow } from "./modp-groups.ts";
import type { CryptoProvider, CurveName, MlKem, MlKemName, MontgomeryName } from "./provider.ts";
import { nobleMlKem } from "./providers/ml-kem.ts";
import { provider } from "./providers/selected.ts";

export interface KeyExchangeAlgorithm {
  readonly id: number;
  /** Octets of key exchange data in the initiator's KE payload [INIT-10] [INIT-13]: a public value or an encapsulation key. */
  readonly publicValueLength: number;
  /** And in the responder's: the same, but a ciphertext of a KEM has a length of its own [PQ-20]. */
  readonly answerLength: number;
  /** Octets of g^ir or of the encapsulated secret [INIT-10] [INIT-13]. */
  readonly sharedSecretLength: number;
  /** The responder can begin only when the initiator's value is there. */
  readonly isKem: boolean;
}

export interface KeyExchangePair {
  /** Secret: wipe it after use. */
  readonly privateValue: Uint8Array;
  readonly publicValue: Uint8Array;
}

/** What a responder makes of the initiator's value. */
export interface KeyExchangeAnswer {
  /** Goes into the KE payload of the response. */
  readonly publicValue: Uint8Array;
  /** Wipe it after use. */
  readonly secret: Uint8Array;
}

/** What computes X25519, X448 and ML-KEM. */
export interface KeyExchangePrimitives
  extends Pick<CryptoProvider, "montgomeryPublicValue" | "montgomerySharedSecret">,
    MlKem {}

/** Where nothing else is at hand. */
const OWN: KeyExchangePrimitives = {
  montgomeryPublicValue: (curve, scalar) => provider.montgomeryPublicValue(curve, scalar),
  montgomerySharedSecret: (curve, scalar, peer) => provider.montgomerySharedSecret(curve, scalar, peer),
  ...nobleMlKem,
};

/** How one method works; lengths are checked before any of it is called. */
interface Row extends KeyExchangeAlgorithm {
  readonly privateValueLength: number;
  /** Octets of randomness that make a pair. */
  readonly seedLength: number;
  /** Bits of the first octet that are not part of the value are zero here. */
  readonly topMask: number;
  /** A pair out of the seed, which is wiped by whoever drew it; `undefined` for octets that make none. */
  pair(seed: Uint8Array, primitives: KeyExchangePrimitives): KeyExchangePair | undefined;
  /** The initiator's end, and with Diffie-Hellman the responder's too; `undefined` for a value that must not be used. */
  sharedSecret(
    privateValue: Uint8Array,
    peer: Uint8Array,
    primitives: KeyExchangePrimitives,
  ): Uint8Array | undefined;
  /** The responder's end of a KEM; absent with Diffie-Hellman. */
  readonly encapsulate?: (
    peer: Uint8Array,
    random: RandomSource,
    primitives: KeyExchangePrimitives,
  ) => KeyExchangeAnswer | undefined;
}

/** P-256 needs a second try once in 2^32, a Brainpool curve nearly every other time; a broken source must not loop for ever. */
export const PRIVATE_VALUE_ATTEMPTS_MAX = 64;

/** A Diffie-Hellman method: the private value is the seed itself, and both ends do the same. */
function diffieHellmanRow(row: {
  readonly id: number;
  readonly valueLength: number;
  readonly secretLength: number;
  readonly privateValueLength: number;
  readonly topMask?: number;
  readonly publicValue: (
    privateValue: Uint8Array,
    primitives: KeyExchangePrimitives,
  ) => Uint8Array | undefined;
  readonly sharedSecret: Row["sharedSecret"];
}): Row {
  return {
    id: row.id,
    publicValueLength: row.valueLength,
    answerLength: row.valueLength,
    sharedSecretLength: row.secretLength,
    isKem: false,
    privateValueLength: row.privateValueLength,
    seedLength: row.privateValueLength,
    topMask: row.topMask ?? 0xff,
    pair: (seed, primitives) => {
      const publicValue = row.publicValue(seed, primitives);
      return publicValue && { privateValue: seed.slice(), publicValue };
    },
    sharedSecret: row.sharedSecret,
  };
}

function modpRow(group: ModpRow): Row {
  const { prime, order } = group;
  const length = prime.length;
  const two = new Uint8Array(length);
  two[length - 1] = 2;
  const primeMinusTwo = Uint8Array.from(prime);
  // The primes are odd and greater than one in their last octet, so nothing is borrowed.
  primeMinusTwo[length - 1] = prime[length - 1]! - 2;
  // [INIT-11] 0, 1, p-1 and anything from p on give away the secret or no group element (RFC 6989 section 2.1).
  const isUsable = (value: Uint8Array) => compare(value, two) >= 0 && compare(value, primeMinusTwo) <= 0;
  return diffieHellmanRow({
    id: group.id,
    valueLength: length,
    secretLength: length,
    privateValueLength: group.exponentLength,
    publicValue: (exponent) => {
      if (order !== undefined && compare(exponent, order) >= 0) return undefined;
      const value = provider.modpPublicValue(group, exponent);
      return compare(value, two) < 0 ? undefined : value;
    },
    // [INIT-11] where there are small subgroups the value has to lie in the large one (RFC 6989 section 2.2).
    sharedSecret: (exponent, peer) =>
      isUsable(peer) && (order === undefined || isInSubgroup(peer, order, prime))
        ? provider.modpSharedSecret(group, exponent, peer)
        : undefined,
  });
}

/** Whether y^q is 1 modulo p (RFC 6989 section 2.2); nothing in it is secret. */
function isInSubgroup(value: Uint8Array, order: Uint8Array, prime: Uint8Array): boolean {
  const modulus = toBigInt(prime);
  let base = toBigInt(value);
  let power = 1n;
  for (let exponent = toBigInt(order); exponent > 0n; exponent >>= 1n) {
    if ((exponent & 1n) === 1n) power = (power * base) % modulus;
    base = (base * base) % modulus;
  }
  return power === 1n;
}

function toBigInt(octets: Uint8Array): bigint {
  return BigInt(`0x${toHex(octets)}`);
}

function ecpRow(id: number, curve: CurveName, fieldLength: number, topMask: number): Row {
  return diffieHellmanRow({
    id,
    valueLength: 2 * fieldLength,
    secretLength: fieldLength,
    privateValueLength: fieldLength,
    topMask,
    publicValue: (scalar) => provider.ecpPublicValue(curve, scalar),
    // [INIT-11] [INIT-13] The provider refuses what is off the curve and gives x alone; the cofactor is 1 (RFC 6954 section 2).
    sharedSecret: (scalar, peer) => provider.ecpSharedSecret(curve, scalar, peer),
  });
}

/**
 * [INIT-12] The top bit of a peer's X25519 value does not count, those of X448 all do, and an all-zero secret is refused
 * (RFC 8031 section 3.2, RFC 7748 section 5).
 */
function montgomeryRow(id: number, curve: MontgomeryName, length: number, peerTopMask: number): Row {
  const zero = new Uint8Array(length);
  return diffieHellmanRow({
    id,
    valueLength: length,
    secretLength: length,
    privateValueLength: length,
    publicValue: (scalar, primitives) => primitives.montgomeryPublicValue(curve, scalar),
    sharedSecret: (scalar, peer, primitives) => {
      const masked = Uint8Array.from(peer);
      masked[length - 1] = masked[length - 1]! & peerTopMask;
      const secret = primitives.montgomerySharedSecret(curve, scalar, masked);
      return secret === undefined || constantTimeEqual(secret, zero) ? undefined : secret;
    },
  });
}

const ML_KEM_SECRET_LENGTH = 32;
/** Octets of the seed d | z of a key pair, and of the message m that is encapsulated (FIPS 203 sections 7.1 and 7.2). */
const ML_KEM_SEED_LENGTH = 64;
const ML_KEM_MESSAGE_LENGTH = 32;

/** Lengths of encapsulation key, decapsulation key and ciphertext are those of FIPS 203 section 8, table 3 [PQ-19] [PQ-20]. */
function mlKemRow(
  id: number,
  name: MlKemName,
  lengths: {
    readonly encapsulationKey: number;
    readonly decapsulationKey: number;
    readonly ciphertext: number;
  },
): Row {
  return {
    id,
    publicValueLength: lengths.encapsulationKey,
    answerLength: lengths.ciphertext,
    sharedSecretLength: ML_KEM_SECRET_LENGTH,
    isKem: true,
    privateValueLength: lengths.decapsulationKey,
    seedLength: ML_KEM_SEED_LENGTH,
    topMask: 0xff,
    pair: (seed, primitives) => {
      const { encapsulationKey, decapsulationKey } = primitives.mlKemKeyPair(name, seed);
      return { privateValue: decapsulationKey, publicValue: encapsulationKey };
    },
    sharedSecret: (decapsulationKey, ciphertext, primitives) =>
      primitives.mlKemDecapsulate(name, decapsulationKey, ciphertext),
    encapsulate: (encapsulationKey, random, primitives) => {
      const message = random.secretBytes(ML_KEM_MESSAGE_LENGTH);
      const made = primitives.mlKemEncapsulate(name, encapsulationKey, message);
      wipe(message);
      return made && { publicValue: made.ciphertext, secret: made.secret };
    },
  };
}

const ROWS: ReadonlyMap<number, Row> = new Map(
  [
    ...MODP_GROUPS.map(modpRow),
    ecpRow(KeyExchangeMethod.ECP_256, "p256", 32, 0xff),
    ecpRow(KeyExchangeMethod.ECP_384, "p384", 48, 0xff),
    ecpRow(KeyExchangeMethod.ECP_521, "p521", 66, 0x01),
    ecpRow(KeyExchangeMethod.BRAINPOOL_P224R1, "brainpoolP224", 28, 0xff),
    ecpRow(KeyExchangeMethod.BRAINPOOL_P256R1, "brainpoolP256", 32, 0xff),
    ecpRow(KeyExchangeMethod.BRAINPOOL_P384R1, "brainpoolP384", 48, 0xff),
    ecpRow(KeyExchangeMethod.BRAINPOOL_P512R1, "brainpoolP512", 64, 0xff),
    montgomeryRow(KeyExchangeMethod.CURVE25519, "x25519", 32, 0x7f),
    montgomeryRow(KeyExchangeMethod.CURVE448, "x448", 56, 0xff),
    mlKemRow(KeyExchangeMethod.ML_KEM_512, 512, {
      encapsulationKey: 800,
      decapsulationKey: 1632,
      ciphertext: 768,
    }),
    mlKemRow(KeyExchangeMethod.ML_KEM_768, 768, {
      encapsulationKey: 1184,
      decapsulationKey: 2400,
      ciphertext: 1088,
    }),
    mlKemRow(KeyExchangeMethod.ML_KEM_1024, 1024, {
      encapsulationKey: 1568,
      decapsulationKey: 3168,
      ciphertext: 1568,
    }),
  ].map((row) => [row.id, row]),
);

/** The method, or `undefined` when it is not supported. The same object each time. */
export function keyExchangeAlgorithm(id: number): KeyExchangeAlgorithm | undefined {
  return ROWS.get(id);
}

/**
 * Makes a fresh pair; it is nothing but octets of `random`, so that a seed replays it.
 * @throws {@link CryptoError} `CRYPTO_UNSUPPORTED` for a method that is not supported
 */
export function generateKeyExchange(
  id: number,
  random: RandomSource,
  primitives: KeyExchangePrimitives = OWN,
): KeyExchangePair {
  const row = supportedRow(id);
  for (let attempt = 0; attempt < PRIVATE_VALUE_ATTEMPTS_MAX; attempt++) {
    const seed = random.secretBytes(row.seedLength);
    seed[0] = seed[0]! & row.topMask;
    // A private value outside the group's order is drawn anew, not reduced: every value stays equally likely.
    const pair = row.pair(seed, primitives);
    wipe(seed);
    if (pair !== undefined) return pair;
  }
  throw new CryptoError(
    "CRYPTO_BAD_RANDOM",
    `the random source gave no private value for ${nameOf(KeyExchangeMethod, id)} in ${PRIVATE_VALUE_ATTEMPTS_MAX} attempts`,
  );
}

/**
 * A responder's whole part: its own value and the shared secret out of the initiator's value [PQ-20].
 * @throws {@link CryptoError} as {@link deriveSharedSecret}
 */
export function answerKeyExchange(
  id: number,
  peerPublicValue: Uint8Array,
  random: RandomSource,
  primitives: KeyExchangePrimitives = OWN,
): KeyExchangeAnswer {
  const row = supportedRow(id);
  checkLength(row, peerPublicValue, row.publicValueLength);
  if (row.encapsulate !== undefined) {
    const answer = row.encapsulate(peerPublicValue, random, primitives);
    if (answer === undefined) throw refusedValue(id);
    return answer;
  }
  const { privateValue, publicValue } = generateKeyExchange(id, random, primitives);
  const secret = row.sharedSecret(privateValue, peerPublicValue, primitives);
  wipe(privateValue);
  if (secret === undefined) throw refusedValue(id);
  return { publicValue, secret };
}

/**
 * g^ir from our private and the peer's public value, `sharedSecretLength` octets, padded on the left [INIT-10]; of a KEM
 * the initiator's end. Checks the peer's value with every call [INIT-18].
 * @throws {@link CryptoError} `CRYPTO_BAD_PUBLIC_VALUE` when the peer's value has the wrong length or must not be used;
 * other codes only for this side's own mistakes
 */
export function deriveSharedSecret(
  id: number,
  privateValue: Uint8Array,
  peerPublicValue: Uint8Array,
  primitives: KeyExchangePrimitives = OWN,
): Uint8Array {
  const row = supportedRow(id);
  if (privateValue.length !== row.privateValueLength)
    throw new CryptoError(
      "CRYPTO_BAD_PRIVATE_VALUE",
      `a private value of ${nameOf(KeyExchangeMethod, id)} has ${row.privateValueLength} octets, not ${privateValue.length}`,
    );
  checkLength(row, peerPublicValue, row.answerLength);
  const secret = row.sharedSecret(privateValue, peerPublicValue, primitives);
  if (secret === undefined) throw refusedValue(id);
  return secret;
}

function checkLength({ id }: Row, { length }: Uint8Array, expected: number): void {
  if (length !== expected)
    throw new CryptoError(
      "CRYPTO_BAD_PUBLIC_VALUE",
      `the peer's key exchange data for ${nameOf(KeyExchangeMethod, id)} has ${length} octets, not ${expected}`,
    );
}

function refusedValue(id: number): CryptoError {
  return new CryptoError(
    "CRYPTO_BAD_PUBLIC_VALUE",
    `the peer's key exchange data for ${nameOf(KeyExchangeMethod, id)} is not a value that the method allows`,
  );
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
