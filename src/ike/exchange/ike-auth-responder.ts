/** IKE_AUTH as its responder: who is it, does it prove it, and its first child (RFC 7296 sections 1.2, 2.15 and 2.21.2). */
import { wipe } from "../../base/bytes.ts";
import { after, earlier } from "../../base/instant.ts";
import type { Connection, Identification } from "../../policy/connection.ts";
import { connectionsForIdentities, expectedIdentity, localIdentity } from "../../policy/pad.ts";
import { decodeMessage, decodePayloadChain } from "../../wire/ike/message.ts";
import type { AuthPayload, IdPayload, Payload } from "../../wire/ike/payload.ts";
import { AuthMethod, ExchangeType, NotifyType } from "../../wire/ike/registries.ts";
import { WireError } from "../../wire/wire-error.ts";
import { sharedKeyMic, verifySharedKeyMic } from "../auth/psk.ts";
import {
  HALF_OPEN_FAILURES_MAX,
  HALF_OPEN_INBOX_MAX,
  HALF_OPEN_REFUSED_LIFETIME,
  IKE_SAS_PER_CONNECTION_MAX,
} from "../limits.ts";
import type { WorkResult } from "../machine.ts";
import { FIRST_CHILD_NEGOTIATION } from "../negotiation/proposal.ts";
import type { FailureNotice } from "../notice.ts";
import { announceChild, installInbound, installOutbound } from "../sa/child-lifecycle.ts";
import { protectionFor } from "../sa/ike-keys.ts";
import type { EstablishedIkeSa, HalfOpenIkeSa, InboxMessage, InitTranscript } from "../sa/ike-sa.ts";
import { announceIkeSa, forget, newEstablishedIkeSa, releaseHalfOpen } from "../sa/lifecycle.ts";
import { sendResponse } from "../sa/message-exchange.ts";
import { classifyRequest } from "../sa/message-window.ts";
import { openMessage, type Protection } from "../sa/sk-payload.ts";
import {
  about,
  drop,
  establishedOf,
  failureReason,
  instanceOf,
  lowerNonce,
  notice,
  noticeRefusal,
  send,
  startJob,
  type Turn,
} from "../turn.ts";
import { type ChildVerdict, judgeChildRequest } from "./child-request.ts";
import { settleDuplicates } from "./duplicate-ike-sa.ts";
import { find, findNotify, notify, unknownCritical } from "./payload-list.ts";

type Opened = HalfOpenIkeSa & { readonly protection: Protection };

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
  if (sa.inbox.length >= HALF_OPEN_INBOX_MAX) {
    drop(turn, "inboxFull", message.remote);
    return;
  }
  sa.inbox = [...sa.inbox, message];
  if (sa.job !== undefined) return;
  const { method, privateValue } = sa.keyExchange;
  const { peerPublicValue } = sa;
  sa.job = startJob(turn, sa.id, { kind: "deriveSharedSecret", method, privateValue, peerPublicValue });
}

/** The shared secret is there, or the peer's public value was none. */
export function continueHalfOpen(turn: Turn, sa: HalfOpenIkeSa, result: WorkResult): void {
  if (result.kind !== "sharedSecret") {
    const reason = failureReason(result);
    const { method } = sa.keyExchange;
    const [connection] = sa.candidates;
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
  const sk = payloads.at(-1);
  if (header.isResponse || !header.isFromInitiator || sk?.kind !== "SK") {
    drop(turn, "unexpectedExchange", remote);
    return;
  }
  if (sa.failedOpens >= HALF_OPEN_FAILURES_MAX) {
    drop(turn, "notAuthentic", remote);
    return;
  }
  const plaintext = openMessage(sa.protection, true, bytes, sk);
  if (plaintext === undefined) {
    sa.failedOpens++;
    drop(turn, "notAuthentic", remote);
    return;
  }
  const kind = classifyRequest(sa.window, header.messageId);
  if (kind === "repeated" && sa.window.lastResponse !== undefined)
    send(turn, local, remote, sa.window.lastResponse.bytes);
  if (kind !== "next" || sa.isRefused) return;
  if (header.exchangeType !== ExchangeType.IKE_AUTH) {
    drop(turn, "unexpectedExchange", remote);
    return;
  }
  // [NAT-02] the peer may have moved to the NAT port; the answer goes to where this came from.
  sa.local = local;
  sa.remote = remote;
  answerAuth(turn, sa, sk.firstInnerPayload, plaintext, header.messageId);
}

function answerAuth(turn: Turn, sa: Opened, first: number, plaintext: Uint8Array, messageId: number): void {
  let payloads: readonly Payload[];
  try {
    payloads = decodePayloadChain(first, plaintext);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    refuse(turn, sa, messageId, NotifyType.INVALID_SYNTAX, undefined); // [ERR-01]
    return;
  }
  const critical = unknownCritical(payloads);
  const idi = find(payloads, "IDi");
  if (critical !== undefined) {
    refuse(turn, sa, messageId, NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, undefined, Uint8Array.of(critical));
    return;
  }
  if (idi === undefined) {
    refuse(turn, sa, messageId, NotifyType.INVALID_SYNTAX, undefined);
    return;
  }
  const { connection, failure } = identify(turn, sa, idi, find(payloads, "IDr"), find(payloads, "AUTH"));
  if (connection === undefined) {
    refuse(turn, sa, messageId, NotifyType.AUTHENTICATION_FAILED, failure); // [AUTH-07]
    return;
  }
  establish(turn, sa, connection, identityOf(idi), payloads, messageId);
}

/** Ends it; the refusal stays for a while to answer repetitions. */
function refuse(
  turn: Turn,
  sa: Opened,
  messageId: number,
  notifyType: number,
  failure: FailureNotice | undefined,
  data?: Uint8Array,
): void {
  sa.isRefused = true;
  sa.expiresAt = earlier(sa.expiresAt, after(turn.now, HALF_OPEN_REFUSED_LIFETIME)) ?? sa.expiresAt;
  sendResponse(turn, sa, ExchangeType.IKE_AUTH, messageId, [notify(notifyType, data)]);
  const [connection] = sa.candidates;
  if (failure === undefined) {
    const what = "IKE_AUTH request";
    const whom = connection === undefined ? {} : { connection };
    notice(turn, { code: "refused", ...whom, remote: sa.remote, exchange: "IKE_AUTH", notifyType, what });
    return;
  }
  noticeRefusal(turn, failure.connection, failure);
}

interface Identified {
  readonly connection: Connection | undefined;
  readonly failure: FailureNotice | undefined;
}

/** The connection whose identities fit and whose key the peer proves (RFC 4301 section 4.4.3) [AUTH-09]. */
function identify(
  turn: Turn,
  sa: Opened,
  idi: IdPayload,
  idr: IdPayload | undefined,
  auth: AuthPayload | undefined,
): Identified {
  const peer = identityOf(idi);
  const candidates = sa.candidates
    .map((name) => turn.machine.connections.get(name))
    .filter((connection) => connection !== undefined);
  const [first] = candidates;
  if (first === undefined) return { connection: undefined, failure: undefined };
  const { local, remote } = sa;
  const role = "responder";
  const asked = idr && identityOf(idr);
  const anyOfOurs = connectionsForIdentities(candidates, local.address, remote.address, peer, undefined);
  const [named] = anyOfOurs;
  if (named === undefined) {
    const expected = candidates
      .map((one) => expectedIdentity(one, remote.address))
      .filter((identity) => identity !== "any");
    const whom = { connection: first.name, remote, place: first.place };
    return {
      connection: undefined,
      failure: { code: "identityMismatch", ...whom, role, received: peer, expected },
    };
  }
  const fitting = connectionsForIdentities(candidates, local.address, remote.address, peer, asked);
  const whom = { connection: named.name, remote, place: named.place };
  if (asked !== undefined && fitting.length === 0) {
    const ours = localIdentity(named, local.address);
    return { connection: undefined, failure: { code: "localIdentityMismatch", ...whom, asked, ours } };
  }
  const method = auth?.method ?? 0;
  const failed = { code: "authenticationFailed", ...whom, role, identity: peer, method } as const;
  if (auth === undefined || method !== AuthMethod.SHARED_KEY)
    return { connection: undefined, failure: { ...failed, cause: "otherMethod" } };
  const proven = fitting.find((one) =>
    verifySharedKeyMic(sa.protection, transcriptOf(sa), true, idi, one.psk.remote, auth.data),
  );
  return proven === undefined
    ? { connection: undefined, failure: { ...failed, cause: "wrongKey" } }
    : { connection: proven, failure: undefined };
}

function identityOf({ idType, data }: IdPayload): Identification {
  return { idType, data };
}

function transcriptOf({ request, response, nonces }: HalfOpenIkeSa): InitTranscript {
  return { request, response: response ?? new Uint8Array(0), nonces };
}

function establish(
  turn: Turn,
  sa: Opened,
  connection: Connection,
  peerIdentity: Identification,
  payloads: readonly Payload[],
  messageId: number,
): void {
  const { machine } = turn;
  if (establishedOf(machine, connection.name).length >= IKE_SAS_PER_CONNECTION_MAX) {
    refuse(turn, sa, messageId, NotifyType.AUTHENTICATION_FAILED, undefined);
    return;
  }
  const own = localIdentity(connection, sa.local.address);
  const established = newEstablishedIkeSa(
    turn,
    {
      id: sa.id,
      isOriginalInitiator: false,
      initiatorSpi: sa.initiatorSpi,
      responderSpi: sa.responderSpi,
      local: sa.local,
      remote: sa.remote,
      connection: connection.name,
      instance: instanceOf(machine, connection, peerIdentity),
      localIdentity: own,
      peerIdentity,
      nat: sa.nat,
      protection: sa.protection,
      window: sa.window,
      authenticatedAt: turn.now,
      lowestNonce: lowerNonce(sa.nonces.initiator, sa.nonces.responder),
    },
    connection.ike.rekey,
  );
  const verdict = judgeFirstChild(turn, established, sa, payloads);
  if (verdict === "malformed") {
    refuse(turn, sa, messageId, NotifyType.INVALID_SYNTAX, undefined);
    return;
  }
  releaseHalfOpen(machine, sa);
  announceIkeSa(turn, established);
  if (sa.nat.weAreBehind || sa.nat.peerIsBehind)
    notice(turn, { code: "natDetected", ...about(established), nat: sa.nat });
  const data = sharedKeyMic(sa.protection, transcriptOf(sa), false, own, connection.psk.local);
  respond(
    turn,
    established,
    messageId,
    [
      { kind: "IDr", ...own },
      { kind: "AUTH", method: AuthMethod.SHARED_KEY, data },
    ],
    verdict,
  );
  const isInitialContact = findNotify(payloads, NotifyType.INITIAL_CONTACT) !== undefined;
  settleDuplicates(turn, established, isInitialContact ? sa.begunAt : undefined);
}

function judgeFirstChild(
  turn: Turn,
  established: EstablishedIkeSa,
  { nonces }: HalfOpenIkeSa,
  payloads: readonly Payload[],
): ChildVerdict | "malformed" | undefined {
  if (find(payloads, "SA") === undefined) return undefined;
  try {
    const request = {
      payloads,
      nonces: () => nonces,
      negotiation: FIRST_CHILD_NEGOTIATION,
      old: undefined,
      computed: undefined,
    };
    return judgeChildRequest(turn, established, request);
  } catch (error) {
    if (error instanceof WireError) return "malformed";
    throw error;
  }
}

/** In this order: the inbound SA, the response, the outbound SA. [CHILD-01] a refused child leaves the IKE SA up. */
function respond(
  turn: Turn,
  sa: EstablishedIkeSa,
  messageId: number,
  identity: readonly Payload[],
  verdict: ChildVerdict | undefined,
): void {
  if (verdict?.kind === "agreed") {
    const { agreed, answer } = verdict;
    const { child, outbound } = installInbound(turn, sa, agreed);
    sendResponse(turn, sa, ExchangeType.IKE_AUTH, messageId, [...identity, ...answer]);
    installOutbound(turn, outbound);
    announceChild(turn, sa, child, agreed);
    return;
  }
  const refusal = verdict?.kind === "refused" ? [verdict.notify] : [];
  sendResponse(turn, sa, ExchangeType.IKE_AUTH, messageId, [...identity, ...refusal]);
  if (verdict?.kind === "refused" && verdict.failure !== undefined)
    noticeRefusal(turn, sa.connection, verdict.failure);
}
