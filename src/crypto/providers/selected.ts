/** The provider that the algorithms use: Node's, and noble for a primitive that Node's OpenSSL was built without. */
import type { CryptoProvider, Primitive } from "../provider.ts";
import { nodeCrypto } from "./node-crypto.ts";

/** Takes each primitive from `first`, or from `second` when `first` lacks it. */
export function preferring(first: CryptoProvider, second: CryptoProvider): CryptoProvider {
  const answers = new Map<Primitive, boolean>();
  const from = (primitive: Primitive): CryptoProvider => {
    let has = answers.get(primitive);
    if (has === undefined) {
      has = first.supports(primitive);
      answers.set(primitive, has);
    }
    return has ? first : second;
  };
  return {
    name: `${first.name}, else ${second.name}`,
    supports: (primitive) => first.supports(primitive) || second.supports(primitive),
    constantTimeEqual: (a, b) => first.constantTimeEqual(a, b),
    hash: (hash, parts) => from(hash).hash(hash, parts),
    hmac: (hash, key, parts) => from(hash).hmac(hash, key, parts),
    pbkdf2: (hash, password, salt, iterations, length) =>
      from(hash).pbkdf2(hash, password, salt, iterations, length),
    seal: (cipher, key, nonce, aad, plaintext, tagLength) =>
      from(cipher).seal(cipher, key, nonce, aad, plaintext, tagLength),
    open: (cipher, key, nonce, aad, sealed, tagLength) =>
      from(cipher).open(cipher, key, nonce, aad, sealed, tagLength),
    encrypt: (cipher, key, iv, plaintext) => from(cipher).encrypt(cipher, key, iv, plaintext),
    decrypt: (cipher, key, iv, ciphertext) => from(cipher).decrypt(cipher, key, iv, ciphertext),
    montgomeryPublicValue: (curve, scalar) => from(curve).montgomeryPublicValue(curve, scalar),
    montgomerySharedSecret: (curve, scalar, peer) => from(curve).montgomerySharedSecret(curve, scalar, peer),
    ecpPublicValue: (curve, scalar) => from(curve).ecpPublicValue(curve, scalar),
    ecpSharedSecret: (curve, scalar, peer) => from(curve).ecpSharedSecret(curve, scalar, peer),
    modpPublicValue: (group, exponent) => from("modp").modpPublicValue(group, exponent),
    modpSharedSecret: (group, exponent, peer) => from("modp").modpSharedSecret(group, exponent, peer),
  };
}

const PRIMITIVES: readonly Primitive[] = [
  "sha1",
  "sha256",
  "sha384",
  "sha512",
  "aes-gcm",
  "chacha20-poly1305",
  "p256",
  "p384",
  "p521",
  "brainpoolP224",
  "brainpoolP256",
  "brainpoolP384",
  "brainpoolP512",
  "aes-ccm",
  "aes-cbc",
  "aes-ctr",
  "x25519",
  "x448",
  "modp",
];

export const provider: CryptoProvider = { ...nodeCrypto };

const isComplete = () => PRIMITIVES.every((primitive) => nodeCrypto.supports(primitive));

/**
 * For each thread that does IKE's cryptography, before it begins. Loading noble takes a thread longer than all the rest together,
 * so that only an OpenSSL that lacks something has it.
 */
export async function completeProvider(): Promise<void> {
  if (!isComplete()) Object.assign(provider, preferring(nodeCrypto, (await import("./noble.ts")).noble));
}

/** What is used in place of Node's, which makes several objects for each of these. */
export type FasterPrimitives = Pick<CryptoProvider, "hash" | "hmac" | "seal" | "open">;

/** From now on in this thread; unless OpenSSL lacks something, for then these may lack it too. */
export function useFaster(make: (other: CryptoProvider) => FasterPrimitives): void {
  if (isComplete()) Object.assign(provider, make(nodeCrypto));
}
