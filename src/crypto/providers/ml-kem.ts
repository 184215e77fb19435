/** ML-KEM (FIPS 203) in JavaScript, the second witness: no JavaScript is constant-time, and the first run takes 50 ms. */
import { ml_kem512, ml_kem768, ml_kem1024 } from "@noble/post-quantum/ml-kem.js";
import type { MlKem } from "../provider.ts";

const PARAMETER_SETS = { 512: ml_kem512, 768: ml_kem768, 1024: ml_kem1024 } as const;

export const nobleMlKem: MlKem = {
  mlKemKeyPair(name, seed) {
    const { publicKey, secretKey } = PARAMETER_SETS[name].keygen(seed);
    return { encapsulationKey: publicKey, decapsulationKey: secretKey };
  },
  mlKemEncapsulate(name, encapsulationKey, message) {
    try {
      const { cipherText, sharedSecret } = PARAMETER_SETS[name].encapsulate(encapsulationKey, message);
      return { ciphertext: cipherText, secret: sharedSecret };
    } catch {
      // Lengths are checked before: the modulus is the one thing left that is refused.
      return undefined;
    }
  },
  mlKemDecapsulate: (name, decapsulationKey, ciphertext) =>
    PARAMETER_SETS[name].decapsulate(ciphertext, decapsulationKey),
};
