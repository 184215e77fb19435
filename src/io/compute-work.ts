/** One computation for IKE, in whatever thread. */
import type { RandomSource } from "../base/random.ts";
import { CryptoError } from "../crypto/error.ts";
import { answerKeyExchange, deriveSharedSecret, generateKeyExchange } from "../crypto/key-exchange.ts";
import type { Work, WorkResult } from "../ike/machine.ts";

export function performWork(work: Work, random: RandomSource): WorkResult {
  try {
    if (work.kind === "generateKeyExchange") {
      const { privateValue, publicValue } = generateKeyExchange(work.method, random);
      return { kind: "keyExchange", privateValue, publicValue };
    }
    if (work.kind === "deriveSharedSecret")
      return {
        kind: "sharedSecret",
        secret: deriveSharedSecret(work.method, work.privateValue, work.peerPublicValue),
      };
    if (work.kind === "answerKeyExchange") {
      const { publicValue, secret } = answerKeyExchange(work.method, work.peerPublicValue, random);
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
