/** What the last IKE_FOLLOWUP_KE of a peer completes (RFC 9370 section 2.2.4). */
import type { Payload } from "../../wire/ike/payload.ts";
import type { FollowUp } from "../sa/follow-up.ts";
import type { EstablishedIkeSa } from "../sa/ike-sa.ts";
import type { Turn } from "../turn.ts";
import { completeChild } from "./create-child-sa-responder.ts";
import { completeRekeyIke } from "./rekey-ike-responder.ts";

/** @param ke - our part of the last key exchange, for the response */
export function completeFollowUp(
  turn: Turn,
  sa: EstablishedIkeSa,
  messageId: number,
  followUp: FollowUp,
  ke: Payload,
): void {
  const { made } = followUp;
  if (made.kind === "child") completeChild(turn, sa, messageId, { ...followUp, made }, ke);
  else completeRekeyIke(turn, sa, messageId, { ...followUp, made }, ke);
}
