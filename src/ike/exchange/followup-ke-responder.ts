/** IKE_FOLLOWUP_KE as its responder: what CREATE_CHILD_SA agreed on is made when its last key exchange is done (RFC 9370 section 2.2.4). */
import { equal, wipe } from "../../base/bytes.ts";
import { after } from "../../base/instant.ts";
import { keyExchangeAlgorithm } from "../../crypto/key-exchange.ts";
import type { NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../wire/ike/registries.ts";
import { FOLLOW_UP_LIFETIME, FOLLOW_UP_LINK_LENGTH, FOLLOW_UPS_MAX } from "../limits.ts";
import type { FollowUp } from "../sa/follow-up.ts";
import { dropFollowUp } from "../sa/follow-up.ts";
import type { EstablishedIkeSa } from "../sa/ike-sa.ts";
import { sendResponse } from "../sa/message-exchange.ts";
import { about, notice, startJob, type Turn } from "../turn.ts";
import type { AnswerOutcome } from "./create-child-sa-responder.ts";
import { find, findNotify, notify } from "./payload-list.ts";

/** Remembers what is to be made, and gives the notify that links the next exchange to it [PQ-16]. */
export function awaitFollowUp(
  turn: Turn,
  sa: EstablishedIkeSa,
  pending: Omit<FollowUp, "link" | "until">,
): NotifyPayload {
  const followUp: FollowUp = { ...pending, link: freshLink(turn), until: deadline(turn) };
  sa.followUps.push(followUp);
  return notify(NotifyType.ADDITIONAL_KEY_EXCHANGE, followUp.link);
}

/** Whether another one may begin: a peer that never finishes them must not pile them up. */
export function mayFollowUp({ followUps }: EstablishedIkeSa): boolean {
  return followUps.length < FOLLOW_UPS_MAX;
}

function freshLink({ machine }: Turn): Uint8Array {
  return machine.random.publicBytes(FOLLOW_UP_LINK_LENGTH);
}

function deadline({ now }: Turn) {
  return after(now, FOLLOW_UP_LIFETIME);
}

/** What makes the SA of a follow-up, once all of its secrets are there. */
export type Complete = (
  turn: Turn,
  sa: EstablishedIkeSa,
  messageId: number,
  followUp: FollowUp,
  ke: Payload,
) => void;

/** Answers, or asks for our part of the key exchange and is called again with it. */
export function answerFollowUp(
  turn: Turn,
  sa: EstablishedIkeSa,
  messageId: number,
  payloads: readonly Payload[],
  computed: { readonly publicValue: Uint8Array; readonly secret: Uint8Array } | undefined,
  complete: Complete,
): AnswerOutcome {
  const link = findNotify(payloads, NotifyType.ADDITIONAL_KEY_EXCHANGE)?.data;
  const followUp = link && sa.followUps.find((one) => equal(one.link, link));
  const method = followUp?.methods[0];
  if (followUp === undefined || method === undefined) {
    if (computed !== undefined) wipe(computed.secret);
    // [PQ-17] unknown, too late, or out of order.
    sendResponse(turn, sa, ExchangeType.IKE_FOLLOWUP_KE, messageId, [notify(NotifyType.STATE_NOT_FOUND)]);
    return "answered";
  }
  const ke = find(payloads, "KE");
  if (ke?.method !== method || ke.data.length !== keyExchangeAlgorithm(method)?.publicValueLength)
    return "malformed";
  if (computed === undefined) {
    const work = { kind: "answerKeyExchange", method, peerPublicValue: ke.data } as const;
    sa.job = startJob(turn, sa.id, work, { kind: "followUpAnswer", messageId, payloads });
    return "waiting";
  }
  followUp.secrets.push(computed.secret);
  followUp.methods = followUp.methods.slice(1);
  const answer: Payload = { kind: "KE", method, data: computed.publicValue };
  if (followUp.methods.length > 0) {
    followUp.link = freshLink(turn);
    followUp.until = deadline(turn);
    const next = notify(NotifyType.ADDITIONAL_KEY_EXCHANGE, followUp.link);
    sendResponse(turn, sa, ExchangeType.IKE_FOLLOWUP_KE, messageId, [answer, next]);
    return "answered";
  }
  sa.followUps = sa.followUps.filter((one) => one !== followUp);
  complete(turn, sa, messageId, followUp, answer);
  return "answered";
}

/** Our part could not be computed: the peer may begin anew. */
export function failFollowUp(
  turn: Turn,
  sa: EstablishedIkeSa,
  messageId: number,
  payloads: readonly Payload[],
): void {
  const link = findNotify(payloads, NotifyType.ADDITIONAL_KEY_EXCHANGE)?.data;
  const followUp = link && sa.followUps.find((one) => equal(one.link, link));
  if (followUp !== undefined) dropFollowUp(turn, sa, followUp);
  sendResponse(turn, sa, ExchangeType.IKE_FOLLOWUP_KE, messageId, [notify(NotifyType.TEMPORARY_FAILURE)]);
}

/** Forgets what the peer has not finished in time. */
export function expireFollowUps(turn: Turn, sa: EstablishedIkeSa): void {
  for (const followUp of sa.followUps.filter(({ until }) => turn.now >= until)) {
    dropFollowUp(turn, sa, followUp);
    const child = followUp.made.kind === "child" ? followUp.made.child : undefined;
    notice(turn, { code: "keyExchangesUnfinished", ...about(sa, child) });
  }
}
