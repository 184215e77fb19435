/** What an AUTH payload covers, for every method and both sides (RFC 7296 section 2.15, RFC 9242 section 3.3.2). */
import { concat } from "../../base/bytes.ts";
import { assert } from "../../base/errors.ts";
import { signedOctets } from "../../crypto/keymat.ts";
import { prfAlgorithm } from "../../crypto/prf.ts";
import type { IdPayload } from "../../wire/ike/payload.ts";
import { idBody } from "../../wire/ike/payloads/id.ts";
import type { InitTranscript, IntermediateTranscript } from "../sa/ike-sa.ts";
import type { Protection } from "../sa/sk-payload.ts";

/** What AUTH covers of an ID payload: as received, the reserved octets with it [AUTH-06]. */
export type SignedIdentity = Pick<IdPayload, "idType" | "data" | "reserved">;

/**
 * The octets that one side signs or computes a MAC over [AUTH-04] [AUTH-06]: its own IKE_SA_INIT message, the other's nonce,
 * the MAC over its identity, and what IKE_INTERMEDIATE added.
 * @param isInitiator - whose: the original initiator's or the responder's
 * @param identity - of that side, as in its ID payload
 */
export function authOctets(
  protection: Protection,
  transcript: InitTranscript,
  isInitiator: boolean,
  identity: SignedIdentity,
): Uint8Array {
  const prf = prfAlgorithm(protection.suite.prf);
  assert(prf !== undefined, "a suite without supported PRF was negotiated");
  const octets = signedOctets(
    prf,
    isInitiator ? transcript.request : transcript.response,
    isInitiator ? transcript.nonces.responder : transcript.nonces.initiator,
    isInitiator ? protection.keys.skPi : protection.keys.skPr,
    idBody({ ...identity, kind: isInitiator ? "IDi" : "IDr" }),
  );
  const { intermediate } = transcript;
  return intermediate === undefined ? octets : concat(octets, intAuth(intermediate));
}

/** IntAuth: both sides' last values, then the message ID of IKE_AUTH in four octets. */
function intAuth({ initiator, responder, authMessageId }: IntermediateTranscript): Uint8Array {
  const messageId = new Uint8Array(4);
  new DataView(messageId.buffer).setUint32(0, authMessageId);
  return concat(initiator, responder, messageId);
}
