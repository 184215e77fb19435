/** Authentication with a pre-shared key (RFC 7296 section 2.15). */
import { wipe } from "../../base/bytes.ts";
import { assert } from "../../base/errors.ts";
import { constantTimeEqual } from "../../crypto/constant-time.ts";
import { pskAuth } from "../../crypto/keymat.ts";
import { prfAlgorithm } from "../../crypto/prf.ts";
import type { Protection } from "../sa/sk-payload.ts";

/** The AUTH data of one side; `octets` are those of `authOctets` for that side. */
export function sharedKeyMic({ suite }: Protection, octets: Uint8Array, secret: Uint8Array): Uint8Array {
  const prf = prfAlgorithm(suite.prf);
  assert(prf !== undefined, "a suite without supported PRF was negotiated");
  return pskAuth(prf, secret, octets);
}

/** Whether the peer's AUTH data proves the key; takes the same time wherever they differ [AUTH-21]. */
export function verifySharedKeyMic(
  protection: Protection,
  octets: Uint8Array,
  secret: Uint8Array,
  presented: Uint8Array,
): boolean {
  const expected = sharedKeyMic(protection, octets, secret);
  const isEqual = constantTimeEqual(expected, presented);
  wipe(expected);
  return isEqual;
}
