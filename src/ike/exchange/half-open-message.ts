/** A message for a half-open IKE SA: from the shared secret over fragments to its exchange (RFC 7296 sections 2.1 and 2.2, RFC 9242). */
import { wipe } from "../../base/bytes.ts";
import { decodeHeader } from "../../wire/ike/header.ts";
import { decodeMessage } from "../../wire/ike/message.ts";
import type { IkeHeader } from "../../wire/ike/payload.ts";
import { ExchangeType, PayloadType } from "../../wire/ike/registries.ts";
import {
  HALF_OPEN_FAILURES_MAX,
  HALF_OPEN_INBOX_FRAGMENTS_OCTETS_MAX,
  HALF_OPEN_INBOX_MAX,
} from "../limits.ts";
import type { WorkResult } from "../machine.ts";
import { followRequest } from "../sa/fragmentation.ts";
import { protectionFor } from "../sa/ike-keys.ts";
import type { HalfOpenIkeSa, InboxMessage } from "../sa/ike-sa.ts";
import type { InnerPayloads } from "../sa/int-auth.ts";
import { forget } from "../sa/lifecycle.ts";
import { classifyRequest } from "../sa/message-window.ts";
import { addFragment, assembled } from "../sa/reassembly.ts";
import { openMessage } from "../sa/sk-payload.ts";
import { trace } from "../trace.ts";
import { about, callerName, drop, failureReason, notice, startJob, type Turn } from "../turn.ts";
import { answerAuth, end, type Opened } from "./ike-auth-responder.ts";
import {
  answerIntermediate,
  continueIntermediateAnswer,
  type IntermediateRefusal,
} from "./ike-intermediate-responder.ts";
import { notify } from "./payload-list.ts";
import { answerRepeated } from "./receive.ts";

/** A message for a half-open IKE SA. The shared secret is computed when the first one comes, not before. */
export function handleHalfOpenMessage(turn: Turn, sa: HalfOpenIkeSa, message: InboxMessage): void {
  if (sa.protection !== undefined) {
    openAuthRequest(turn, sa as Opened, message);
    return;
  }
  if (sa.response === undefined) {
    drop(turn, "unexpectedExchange", message.remote);
    return;
  }
  if (!hasRoom(sa, message)) {
    drop(turn, "inboxFull", message.remote);
    return;
  }
  sa.inbox = [...sa.inbox, message];
  if (sa.job !== undefined) return;
  const { method, privateValue } = sa.keyExchange;
  const { peerPublicValue } = sa;
  sa.job = startJob(turn, sa.id, { kind: "deriveSharedSecret", method, privateValue, peerPublicValue });
}

/** Nobody vouches for these messages yet: whole ones are bounded by number, fragments by their octets. */
function hasRoom({ inbox }: HalfOpenIkeSa, message: InboxMessage): boolean {
  const sameKind = inbox.filter((one) => isFragment(one) === isFragment(message));
  if (!isFragment(message)) return sameKind.length < HALF_OPEN_INBOX_MAX;
  const octets = sameKind.reduce((sum, { bytes }) => sum + bytes.length, message.bytes.length);
  return octets <= HALF_OPEN_INBOX_FRAGMENTS_OCTETS_MAX;
}

function isFragment({ bytes }: InboxMessage): boolean {
  return decodeHeader(bytes).nextPayload === PayloadType.SKF;
}

/** The shared secret is there, or the peer's public value was none. */
export function continueHalfOpen(turn: Turn, sa: HalfOpenIkeSa, result: WorkResult): void {
  if (result.kind !== "sharedSecret") {
    const reason = failureReason(result);
    const { method } = sa.keyExchange;
    const connection = callerName(turn.machine, sa.candidates);
    forget(turn, sa);
    if (connection !== undefined)
      notice(turn, {
        code: "keyExchangeRefused",
        ...about({ connection, remote: sa.remote }),
        method,
        reason,
      });
    return;
  }
  const spis = { initiator: sa.initiatorSpi, responder: sa.responderSpi };
  sa.protection = protectionFor(sa.suite, sa.nonces, spis, result.secret);
  wipe(result.secret, sa.keyExchange.privateValue);
  const { inbox } = sa;
  sa.inbox = [];
  for (const message of inbox) {
    if (turn.machine.sas.get(sa.id) !== sa) return;
    openAuthRequest(turn, sa as Opened, message);
  }
}

/** [ERR-08] what does not open changes nothing, so the genuine request still succeeds. */
function openAuthRequest(turn: Turn, sa: Opened, { local, remote, bytes }: InboxMessage): void {
  const { header, payloads } = decodeMessage(bytes);
  const sealed = payloads.at(-1);
  const isSealed = sealed?.kind === "SK" || sealed?.kind === "SKF";
  if (header.isResponse || !header.isFromInitiator || !isSealed) {
    drop(turn, "unexpectedExchange", remote);
    return;
  }
  if (sealed.kind === "SKF" && sa.fragmentation === undefined) {
    drop(turn, "fragmentNotAgreed", remote); // [FRAG-01]
    return;
  }
  if (sa.failedOpens >= HALF_OPEN_FAILURES_MAX) {
    drop(turn, "notAuthentic", remote);
    return;
  }
  const { lastResponse } = sa.window;
  // The request before is repeated under the keys that it had (RFC 9370 section 2.2.2).
  const keys = lastResponse?.messageId === header.messageId ? lastResponse.sealedBy : undefined;
  const plaintext = openMessage(keys ?? sa.protection, true, bytes, sealed);
  if (plaintext === undefined) {
    sa.failedOpens++;
    drop(turn, "notAuthentic", remote);
    return;
  }
  const kind = classifyRequest(sa.window, header.messageId);
  if (kind === "repeated") answerRepeated(turn, sa, { local, remote }, header, sealed);
  // While the answer is being computed, repetitions of the request say nothing new: it comes as soon as it is there.
  if (kind !== "next" || sa.isRefused || sa.job !== undefined) return;
  // [PQ-06] [PQ-07] as many IKE_INTERMEDIATE exchanges as there are additional key exchanges, then IKE_AUTH.
  const isIntermediate = (sa.additional?.methods.length ?? 0) > 0;
  const expected = isIntermediate ? ExchangeType.IKE_INTERMEDIATE : ExchangeType.IKE_AUTH;
  if (header.exchangeType !== expected) {
    drop(turn, "unexpectedExchange", remote);
    return;
  }
  if (sealed.kind === "SK") {
    const inner = { first: sealed.firstInnerPayload, bytes: plaintext };
    answerRequest(turn, sa, { local, remote }, header, inner, [bytes.length]);
    return;
  }
  const { window } = sa;
  const fragment = { header, payload: sealed, content: plaintext, local, remote };
  const held = addFragment(window.partialRequest, fragment, turn.now);
  if (typeof held === "string") {
    drop(turn, held, remote);
    return;
  }
  window.partialRequest = held.missing > 0 ? held : undefined;
  if (held.missing > 0) return;
  followRequest(turn.machine, sa, held);
  const inner = { first: held.firstInnerPayload, bytes: assembled(held) };
  answerRequest(turn, sa, { local, remote }, header, inner);
}

function answerRequest(
  turn: Turn,
  sa: Opened,
  { local, remote }: Pick<InboxMessage, "local" | "remote">,
  header: IkeHeader,
  inner: InnerPayloads,
  sizes: readonly number[] = [],
): void {
  // [NAT-02] the peer may have moved to the NAT port; the answer goes to where this came from.
  sa.local = local;
  sa.remote = remote;
  trace(turn, sa, "inbound", { header, payloads: [], inner, sizes });
  if (header.exchangeType === ExchangeType.IKE_AUTH) {
    answerAuth(turn, sa, inner, header.messageId);
    return;
  }
  const refusal = answerIntermediate(turn, sa, header, inner);
  if (refusal !== undefined) refuseIntermediate(turn, sa, header.messageId, refusal);
}

/** Our part of an additional key exchange is there. */
export function continueIntermediate(
  turn: Turn,
  sa: HalfOpenIkeSa,
  messageId: number,
  result: WorkResult,
): void {
  const refusal = continueIntermediateAnswer(turn, sa as Opened, messageId, result);
  if (refusal !== undefined) refuseIntermediate(turn, sa as Opened, messageId, refusal);
}

/** [PQ-10] ends it; nobody has been authenticated, so that it is a word in the log and no more. */
function refuseIntermediate(
  turn: Turn,
  sa: Opened,
  messageId: number,
  { notifyType, data, what }: IntermediateRefusal,
): void {
  const exchange = "IKE_INTERMEDIATE";
  end(turn, sa, ExchangeType.IKE_INTERMEDIATE, messageId, notify(notifyType, data));
  const connection = callerName(turn.machine, sa.candidates);
  const whom = connection === undefined ? {} : { connection };
  notice(turn, { code: "refused", ...whom, remote: sa.remote, exchange, notifyType, what });
}
