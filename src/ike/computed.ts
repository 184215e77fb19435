/** Takes the result of a computation back to the IKE SA that asked for it. */

import { wipe } from "../base/bytes.ts";
import { ExchangeType, NotifyType } from "../wire/ike/registries.ts";
import { postponeRekey, retryAt, sendCreateChild } from "./exchange/create-child-sa-initiator.ts";
import { sendFollowUp } from "./exchange/followup-ke-initiator.ts";
import { failFollowUp } from "./exchange/followup-ke-responder.ts";
import { continueHalfOpen, continueIntermediate } from "./exchange/half-open-message.ts";
import { beginAuth, continueAuth } from "./exchange/ike-auth-initiator.ts";
import { continueAuthAnswer } from "./exchange/ike-auth-responder.ts";
import { continueInit } from "./exchange/ike-sa-init-initiator.ts";
import { answerInit } from "./exchange/ike-sa-init-responder.ts";
import { find, notify } from "./exchange/payload-list.ts";
import { answerFollowUpOrEnd, answerOrEnd, finishOrEnd } from "./exchange/receive.ts";
import { sendRekeyIke } from "./exchange/rekey-ike-initiator.ts";
import type { WorkResult } from "./machine.ts";
import type { FailureNotice } from "./notice.ts";
import type { Continuation, EstablishedIkeSa, IkeSa, Job, PlannedRequest } from "./sa/ike-sa.ts";
import { leave, noteChildFailure } from "./sa/lifecycle.ts";
import { disposeExchange, sendResponse } from "./sa/message-exchange.ts";
import { about, failureReason, startJob, type Turn } from "./turn.ts";

/** What a computation that does not come back counts as. */
export const NOT_IN_TIME: WorkResult = { kind: "failed", reason: "no result in time" };

export function handleComputed(turn: Turn, sa: IkeSa, job: Job, result: WorkResult): void {
  switch (sa.state) {
    case "initiating": {
      const secret = continueInit(turn, sa, result);
      if (secret !== undefined) beginAuth(turn, sa, secret);
      return;
    }
    case "halfOpen":
      sa.job = undefined;
      if (sa.response === undefined) answerInit(turn, sa, result);
      else if (sa.intermediateId !== undefined) continueIntermediate(turn, sa, sa.intermediateId, result);
      else if (sa.auth !== undefined) continueAuthAnswer(turn, sa, sa.auth, result);
      else continueHalfOpen(turn, sa, result);
      return;
    case "authenticating":
      continueAuth(turn, sa, result);
      return;
    case "established":
      sa.job = undefined;
      if (job.continuation !== undefined) resume(turn, sa, job.method, job.continuation, result);
      return;
    default:
      return;
  }
}

function resume(
  turn: Turn,
  sa: EstablishedIkeSa,
  method: number,
  continuation: Continuation,
  result: WorkResult,
): void {
  switch (continuation.kind) {
    case "request":
      if (result.kind === "keyExchange")
        sendPlanned(turn, sa, continuation.request, { method, ...values(result) });
      else refusePlanned(turn, sa, continuation.request, method, result);
      return;
    case "response": {
      const { exchange, payloads } = continuation;
      if (result.kind === "sharedSecret") {
        finishOrEnd(turn, sa, exchange, payloads, [result.secret]);
        return;
      }
      // The peer has answered, so the two sides would go on with different states. A bad public value came under
      // protection: that is the peer's own fault.
      disposeExchange(turn, exchange);
      leave(turn, sa, result.kind === "refused" ? "protocolError" : "notComputed", { deletedBy: "us" });
      return;
    }
    case "answer":
      answerWithKey(turn, sa, method, continuation, result);
      return;
    case "answerWithKey": {
      const { messageId, payloads, keyExchange } = continuation;
      if (result.kind === "sharedSecret") {
        answerOrEnd(turn, sa, messageId, payloads, { keyExchange, secret: result.secret });
        return;
      }
      wipe(keyExchange.privateValue);
      refuseAnswer(turn, sa, ExchangeType.CREATE_CHILD_SA, messageId, result);
      return;
    }
    case "followUp": {
      const { exchange, payloads } = continuation;
      if (result.kind === "sharedSecret") {
        const { parent, created, secrets } = exchange;
        wipe(exchange.keyExchange.privateValue);
        finishOrEnd(turn, sa, parent, created, [...secrets, result.secret], payloads);
        return;
      }
      disposeExchange(turn, exchange);
      leave(turn, sa, result.kind === "refused" ? "protocolError" : "notComputed", { deletedBy: "us" });
      return;
    }
    case "followUpAnswer": {
      const { messageId, payloads } = continuation;
      if (result.kind === "keyExchangeAnswer") answerFollowUpOrEnd(turn, sa, messageId, payloads, result);
      else if (result.kind === "refused")
        refuseAnswer(turn, sa, ExchangeType.IKE_FOLLOWUP_KE, messageId, result);
      else failFollowUp(turn, sa, messageId, payloads);
      return;
    }
    default:
      continuation satisfies never;
  }
}

function values({ privateValue, publicValue }: Extract<WorkResult, { kind: "keyExchange" }>) {
  return { privateValue, publicValue };
}

function sendPlanned(
  turn: Turn,
  sa: EstablishedIkeSa,
  request: PlannedRequest,
  keyExchange: { method: number; privateValue: Uint8Array; publicValue: Uint8Array },
): void {
  if (request.kind === "followUp") sendFollowUp(turn, sa, request, keyExchange);
  else if (request.kind === "rekeyIke") sendRekeyIke(turn, sa, request.keRetries, keyExchange);
  else sendCreateChild(turn, sa, request, keyExchange);
}

function refusePlanned(
  turn: Turn,
  sa: EstablishedIkeSa,
  request: PlannedRequest,
  method: number,
  result: WorkResult,
): void {
  const reason = failureReason(result);
  if (request.kind === "followUp") {
    const { parent, secrets } = request;
    wipe(...secrets);
    disposeExchange(turn, parent);
    refusePlanned(turn, sa, parent, method, result);
    return;
  }
  if (request.kind === "rekeyIke") {
    sa.rekeyNotBefore = retryAt(turn, ++sa.rekeyFailures, undefined);
    return;
  }
  const old = sa.children.find(({ inboundSpi }) => inboundSpi === request.replaces);
  if (old !== undefined) postponeRekey(turn, sa, old, undefined);
  else {
    const whom = about(sa, request.child);
    const failure: FailureNotice = { code: "keyExchangeRefused", ...whom, method, reason };
    noteChildFailure(turn, sa, request.child, failure, request.sibling, request.pair);
  }
}

/** Our key pair is there: the shared secret comes next. */
function answerWithKey(
  turn: Turn,
  sa: EstablishedIkeSa,
  method: number,
  { messageId, payloads }: Extract<Continuation, { kind: "answer" }>,
  result: WorkResult,
): void {
  const ke = find(payloads, "KE");
  if (result.kind !== "keyExchange" || ke === undefined) {
    sendResponse(turn, sa, ExchangeType.CREATE_CHILD_SA, messageId, [notify(NotifyType.TEMPORARY_FAILURE)]);
    return;
  }
  const keyExchange = { method, ...values(result) };
  const { privateValue } = result;
  sa.job = startJob(
    turn,
    sa.id,
    { kind: "deriveSharedSecret", method, privateValue, peerPublicValue: ke.data },
    { kind: "answerWithKey", messageId, payloads, keyExchange },
  );
}

/** A value that is none ends the IKE SA; a computation that failed is our own trouble, and passes. */
function refuseAnswer(
  turn: Turn,
  sa: EstablishedIkeSa,
  exchangeType: number,
  messageId: number,
  result: WorkResult,
): void {
  if (result.kind !== "refused") {
    sendResponse(turn, sa, exchangeType, messageId, [notify(NotifyType.TEMPORARY_FAILURE)]);
    return;
  }
  const leaving = leave(turn, sa, "protocolError", { deletedBy: "nobody" });
  sendResponse(turn, leaving, exchangeType, messageId, [notify(NotifyType.INVALID_SYNTAX)]);
}
