/** Keys of an IKE SA: of a first one and of one that replaces another (RFC 7296 sections 2.14 and 2.18). */
import { wipe } from "../../base/bytes.ts";
import { assert } from "../../base/errors.ts";
import { encrAlgorithm } from "../../crypto/encr.ts";
import { integAlgorithm } from "../../crypto/integ.ts";
import {
  deriveIkeKeys,
  type NoncePair,
  rekeyedSkeyseed,
  type SpiPair,
  skeyseed,
} from "../../crypto/keymat.ts";
import { prfAlgorithm } from "../../crypto/prf.ts";
import type { IkeSuite } from "../connection-state.ts";
import type { AdditionalKeyExchanges } from "./ike-sa.ts";
import type { Protection } from "./sk-payload.ts";

/**
 * @param old - keys of the IKE SA that is replaced; absent for a first one [CHILD-14]. An additional key exchange makes new keys of
 * those before it in the same way (RFC 9370 section 2.2.2) [PQ-13]
 * @param further - secrets of the additional key exchanges of a rekey (RFC 9370 section 2.2.4) [PQ-18]
 */
export function protectionFor(
  suite: IkeSuite,
  nonces: NoncePair,
  spis: SpiPair,
  sharedSecret: Uint8Array,
  old?: Protection,
  further: readonly Uint8Array[] = [],
): Protection {
  const prf = prfAlgorithm(suite.prf);
  const encr = encrAlgorithm(suite.encr, suite.encrKeyBits);
  assert(prf !== undefined && encr !== undefined, "an unsupported IKE suite was negotiated");
  const integ = encr.isAead ? 0 : (integAlgorithm(suite.integ)?.keyLength ?? 0);
  const seed =
    old === undefined ? skeyseed(prf, nonces, sharedSecret) : reseed(old, nonces, sharedSecret, further);
  const keys = deriveIkeKeys(prf, seed, nonces, spis, { encr: encr.keyLength, integ });
  wipe(seed);
  // What was mixed into SK_d stays in all keys that are made of it (RFC 8784 section 3).
  const ppk = old?.suite.hasPpk === true ? { hasPpk: true as const } : {};
  return { suite: { ...suite, ...ppk }, keys, nextIv: 0 };
}

/** The additional key exchanges of a suite, before the first of them. */
export function additionalOf({ additionalKe }: IkeSuite): AdditionalKeyExchanges | undefined {
  const nothing = new Uint8Array(0);
  return additionalKe && { methods: additionalKe, initiator: nothing, responder: nothing };
}

function reseed(
  { suite, keys }: Protection,
  nonces: NoncePair,
  sharedSecret: Uint8Array,
  further: readonly Uint8Array[],
): Uint8Array {
  const prf = prfAlgorithm(suite.prf);
  assert(prf !== undefined, "an unsupported PRF was negotiated");
  return rekeyedSkeyseed(prf, keys.skD, sharedSecret, nonces, further);
}
