/** ML-KEM (FIPS 203) in JavaScript: Node's OpenSSL before 3.5 has none. No JavaScript is constant-time. */
import { ml_kem512, ml_kem768, ml_kem1024 } from "@noble/post-quantum/ml-kem.js";

const PARAMETER_SETS = { 512: ml_kem512, 768: ml_kem768, 1024: ml_kem1024 } as const;

export type MlKemName = keyof typeof PARAMETER_SETS;

/** Octets of the seed d | z of a key pair, and of the message m that is encapsulated (FIPS 203 sections 7.1 and 7.2). */
export const ML_KEM_SEED_LENGTH = 64;
export const ML_KEM_MESSAGE_LENGTH = 32;

/** Encapsulation and decapsulation key (FIPS 203 section 7.1). */
export function mlKemKeyPair(
  name: MlKemName,
  seed: Uint8Array,
): { readonly encapsulationKey: Uint8Array; readonly decapsulationKey: Uint8Array } {
  const { publicKey, secretKey } = PARAMETER_SETS[name].keygen(seed);
  return { encapsulationKey: publicKey, decapsulationKey: secretKey };
}

/**
 * Shared secret of 32 octets and its ciphertext (FIPS 203 section 7.2).
 * @returns `undefined` for an encapsulation key that fails the modulus check [PQ-19]
 */
export function mlKemEncapsulate(
  name: MlKemName,
  encapsulationKey: Uint8Array,
  message: Uint8Array,
): { readonly ciphertext: Uint8Array; readonly secret: Uint8Array } | undefined {
  try {
    const { cipherText, sharedSecret } = PARAMETER_SETS[name].encapsulate(encapsulationKey, message);
    return { ciphertext: cipherText, secret: sharedSecret };
  } catch {
    // Lengths are checked before: the modulus is the one thing left that is refused.
    return undefined;
  }
}

/** The shared secret; a wrong ciphertext of the right length gives another one, which fails at AUTH (FIPS 203 section 7.3) [PQ-19]. */
export function mlKemDecapsulate(
  name: MlKemName,
  decapsulationKey: Uint8Array,
  ciphertext: Uint8Array,
): Uint8Array {
  return PARAMETER_SETS[name].decapsulate(ciphertext, decapsulationKey);
}
