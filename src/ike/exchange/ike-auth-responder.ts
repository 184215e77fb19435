/** IKE_AUTH as its responder: who is it, does it prove it, and its first child (RFC 7296 sections 1.2, 2.15 and 2.21.2). */

import { after, earlier } from "../../base/instant.ts";
import { crowdsFor } from "../../policy/caller-index.ts";
import type { Connection, Identification } from "../../policy/connection.ts";
import {
  connectionsFor,
  connectionsForIdentities,
  expectedIdentity,
  isPattern,
  localIdentity,
  matchIdentity,
} from "../../policy/pad.ts";
import { decodePayloadChain } from "../../wire/ike/message.ts";
import type { AuthPayload, IdPayload, Payload } from "../../wire/ike/payload.ts";
import { AuthMethod, ExchangeType, NotifyType } from "../../wire/ike/registries.ts";
import { WireError } from "../../wire/wire-error.ts";
import { requestedAuthorities } from "../auth/certificate-payloads.ts";
import { identityOf } from "../auth/claimed-identity.ts";
import { proveOurselves } from "../auth/own-proof.ts";
import { checkPeer } from "../auth/peer-check.ts";
import { choosePpk, mixPpk, type PpkChoice, wipeUnmixed } from "../auth/ppk.ts";
import { verifySharedKeyMic } from "../auth/psk.ts";
import { authOctets } from "../auth/signed-octets.ts";
import type { ProofFacts } from "../connection-state.ts";
import {
  BESIDE_DEFERRAL,
  EXPECTED_TOLD_MAX,
  HALF_OPEN_REFUSED_LIFETIME,
  IKE_SAS_PER_CONNECTION_MAX,
} from "../limits.ts";
import type { WorkResult } from "../machine.ts";
import { hasMetNat } from "../negotiation/mobike-notifies.ts";
import { FIRST_CHILD_NEGOTIATION } from "../negotiation/proposal.ts";
import type { AuthenticationCause, FailureNotice } from "../notice.ts";
import { lifetimeNotifies, newAuthentication } from "../sa/authentication.ts";
import { childKeys } from "../sa/child-keys.ts";
import { announceChild, deferOutbound, installInbound, installOutbound } from "../sa/child-lifecycle.ts";
import type { EstablishedIkeSa, HalfOpenIkeSa, InitTranscript, PendingAuth } from "../sa/ike-sa.ts";
import type { InnerPayloads } from "../sa/int-auth.ts";
import { announceIkeSa, newEstablishedIkeSa, releaseHalfOpen } from "../sa/lifecycle.ts";
import { sendResponse } from "../sa/message-exchange.ts";
import { agreedMobike, mobikeNotifies } from "../sa/mobike.ts";
import { isBesideAnother } from "../sa/same-peer.ts";
import type { Protection } from "../sa/sk-payload.ts";
import {
  about,
  callerName,
  establishedOf,
  failureReason,
  instanceOf,
  lowerNonce,
  notice,
  noticeRefusal,
  noticeStranger,
  startJob,
  type Turn,
} from "../turn.ts";
import { type ChildVerdict, judgeChildRequest } from "./child-request.ts";

import { refusesSecond, settleDuplicates } from "./duplicate-ike-sa.ts";

import { find, findNotify, notify, unknownCritical } from "./payload-list.ts";

/** Its keys are there. */
export type Opened = HalfOpenIkeSa & { protection: Protection };

/** An authentic IKE_AUTH request, the next one of the window. */
export function answerAuth(turn: Turn, sa: Opened, { first, bytes }: InnerPayloads, messageId: number): void {
  let payloads: readonly Payload[];
  try {
    payloads = decodePayloadChain(first, bytes);
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
  const auth = find(payloads, "AUTH");
  const identified = identify(turn, sa, idi, find(payloads, "IDr"), auth);
  if (auth === undefined || identified.kind === "nobody") {
    const failure = identified.kind === "nobody" ? identified.failure : undefined;
    if (auth !== undefined && checkForNothing(turn, sa, messageId, payloads, { idi, auth, failure })) return;
    refuse(turn, sa, messageId, NotifyType.AUTHENTICATION_FAILED, failure); // [AUTH-07]
    return;
  }
  const { candidates } = identified;
  checkCandidates(turn, sa, {
    messageId,
    payloads,
    step: "checking",
    peerProof: undefined,
    certificates: [],
    candidates: candidates.map(({ name }) => name),
    failure: undefined,
  });
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
  end(turn, sa, ExchangeType.IKE_AUTH, messageId, notify(notifyType, data));
  const connection = callerName(turn.machine, sa.candidates);
  if (failure === undefined) {
    const what = "IKE_AUTH request";
    const whom = connection === undefined ? {} : { connection };
    notice(turn, { code: "refused", ...whom, remote: sa.remote, exchange: "IKE_AUTH", notifyType, what });
    return;
  }
  noticeStranger(turn, failure);
}

/** Says no; what is left of it repeats that, for a while. */
export function end(turn: Turn, sa: Opened, exchangeType: number, messageId: number, refusal: Payload): void {
  sa.isRefused = true;
  sa.expiresAt = earlier(sa.expiresAt, after(turn.now, HALF_OPEN_REFUSED_LIFETIME)) ?? sa.expiresAt;
  sendResponse(turn, sa, exchangeType, messageId, [refusal]);
}

type Identified =
  /** The connections whose identities fit (RFC 4301 section 4.4.3). */
  | { readonly kind: "candidates"; readonly candidates: readonly Connection[] }
  | { readonly kind: "nobody"; readonly failure: FailureNotice | undefined };

function identify(
  turn: Turn,
  sa: Opened,
  idi: IdPayload,
  idr: IdPayload | undefined,
  auth: AuthPayload | undefined,
): Identified {
  const peer = identityOf(idi);
  const { local, remote } = sa;
  // The configuration may be another one than when the peer began.
  const fitting = connectionsFor(connectionsNamed(turn, sa.candidates), local.address, remote.address);
  const asked = idr && identityOf(idr);
  const possible = withoutPatternsBeside(turn, withoutBroader(turn, sa, fitting, peer, asked), peer);
  const [first] = possible;
  if (first === undefined) return { kind: "nobody", failure: undefined };
  const [named] = connectionsForIdentities(possible, local.address, remote.address, peer, undefined);
  if (named === undefined) {
    const expected = possible
      .map((one) => expectedIdentity(one, remote.address))
      .filter((identity) => identity !== "any");
    const names = possible.map(({ name }) => name);
    const whom = { connection: callerName(turn.machine, names) ?? first.name, remote, place: first.place };
    const others = expected.length - EXPECTED_TOLD_MAX;
    const told = { expected: expected.slice(0, EXPECTED_TOLD_MAX), ...(others > 0 ? { others } : {}) };
    const ids = first.oneOf === undefined ? {} : ({ areIds: true } as const);
    const mismatch = { role: "responder", received: peer, ...told, ...ids } as const;
    return { kind: "nobody", failure: { code: "identityMismatch", ...whom, ...mismatch } };
  }
  const candidates = connectionsForIdentities(possible, local.address, remote.address, peer, asked);
  if (asked !== undefined && candidates.length === 0) {
    const ours = localIdentity(named, local.address);
    const whom = { connection: named.name, remote, place: named.place };
    return { kind: "nobody", failure: { code: "localIdentityMismatch", ...whom, asked, ours } };
  }
  if (auth === undefined) return { kind: "nobody", failure: authFailure(sa, named, peer, 0, "otherMethod") };
  return { kind: "candidates", candidates };
}

/**
 * Whom a connection names is no peer of one that takes more callers: not while the first is taken down, nor by proposals
 * that the first does not have.
 */
function withoutBroader(
  { machine }: Turn,
  { local, remote }: Opened,
  candidates: readonly Connection[],
  peer: Identification,
  asked: Identification | undefined,
): readonly Connection[] {
  const crowds = crowdsFor(machine.callers, local.address, remote.address);
  // As a rule nobody was left out, and thousands need not be compared twice.
  if (crowds.reduce((sum, { length }) => sum + length, 0) === candidates.length) return candidates;
  const deciding = connectionsForIdentities(crowds.flat(), local.address, remote.address, peer, asked);
  if (deciding.length === 0) return candidates;
  const names = new Set(deciding.map(({ name }) => name));
  return candidates.filter(({ name }) => names.has(name));
}

/** Whom `remote.ids` names is no peer of a pattern beside it: neither with that one's key, nor while it is taken down itself. */
function withoutPatternsBeside(
  { machine }: Turn,
  candidates: readonly Connection[],
  peer: Identification,
): readonly Connection[] {
  const patterns = candidates.filter(
    ({ oneOf, remote: { id } }) => oneOf !== undefined && typeof id === "object" && isPattern(id),
  );
  if (patterns.length === 0) return candidates;
  const naming = new Set<string | undefined>();
  for (const { oneOf, remote } of machine.connections.values())
    if (oneOf !== undefined && typeof remote.id === "object" && !isPattern(remote.id))
      if (matchIdentity(remote.id, peer)) naming.add(oneOf.connection);
  return candidates.filter((one) => !patterns.includes(one) || !naming.has(one.oneOf?.connection));
}

const NO_SECRET = new Uint8Array(32);

/**
 * Takes as long as a check of somebody known: how soon an answer comes does not tell which identities are [AUTH-21]. A signature
 * is held against what the first connection that takes signatures trusts, whatever comes of it.
 * @returns whether the refusal waits for that
 */
function checkForNothing(
  turn: Turn,
  sa: Opened,
  messageId: number,
  payloads: readonly Payload[],
  claim: { readonly idi: IdPayload; readonly auth: AuthPayload; readonly failure: FailureNotice | undefined },
): boolean {
  const { idi, auth, failure } = claim;
  const octets = authOctets(sa.protection, transcriptOf(sa), true, idi);
  if (auth.method === AuthMethod.SHARED_KEY) {
    verifySharedKeyMic(sa.protection, octets, NO_SECRET, auth.data);
    return false;
  }
  const trust = connectionsNamed(turn, sa.candidates)
    .map(({ remote }) => remote.auth)
    .find(({ kind }) => kind !== "psk");
  const check = trust && checkPeer(sa.protection, octets, trust, identityOf(idi), auth, payloads);
  if (check?.kind !== "asked") return false;
  const nobody = { step: "checking", peerProof: undefined, certificates: [], candidates: [] } as const;
  sa.auth = { ...nobody, messageId, payloads, failure };
  sa.job = startJob(turn, sa.id, check.work);
  return true;
}

function connectionsNamed({ machine }: Turn, names: readonly string[]): readonly Connection[] {
  return names.map((name) => machine.connections.get(name)).filter((connection) => connection !== undefined);
}

function authFailure(
  { remote }: Opened,
  { name, place, remote: { auth } }: Connection,
  identity: Identification,
  method: number,
  cause: AuthenticationCause,
): FailureNotice {
  const how = { role: "responder", cause, expects: auth.kind, identity, method } as const;
  return { code: "authenticationFailed", connection: name, remote, place, ...how };
}

/** Looks at one connection after the other until the peer proves what it expects [AUTH-09]. */
function checkCandidates(turn: Turn, sa: Opened, pending: PendingAuth): void {
  const idi = find(pending.payloads, "IDi");
  const auth = find(pending.payloads, "AUTH");
  sa.auth = undefined;
  if (idi === undefined || auth === undefined) return;
  const peer = identityOf(idi);
  let { failure } = pending;
  const candidates = connectionsNamed(turn, pending.candidates);
  for (const [i, connection] of candidates.entries()) {
    const ppk = choosePpk(connection, sa.usesPpk, pending.payloads);
    if (ppk.kind === "refused") {
      const whom = { connection: connection.name, remote: sa.remote, place: connection.place };
      const { reason, id } = ppk;
      failure ??= { code: "ppkRefused", ...whom, reason, ...(id === undefined ? {} : { id }) };
      continue;
    }
    const protection = protectionWith(sa, ppk);
    const octets = authOctets(protection, transcriptOf(sa), true, idi);
    if (protection !== sa.protection) wipeUnmixed(protection);
    const presented = ppk.kind === "bare" ? { ...auth, data: ppk.data } : auth;
    const check = checkPeer(sa.protection, octets, connection.remote.auth, peer, presented, pending.payloads);
    const left = { ...pending, candidates: candidates.slice(i).map(({ name }) => name), failure };
    if (check.kind === "proven") {
      prove(turn, sa, connection, { ...left, peerProof: { method: auth.method } });
      return;
    }
    if (check.kind === "asked") {
      sa.auth = left;
      sa.job = startJob(turn, sa.id, check.work);
      return;
    }
    failure = moreTelling(failure, authFailure(sa, connection, peer, auth.method, check.cause));
  }
  const isUncompared = failure?.code === "authenticationFailed" && failure.cause === "otherMethod";
  const { messageId, payloads } = pending;
  if (isUncompared && checkForNothing(turn, sa, messageId, payloads, { idi, auth, failure })) return;
  refuse(turn, sa, pending.messageId, NotifyType.AUTHENTICATION_FAILED, failure);
}

/** Of what spoke against two connections, what the operator should hear: a wrong key rather than another method. */
function moreTelling(before: FailureNotice | undefined, now: FailureNotice): FailureNotice {
  const isOther = (one: FailureNotice) => one.code === "authenticationFailed" && one.cause === "otherMethod";
  return before === undefined || (isOther(before) && !isOther(now)) ? now : before;
}

/** The keys that AUTH is about: with a PPK mixed in, or as they are. */
function protectionWith({ protection }: Opened, choice: PpkChoice): Protection {
  return choice.kind === "mixed" ? mixPpk(protection, choice.ppk) : protection;
}

/** The peer is who it says: makes our AUTH, or has it made. */
function prove(turn: Turn, sa: Opened, connection: Connection, pending: PendingAuth): void {
  const own = localIdentity(connection, sa.local.address);
  const protection = protectionWith(sa, choosePpk(connection, sa.usesPpk, pending.payloads));
  const octets = authOctets(protection, transcriptOf(sa), false, own);
  if (protection !== sa.protection) wipeUnmixed(protection);
  const takes = { hashes: sa.hashes, authorities: requestedAuthorities(pending.payloads) };
  const proof = proveOurselves(sa.protection, octets, connection.local.auth, takes);
  if (proof.kind === "made") {
    establish(turn, sa, connection, pending, proof.auth, { method: proof.auth.method });
    return;
  }
  if (proof.kind === "impossible") {
    const { name, place } = connection;
    const whom = { connection: name, remote: sa.remote, place };
    const failure: FailureNotice = { code: "noCommonSignature", ...whom };
    refuse(turn, sa, pending.messageId, NotifyType.AUTHENTICATION_FAILED, failure);
    return;
  }
  sa.auth = { ...pending, step: "proving", certificates: proof.certificates };
  sa.job = startJob(turn, sa.id, proof.work);
}

/** The peer's AUTH has been judged, or ours is there. */
export function continueAuthAnswer(
  turn: Turn,
  sa: HalfOpenIkeSa,
  pending: PendingAuth,
  result: WorkResult,
): void {
  const opened = sa as Opened;
  const { payloads, candidates, step, messageId } = pending;
  const [connection] = connectionsNamed(turn, candidates.slice(0, 1));
  const idi = find(payloads, "IDi");
  sa.auth = undefined;
  if (idi === undefined || connection === undefined) {
    refuse(turn, opened, messageId, NotifyType.AUTHENTICATION_FAILED, pending.failure);
    return;
  }
  if (step === "proving" && result.kind === "signed") {
    const { kind: _, data, ...proof } = result;
    establish(turn, opened, connection, pending, { kind: "AUTH", method: proof.method, data }, proof);
    return;
  }
  const method = find(payloads, "AUTH")?.method ?? 0;
  if (step === "checking" && result.kind === "peerVerified") {
    const { kind: _, ...facts } = result;
    prove(turn, opened, connection, { ...pending, peerProof: { method, ...facts } });
    return;
  }
  if (step === "checking" && result.kind === "peerRefused") {
    const failure = moreTelling(
      pending.failure,
      authFailure(opened, connection, identityOf(idi), method, { notProven: result.finding }),
    );
    checkCandidates(turn, opened, { ...pending, candidates: candidates.slice(1), failure });
    return;
  }
  const { name, place } = connection;
  const what = step === "proving" ? "proof" : "check";
  const whom = { connection: name, remote: sa.remote, place };
  const reason = failureReason(result);
  refuse(turn, opened, messageId, NotifyType.AUTHENTICATION_FAILED, {
    code: "authenticationNotComputed",
    ...whom,
    what,
    reason,
  });
}

function transcriptOf({ request, response, nonces, additional, window }: HalfOpenIkeSa): InitTranscript {
  const init = { request, response: response ?? new Uint8Array(0), nonces };
  if (additional === undefined) return init;
  const { initiator, responder } = additional;
  return { ...init, intermediate: { initiator, responder, authMessageId: window.expectedRequestId } };
}

function establish(
  turn: Turn,
  sa: Opened,
  connection: Connection,
  { payloads, messageId, certificates, peerProof }: PendingAuth,
  auth: AuthPayload,
  ours: ProofFacts,
): void {
  const { machine } = turn;
  const idi = find(payloads, "IDi");
  if (idi === undefined) return;
  const peerIdentity = identityOf(idi);
  if (establishedOf(machine, connection.name).length >= IKE_SAS_PER_CONNECTION_MAX) {
    refuse(turn, sa, messageId, NotifyType.AUTHENTICATION_FAILED, undefined);
    return;
  }
  if (find(payloads, "SA") === undefined && connection.ike.childless === "never") {
    refuse(turn, sa, messageId, NotifyType.INVALID_SYNTAX, undefined);
    return;
  }
  const isInitialContact = findNotify(payloads, NotifyType.INITIAL_CONTACT) !== undefined;
  const own = localIdentity(connection, sa.local.address);
  if (!isInitialContact && refusesSecond(turn, connection, own, peerIdentity)) {
    const { place } = connection;
    const whom = { connection: connection.name, remote: sa.remote, place };
    refuse(turn, sa, messageId, NotifyType.AUTHENTICATION_FAILED, {
      code: "duplicateRefused",
      ...whom,
      identity: peerIdentity,
    });
    return;
  }
  const ppk = choosePpk(connection, sa.usesPpk, payloads);
  const protection = protectionWith(sa, ppk);
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
      proofs: { ours, theirs: peerProof ?? { method: 0 } },
      nat: sa.nat,
      protection,
      fragmentation: sa.fragmentation,
      window: sa.window,
      authenticatedAt: turn.now,
      authentication: newAuthentication(connection, "peer", undefined, turn.now, machine.random),
      lowestNonce: lowerNonce(sa.nonces.initiator, sa.nonces.responder),
    },
    connection.ike.rekey,
  );
  established.mobike = agreedMobike(machine, connection, sa, payloads);
  if (hasMetNat(payloads, sa)) {
    if (protection !== sa.protection) wipeUnmixed(protection);
    notice(turn, { code: "unexpectedNat", ...about(established), from: sa.remote });
    refuse(turn, sa, messageId, NotifyType.UNEXPECTED_NAT_DETECTED, undefined); // [MOB-05]
    return;
  }
  const verdict = judgeFirstChild(turn, established, sa, payloads);
  if (verdict === "malformed") {
    if (protection !== sa.protection) wipeUnmixed(protection);
    refuse(turn, sa, messageId, NotifyType.INVALID_SYNTAX, undefined);
    return;
  }
  releaseHalfOpen(machine, sa);
  if (protection !== sa.protection) wipeUnmixed(sa.protection);
  announceIkeSa(turn, established);
  if (sa.nat.weAreBehind || sa.nat.peerIsBehind)
    notice(turn, { code: "natDetected", ...about(established), nat: sa.nat });
  const confirmation = ppk.kind === "mixed" ? [notify(NotifyType.PPK_IDENTITY)] : [];
  const mobike = established.mobike && mobikeNotifies(machine, connection, sa, "responder");
  const more = [...confirmation, ...lifetimeNotifies(connection), ...(mobike ?? [])];
  const identity = [{ kind: "IDr", ...own }, ...certificates, auth, ...more] as const;
  respond(turn, established, messageId, identity, verdict);
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
    const { planned, answer, nonces } = verdict;
    const keys = childKeys(sa.protection, nonces, undefined, planned.suite);
    const agreed = { ...planned, keys };
    const { child, outbound } = installInbound(turn, sa, { ...agreed, isFirst: true });
    sendResponse(turn, sa, ExchangeType.IKE_AUTH, messageId, [...identity, ...answer]);
    if (isBesideAnother(turn, sa, child.name)) deferOutbound(turn, child, outbound, BESIDE_DEFERRAL);
    else installOutbound(turn, outbound);
    announceChild(turn, sa, child, agreed);
    return;
  }
  const refusal = verdict?.kind === "refused" ? [verdict.notify] : [];
  sendResponse(turn, sa, ExchangeType.IKE_AUTH, messageId, [...identity, ...refusal]);
  if (verdict?.kind === "refused" && verdict.failure !== undefined)
    noticeRefusal(turn, sa.connection, verdict.failure);
}
