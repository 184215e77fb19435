/** What every provider of primitives does: no protocol in here, octets in and out, one name per primitive. */

export type HashName = "sha1" | "sha256" | "sha384" | "sha512";
export type AeadName = "aes-gcm" | "aes-ccm" | "chacha20-poly1305";
/** Ciphers that authenticate nothing. */
export type CipherName = "aes-cbc" | "aes-ctr" | "3des-cbc";
export type CurveName =
  | "p256"
  | "p384"
  | "p521"
  | "brainpoolP224"
  | "brainpoolP256"
  | "brainpoolP384"
  | "brainpoolP512";
/** The curves of RFC 7748. */
export type MontgomeryName = "x25519" | "x448";
/** The parameter sets of FIPS 203. */
export type MlKemName = 512 | 768 | 1024;
/** One name per thing that a build of OpenSSL may lack. */
export type Primitive = HashName | AeadName | CipherName | CurveName | MontgomeryName | "modp";

/** A MODP group (RFC 3526): big-endian numbers, `prime` of the group's full length. */
export interface ModpGroup {
  readonly prime: Uint8Array;
  readonly generator: Uint8Array;
}

/**
 * Primitives over octets. Results are plain `Uint8Array`s of their own memory. Callers check lengths; a function whose
 * result is `undefined` answers so to octets of a peer, and throws only when its own side's arguments are wrong.
 */
export interface CryptoProvider {
  readonly name: string;
  supports(primitive: Primitive): boolean;
  /** False when the lengths differ; otherwise takes time that does not depend on the content [AUTH-21]. */
  constantTimeEqual(a: Uint8Array, b: Uint8Array): boolean;
  hash(hash: HashName, parts: readonly Uint8Array[]): Uint8Array;
  hmac(hash: HashName, key: Uint8Array, parts: readonly Uint8Array[]): Uint8Array;
  /** RFC 8018 section 5.2, with HMAC of that hash. */
  pbkdf2(
    hash: HashName,
    password: Uint8Array,
    salt: Uint8Array,
    iterations: number,
    length: number,
  ): Uint8Array;
  /** Ciphertext followed by a tag of `tagLength` octets. */
  seal(
    cipher: AeadName,
    key: Uint8Array,
    nonce: Uint8Array,
    aad: Uint8Array,
    plaintext: Uint8Array,
    tagLength: number,
  ): Uint8Array;
  /** The plaintext, or `undefined` when the tag (the last `tagLength` octets) is wrong. */
  open(
    cipher: AeadName,
    key: Uint8Array,
    nonce: Uint8Array,
    aad: Uint8Array,
    sealed: Uint8Array,
    tagLength: number,
  ): Uint8Array | undefined;
  /**
   * Without padding of its own: whole blocks for CBC.
   * @param iv - of CTR the first counter block, 16 octets that count up as one number
   */
  encrypt(cipher: CipherName, key: Uint8Array, iv: Uint8Array, plaintext: Uint8Array): Uint8Array;
  decrypt(cipher: CipherName, key: Uint8Array, iv: Uint8Array, ciphertext: Uint8Array): Uint8Array;
  /** RFC 7748 section 6: 32 octets from 32 octets with X25519, 56 from 56 with X448. */
  montgomeryPublicValue(curve: MontgomeryName, scalar: Uint8Array): Uint8Array;
  /** `undefined` when the result would be all zeros. */
  montgomerySharedSecret(curve: MontgomeryName, scalar: Uint8Array, peer: Uint8Array): Uint8Array | undefined;
  /** x | y at full length, or `undefined` unless the scalar is in 1..n-1. */
  ecpPublicValue(curve: CurveName, scalar: Uint8Array): Uint8Array | undefined;
  /** x of the shared point at full length, or `undefined` when the peer's x | y is no point of the curve. */
  ecpSharedSecret(curve: CurveName, scalar: Uint8Array, peer: Uint8Array): Uint8Array | undefined;
  /** generator ^ exponent, as long as the prime. */
  modpPublicValue(group: ModpGroup, exponent: Uint8Array): Uint8Array;
  /** peer ^ exponent, as long as the prime; `undefined` when that is 0, 1 or prime - 1. */
  modpSharedSecret(group: ModpGroup, exponent: Uint8Array, peer: Uint8Array): Uint8Array | undefined;
}

/** ML-KEM (FIPS 203). Callers check lengths. */
export interface MlKem {
  /**
   * Encapsulation and decapsulation key (section 7.1).
   * @param seed - d | z, 64 octets
   */
  mlKemKeyPair(
    name: MlKemName,
    seed: Uint8Array,
  ): { readonly encapsulationKey: Uint8Array; readonly decapsulationKey: Uint8Array };
  /**
   * Shared secret of 32 octets and its ciphertext (section 7.2).
   * @param message - 32 random octets
   * @returns `undefined` for an encapsulation key that fails the modulus check [PQ-19]
   */
  mlKemEncapsulate(
    name: MlKemName,
    encapsulationKey: Uint8Array,
    message: Uint8Array,
  ): { readonly ciphertext: Uint8Array; readonly secret: Uint8Array } | undefined;
  /** The shared secret; a wrong ciphertext of the right length gives another one, which fails at AUTH (section 7.3) [PQ-19]. */
  mlKemDecapsulate(name: MlKemName, decapsulationKey: Uint8Array, ciphertext: Uint8Array): Uint8Array;
}
