/** IntAuth: what AUTH says about IKE_INTERMEDIATE messages (RFC 9242 section 3.3.2). */
import { assert } from "../../base/errors.ts";
import { prf, prfAlgorithm } from "../../crypto/prf.ts";
import type { OutgoingHeader } from "../../wire/ike/header.ts";
import { encodeMessage } from "../../wire/ike/message.ts";
import type { Protection } from "./sk-payload.ts";

/** A chain of payloads in clear: the type of the first one, and the octets of all. */
export interface InnerPayloads {
  readonly first: number;
  readonly bytes: Uint8Array;
}

/**
 * The IntAuth of one side after a message of it [PQ-08]. The message counts as if it were one SK payload with its content in
 * clear, so that neither the cipher nor fragments make a difference: that is what the adjusted lengths amount to [PQ-09].
 * @param protection - the keys that the message was protected with
 * @param before - the side's IntAuth so far; empty before its first message
 */
export function nextIntAuth(
  { suite, keys }: Protection,
  before: Uint8Array,
  header: OutgoingHeader,
  { first, bytes }: InnerPayloads,
): Uint8Array {
  const algorithm = prfAlgorithm(suite.prf);
  assert(algorithm !== undefined, "a suite without supported PRF was negotiated");
  const covered = encodeMessage(header, [{ kind: "SK", firstInnerPayload: first, body: bytes }]);
  return prf(algorithm, header.isFromInitiator ? keys.skPi : keys.skPr, before, covered);
}
