/** IKE_INTERMEDIATE as its initiator: one additional key exchange after the other (RFC 9242, RFC 9370 section 2.2.2). */
import { wipe } from "../../base/bytes.ts";
import { keyExchangeAlgorithm } from "../../crypto/key-exchange.ts";
import { encodePayloadChain } from "../../wire/ike/message.ts";
import type { IkeHeader, Payload } from "../../wire/ike/payload.ts";
import { ExchangeType } from "../../wire/ike/registries.ts";
import type { WorkResult } from "../machine.ts";
import type { FailureNotice } from "../notice.ts";
import { protectionFor } from "../sa/ike-keys.ts";
import type { AuthenticatingIkeSa } from "../sa/ike-sa.ts";
import { type InnerPayloads, nextIntAuth } from "../sa/int-auth.ts";
import { forget, noteConnectionFailure } from "../sa/lifecycle.ts";
import { headerOf, sendRequest } from "../sa/message-exchange.ts";
import { wipeProtection } from "../sa/sk-payload.ts";
import { about, failureReason, startJob, type Turn } from "../turn.ts";
import { find, findError } from "./payload-list.ts";

/** Begins the next additional key exchange with our key pair. @returns false when none is left [PQ-13] */
export function beginIntermediate(turn: Turn, sa: AuthenticatingIkeSa): boolean {
  const method = sa.additional?.methods[0];
  if (method === undefined) return false;
  sa.phase = "exchanging";
  sa.job = startJob(turn, sa.id, { kind: "generateKeyExchange", method });
  return true;
}

/**
 * Our key pair is there, or the shared secret.
 * @returns whether all additional key exchanges are done: IKE_AUTH is next
 */
export function continueIntermediate(turn: Turn, sa: AuthenticatingIkeSa, result: WorkResult): boolean {
  const method = sa.additional?.methods[0];
  if (sa.additional === undefined || method === undefined) return false;
  if (result.kind === "keyExchange" && sa.keyExchange === undefined) {
    const { privateValue, publicValue } = result;
    sa.keyExchange = { method, privateValue, publicValue };
    sendIntermediate(turn, sa, [{ kind: "KE", method, data: publicValue }]);
    return false;
  }
  if (result.kind !== "sharedSecret") {
    abandon(turn, sa, { code: "keyExchangeRefused", ...about(sa), method, reason: failureReason(result) });
    return false;
  }
  const old = sa.protection;
  const { nonces } = sa.transcript;
  const spis = { initiator: sa.initiatorSpi, responder: sa.responderSpi };
  // [PQ-13] [PQ-14] from here on everything is protected by the keys of this exchange.
  sa.protection = protectionFor(old.suite, nonces, spis, result.secret, old);
  wipeProtection(old);
  wipe(result.secret);
  if (sa.keyExchange !== undefined) wipe(sa.keyExchange.privateValue);
  sa.keyExchange = undefined;
  sa.additional.methods = sa.additional.methods.slice(1);
  if (beginIntermediate(turn, sa)) return false;
  const { initiator, responder } = sa.additional;
  const authMessageId = sa.window.nextRequestId; // [PQ-07]
  sa.transcript = { ...sa.transcript, intermediate: { initiator, responder, authMessageId } };
  return true;
}

function sendIntermediate(turn: Turn, sa: AuthenticatingIkeSa, payloads: readonly Payload[]): void {
  const { additional } = sa;
  const exchangeType = ExchangeType.IKE_INTERMEDIATE;
  const header = headerOf(sa, exchangeType, sa.window.nextRequestId, false);
  sendRequest(turn, sa, exchangeType, payloads, { kind: "intermediate" });
  if (additional === undefined) return;
  additional.initiator = nextIntAuth(
    sa.protection,
    additional.initiator,
    header,
    encodePayloadChain(payloads),
  );
}

/** The response: its key exchange data has to be of the method whose turn it is. */
export function handleIntermediateResponse(
  turn: Turn,
  sa: AuthenticatingIkeSa,
  header: IkeHeader,
  payloads: readonly Payload[],
  inner: InnerPayloads,
): void {
  const { additional, keyExchange } = sa;
  if (additional === undefined || keyExchange === undefined) return;
  const { method, privateValue } = keyExchange;
  const error = findError(payloads);
  if (error !== undefined) {
    // [PQ-10] nobody has been authenticated yet: this try ends, and nothing else follows from it.
    const { notifyType } = error;
    abandon(turn, sa, { code: "errorFromPeer", ...about(sa), exchange: "IKE_INTERMEDIATE", notifyType });
    return;
  }
  const ke = find(payloads, "KE");
  if (ke?.method !== method || ke.data.length !== keyExchangeAlgorithm(method)?.answerLength) {
    const reason = "the peer's IKE_INTERMEDIATE response holds no key exchange data of this method";
    abandon(turn, sa, { code: "keyExchangeRefused", ...about(sa), method, reason });
    return;
  }
  additional.responder = nextIntAuth(sa.protection, additional.responder, header, inner);
  const work = { kind: "deriveSharedSecret", method, privateValue, peerPublicValue: ke.data } as const;
  sa.job = startJob(turn, sa.id, work);
}

function abandon(turn: Turn, sa: AuthenticatingIkeSa, failure: FailureNotice): void {
  forget(turn, sa);
  noteConnectionFailure(turn, sa, failure);
}
