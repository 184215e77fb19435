/** A protected message from decryption to its handler (RFC 7296 sections 2.1 to 2.5 and 2.21). */
import { DurationMs } from "../../base/instant.ts";
import type { UdpEndpoint } from "../../base/udp-endpoint.ts";
import { sameEndpoint } from "../../base/udp-endpoint.ts";
import { decodePayloadChain } from "../../wire/ike/message.ts";
import type { IkeHeader, IkeMessage, Payload } from "../../wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../wire/ike/registries.ts";
import { WireError } from "../../wire/wire-error.ts";
import { INBOX_MAX } from "../limits.ts";
import type { EstablishedIkeSa, InboxMessage, ProtectedIkeSa } from "../sa/ike-sa.ts";
import { forget, leave } from "../sa/lifecycle.ts";
import { disposeExchange, sendResponse } from "../sa/message-exchange.ts";
import { classifyRequest } from "../sa/message-window.ts";
import type { OwnExchange } from "../sa/own-exchange.ts";
import { follow } from "../sa/peer-address.ts";
import { openMessage } from "../sa/sk-payload.ts";
import { about, drop, notice, send, type Turn } from "../turn.ts";
import { finishCreateChild } from "./create-child-sa-initiator.ts";
import { type AnswerOutcome, answerCreateChildSa, type Computed } from "./create-child-sa-responder.ts";
import { exchangeRow, fitsRow } from "./exchange-table.ts";
import { handleAuthResponse } from "./ike-auth-initiator.ts";
import { answerInformational, answerWhileLeaving, finishInformational } from "./informational.ts";
import { finishProbe } from "./path-probe.ts";
import { findNotify, notify, unknownCritical } from "./payload-list.ts";
import { finishRekeyIke } from "./rekey-ike-initiator.ts";

/** A message for an IKE SA with keys. Nothing changes before it has been authenticated [ENC-03] [ERR-07]. */
export function receive(turn: Turn, sa: ProtectedIkeSa, message: IkeMessage, envelope: InboxMessage): void {
  const { header, payloads: outer } = message;
  const { remote, bytes } = envelope;
  const sk = outer.at(-1);
  if (sk?.kind !== "SK") {
    noteUnprotected(turn, sa, message, remote);
    return;
  }
  if (header.isFromInitiator === sa.isOriginalInitiator) {
    drop(turn, "unexpectedExchange", remote, sa.connection);
    return;
  }
  const plaintext = openMessage(sa.protection, header.isFromInitiator, bytes, sk);
  if (plaintext === undefined) {
    drop(turn, "notAuthentic", remote, sa.connection);
    return;
  }
  if (!isExpected(turn, sa, header, envelope)) return;
  if (sa.state !== "leaving" && sa.job !== undefined) {
    if (sa.inbox.length < INBOX_MAX) sa.inbox.push(envelope);
    else drop(turn, "inboxFull", remote, sa.connection);
    return;
  }
  noteLife(turn, sa, envelope.local, remote);
  let payloads: readonly Payload[];
  try {
    payloads = decodePayloadChain(sk.firstInnerPayload, plaintext);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    endMalformed(turn, sa, header);
    return;
  }
  noteWindowSize(sa, payloads);
  dispatch(turn, sa, header, payloads);
}

/** Errors that nobody vouches for are told, and change nothing [ERR-03] [ERR-07]. */
function noteUnprotected(
  turn: Turn,
  sa: ProtectedIkeSa,
  { header, payloads }: IkeMessage,
  remote: UdpEndpoint,
): void {
  drop(turn, "notEncrypted", remote, sa.connection);
  if (!header.isResponse) return;
  for (const payload of payloads)
    if (payload.kind === "N")
      notice(turn, { code: "unauthenticatedNotify", ...about(sa), notifyType: payload.notifyType });
}

/** [MID-12] [MID-09] the message that the window waits for; the last request again gets the same answer [MID-06]. */
function isExpected(
  turn: Turn,
  sa: ProtectedIkeSa,
  header: IkeHeader,
  { local, remote }: InboxMessage,
): boolean {
  const { messageId, exchangeType } = header;
  const { window } = sa;
  if (header.isResponse) {
    const { outstanding } = window;
    if (outstanding?.messageId === messageId && outstanding.exchangeType === exchangeType) return true;
    drop(turn, "noOutstandingRequest", remote, sa.connection);
    return false;
  }
  switch (classifyRequest(window, messageId)) {
    case "next":
      return true;
    case "repeated":
      if (window.lastResponse !== undefined) send(turn, local, remote, window.lastResponse.bytes);
      return false;
    case "outside":
      drop(turn, "outsideWindow", remote, sa.connection);
      return false;
  }
}

function noteLife(turn: Turn, sa: ProtectedIkeSa, local: UdpEndpoint, remote: UdpEndpoint): void {
  if (sa.state !== "established") return;
  sa.lastHeardAt = turn.now;
  if (!sameEndpoint(sa.remote, remote) || !sameEndpoint(sa.local, local)) follow(turn, sa, local, remote);
}

/** [MID-10] four octets; never reduced. */
function noteWindowSize({ window }: ProtectedIkeSa, payloads: readonly Payload[]): void {
  const data = findNotify(payloads, NotifyType.SET_WINDOW_SIZE)?.data;
  if (data?.length !== 4) return;
  const size = new DataView(data.buffer, data.byteOffset, 4).getUint32(0);
  window.peerWindowSize = Math.max(window.peerWindowSize, size);
}

/** [ERR-01] a request gets INVALID_SYNTAX, a response no answer [ERR-02]; the IKE SA ends either way. */
function endMalformed(
  turn: Turn,
  sa: ProtectedIkeSa,
  { isResponse, exchangeType, messageId }: IkeHeader,
): void {
  if (sa.state === "authenticating") {
    drop(turn, "malformed", sa.remote, sa.connection);
    forget(turn, sa);
    return;
  }
  if (isResponse) {
    const exchange = sa.window.outstanding?.exchange;
    sa.window.outstanding = undefined;
    if (exchange !== undefined) disposeExchange(turn, exchange);
    leave(turn, sa, "protocolError", { deletedBy: "us" });
    return;
  }
  const leaving = leave(turn, sa, "protocolError", { deletedBy: "nobody" });
  sendResponse(turn, leaving, exchangeType, messageId, [notify(NotifyType.INVALID_SYNTAX)]);
}

function dispatch(turn: Turn, sa: ProtectedIkeSa, header: IkeHeader, payloads: readonly Payload[]): void {
  const { exchangeType, messageId, isResponse } = header;
  const row = exchangeRow(exchangeType, isResponse);
  const critical = unknownCritical(payloads);
  if (!isResponse && critical !== undefined && sa.state !== "authenticating") {
    const refusal = notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, Uint8Array.of(critical)); // [HDR-10]
    sendResponse(turn, sa, exchangeType, messageId, [refusal]);
    return;
  }
  if (row === undefined || !row.states.includes(sa.state)) {
    drop(turn, "unexpectedExchange", sa.remote, sa.connection);
    return;
  }
  if (!fitsRow(row, payloads) || critical !== undefined) {
    endMalformed(turn, sa, header);
    return;
  }
  try {
    if (isResponse) handleResponse(turn, sa, payloads);
    else handleRequest(turn, sa, header, payloads);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    endMalformed(turn, sa, header);
  }
}

function handleRequest(
  turn: Turn,
  sa: ProtectedIkeSa,
  header: IkeHeader,
  payloads: readonly Payload[],
): void {
  const { exchangeType, messageId } = header;
  if (sa.state === "leaving") answerWhileLeaving(turn, sa, exchangeType, messageId, payloads);
  else if (sa.state === "established" && exchangeType === ExchangeType.INFORMATIONAL)
    answerInformational(turn, sa, messageId, payloads);
  else if (sa.state === "established") answerOrEnd(turn, sa, messageId, payloads, undefined);
}

/** Answers CREATE_CHILD_SA; also called with the result of the computation that the answer waited for. */
export function answerOrEnd(
  turn: Turn,
  sa: EstablishedIkeSa,
  messageId: number,
  payloads: readonly Payload[],
  computed: Computed | undefined,
): void {
  let outcome: AnswerOutcome;
  try {
    outcome = answerCreateChildSa(turn, sa, messageId, payloads, computed);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    outcome = "malformed";
  }
  if (outcome !== "malformed") return;
  const leaving = leave(turn, sa, "protocolError", { deletedBy: "nobody" });
  const refusal = [notify(NotifyType.INVALID_SYNTAX)];
  sendResponse(turn, leaving, ExchangeType.CREATE_CHILD_SA, messageId, refusal);
}

function handleResponse(turn: Turn, sa: ProtectedIkeSa, payloads: readonly Payload[]): void {
  const { outstanding } = sa.window;
  sa.window.outstanding = undefined;
  if (outstanding === undefined) return;
  const { exchange, tries, sentAt } = outstanding;
  if (sa.state === "established" && tries === 1) sa.roundTrip = DurationMs(turn.now - sentAt);
  if (exchange.kind === "pathProbe") {
    finishProbe(turn, exchange, tries);
    return;
  }
  if (sa.state === "authenticating") {
    handleAuthResponse(turn, sa, payloads);
    return;
  }
  if (exchange.kind !== "createChild" && exchange.kind !== "rekeyIke") {
    finishInformational(turn, sa, exchange);
    return;
  }
  if (sa.state === "leaving") disposeExchange(turn, exchange);
  else finishOrEnd(turn, sa, exchange, payloads, undefined);
}

/** Ends our CREATE_CHILD_SA; also called with the shared secret that the response asked for. */
export function finishOrEnd(
  turn: Turn,
  sa: EstablishedIkeSa,
  exchange: Extract<OwnExchange, { kind: "createChild" | "rekeyIke" }>,
  payloads: readonly Payload[],
  secret: Uint8Array | undefined,
): void {
  let outcome: ReturnType<typeof finishRekeyIke>;
  try {
    outcome =
      exchange.kind === "rekeyIke"
        ? finishRekeyIke(turn, sa, exchange, payloads, secret)
        : finishCreateChild(turn, sa, exchange, payloads, secret);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    outcome = "malformed";
  }
  if (outcome !== "malformed") return;
  disposeExchange(turn, exchange);
  leave(turn, sa, "protocolError", { deletedBy: "us" });
}
