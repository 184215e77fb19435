/** Hashes, HMAC and AES-GCM by the addon: the same OpenSSL without the objects that node:crypto makes around it. */
import type { CryptoProvider, HashName } from "../crypto/provider.ts";
import { type FasterPrimitives, useFaster } from "../crypto/providers/selected.ts";
import { isAddonBuilt, loadAddon } from "./native.ts";

/** Number in native/primitives.cc, and octets. */
const HASHES: Readonly<Record<HashName, readonly [number: number, length: number]>> = {
  sha1: [0, 20],
  sha256: [1, 32],
  sha384: [2, 48],
  sha512: [3, 64],
};
const NONCE_LENGTH = 12;

/** @param other - for the ciphers and nonces that the addon does not have */
export function nativePrimitives(other: Pick<CryptoProvider, "seal" | "open">): FasterPrimitives {
  const addon = loadAddon();
  return {
    hash(hash, parts) {
      const [number, length] = HASHES[hash];
      const into = new Uint8Array(length);
      addon.digest(number, parts, into);
      return into;
    },
    hmac(hash, key, parts) {
      const [number, length] = HASHES[hash];
      const into = new Uint8Array(length);
      addon.hmac(number, key, parts, into);
      return into;
    },
    seal(cipher, key, nonce, aad, plaintext, tagLength) {
      if (cipher !== "aes-gcm" || nonce.length !== NONCE_LENGTH)
        return other.seal(cipher, key, nonce, aad, plaintext, tagLength);
      const into = new Uint8Array(plaintext.length + tagLength);
      addon.sealGcm(key, nonce, aad, plaintext, into);
      return into;
    },
    open(cipher, key, nonce, aad, sealed, tagLength) {
      if (cipher !== "aes-gcm" || nonce.length !== NONCE_LENGTH || sealed.length < tagLength)
        return other.open(cipher, key, nonce, aad, sealed, tagLength);
      const into = new Uint8Array(sealed.length - tagLength);
      return addon.openGcm(key, nonce, aad, sealed, into) ? into : undefined;
    },
  };
}

/** In this thread, where the addon is built. */
export function useNativePrimitives(): void {
  if (isAddonBuilt()) useFaster(nativePrimitives);
}
