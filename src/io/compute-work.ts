/** One computation for IKE, in whatever thread. */
import type { RandomSource } from "../base/random.ts";
import { CryptoError } from "../crypto/error.ts";
import { deriveSharedSecret, generateKeyExchange } from "../crypto/key-exchange.ts";
import type { Work, WorkResult } from "../ike/machine.ts";

/** @returns "refused" also for failures of our own, whose reason then says so and does not speak of the peer */
export function performWork(work: Work, random: RandomSource): WorkResult {
  try {
    if (work.kind === "generateKeyExchange") {
      const { privateValue, publicValue } = generateKeyExchange(work.method, random);
      return { kind: "keyExchange", privateValue, publicValue };
    }
    return {
      kind: "sharedSecret",
      secret: deriveSharedSecret(work.method, work.privateValue, work.peerPublicValue),
    };
  } catch (error) {
    const isFaultOfPeer = error instanceof CryptoError && error.code === "CRYPTO_BAD_PUBLIC_VALUE";
    return { kind: "refused", reason: isFaultOfPeer ? error.message : ownFailure(error) };
  }
}

/** Why a computation failed for which nothing that a peer sent is the reason. */
export function ownFailure(error: unknown): string {
  return `this gateway could not compute it: ${error instanceof Error ? error.message : String(error)}`;
}
