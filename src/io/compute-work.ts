/** One computation for IKE, in whatever thread. */
import { wipe } from "../base/bytes.ts";
import type { RandomSource } from "../base/random.ts";
import { schemeText, signAuth } from "../crypto/auth-signature.ts";
import { CryptoError } from "../crypto/error.ts";
import {
  answerKeyExchange,
  deriveSharedSecret,
  generateKeyExchange,
  type MontgomeryCurves,
} from "../crypto/key-exchange.ts";
import type { PrivateKeyHandle } from "../crypto/private-key.ts";
import { type Fetched, NOTHING_FETCHED, type RevocationNeeded, verifyPeer } from "../ike/auth/verify-peer.ts";
import type { Work, WorkResult } from "../ike/machine.ts";

/** What a computation may use besides what it is given. */
export interface WorkContext {
  readonly random: RandomSource;
  /** Milliseconds since 1970. */
  readonly wallClock: number;
  /** What computes X25519 and X448, where the crypto provider is not to. */
  readonly curves?: MontgomeryCurves | undefined;
  /** The key that `sign` names; absent: it is not held here. */
  readonly privateKey?: PrivateKeyHandle | undefined;
  /** What `verifyPeer` has asked for so far. */
  readonly fetched?: Fetched | undefined;
}

export function performWork(
  work: Work,
  { random, wallClock, curves, privateKey, fetched = NOTHING_FETCHED }: WorkContext,
): WorkResult | RevocationNeeded {
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
    if (work.kind === "sign") return signWith(privateKey, work);
    return verifyPeer(work, wallClock, fetched);
  } catch (error) {
    if (error instanceof CryptoError && error.code === "CRYPTO_BAD_PUBLIC_VALUE")
      return { kind: "refused", reason: error.message };
    return ownFailure(error);
  }
}

/** Both ends of a key encapsulation, for nobody. */
export function rehearse(kem: number, random: RandomSource): void {
  const { privateValue, publicValue } = generateKeyExchange(kem, random);
  const answer = answerKeyExchange(kem, publicValue, random);
  wipe(answer.secret, deriveSharedSecret(kem, privateValue, answer.publicValue), privateValue);
}

function signWith(
  key: PrivateKeyHandle | undefined,
  { scheme, octets, certificate }: Extract<Work, { kind: "sign" }>,
): WorkResult {
  if (key === undefined) return ownFailure("the private key is not there any more");
  const data = signAuth(key, scheme, octets);
  const by = certificate === undefined ? {} : { certificate };
  return { kind: "signed", method: scheme.method, data, scheme: schemeText(scheme), ...by };
}

export function ownFailure(error: unknown): WorkResult {
  const cause = error instanceof Error ? error.message : String(error);
  return { kind: "failed", reason: `this gateway could not compute it: ${cause}` };
}
