/** One computation for IKE, in whatever thread. */
import type { RandomSource } from "../base/random.ts";
import { schemeText, signAuth, signAuthElsewhere } from "../crypto/auth-signature.ts";
import { CryptoError } from "../crypto/error.ts";
import {
  answerKeyExchange,
  deriveSharedSecret,
  generateKeyExchange,
  type KeyExchangePrimitives,
} from "../crypto/key-exchange.ts";
import type { PrivateKeyHandle } from "../crypto/private-key.ts";
import { type Fetched, NOTHING_FETCHED, type RevocationNeeded, verifyPeer } from "../ike/auth/verify-peer.ts";
import type { Work, WorkResult } from "../ike/machine.ts";

const KEY_GONE = "the private key is not there any more";

/** What a computation may use besides what it is given. */
export interface WorkContext {
  readonly random: RandomSource;
  /** Milliseconds since 1970. */
  readonly wallClock: number;
  /** What computes X25519, X448 and ML-KEM, where the crypto provider is not to. */
  readonly keyExchange?: KeyExchangePrimitives | undefined;
  /** The key that `sign` names; absent: it is not held here. */
  readonly privateKey?: PrivateKeyHandle | undefined;
  /** What `verifyPeer` has asked for so far. */
  readonly fetched?: Fetched | undefined;
}

export function performWork(
  work: Work,
  { random, wallClock, keyExchange, privateKey, fetched = NOTHING_FETCHED }: WorkContext,
): WorkResult | RevocationNeeded {
  try {
    if (work.kind === "generateKeyExchange") {
      const { privateValue, publicValue } = generateKeyExchange(work.method, random, keyExchange);
      return { kind: "keyExchange", privateValue, publicValue };
    }
    if (work.kind === "deriveSharedSecret")
      return {
        kind: "sharedSecret",
        secret: deriveSharedSecret(work.method, work.privateValue, work.peerPublicValue, keyExchange),
      };
    if (work.kind === "answerKeyExchange") {
      const { publicValue, secret } = answerKeyExchange(
        work.method,
        work.peerPublicValue,
        random,
        keyExchange,
      );
      return { kind: "keyExchangeAnswer", publicValue, secret };
    }
    if (work.kind === "sign") return signWith(privateKey, work);
    return verifyPeer(work, wallClock, fetched);
  } catch (error) {
    if (error instanceof CryptoError && error.code === "CRYPTO_BAD_PUBLIC_VALUE")
      return { kind: "refused", reason: error.message };
    return ownFailure(error);
  }
}

type Signing = Extract<Work, { kind: "sign" }>;

function signWith(key: PrivateKeyHandle | undefined, work: Signing): WorkResult {
  if (key === undefined) return ownFailure(KEY_GONE);
  return signed(work, signAuth(key, work.scheme, work.octets));
}

/** The same in one of Node's threads. Never rejects. */
export async function signElsewhere(key: PrivateKeyHandle | undefined, work: Signing): Promise<WorkResult> {
  if (key === undefined) return ownFailure(KEY_GONE);
  try {
    return signed(work, await signAuthElsewhere(key, work.scheme, work.octets));
  } catch (error) {
    return ownFailure(error);
  }
}

function signed({ scheme, certificate }: Signing, data: Uint8Array): WorkResult {
  const by = certificate === undefined ? {} : { certificate };
  return { kind: "signed", method: scheme.method, data, scheme: schemeText(scheme), ...by };
}

export function ownFailure(error: unknown): WorkResult {
  const cause = error instanceof Error ? error.message : String(error);
  return { kind: "failed", reason: `this gateway could not compute it: ${cause}` };
}
