/** IKE_INTERMEDIATE as its responder: one additional key exchange after the other (RFC 9242, RFC 9370 section 2.2.2). */
import { wipe } from "../../base/bytes.ts";
import { after, later } from "../../base/instant.ts";
import { keyExchangeAlgorithm } from "../../crypto/key-exchange.ts";
import { decodePayloadChain, encodePayloadChain } from "../../wire/ike/message.ts";
import type { IkeHeader, Payload } from "../../wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../wire/ike/registries.ts";
import { WireError } from "../../wire/wire-error.ts";
import { HALF_OPEN_LIFETIME } from "../limits.ts";
import type { WorkResult } from "../machine.ts";
import { protectionFor } from "../sa/ike-keys.ts";
import type { HalfOpenIkeSa } from "../sa/ike-sa.ts";
import { type InnerPayloads, nextIntAuth } from "../sa/int-auth.ts";
import { headerOf, sendResponse } from "../sa/message-exchange.ts";
import type { Protection } from "../sa/sk-payload.ts";
import { failureReason, startJob, type Turn } from "../turn.ts";
import { find, unknownCritical } from "./payload-list.ts";

type Opened = HalfOpenIkeSa & { protection: Protection };

/** Why a request is refused, and with which notify. */
export interface IntermediateRefusal {
  readonly notifyType: number;
  readonly data?: Uint8Array;
  readonly what: string;
}

/** An authentic request, the next one of the window; its answer needs a computation. @returns why it is refused instead */
export function answerIntermediate(
  turn: Turn,
  sa: Opened,
  header: IkeHeader,
  inner: InnerPayloads,
): IntermediateRefusal | undefined {
  const { additional } = sa;
  const method = additional?.methods[0];
  if (additional === undefined || method === undefined) return undefined;
  let payloads: readonly Payload[];
  try {
    payloads = decodePayloadChain(inner.first, inner.bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    return { notifyType: NotifyType.INVALID_SYNTAX, what: "malformed payloads" }; // [ERR-01]
  }
  const critical = unknownCritical(payloads);
  if (critical !== undefined)
    return {
      notifyType: NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD,
      data: Uint8Array.of(critical),
      what: "a critical payload of unknown type",
    };
  const ke = find(payloads, "KE");
  if (ke?.method !== method || ke.data.length !== keyExchangeAlgorithm(method)?.publicValueLength)
    return { notifyType: NotifyType.INVALID_SYNTAX, what: "no key exchange data of the agreed method" };
  additional.initiator = nextIntAuth(sa.protection, additional.initiator, header, inner);
  sa.intermediateId = header.messageId;
  sa.job = startJob(turn, sa.id, { kind: "answerKeyExchange", method, peerPublicValue: ke.data });
  return undefined;
}

/** Our value and the shared secret are there: answers under the old keys, and goes on with the new ones [PQ-14]. */
export function continueIntermediateAnswer(
  turn: Turn,
  sa: Opened,
  messageId: number,
  result: WorkResult,
): IntermediateRefusal | undefined {
  const { additional, protection: old } = sa;
  const method = additional?.methods[0];
  sa.intermediateId = undefined;
  if (additional === undefined || method === undefined) return undefined;
  if (result.kind !== "keyExchangeAnswer") {
    const isTheirs = result.kind === "refused";
    const notifyType = isTheirs ? NotifyType.INVALID_SYNTAX : NotifyType.TEMPORARY_FAILURE;
    return { notifyType, what: failureReason(result) };
  }
  const payloads: readonly Payload[] = [{ kind: "KE", method, data: result.publicValue }];
  const exchangeType = ExchangeType.IKE_INTERMEDIATE;
  const header = headerOf(sa, exchangeType, messageId, true);
  sendResponse(turn, sa, exchangeType, messageId, payloads);
  additional.responder = nextIntAuth(old, additional.responder, header, encodePayloadChain(payloads));
  const spis = { initiator: sa.initiatorSpi, responder: sa.responderSpi };
  sa.protection = protectionFor(old.suite, sa.nonces, spis, result.secret, old);
  wipe(result.secret);
  // The peer may not have our answer yet, and repeats its request under the keys that it has.
  if (sa.window.lastResponse !== undefined) sa.window.lastResponse.sealedBy = old;
  additional.methods = additional.methods.slice(1);
  sa.expiresAt = later(sa.expiresAt, after(turn.now, HALF_OPEN_LIFETIME));
  return undefined;
}
