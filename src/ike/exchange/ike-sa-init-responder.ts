/** IKE_SA_INIT as its responder: admission, choice of proposal and method, the answer (RFC 7296 sections 1.2 and 2.6). */
import { toHex, wipe } from "../../base/bytes.ts";
import { after } from "../../base/instant.ts";
import type { UdpEndpoint } from "../../base/udp-endpoint.ts";
import { hmacSha256 } from "../../crypto/hash.ts";
import { keyExchangeAlgorithm } from "../../crypto/key-exchange.ts";
import { type Crowd, crowdsFor } from "../../policy/caller-index.ts";
import type { Connection } from "../../policy/connection.ts";
import { encodeMessage } from "../../wire/ike/message.ts";
import type { IkeHeader, IkeMessage, KePayload, NoncePayload, SaPayload } from "../../wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../wire/ike/registries.ts";
import { certificateRequests, signatureHashes, signatureHashesNotify } from "../auth/certificate-payloads.ts";
import { admit, occupy } from "../half-open.ts";
import { isTakenDown } from "../keep-state.ts";
import { HALF_OPEN_LIFETIME, NONCE_LENGTH, NONCE_LENGTH_MAX, NONCE_LENGTH_MIN } from "../limits.ts";
import type { WorkResult } from "../machine.ts";
import { isOurCookie, makeCookie } from "../negotiation/cookie.ts";
import { natHash, natNotifies, natSituation, unmatchableHash } from "../negotiation/nat-detection.ts";
import {
  ikeSuiteOf,
  methodOf,
  type Negotiation,
  negotiationWith,
  type Selection,
  selectProposal,
} from "../negotiation/proposal.ts";
import { proposalDifference } from "../negotiation/proposal-difference.ts";
import { agreedFragmentation, fragmentationNotify } from "../sa/fragmentation.ts";
import { additionalOf } from "../sa/ike-keys.ts";
import type { HalfOpenIkeSa } from "../sa/ike-sa.ts";
import { IkeSaId } from "../sa/ike-sa-id.ts";
import { forget } from "../sa/lifecycle.ts";
import { mayRepeat, newMessageWindow, newRepeatable } from "../sa/message-window.ts";
import { replyStateless } from "../stateless-reply.ts";
import { traceInit } from "../trace.ts";
import {
  addIkeSa,
  callerName,
  drop,
  freshIkeSpi,
  notice,
  noticeStranger,
  send,
  startJob,
  type Turn,
} from "../turn.ts";
import { find, findNotify, invalidKe, notify, unknownCritical } from "./payload-list.ts";

const EMPTY = new Uint8Array(0);
const DIGEST_KEY = new Uint8Array(32);

/** What a request holds once it is known to be complete. */
interface InitRequest {
  readonly header: IkeHeader;
  readonly message: IkeMessage;
  readonly bytes: Uint8Array;
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  readonly sa: SaPayload;
  readonly ke: KePayload;
  readonly nonce: NoncePayload;
}

/** A request for a new IKE SA from anybody. */
export function handleInitRequest(
  turn: Turn,
  message: IkeMessage,
  bytes: Uint8Array,
  local: UdpEndpoint,
  remote: UdpEndpoint,
): void {
  const { header, payloads } = message;
  // The same octets from elsewhere are another request: an answer goes to no address that nobody was admitted from.
  const digest = toHex(hmacSha256(DIGEST_KEY, remote.address, bytes));
  const known = turn.machine.byRequest.get(digest);
  if (known !== undefined) {
    repeatResponse(turn, known, local, remote);
    return;
  }
  const critical = unknownCritical(payloads);
  if (critical !== undefined) {
    const refusal = notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, Uint8Array.of(critical)); // [HDR-10]
    replyStateless(turn, header, local, remote, [refusal]);
    return;
  }
  const sa = find(payloads, "SA");
  const ke = find(payloads, "KE");
  const nonce = find(payloads, "Nonce");
  if (sa === undefined || ke === undefined || nonce === undefined) {
    drop(turn, "malformed", remote);
    replyStateless(turn, header, local, remote, [notify(NotifyType.INVALID_SYNTAX)]);
    return;
  }
  if (nonce.data.length < NONCE_LENGTH_MIN || nonce.data.length > NONCE_LENGTH_MAX) {
    drop(turn, "badNonce", remote); // [INIT-09]
    replyStateless(turn, header, local, remote, [notify(NotifyType.INVALID_SYNTAX)]);
    return;
  }
  admitRequest(turn, { header, message, bytes, local, remote, sa, ke, nonce }, digest);
}

/** [MID-06] the same request again: the same answer, and nothing is done twice. */
function repeatResponse(turn: Turn, id: IkeSaId, local: UdpEndpoint, remote: UdpEndpoint): void {
  const sa = turn.machine.sas.get(id);
  if (sa?.state !== "halfOpen" || sa.response === undefined) return;
  if (!mayRepeat(sa.repeatable, turn.now)) {
    drop(turn, "replyRateExceeded", remote);
    return;
  }
  traceInit(turn, sa, "outbound", sa.response, ++sa.repeats);
  send(turn, local, remote, sa.response, sa.repeats);
}

function admitRequest(turn: Turn, request: InitRequest, digest: string): void {
  const { machine, now } = turn;
  const { header, message, local, remote, nonce } = request;
  const cookie = findNotify(message.payloads, NotifyType.COOKIE)?.data;
  const { cookies, random } = machine;
  const { initiatorSpi } = header;
  // [INIT-07] a wrong or stale cookie counts as none.
  const hasCookie =
    cookie !== undefined &&
    isOurCookie(cookies, cookie, nonce.data, remote.address, initiatorSpi, now, random);
  const admission = admit(machine, remote.address, hasCookie);
  if (admission.kind === "refused") {
    drop(turn, admission.reason, remote);
    return;
  }
  if (admission.kind === "cookie") {
    if (cookie !== undefined) drop(turn, "wrongCookie", remote);
    const fresh = makeCookie(cookies, nonce.data, remote.address, initiatorSpi, now, random);
    replyStateless(turn, header, local, remote, [notify(NotifyType.COOKIE, fresh)], true);
    return;
  }
  negotiate(turn, request, digest, admission.slot);
}

function negotiate(turn: Turn, request: InitRequest, digest: string, slot: HalfOpenIkeSa["slot"]): void {
  const { header, local, remote, sa, ke } = request;
  const candidates = candidatesFor(turn, request);
  if (candidates.length === 0) return;
  const choice = chooseProposal(candidates, sa, ke.method, negotiationWith(request.message.payloads));
  if (choice === undefined) {
    refuseProposals(turn, request, candidates);
    return;
  }
  const method = methodOf(choice.selection.chosen);
  if (method !== ke.method) {
    replyStateless(turn, header, local, remote, [invalidKe(method)]); // [INIT-03]
    return;
  }
  if (ke.data.length !== keyExchangeAlgorithm(method)?.publicValueLength) {
    drop(turn, "badKeyExchange", remote); // [INIT-10]
    replyStateless(turn, header, local, remote, [notify(NotifyType.INVALID_SYNTAX)]);
    return;
  }
  openHalf(turn, request, digest, slot, choice.crowds.flat(), choice.selection);
}

/** The connections that the peer may be, or none: then it is refused, and the operator told as often as the peer. */
function candidatesFor(turn: Turn, { header, local, remote }: InitRequest): readonly Crowd[] {
  const { callers, keepers } = turn.machine;
  const all = crowdsFor(callers, local.address, remote.address);
  const candidates = all.map((crowd) => withoutTakenDown(keepers, crowd)).filter(({ length }) => length > 0);
  if (candidates.length > 0) return candidates;
  const notifyType = NotifyType.NO_PROPOSAL_CHOSEN;
  const takenDown = all[0]?.[0];
  if (takenDown === undefined) drop(turn, "unknownConnection", remote);
  if (!replyStateless(turn, header, local, remote, [notify(notifyType)])) return [];
  if (takenDown === undefined) {
    notice(turn, { code: "noConnectionFor", remote });
    return [];
  }
  const what = "the connection is taken down";
  const concerning = { connection: takenDown.name, remote };
  notice(turn, { code: "refused", ...concerning, exchange: "IKE_SA_INIT", notifyType, what });
  return [];
}

/** A crowd that only answers is taken as it is: a stranger's request costs no look at each of thousands. */
function withoutTakenDown(keepers: Turn["machine"]["keepers"], crowd: Crowd): Crowd {
  if (crowd[0]?.keep === "respond") return crowd;
  return crowd.filter((connection) => !isTakenDown(keepers.get(connection.name), connection));
}

/** [INIT-02] NO_PROPOSAL_CHOSEN, and nothing is kept. */
function refuseProposals(
  turn: Turn,
  { header, local, remote, sa }: InitRequest,
  crowds: readonly Crowd[],
): void {
  const isSaid = replyStateless(turn, header, local, remote, [notify(NotifyType.NO_PROPOSAL_CHOSEN)]);
  const first = crowds[0]?.[0];
  if (!isSaid || first === undefined) return;
  const { proposals: configured, place } = first.ike;
  const names = crowds.flat().map(({ name }) => name);
  const connection = callerName(turn.machine, names) ?? first.name;
  noticeStranger(turn, {
    code: "noCommonProposal",
    connection,
    place,
    remote,
    role: "responder",
    protocol: "ike",
    received: sa.proposals,
    configured,
    difference: proposalDifference(configured, sa.proposals),
  });
}

interface ProposalChoice {
  readonly selection: Selection;
  /** The connections that allow the choice. */
  readonly crowds: readonly Crowd[];
}

/** The first connection that finds common ground decides; the others that allow the same stay possible. */
function chooseProposal(
  candidates: readonly Crowd[],
  { proposals }: SaPayload,
  method: number,
  negotiation: Negotiation,
): ProposalChoice | undefined {
  const allows = (crowd: Crowd, offered: SaPayload["proposals"]) =>
    selectProposal(crowd[0]?.ike.proposals ?? [], offered, negotiation, method);
  for (const candidate of candidates) {
    const selection = allows(candidate, proposals);
    if (selection === undefined) continue;
    const answer = [selection.proposal];
    const crowds = candidates.filter((one) => one === candidate || allows(one, answer) !== undefined);
    return { selection, crowds };
  }
  return undefined;
}

function openHalf(
  turn: Turn,
  request: InitRequest,
  digest: string,
  slot: HalfOpenIkeSa["slot"],
  connections: readonly Connection[],
  { proposal, chosen }: Selection,
): void {
  const { machine, now } = turn;
  const { header, message, local, remote, ke, nonce } = request;
  const id = IkeSaId(machine.nextIkeSaId++);
  const isForced = connections[0]?.encapsulation !== "esp";
  const suite = ikeSuiteOf(chosen);
  const half: HalfOpenIkeSa = {
    state: "halfOpen",
    digest,
    id,
    isOriginalInitiator: false,
    initiatorSpi: header.initiatorSpi,
    responderSpi: freshIkeSpi(machine),
    local,
    remote,
    begunAt: now,
    expiresAt: after(now, HALF_OPEN_LIFETIME),
    slot,
    candidates: connections.map(({ name }) => name),
    request: request.bytes,
    proposal,
    response: undefined,
    repeatable: newRepeatable(now),
    repeats: 0,
    suite,
    nonces: { initiator: nonce.data, responder: machine.random.publicBytes(NONCE_LENGTH) },
    peerPublicValue: ke.data,
    keyExchange: { method: suite.ke, privateValue: EMPTY, publicValue: EMPTY },
    nat: natSituation(message.payloads, header, local, remote, isForced),
    protection: undefined,
    fragmentation: agreedFragmentation(connections[0]?.ike.fragmentation, message.payloads),
    window: newMessageWindow({ own: 0, peer: 1 }), // [MID-01]
    inbox: [],
    failedOpens: 0,
    usesPpk:
      findNotify(message.payloads, NotifyType.USE_PPK) !== undefined &&
      connections.some(({ ppk }) => ppk !== undefined),
    additional: additionalOf(suite),
    intermediateId: undefined,
    hashes: signatureHashes(message.payloads),
    auth: undefined,
    isRefused: false,
    job: undefined,
  };
  addIkeSa(machine, half);
  occupy(machine, slot);
  machine.byRequest.set(digest, id);
  traceInit(turn, half, "inbound", request.bytes);
  half.job = startJob(turn, id, { kind: "generateKeyExchange", method: suite.ke });
}

/** Our key pair is there: sends the response. */
export function answerInit(turn: Turn, sa: HalfOpenIkeSa, result: WorkResult): void {
  if (result.kind !== "keyExchange") {
    forget(turn, sa);
    return;
  }
  const { method } = sa.keyExchange;
  const { privateValue, publicValue } = result;
  wipe(sa.keyExchange.privateValue);
  sa.keyExchange = { method, privateValue, publicValue };
  const { initiatorSpi, responderSpi, nat } = sa;
  const source = nat.isForced
    ? unmatchableHash(turn.machine.random)
    : natHash(initiatorSpi, responderSpi, sa.local);
  sa.response = encodeMessage(
    {
      initiatorSpi,
      responderSpi,
      exchangeType: ExchangeType.IKE_SA_INIT,
      isFromInitiator: false,
      isResponse: true,
      messageId: 0,
    },
    [
      { kind: "SA", proposals: [{ ...sa.proposal, spi: EMPTY }] },
      { kind: "KE", method, data: publicValue },
      { kind: "Nonce", data: sa.nonces.responder },
      // To a peer without NAT traversal they would mean nothing.
      ...(nat.isSupported ? natNotifies(source, natHash(initiatorSpi, responderSpi, sa.remote)) : []),
      ...(sa.fragmentation === undefined ? [] : fragmentationNotify(sa.fragmentation.octets)),
      ...(mayBeChildless(turn, sa) ? [notify(NotifyType.CHILDLESS_IKEV2_SUPPORTED)] : []),
      ...(sa.additional === undefined ? [] : [notify(NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED)]),
      ...(sa.usesPpk ? [notify(NotifyType.USE_PPK)] : []), // [PQ-01]
      ...certificateRequests(trustsOf(turn, sa)),
      ...(sa.hashes === undefined ? [] : [signatureHashesNotify()]), // [AUTH-13]
    ],
  );
  traceInit(turn, sa, "outbound", sa.response);
  send(turn, sa.local, sa.remote, sa.response);
}

/** [CHILD-27] said when every connection that the peer may be takes IKE SAs without a child (RFC 6023 section 3). */
function mayBeChildless({ machine }: Turn, { candidates }: HalfOpenIkeSa): boolean {
  return candidates.every((name) => machine.connections.get(name)?.ike.childless !== "never");
}

/** How the peer may have to prove itself, for all connections that it may be. */
function trustsOf({ machine }: Turn, { candidates }: HalfOpenIkeSa) {
  return candidates.flatMap((name) => machine.connections.get(name)?.remote.auth ?? []);
}
