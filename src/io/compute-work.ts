/** One computation for IKE, in whatever thread. */
import type { RandomSource } from "../base/random.ts";
import { CryptoError } from "../crypto/error.ts";
import {
  answerKeyExchange,
  deriveSharedSecret,
  generateKeyExchange,
  type MontgomeryCurves,
} from "../crypto/key-exchange.ts";
import type { Work, WorkResult } from "../ike/machine.ts";

/** @param curves - what computes X25519 and X448, where the crypto provider is not to */
export function performWork(work: Work, random: RandomSource, curves?: MontgomeryCurves): WorkResult {
  try {
    if (work.kind === "generateKeyExchange") {
      const { privateValue, publicValue } = generateKeyExchange(work.method, random, curves);
      return { kind: "keyExchange", privateValue, publicValue };
    }
    if (work.kind === "deriveSharedSecret")
      return {
        kind: "sharedSecret",
        secret: deriveSharedSecret(work.method, work.privateValue, work.peerPublicValue, curves),
      };
    if (work.kind === "answerKeyExchange") {
      const { publicValue, secret } = answerKeyExchange(work.method, work.peerPublicValue, random, curves);
      return { kind: "keyExchangeAnswer", publicValue, secret };
    }
    return ownFailure("it holds no keys for signatures");
  } catch (error) {
    if (error instanceof CryptoError && error.code === "CRYPTO_BAD_PUBLIC_VALUE")
      return { kind: "refused", reason: error.message };
    return ownFailure(error);
  }
}

export function ownFailure(error: unknown): WorkResult {
  const cause = error instanceof Error ? error.message : String(error);
  return { kind: "failed", reason: `this gateway could not compute it: ${cause}` };
}
