/** Keys of a child SA out of the IKE SA that makes it (RFC 7296 section 2.17). */
import { assert } from "../../base/errors.ts";
import { encrAlgorithm } from "../../crypto/encr.ts";
import { integAlgorithm } from "../../crypto/integ.ts";
import { type ChildKeyPair, deriveChildKeys, type NoncePair } from "../../crypto/keymat.ts";
import { prfAlgorithm } from "../../crypto/prf.ts";
import type { EspSuite } from "../../policy/data-plane.ts";
import type { Protection } from "./sk-payload.ts";

/**
 * @param nonces - of the exchange that makes the child; `initiator` is who began that exchange [CHILD-02]
 * @param further - secrets of additional key exchanges [PQ-18]
 */
export function childKeys(
  { suite: ike, keys }: Protection,
  nonces: NoncePair,
  sharedSecret: Uint8Array | undefined,
  suite: EspSuite,
  further: readonly Uint8Array[] = [],
): ChildKeyPair {
  const prf = prfAlgorithm(ike.prf);
  const encr = encrAlgorithm(suite.encr, suite.encrKeyBits);
  assert(prf !== undefined && encr !== undefined, "an unsupported child suite was negotiated");
  const integLength = encr.isAead ? 0 : (integAlgorithm(suite.integ)?.keyLength ?? 0);
  return deriveChildKeys(prf, keys.skD, nonces, sharedSecret, encr.keyLength, integLength, further);
}
