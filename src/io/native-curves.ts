/** X25519 and X448 by the addon, which takes keys as octets and leaves none behind. */
import type { MontgomeryCurves } from "../crypto/key-exchange.ts";
import { isAddonBuilt, loadAddon } from "./native.ts";

/** @returns `undefined` where the addon is not built */
export function nativeCurves(): MontgomeryCurves | undefined {
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
  };
}
