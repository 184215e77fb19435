/** Why a child goes without AGGFRAG, in words (RFC 9347 section 5.1). */
import type { AggfragRefusal, FailureNotice, IkeNotice } from "../ike/notice.ts";
import { atPlace, peerText } from "./place-words.ts";

const REFUSALS: Readonly<Record<AggfragRefusal, string>> = {
  absent: "has no AGGFRAG (RFC 9347), or it is not switched on there",
  malformed: "asked for AGGFRAG in a form that nobody knows",
  unknownFlag: "wants something of AGGFRAG that nobody has defined yet",
};

export function aggfragNotAgreed(notice: FailureNotice & { readonly code: "aggfragNotAgreed" }): string[] {
  const outcome = notice.role === "initiator" ? "the child SA is deleted again" : "the child SA was refused";
  return [
    `${peerText(notice.remote)} ${REFUSALS[notice.refusal]}; ${outcome}, since a constant rate would hide nothing without it`,
    `have it switched on there (strongSwan 6.0.2 with Linux 6.14: mode = iptfs), or remove iptfs${atPlace(notice.place)}`,
  ];
}

export function aggfragOff(notice: IkeNotice & { readonly code: "aggfragOff" }): string[] {
  return [`${peerText(notice.remote)} ${REFUSALS[notice.refusal]}; packets are carried one by one`];
}
