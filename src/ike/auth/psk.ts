/** Authentication with a pre-shared key (RFC 7296 section 2.15). */
import { wipe } from "../../base/bytes.ts";
import { assert } from "../../base/errors.ts";
import { constantTimeEqual } from "../../crypto/constant-time.ts";
import { pskAuth, signedOctets } from "../../crypto/keymat.ts";
import { prfAlgorithm } from "../../crypto/prf.ts";
import type { IdPayload } from "../../wire/ike/payload.ts";
import { idBody } from "../../wire/ike/payloads/id.ts";
import type { InitTranscript } from "../sa/ike-sa.ts";
import type { Protection } from "../sa/sk-payload.ts";

/** What AUTH covers of an ID payload: as received, the reserved octets with it [AUTH-06]. */
type SignedIdentity = Pick<IdPayload, "idType" | "data" | "reserved">;

/**
 * The AUTH data of one side.
 * @param isInitiator - whose: the original initiator's or the responder's
 * @param identity - of that side, as in its ID payload
 */
export function sharedKeyMic(
  protection: Protection,
  transcript: InitTranscript,
  isInitiator: boolean,
  identity: SignedIdentity,
  secret: Uint8Array,
): Uint8Array {
  const prf = prfAlgorithm(protection.suite.prf);
  assert(prf !== undefined, "a suite without supported PRF was negotiated");
  // [AUTH-04] [AUTH-06] one's own last IKE_SA_INIT message, the other's nonce, the MAC over one's identity.
  const octets = signedOctets(
    prf,
    isInitiator ? transcript.request : transcript.response,
    isInitiator ? transcript.nonces.responder : transcript.nonces.initiator,
    isInitiator ? protection.keys.skPi : protection.keys.skPr,
    idBody({ ...identity, kind: isInitiator ? "IDi" : "IDr" }),
  );
  return pskAuth(prf, secret, octets);
}

/** Whether the peer's AUTH data proves the key; takes the same time wherever they differ [AUTH-21]. */
export function verifySharedKeyMic(
  protection: Protection,
  transcript: InitTranscript,
  isInitiator: boolean,
  identity: SignedIdentity,
  secret: Uint8Array,
  presented: Uint8Array,
): boolean {
  const expected = sharedKeyMic(protection, transcript, isInitiator, identity, secret);
  const isEqual = constantTimeEqual(expected, presented);
  wipe(expected);
  return isEqual;
}
