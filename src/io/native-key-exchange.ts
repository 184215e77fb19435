/** X25519, X448 and ML-KEM by the addon, which takes keys as octets and leaves none behind. */
import type { KeyExchangePrimitives } from "../crypto/key-exchange.ts";
import { isAddonBuilt, loadAddon } from "./native.ts";

const ML_KEM_SECRET_LENGTH = 32;
/** Of encapsulation key, decapsulation key and ciphertext (FIPS 203 section 8, table 3): these tell the addon the parameter set. */
const ML_KEM_LENGTHS = { 512: [800, 1632, 768], 768: [1184, 2400, 1088], 1024: [1568, 3168, 1568] } as const;

/** @returns `undefined` where the addon is not built */
export function nativeKeyExchange(): KeyExchangePrimitives | undefined {
  if (!isAddonBuilt()) return undefined;
  const addon = loadAddon();
  return {
    montgomeryPublicValue(_curve, scalar) {
      const value = new Uint8Array(scalar.length);
      addon.montgomeryPublicValue(scalar, value);
      return value;
    },
    montgomerySharedSecret(_curve, scalar, peer) {
      const secret = new Uint8Array(scalar.length);
      return addon.montgomerySharedSecret(scalar, peer, secret) ? secret : undefined;
    },
    mlKemKeyPair(name, seed) {
      const [encapsulationOctets, decapsulationOctets] = ML_KEM_LENGTHS[name];
      const encapsulationKey = new Uint8Array(encapsulationOctets);
      const decapsulationKey = new Uint8Array(decapsulationOctets);
      addon.mlKemKeyPair(seed, encapsulationKey, decapsulationKey);
      return { encapsulationKey, decapsulationKey };
    },
    mlKemEncapsulate(name, encapsulationKey, message) {
      const ciphertext = new Uint8Array(ML_KEM_LENGTHS[name][2]);
      const secret = new Uint8Array(ML_KEM_SECRET_LENGTH);
      return addon.mlKemEncapsulate(encapsulationKey, message, ciphertext, secret)
        ? { ciphertext, secret }
        : undefined;
    },
    mlKemDecapsulate(_name, decapsulationKey, ciphertext) {
      const secret = new Uint8Array(ML_KEM_SECRET_LENGTH);
      addon.mlKemDecapsulate(decapsulationKey, ciphertext, secret);
      return secret;
    },
  };
}
