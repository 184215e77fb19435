/** Sends protected requests and responses of an IKE SA and keeps what repetition needs (RFC 7296 section 2.1). */
import { wipe } from "../../base/bytes.ts";
import { assert } from "../../base/errors.ts";
import { after } from "../../base/instant.ts";
import type { OutgoingHeader } from "../../wire/ike/header.ts";
import type { Payload } from "../../wire/ike/payload.ts";
import { send, sendWhole, type Turn } from "../turn.ts";
import type { HalfOpenIkeSa, ProtectedIkeSa } from "./ike-sa.ts";
import type { MessageWindow } from "./message-window.ts";
import type { OwnExchange } from "./own-exchange.ts";
import { retransmitAt } from "./retransmission.ts";
import { type Protection, sealMessage } from "./sk-payload.ts";

/** Sends a request and remembers it until it is answered or given up [MID-04]. */
export function sendRequest(
  turn: Turn,
  sa: ProtectedIkeSa,
  exchangeType: number,
  payloads: readonly Payload[],
  exchange: OwnExchange,
): void {
  const { machine, now } = turn;
  const { window } = sa;
  assert(window.outstanding === undefined, "a second request would leave before the first is answered"); // [MID-08]
  const messageId = window.nextRequestId++;
  const header = headerOf(sa, exchangeType, messageId, false);
  const bytes = sealMessage(sa.protection, header, payloads, machine.random);
  const nextAt = retransmitAt(planOf(turn, sa), 1, now, machine.random);
  window.outstanding = { messageId, exchangeType, bytes, sentAt: now, tries: 1, nextAt, exchange };
  if (exchange.kind !== "pathProbe") {
    sendMessage(turn, sa, bytes);
    return;
  }
  window.outstanding.nextAt = after(now, exchange.patience);
  if (sa.state === "established") sa.lastSentAt = now;
  sendWhole(turn, sa.local, sa.remote, bytes);
}

/** The request in flight without its payloads, for a peer that can never have got them. Its IV is a fresh one [ENC-10]. */
export function emptyRequest(turn: Turn, sa: ProtectedIkeSa, exchangeType: number, messageId: number) {
  return sealMessage(sa.protection, headerOf(sa, exchangeType, messageId, false), [], turn.machine.random);
}

export function planOf({ machine }: Turn, sa: ProtectedIkeSa) {
  return sa.state === "established" ? machine.establishedPlan : machine.connectPlan;
}

/** Answers the peer's request and keeps the answer for its retransmissions [MID-06]. */
export function sendResponse(
  turn: Turn,
  sa: (ProtectedIkeSa | HalfOpenIkeSa) & { readonly protection: Protection | undefined },
  exchangeType: number,
  messageId: number,
  payloads: readonly Payload[],
): void {
  assert(sa.protection !== undefined, "a protected response needs keys");
  const header = headerOf(sa, exchangeType, messageId, true);
  const bytes = sealMessage(sa.protection, header, payloads, turn.machine.random);
  sa.window.lastResponse = { messageId, bytes };
  sa.window.expectedRequestId = messageId + 1;
  sendMessage(turn, sa, bytes);
}

/** I flag: who began the IKE SA; R flag: who answers this exchange [HDR-08]. */
function headerOf(
  sa: ProtectedIkeSa | HalfOpenIkeSa,
  exchangeType: number,
  messageId: number,
  isResponse: boolean,
): OutgoingHeader {
  const { initiatorSpi, responderSpi, isOriginalInitiator } = sa;
  return {
    initiatorSpi,
    responderSpi,
    exchangeType,
    isFromInitiator: isOriginalInitiator,
    isResponse,
    messageId,
  };
}

function sendMessage(turn: Turn, sa: ProtectedIkeSa | HalfOpenIkeSa, bytes: Uint8Array): void {
  if (sa.state === "established") sa.lastSentAt = turn.now;
  send(turn, sa.local, sa.remote, bytes);
}

/** Ends our exchange without success: its private value is wiped, and its SPI, which got no SA, is given back. */
export function abandonExchange(turn: Turn, window: MessageWindow): OwnExchange | undefined {
  const exchange = window.outstanding?.exchange;
  window.outstanding = undefined;
  if (exchange !== undefined) disposeExchange(turn, exchange);
  return exchange;
}

export function disposeExchange(turn: Turn, exchange: OwnExchange): void {
  const { machine } = turn;
  if (exchange.kind === "pathProbe") {
    const { inboundSpi, octets } = exchange;
    turn.actions.push({ kind: "pathProbed", probe: { inboundSpi, octets }, outcome: "unknown" });
    return;
  }
  if (exchange.kind === "deleteChildren") for (const spi of exchange.reserved) machine.spis.release(spi);
  if (exchange.kind !== "rekeyIke" && exchange.kind !== "createChild") return;
  wipe(exchange.keyExchange.privateValue);
  if (exchange.kind === "createChild") machine.spis.release(exchange.inboundSpi);
}
