/** A protected message from decryption to its handler (RFC 7296 sections 2.1 to 2.5 and 2.21). */
import { wipe } from "../../base/bytes.ts";
import { DurationMs } from "../../base/instant.ts";
import type { UdpEndpoint } from "../../base/udp-endpoint.ts";
import { sameEndpoint } from "../../base/udp-endpoint.ts";
import { decodePayloadChain } from "../../wire/ike/message.ts";
import type { IkeHeader, IkeMessage, Payload, SkfPayload, SkPayload } from "../../wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../wire/ike/registries.ts";
import { WireError } from "../../wire/wire-error.ts";
import { INBOX_MAX } from "../limits.ts";
import { followRequest, packetOctets } from "../sa/fragmentation.ts";
import type { EstablishedIkeSa, InboxMessage, ProtectedIkeSa } from "../sa/ike-sa.ts";
import type { InnerPayloads } from "../sa/int-auth.ts";
import { forget, leave, noteConnectionFailure } from "../sa/lifecycle.ts";
import { disposeExchange, repeatResponse, sendResponse } from "../sa/message-exchange.ts";
import { classifyRequest } from "../sa/message-window.ts";
import type { FollowUpExchange, OwnExchange } from "../sa/own-exchange.ts";
import { follow } from "../sa/peer-address.ts";
import { addFragment, assembled, type Fragment } from "../sa/reassembly.ts";
import { openMessage } from "../sa/sk-payload.ts";
import { trace } from "../trace.ts";
import { about, drop, notice, type Turn, touch } from "../turn.ts";
import { finishCreateChild } from "./create-child-sa-initiator.ts";
import { type AnswerOutcome, answerCreateChildSa, type Computed } from "./create-child-sa-responder.ts";
import { exchangeRow, fitsRow } from "./exchange-table.ts";
import { completeFollowUp } from "./followup-completion.ts";
import { deriveFollowUp, wipeFollowUp } from "./followup-ke-initiator.ts";
import { answerFollowUp } from "./followup-ke-responder.ts";
import { handleAuthResponse } from "./ike-auth-initiator.ts";
import { handleIntermediateResponse } from "./ike-intermediate-initiator.ts";
import { answerInformational, answerWhileLeaving, finishInformational } from "./informational.ts";
import { finishProbe } from "./path-probe.ts";
import { findError, findNotify, notify, unknownCritical } from "./payload-list.ts";
import { finishRekeyIke } from "./rekey-ike-initiator.ts";

/** Where a message arrived and where it came from. */
type Ends = Pick<InboxMessage, "local" | "remote">;

/** A message for an IKE SA with keys. Nothing changes before it has been authenticated [ENC-03] [ERR-07]. */
export function receive(turn: Turn, sa: ProtectedIkeSa, message: IkeMessage, envelope: InboxMessage): void {
  const { header, payloads: outer } = message;
  const { remote, bytes } = envelope;
  const sealed = outer.at(-1);
  if (sealed?.kind !== "SK" && sealed?.kind !== "SKF") {
    noteUnprotected(turn, sa, message, remote);
    return;
  }
  if (header.isFromInitiator === sa.isOriginalInitiator) {
    drop(turn, "unexpectedExchange", remote, sa.connection);
    return;
  }
  if (sealed.kind === "SKF" && sa.fragmentation === undefined) {
    drop(turn, "fragmentNotAgreed", remote, sa.connection); // [FRAG-01]
    return;
  }
  const plaintext = openMessage(sa.protection, header.isFromInitiator, bytes, sealed);
  if (plaintext === undefined) {
    drop(turn, "notAuthentic", remote, sa.connection); // [FRAG-06]
    return;
  }
  if (!isExpected(turn, sa, header, envelope, sealed)) return;
  // Not before: looking at an IKE SA and all others of its connection is work that nobody else may ask for.
  touch(turn.machine, sa);
  if (sealed.kind === "SKF") {
    receiveFragment(turn, sa, { header, payload: sealed, content: plaintext, local: envelope.local, remote });
    return;
  }
  if (sa.state !== "leaving" && sa.job !== undefined) {
    if (sa.inbox.length < INBOX_MAX) sa.inbox.push(envelope);
    else drop(turn, "inboxFull", remote, sa.connection);
    return;
  }
  open(turn, sa, header, envelope, { first: sealed.firstInnerPayload, bytes: plaintext }, [bytes.length]);
}

/** Keeps a fragment; the last one that was missing makes a message of them [FRAG-07]. */
function receiveFragment(turn: Turn, sa: ProtectedIkeSa, fragment: Fragment): void {
  const { window } = sa;
  const slot = fragment.header.isResponse ? "partialResponse" : "partialRequest";
  const held = addFragment(window[slot], fragment, turn.now);
  if (typeof held === "string") {
    drop(turn, held, fragment.remote, sa.connection);
    return;
  }
  window[slot] = held;
  openAssembled(turn, sa, slot);
}

/** Looks at a message that has become complete, unless its IKE SA waits for a computation: then once that is done. */
export function openAssembled(
  turn: Turn,
  sa: ProtectedIkeSa,
  slot: "partialRequest" | "partialResponse",
): void {
  const whole = sa.window[slot];
  if (whole === undefined || whole.missing > 0) return;
  if (sa.state !== "leaving" && sa.job !== undefined) return;
  sa.window[slot] = undefined;
  const { header, local, remote, firstInnerPayload } = whole;
  if (!isExpected(turn, sa, header, { local, remote })) return;
  followRequest(turn.machine, sa, whole);
  open(turn, sa, header, { local, remote }, { first: firstInnerPayload, bytes: assembled(whole) });
}

/** What an authentic message holds that is expected now. @param sizes - as it came, for the trace; empty: in fragments */
function open(
  turn: Turn,
  sa: ProtectedIkeSa,
  header: IkeHeader,
  { local, remote }: Ends,
  { first, bytes }: InnerPayloads,
  sizes: readonly number[] = [],
): void {
  noteLife(turn, sa, local, remote);
  if (!header.isResponse) sa.window.askedFrom = { local, remote };
  let payloads: readonly Payload[];
  try {
    payloads = decodePayloadChain(first, bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    endMalformed(turn, sa, header);
    return;
  }
  noteWindowSize(sa, payloads);
  trace(turn, sa, "inbound", { header, payloads, inner: { first, bytes }, local, remote, sizes });
  dispatch(turn, sa, header, payloads, { first, bytes });
}

/** Errors that nobody vouches for are told, once and as often as drops are, and change nothing [ERR-03] [ERR-07]. */
function noteUnprotected(
  turn: Turn,
  sa: ProtectedIkeSa,
  { header, payloads }: IkeMessage,
  remote: UdpEndpoint,
): void {
  const isSaid = drop(turn, "notEncrypted", remote, sa.connection);
  const error = header.isResponse ? findError(payloads) : undefined;
  if (!isSaid || error === undefined) return;
  notice(turn, { code: "unauthenticatedNotify", ...about(sa), notifyType: error.notifyType });
}

/** [MID-12] [MID-09] the message that the window waits for; the last request again gets the same answer [MID-06]. */
function isExpected(
  turn: Turn,
  sa: ProtectedIkeSa,
  header: IkeHeader,
  { local, remote }: Ends,
  fragment?: SkPayload | SkfPayload,
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
      answerRepeated(turn, sa, { local, remote }, header, fragment);
      return false;
    case "outside":
      drop(turn, "outsideWindow", remote, sa.connection);
      return false;
  }
}

/** [MID-06] of a request in fragments only the first one asks for the answer [FRAG-08]. */
export function answerRepeated(
  turn: Turn,
  sa: Parameters<typeof repeatResponse>[1],
  { local, remote }: Ends,
  header: IkeHeader,
  sealed: SkPayload | SkfPayload | undefined,
): void {
  if (sealed?.kind !== "SKF") {
    repeatResponse(turn, sa, local, remote);
    return;
  }
  if (sealed.fragmentNumber !== 1) return;
  const packet = packetOctets(turn.machine.ports.nat, local, remote, header.length);
  repeatResponse(turn, sa, local, remote, sealed.totalFragments > 1 ? packet : undefined);
}

function noteLife(turn: Turn, sa: ProtectedIkeSa, local: UdpEndpoint, remote: UdpEndpoint): void {
  if (sa.state !== "established") return;
  sa.lastHeardAt = turn.now;
  if (sa.mobike !== undefined) return; // [MOB-08] whoever moves says so.
  if (!sameEndpoint(sa.remote, remote) || !sameEndpoint(sa.local, local)) follow(turn, sa, { local, remote });
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
    const exchange = exchangeType === ExchangeType.IKE_INTERMEDIATE ? "IKE_INTERMEDIATE" : "IKE_AUTH";
    noteConnectionFailure(turn, sa, { code: "refused", ...about(sa), exchange, what: "malformed payloads" });
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

function dispatch(
  turn: Turn,
  sa: ProtectedIkeSa,
  header: IkeHeader,
  payloads: readonly Payload[],
  inner: InnerPayloads,
): void {
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
    if (isResponse) handleResponse(turn, sa, header, payloads, inner);
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
  else if (sa.state === "established" && exchangeType === ExchangeType.IKE_FOLLOWUP_KE)
    answerFollowUpOrEnd(turn, sa, messageId, payloads, undefined);
  else if (sa.state === "established") answerOrEnd(turn, sa, messageId, payloads, undefined);
}

/** Answers IKE_FOLLOWUP_KE; also called with our part of the key exchange. */
export function answerFollowUpOrEnd(
  turn: Turn,
  sa: EstablishedIkeSa,
  messageId: number,
  payloads: readonly Payload[],
  computed: { readonly publicValue: Uint8Array; readonly secret: Uint8Array } | undefined,
): void {
  const outcome = answerFollowUp(turn, sa, messageId, payloads, computed, completeFollowUp);
  if (outcome !== "malformed") return;
  const leaving = leave(turn, sa, "protocolError", { deletedBy: "nobody" });
  const refusal = [notify(NotifyType.INVALID_SYNTAX)];
  sendResponse(turn, leaving, ExchangeType.IKE_FOLLOWUP_KE, messageId, refusal);
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

function handleResponse(
  turn: Turn,
  sa: ProtectedIkeSa,
  header: IkeHeader,
  payloads: readonly Payload[],
  inner: InnerPayloads,
): void {
  const { outstanding } = sa.window;
  sa.window.outstanding = undefined;
  sa.window.partialResponse = undefined;
  if (outstanding === undefined) return;
  const { exchange, tries, sentAt } = outstanding;
  if (sa.state === "established" && tries === 1) sa.roundTrip = DurationMs(turn.now - sentAt);
  if (exchange.kind === "pathProbe") {
    finishProbe(turn, exchange, tries);
    return;
  }
  if (sa.state === "authenticating") {
    if (exchange.kind === "intermediate") handleIntermediateResponse(turn, sa, header, payloads, inner);
    else handleAuthResponse(turn, sa, payloads);
    return;
  }
  if (exchange.kind === "followUp") {
    if (sa.state === "leaving") disposeExchange(turn, exchange);
    else handleFollowUpResponse(turn, sa, exchange, payloads);
    return;
  }
  if (exchange.kind !== "createChild" && exchange.kind !== "rekeyIke") {
    finishInformational(turn, sa, exchange, payloads);
    return;
  }
  if (sa.state === "leaving") disposeExchange(turn, exchange);
  else finishOrEnd(turn, sa, exchange, payloads, []);
}

/** An error ends the CREATE_CHILD_SA that it belongs to as if that had got it. */
function handleFollowUpResponse(
  turn: Turn,
  sa: EstablishedIkeSa,
  exchange: FollowUpExchange,
  payloads: readonly Payload[],
): void {
  if (findError(payloads) !== undefined) {
    wipeFollowUp(exchange);
    finishOrEnd(turn, sa, exchange.parent, payloads, []);
    return;
  }
  if (deriveFollowUp(turn, sa, exchange, payloads)) return;
  disposeExchange(turn, exchange);
  leave(turn, sa, "protocolError", { deletedBy: "us" });
}

/**
 * Ends our CREATE_CHILD_SA; also called with the shared secrets that the response asked for.
 * @param latest - the last response: `payloads`, or that of an additional key exchange
 */
export function finishOrEnd(
  turn: Turn,
  sa: EstablishedIkeSa,
  exchange: Extract<OwnExchange, { kind: "createChild" | "rekeyIke" }>,
  payloads: readonly Payload[],
  secrets: readonly Uint8Array[],
  latest: readonly Payload[] = payloads,
): void {
  let outcome: ReturnType<typeof finishRekeyIke>;
  try {
    outcome =
      exchange.kind === "rekeyIke"
        ? finishRekeyIke(turn, sa, exchange, payloads, secrets, latest)
        : finishCreateChild(turn, sa, exchange, payloads, secrets, latest);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    outcome = "malformed";
  }
  if (outcome !== "waiting") wipe(...secrets);
  if (outcome !== "malformed") return;
  disposeExchange(turn, exchange);
  leave(turn, sa, "protocolError", { deletedBy: "us" });
}
