/** IKE_SA_INIT as its initiator: request, cookies, another key exchange method, the response (RFC 7296 sections 1.2 and 2.6). */
import { isSingle } from "../../base/address-range.ts";
import { equal, wipe } from "../../base/bytes.ts";
import { after, earlier } from "../../base/instant.ts";
import { ZERO_IKE_SPI } from "../../base/spi.ts";
import type { UdpEndpoint } from "../../base/udp-endpoint.ts";
import { keyExchangeAlgorithm } from "../../crypto/key-exchange.ts";
import type { Connection } from "../../policy/connection.ts";
import type { PacketSelectors } from "../../policy/data-plane.ts";
import { encodeMessage } from "../../wire/ike/message.ts";
import type { IkeMessage, NotifyPayload, Payload } from "../../wire/ike/payload.ts";
import { ExchangeType, NAT_TRAVERSAL_PORT, NotifyType } from "../../wire/ike/registries.ts";
import {
  requestedAuthorities,
  signatureHashes,
  signatureHashesNotify,
} from "../auth/certificate-payloads.ts";
import { usePpk } from "../auth/ppk.ts";
import type { Keeper } from "../keep-state.ts";
import {
  COOKIE_LENGTH_MAX,
  COOKIE_LENGTH_MIN,
  INIT_ERROR_PATIENCE,
  INIT_RESTARTS_MAX,
  NONCE_LENGTH,
  NONCE_LENGTH_MAX,
  NONCE_LENGTH_MIN,
} from "../limits.ts";
import type { WorkResult } from "../machine.ts";
import { wantsAdditionalKe } from "../negotiation/additional-key-exchange.ts";
import { natHash, natNotifies, natSituation, unmatchableHash } from "../negotiation/nat-detection.ts";
import {
  acceptAnswer,
  IKE_NEGOTIATION,
  ikeSuiteOf,
  methodOf,
  negotiationWith,
  offeredMethods,
  toProposals,
} from "../negotiation/proposal.ts";
import { proposalDifference } from "../negotiation/proposal-difference.ts";
import type { FailureNotice } from "../notice.ts";
import { agreedFragmentation, fragmentationNotify } from "../sa/fragmentation.ts";
import type { EstablishedIkeSa, InitAnswer, InitiatingIkeSa } from "../sa/ike-sa.ts";
import { IkeSaId } from "../sa/ike-sa-id.ts";
import { forget, noteConnectionFailure } from "../sa/lifecycle.ts";
import { retransmitAt } from "../sa/retransmission.ts";
import { traceInit } from "../trace.ts";
import {
  about,
  addIkeSa,
  drop,
  dropJob,
  failureReason,
  freshIkeSpi,
  keeperOf,
  notice,
  send,
  startJob,
  type Turn,
} from "../turn.ts";
import { unreachableFacts } from "../unreachable.ts";
import { find, findError, findNotify, notify, wantedMethod } from "./payload-list.ts";

const EMPTY = new Uint8Array(0);

/**
 * Sets out to make an IKE SA with the connection's next address.
 * @param renews - the IKE SA whose authentication is repeated: the peer is called where it is
 */
export function connect(
  turn: Turn,
  connection: Connection,
  keeper: Keeper,
  packet: PacketSelectors | undefined,
  renews?: EstablishedIkeSa,
): void {
  const { machine, now } = turn;
  const target = { connection: connection.name, renews: renews?.id };
  const { place, remote: configured } = connection;
  const named = configured.names === undefined ? {} : { names: configured.names };
  const callable = connection.remote.addresses.filter(isSingle).map(({ start }) => start);
  const address = renews?.remote.address ?? callable[keeper.addressIndex % Math.max(callable.length, 1)];
  const method = firstMethod(connection, keeper);
  if (address === undefined || method === undefined) {
    noteConnectionFailure(turn, target, { code: "noAddressToCall", ...about(target), ...named, place });
    return;
  }
  const own = renews?.local.address ?? connection.local.address ?? machine.localAddressFor(address);
  if (own === undefined || own.length !== address.length) {
    noteConnectionFailure(turn, target, { code: "noLocalAddress", ...about(target), address });
    return;
  }
  const id = IkeSaId(machine.nextIkeSaId++);
  const remote = { address, port: connection.remote.port };
  // RFC 7296 section 2.23: a call may begin at the NAT port; anycast peers need all of it at one port.
  const port = remote.port === NAT_TRAVERSAL_PORT ? machine.ports.nat : machine.ports.ike;
  const local = { address: own, port };
  const initiatorSpi = freshIkeSpi(machine);
  const sa: InitiatingIkeSa = {
    state: "initiating",
    id,
    isOriginalInitiator: true,
    initiatorSpi,
    responderSpi: ZERO_IKE_SPI,
    local,
    remote,
    connection: connection.name,
    phase: "generating",
    startedAt: now,
    nonce: machine.random.publicBytes(NONCE_LENGTH),
    natSource: natSourceFor(turn, connection, initiatorSpi, local),
    keyExchange: { method, privateValue: EMPTY, publicValue: EMPTY },
    cookie: undefined,
    restarts: 0,
    request: undefined,
    doubt: undefined,
    answer: undefined,
    job: undefined,
    packet,
    renews: renews?.id,
  };
  addIkeSa(machine, sa);
  notice(turn, { code: "connecting", ...about(sa), local, attempt: keeper.failures + 1 });
  sa.job = startJob(turn, id, { kind: "generateKeyExchange", method });
}

/** The method that the peer took last time, where it is still allowed: that saves a round trip. */
function firstMethod({ ike }: Connection, { method }: Keeper): number | undefined {
  const methods = offeredMethods(ike.proposals).filter((id) => keyExchangeAlgorithm(id) !== undefined);
  return method !== undefined && methods.includes(method) ? method : methods[0];
}

/** Honest only for raw ESP; otherwise a value that makes the peer use UDP encapsulation. */
function natSourceFor(
  { machine }: Turn,
  { encapsulation }: Connection,
  initiatorSpi: InitiatingIkeSa["initiatorSpi"],
  local: UdpEndpoint,
): Uint8Array {
  return encapsulation === "esp"
    ? natHash(initiatorSpi, ZERO_IKE_SPI, local)
    : unmatchableHash(machine.random);
}

/** The result of the computation that the SA waits for. */
export function continueInit(turn: Turn, sa: InitiatingIkeSa, result: WorkResult): Uint8Array | undefined {
  const job = sa.job;
  sa.job = undefined;
  if (sa.phase === "generating" && job !== undefined) {
    if (result.kind !== "keyExchange") {
      refuseKeyExchange(turn, sa, job.method, result);
      return undefined;
    }
    const { privateValue, publicValue } = result;
    sa.keyExchange = { method: job.method, privateValue, publicValue };
    sendInit(turn, sa);
    return undefined;
  }
  if (sa.phase !== "deriving") return undefined;
  if (result.kind === "sharedSecret") return result.secret;
  // Nobody vouches for the response: a better one may still come.
  drop(turn, "badKeyExchange", sa.remote, sa.connection);
  sa.phase = "sent";
  sa.answer = undefined;
  return undefined;
}

function refuseKeyExchange(turn: Turn, sa: InitiatingIkeSa, method: number, result: WorkResult): void {
  const reason = failureReason(result);
  forget(turn, sa);
  noteConnectionFailure(turn, sa, { code: "keyExchangeRefused", ...about(sa), method, reason });
}

/** Message ID 0, also after COOKIE and INVALID_KE_PAYLOAD; the responder's SPI is zero [MID-01] [HDR-07]. */
function sendInit(turn: Turn, sa: InitiatingIkeSa): void {
  const { machine, now } = turn;
  const connection = machine.connections.get(sa.connection);
  if (connection === undefined) return;
  const { initiatorSpi, nonce, keyExchange } = sa;
  const cookie: readonly Payload[] = sa.cookie === undefined ? [] : [notify(NotifyType.COOKIE, sa.cookie)];
  const bytes = encodeMessage(
    {
      initiatorSpi,
      responderSpi: ZERO_IKE_SPI,
      exchangeType: ExchangeType.IKE_SA_INIT,
      isFromInitiator: true,
      isResponse: false,
      messageId: 0,
    },
    [
      ...cookie, // [INIT-05] first; everything else stays as it was.
      { kind: "SA", proposals: toProposals(connection.ike.proposals, IKE_NEGOTIATION, EMPTY) },
      { kind: "KE", method: keyExchange.method, data: keyExchange.publicValue },
      { kind: "Nonce", data: nonce },
      ...natNotifies(sa.natSource, natHash(initiatorSpi, ZERO_IKE_SPI, sa.remote)),
      ...fragmentationNotify(connection.ike.fragmentation),
      ...(connection.ike.proposals.some(wantsAdditionalKe)
        ? [notify(NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED)] // [PQ-06]
        : []),
      ...usePpk([connection]),
      signatureHashesNotify(), // [AUTH-13]
    ],
  );
  sa.phase = "sent";
  sa.request = { bytes, tries: 1, nextAt: retransmitAt(machine.connectPlan, 1, now, machine.random) };
  traceInit(turn, sa, "outbound", bytes);
  send(turn, sa.local, sa.remote, bytes);
}

/** Repeats the request, or gives up. */
export function retransmitInit(turn: Turn, sa: InitiatingIkeSa): void {
  const { request } = sa;
  const { machine, now } = turn;
  if (request === undefined || sa.phase !== "sent") return;
  if (sa.doubt !== undefined && now >= sa.doubt.believeAt) {
    giveUpInit(turn, sa);
    return;
  }
  if (now < request.nextAt) return;
  if (request.tries >= machine.connectPlan.tries) {
    giveUpInit(turn, sa);
    return;
  }
  request.tries++;
  request.nextAt = retransmitAt(machine.connectPlan, request.tries, now, machine.random);
  const { bytes, tries } = request;
  traceInit(turn, sa, "outbound", bytes, tries - 1);
  send(turn, sa.local, sa.remote, bytes, tries - 1);
}

function giveUpInit(turn: Turn, sa: InitiatingIkeSa): void {
  forget(turn, sa);
  noteConnectionFailure(turn, sa, initFailure(turn, sa));
}

function initFailure({ machine, now }: Turn, sa: InitiatingIkeSa): FailureNotice {
  const exchange = "IKE_SA_INIT";
  const connection = machine.connections.get(sa.connection);
  if (sa.doubt === undefined || connection === undefined)
    return {
      code: "noAnswer",
      ...about(sa),
      exchange,
      tries: sa.request?.tries ?? 0,
      ...unreachableFacts(sa, now),
    };
  if (sa.doubt.mismatch !== undefined) return sa.doubt.mismatch;
  const { notifyType } = sa.doubt;
  const { proposals: sent, place } = connection.ike;
  if (notifyType === NotifyType.NO_PROPOSAL_CHOSEN)
    return { code: "proposalRejectedByPeer", ...about(sa), protocol: "ike", sent, place };
  return { code: "errorFromPeer", ...about(sa), exchange, notifyType };
}

/** A response to our request; everything in it may be forged. Starts the computation when it is acceptable. */
export function handleInitResponse(
  turn: Turn,
  sa: InitiatingIkeSa,
  message: IkeMessage,
  bytes: Uint8Array,
): void {
  if (sa.phase !== "sent") return; // Duplicates, and answers to requests that were replaced.
  traceInit(turn, sa, "inbound", bytes);
  const { payloads, header } = message;
  const cookie = findNotify(payloads, NotifyType.COOKIE);
  if (cookie !== undefined && find(payloads, "SA") === undefined) {
    handleCookie(turn, sa, cookie);
    return;
  }
  const invalidKe = findNotify(payloads, NotifyType.INVALID_KE_PAYLOAD);
  if (invalidKe !== undefined) {
    handleInvalidKe(turn, sa, invalidKe);
    return;
  }
  const error = findError(payloads);
  if (error !== undefined) {
    doubt(turn, sa, error.notifyType);
    return;
  }
  if (header.responderSpi === ZERO_IKE_SPI) {
    drop(turn, "malformed", sa.remote, sa.connection);
    return;
  }
  const answer = acceptResponse(turn, sa, message, bytes);
  if (answer === undefined) return;
  sa.answer = answer;
  sa.phase = "deriving";
  const { method, privateValue } = sa.keyExchange;
  const { peerPublicValue } = answer;
  sa.job = startJob(turn, sa.id, { kind: "deriveSharedSecret", method, privateValue, peerPublicValue });
}

/** [INIT-05] the same message again with the cookie in front; [INIT-08] only so many times. */
function handleCookie(turn: Turn, sa: InitiatingIkeSa, { data }: NotifyPayload): void {
  if (
    data.length < COOKIE_LENGTH_MIN ||
    data.length > COOKIE_LENGTH_MAX ||
    sa.restarts >= INIT_RESTARTS_MAX
  ) {
    drop(turn, "wrongCookie", sa.remote, sa.connection);
    return;
  }
  if (sa.cookie !== undefined && equal(sa.cookie, data)) return; // The same answer, duplicated on the way.
  sa.restarts++;
  sa.cookie = data;
  notice(turn, { code: "cookieRequired", ...about(sa) });
  sendInit(turn, sa);
}

/** [INIT-04] another method, when we offered it; the proposals are repeated in full. */
function handleInvalidKe(turn: Turn, sa: InitiatingIkeSa, refusal: NotifyPayload): void {
  const wanted = wantedMethod(refusal);
  const connection = turn.machine.connections.get(sa.connection);
  const methods = offeredMethods(connection?.ike.proposals ?? []);
  const sent = sa.keyExchange.method;
  if (wanted === sent) return; // A duplicate of what we have followed already.
  if (wanted === undefined || !methods.includes(wanted) || sa.restarts >= INIT_RESTARTS_MAX) {
    doubt(turn, sa, NotifyType.INVALID_KE_PAYLOAD);
    return;
  }
  if (keyExchangeAlgorithm(wanted) === undefined) return;
  sa.restarts++;
  notice(turn, { code: "invalidKeRetry", ...about(sa), sent, wanted });
  wipe(sa.keyExchange.privateValue);
  sa.request = undefined;
  sa.phase = "generating";
  dropJob(turn.machine, sa.job);
  sa.job = startJob(turn, sa.id, { kind: "generateKeyExchange", method: wanted });
}

/** [INIT-16] noted, and believed only when nothing better comes for a while. */
export function doubt(turn: Turn, sa: InitiatingIkeSa, notifyType: number, mismatch?: FailureNotice): void {
  notice(turn, { code: "unauthenticatedNotify", ...about(sa), notifyType });
  if (sa.doubt !== undefined) return;
  sa.doubt = { notifyType, believeAt: after(turn.now, INIT_ERROR_PATIENCE), mismatch };
}

function acceptResponse(
  turn: Turn,
  sa: InitiatingIkeSa,
  { header, payloads }: IkeMessage,
  bytes: Uint8Array,
): InitAnswer | undefined {
  const connection = turn.machine.connections.get(sa.connection);
  const proposals = find(payloads, "SA")?.proposals;
  const ke = find(payloads, "KE");
  const nonce = find(payloads, "Nonce");
  if (connection === undefined || proposals === undefined || ke === undefined || nonce === undefined) {
    drop(turn, "malformed", sa.remote, sa.connection);
    return undefined;
  }
  if (nonce.data.length < NONCE_LENGTH_MIN || nonce.data.length > NONCE_LENGTH_MAX) {
    drop(turn, "badNonce", sa.remote, sa.connection); // [INIT-09]
    return undefined;
  }
  const selection = acceptAnswer(connection.ike.proposals, proposals, negotiationWith(payloads));
  if (selection === undefined) {
    const configured = connection.ike.proposals;
    const difference = proposalDifference(configured, proposals);
    const { place } = connection.ike;
    const mismatch = { protocol: "ike", received: proposals, configured, difference, place } as const;
    doubt(turn, sa, NotifyType.NO_PROPOSAL_CHOSEN, {
      code: "noCommonProposal",
      ...about(sa),
      role: "initiator",
      ...mismatch,
    });
    return undefined;
  }
  const usesPpk = connection.ppk !== undefined && findNotify(payloads, NotifyType.USE_PPK) !== undefined;
  if (connection.ppk?.isRequired === true && !usesPpk) {
    // [PQ-04] nobody vouches for the response: a better one may still come [INIT-16].
    const { place } = connection;
    const mismatch = { code: "ppkRefused", ...about(sa), reason: "notSupported", place } as const;
    const believeAt = after(turn.now, INIT_ERROR_PATIENCE);
    sa.doubt ??= { notifyType: NotifyType.USE_PPK, believeAt, mismatch };
    return undefined;
  }
  // [INIT-10] the KE payload belongs to the method that was chosen, and has its length.
  const method = methodOf(selection.chosen);
  const length = keyExchangeAlgorithm(method)?.publicValueLength;
  if (ke.method !== method || method !== sa.keyExchange.method || ke.data.length !== length) {
    drop(turn, "badKeyExchange", sa.remote, sa.connection);
    return undefined;
  }
  keeperOf(turn.machine, sa.connection).method = method;
  const isForced = connection.encapsulation !== "esp";
  return {
    bytes,
    responderSpi: header.responderSpi,
    suite: ikeSuiteOf(selection.chosen),
    peerPublicValue: ke.data,
    peerNonce: nonce.data,
    takes: { hashes: signatureHashes(payloads), authorities: requestedAuthorities(payloads) },
    nat: natSituation(payloads, header, sa.local, sa.remote, isForced),
    fragmentation: agreedFragmentation(connection.ike.fragmentation, payloads),
    usesPpk,
    canBeChildless: findNotify(payloads, NotifyType.CHILDLESS_IKEV2_SUPPORTED) !== undefined,
  };
}

/** When the SA has to be looked at next. */
export function initTimeout(sa: InitiatingIkeSa) {
  if (sa.phase !== "sent") return sa.job?.deadline;
  return earlier(sa.request?.nextAt, sa.doubt?.believeAt);
}
