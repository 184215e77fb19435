/** IKE_AUTH as its initiator: prove who we are, check who the peer is, take the first child along (RFC 7296 sections 1.2 and 2.15). */
import { wipe } from "../../base/bytes.ts";
import type { ChildConfiguration, Connection, Ppk } from "../../policy/connection.ts";
import { expectedIdentity, isPattern, localIdentity, matchIdentity } from "../../policy/pad.ts";
import { encodeChildSpi } from "../../wire/ike/child-spi.ts";
import type { AuthPayload, IdPayload, Payload } from "../../wire/ike/payload.ts";
import { ExchangeType, NAT_TRAVERSAL_PORT, NotifyType } from "../../wire/ike/registries.ts";
import { certificateRequests } from "../auth/certificate-payloads.ts";
import { identityOf } from "../auth/claimed-identity.ts";
import { proveOurselves } from "../auth/own-proof.ts";
import { checkPeer, type PeerCheck } from "../auth/peer-check.ts";
import { mixPpk, ppkIdentity, wipeUnmixed } from "../auth/ppk.ts";
import { rejectionOf } from "../auth/rejection.ts";
import { authOctets } from "../auth/signed-octets.ts";
import type { ProofFacts } from "../connection-state.ts";
import { childKeeper, isChildWanted, type Keeper } from "../keep-state.ts";
import { isKnown } from "../known-peers.ts";
import type { WorkResult } from "../machine.ts";
import { childProtocol } from "../negotiation/child-protocol.ts";
import { selectorPayloads } from "../negotiation/child-selectors.ts";
import { flowNotifies } from "../negotiation/flow-confidentiality.ts";
import { FIRST_CHILD_NEGOTIATION, toProposals } from "../negotiation/proposal.ts";
import { offerFor } from "../negotiation/selector-pairs.ts";
import { hasResources, resourceNotifies } from "../negotiation/siblings.ts";
import { betweenHosts, transportNotify } from "../negotiation/transport-mode.ts";
import type { AuthenticationCause, FailureNotice } from "../notice.ts";
import { newAuthentication, toldLifetime } from "../sa/authentication.ts";
import { announceChild, installInbound, installOutbound } from "../sa/child-lifecycle.ts";
import { additionalOf, protectionFor } from "../sa/ike-keys.ts";
import type {
  AuthenticatingIkeSa,
  EstablishedIkeSa,
  FirstChild,
  InitiatingIkeSa,
  InitTranscript,
} from "../sa/ike-sa.ts";
import {
  announceIkeSa,
  forget,
  leave,
  newEstablishedIkeSa,
  noteChildFailure,
  noteConnectionFailure,
} from "../sa/lifecycle.ts";
import { sendRequest } from "../sa/message-exchange.ts";
import { newMessageWindow } from "../sa/message-window.ts";
import { agreedMobike, mobikeNotifies, offersMobike } from "../sa/mobike.ts";
import { beginHandOver } from "../sa/same-peer.ts";
import { wipeProtection } from "../sa/sk-payload.ts";
import {
  about,
  addIkeSa,
  childConfiguration,
  failureReason,
  instanceOf,
  keeperOf,
  lowerNonce,
  notice,
  protocolOfChild,
  startJob,
  type Turn,
} from "../turn.ts";
import { type ChildAsked, readChildAnswer } from "./child-answer.ts";
import { handleRefusal, settleNewChild } from "./child-refusal.ts";
import { settleDuplicates } from "./duplicate-ike-sa.ts";
import { beginIntermediate, continueIntermediate } from "./ike-intermediate-initiator.ts";
import { find, findError, findNotify, notify } from "./payload-list.ts";

/** The shared secret is there: derives the keys; additional key exchanges are next, or IKE_AUTH. */
export function beginAuth(turn: Turn, sa: InitiatingIkeSa, secret: Uint8Array): void {
  const { machine } = turn;
  const connection = machine.connections.get(sa.connection);
  const { answer, request } = sa;
  if (connection === undefined || answer === undefined || request === undefined) return;
  const impossible = encapsulationProblem(sa, connection);
  if (impossible !== undefined) {
    wipe(secret);
    forget(turn, sa);
    noteConnectionFailure(turn, sa, impossible);
    return;
  }
  const nonces = { initiator: sa.nonce, responder: answer.peerNonce };
  const spis = { initiator: sa.initiatorSpi, responder: answer.responderSpi };
  const protection = protectionFor(answer.suite, nonces, spis, secret);
  wipe(secret, sa.keyExchange.privateValue);
  const { local, remote } = portsFor(turn, sa, connection);
  const firstChild = reserveFirstChild(turn, connection, keeperOf(machine, connection.name), sa);
  if (firstChild === "full") {
    wipeProtection(protection);
    forget(turn, sa);
    noteConnectionFailure(turn, sa, { code: "saTableFull", ...about(sa) });
    return;
  }
  const authenticating: AuthenticatingIkeSa = {
    state: "authenticating",
    phase: "proving",
    id: sa.id,
    isOriginalInitiator: true,
    initiatorSpi: sa.initiatorSpi,
    responderSpi: answer.responderSpi,
    local,
    remote,
    connection: sa.connection,
    startedAt: sa.startedAt,
    protection,
    fragmentation: answer.fragmentation,
    window: newMessageWindow({ own: 1, peer: 0 }), // [MID-01]
    transcript: { request: request.bytes, response: answer.bytes, nonces },
    nat: answer.nat,
    localIdentity: localIdentity(connection, local.address),
    firstChild,
    usesPpk: answer.usesPpk,
    noPpkAuth: undefined,
    additional: additionalOf(answer.suite),
    keyExchange: undefined,
    takes: answer.takes,
    proof: undefined,
    certificates: [],
    response: undefined,
    job: undefined,
    inbox: [],
    renews: sa.renews,
  };
  addIkeSa(machine, authenticating);
  if (answer.nat.weAreBehind || answer.nat.peerIsBehind)
    notice(turn, { code: "natDetected", ...about(sa), nat: answer.nat });
  if (!beginIntermediate(turn, authenticating)) prove(turn, authenticating, connection);
}

/** Makes our AUTH, or has it made. */
function prove(turn: Turn, sa: AuthenticatingIkeSa, connection: Connection): void {
  sa.phase = "proving";
  const octets = ownOctets(sa, connection);
  const proof = proveOurselves(sa.protection, octets, connection.local.auth, sa.takes);
  if (proof.kind === "made") {
    proven(turn, sa, connection, proof.auth, { method: proof.auth.method });
    return;
  }
  if (proof.kind === "impossible") {
    abandon(turn, sa, { code: "noCommonSignature", ...about(sa), place: connection.place });
    return;
  }
  sa.certificates = proof.certificates;
  sa.job = startJob(turn, sa.id, proof.work);
}

/** The PPK of our call, where both ends have one. */
function ppkOf({ usesPpk }: AuthenticatingIkeSa, { ppk }: Connection): Ppk | undefined {
  return usesPpk ? ppk?.keys[0] : undefined;
}

/** Whether our AUTH is made without the PPK first, for a peer that may not know this one [PQ-03]. */
function isBareFirst(sa: AuthenticatingIkeSa, connection: Connection): boolean {
  return (
    ppkOf(sa, connection) !== undefined && connection.ppk?.isRequired === false && sa.noPpkAuth === undefined
  );
}

function ownOctets(sa: AuthenticatingIkeSa, connection: Connection): Uint8Array {
  const ppk = ppkOf(sa, connection);
  const { protection, transcript, localIdentity: identity } = sa;
  if (ppk === undefined || isBareFirst(sa, connection))
    return authOctets(protection, transcript, true, identity);
  const mixed = mixPpk(protection, ppk);
  const octets = authOctets(mixed, transcript, true, identity);
  wipeUnmixed(mixed);
  return octets;
}

/** Our AUTH is made: once more with the PPK, or sent. */
function proven(
  turn: Turn,
  sa: AuthenticatingIkeSa,
  connection: Connection,
  auth: AuthPayload,
  proof: Parameters<typeof sendAuth>[4],
): void {
  if (isBareFirst(sa, connection)) {
    sa.noPpkAuth = auth.data;
    prove(turn, sa, connection);
    return;
  }
  sendAuth(turn, sa, connection, auth, proof);
}

/** Nothing was sent under the keys yet, or nothing that the peer sent is worth an answer. */
function abandon(turn: Turn, sa: AuthenticatingIkeSa, failure: FailureNotice): void {
  forget(turn, sa);
  noteConnectionFailure(turn, sa, failure);
}

/** An additional key exchange goes on, our AUTH is there, or the peer's has been judged. */
export function continueAuth(turn: Turn, sa: AuthenticatingIkeSa, result: WorkResult): void {
  sa.job = undefined;
  const connection = turn.machine.connections.get(sa.connection);
  if (connection === undefined) {
    forget(turn, sa);
    return;
  }
  const { place } = connection;
  if (sa.phase === "exchanging") {
    if (continueIntermediate(turn, sa, result)) prove(turn, sa, connection);
    return;
  }
  if (sa.phase === "proving") {
    if (result.kind === "signed") {
      const { kind: _, data, ...proof } = result;
      proven(turn, sa, connection, { kind: "AUTH", method: proof.method, data }, proof);
      return;
    }
    const reason = failureReason(result);
    abandon(turn, sa, { code: "authenticationNotComputed", ...about(sa), what: "proof", reason, place });
    return;
  }
  const { response } = sa;
  const idr = response && find(response, "IDr");
  const auth = response && find(response, "AUTH");
  if (response === undefined || idr === undefined || auth === undefined) return;
  sa.response = undefined;
  if (result.kind === "peerVerified") {
    const { kind: _, ...facts } = result;
    establish(turn, sa, connection, idr, response, { method: auth.method, ...facts });
    return;
  }
  rejectPeer(turn, sa);
  noteConnectionFailure(turn, sa, checkFailure(sa, connection, idr, auth, result));
}

function checkFailure(
  sa: AuthenticatingIkeSa,
  connection: Connection,
  idr: IdPayload,
  auth: AuthPayload,
  result: WorkResult,
): FailureNotice {
  const { place } = connection;
  if (result.kind === "peerRefused")
    return authFailure(sa, connection, idr, auth, { notProven: result.finding });
  const reason = failureReason(result);
  return { code: "authenticationNotComputed", ...about(sa), what: "check", reason, place };
}

function encapsulationProblem(
  sa: InitiatingIkeSa,
  { encapsulation, children, place }: Connection,
): FailureNotice | undefined {
  const nat = sa.answer?.nat;
  if (nat === undefined || encapsulation === "auto") return undefined;
  const isTranslated = nat.weAreBehind || nat.peerIsBehind;
  if (encapsulation === "udp" ? nat.isSupported : !isTranslated) return undefined;
  const isForAh = children.some(({ proposals }) => childProtocol(proposals) === "ah");
  const why = { wanted: encapsulation, nat, place, ...(isForAh ? { protocol: "ah" as const } : {}) };
  return { code: "encapsulationImpossible", ...about(sa), ...why };
}

/** [NAT-02] from the IKE_AUTH request on everything uses the NAT port, when anything speaks for it. */
function portsFor({ machine }: Turn, { local, remote, answer }: InitiatingIkeSa, connection: Connection) {
  const nat = answer?.nat;
  if (nat === undefined || !nat.isSupported) return { local, remote };
  // [MOB-08] whoever may move does so before a NAT is met.
  const isReason = nat.weAreBehind || nat.peerIsBehind || nat.isForced || offersMobike(connection);
  if (!isReason) return { local, remote };
  const { ports } = machine;
  // A peer with a port of its own for IKE is one of ours, set up like us.
  const port = remote.port === ports.ike ? ports.nat : NAT_TRAVERSAL_PORT;
  return {
    local: { address: local.address, port: ports.nat },
    remote: { address: remote.address, port },
  };
}

/** The child to bring along, if any. */
function reserveFirstChild(
  { machine }: Turn,
  connection: Connection,
  keeper: Keeper,
  sa: InitiatingIkeSa,
): FirstChild | undefined | "full" {
  const wanted = firstChildOf(machine, connection, keeper, sa);
  if (wanted === undefined) return undefined;
  const asker = childKeeper(keeper, wanted.name).packet ?? sa.packet;
  try {
    const inboundSpi = machine.spis.reserve();
    return {
      name: wanted.name,
      inboundSpi,
      offered: offerFor((betweenHosts(wanted, sa) ?? wanted).selectors, wanted.saPer ?? "all", 0, asker),
    };
  } catch {
    return "full";
  }
}

/**
 * Of a repeated authentication a child that the IKE SA before has, else one that is wanted; when there is none, the first of the
 * connection, unless the peer can do without (RFC 6023) [CHILD-27].
 */
function firstChildOf(
  machine: Turn["machine"],
  { children, ike }: Connection,
  keeper: Keeper,
  { renews, answer }: InitiatingIkeSa,
): ChildConfiguration | undefined {
  const childless = ike.childless ?? "allow";
  const canBeChildless = answer?.canBeChildless === true && childless !== "never";
  if (canBeChildless && childless === "prefer") return undefined;
  const old = renews === undefined ? undefined : machine.sas.get(renews);
  const standing = old?.state === "established" ? old.children : [];
  const isStanding = ({ name }: ChildConfiguration) =>
    standing.some((child) => child.name === name && child.state === "installed");
  const wanted = children.find(isStanding) ?? children.find((child) => isChildWanted(keeper, child));
  return wanted ?? (canBeChildless ? undefined : children[0]);
}

function sendAuth(
  turn: Turn,
  sa: AuthenticatingIkeSa,
  connection: Connection,
  auth: AuthPayload,
  proof: ProofFacts,
): void {
  const { localIdentity: identity, firstChild } = sa;
  sa.proof = proof;
  const expected = connection.remote.id;
  const idr: readonly IdPayload[] =
    expected === undefined || expected === "any" || isPattern(expected) ? [] : [{ kind: "IDr", ...expected }];
  const { knownPeers, sas } = turn.machine;
  const { mayBeKnown } = keeperOf(turn.machine, connection.name);
  const isOnly = connection.ike.unique !== "never" && !mayBeKnown && !isKnown(knownPeers, sas, sa);
  const payloads: Payload[] = [
    { kind: "IDi", ...identity },
    ...sa.certificates,
    ...(isOnly ? [notify(NotifyType.INITIAL_CONTACT)] : []),
    ...certificateRequests([connection.remote.auth]),
    ...idr,
    auth,
    ...ppkNotifies(sa, connection),
  ];
  const child = firstChild && childConfiguration(turn.machine, connection.name, firstChild.name);
  if (firstChild !== undefined && child !== undefined) {
    const proposals = toProposals(
      child.proposals,
      FIRST_CHILD_NEGOTIATION,
      encodeChildSpi(firstChild.inboundSpi),
    );
    payloads.push(
      ...transportNotify(child),
      { kind: "SA", proposals },
      ...selectorPayloads(firstChild.offered, "initiator"),
      ...flowNotifies(child, false, true),
      ...resourceNotifies(hasResources(turn.machine, child)),
    );
  }
  payloads.push(...mobikeNotifies(turn.machine, connection, sa, "initiator"));
  sa.phase = "sent";
  sendRequest(turn, sa, ExchangeType.IKE_AUTH, payloads, { kind: "auth" });
}

function ppkNotifies(sa: AuthenticatingIkeSa, connection: Connection): readonly Payload[] {
  const ppk = ppkOf(sa, connection);
  if (ppk === undefined) return [];
  const bare = sa.noPpkAuth === undefined ? [] : [notify(NotifyType.NO_PPK_AUTH, sa.noPpkAuth)];
  return [ppkIdentity(ppk), ...bare];
}

/** The response; it is protected by the keys, but only AUTH says who made it. */
export function handleAuthResponse(turn: Turn, sa: AuthenticatingIkeSa, payloads: readonly Payload[]): void {
  const connection = turn.machine.connections.get(sa.connection);
  const idr = find(payloads, "IDr");
  const auth = find(payloads, "AUTH");
  if (connection === undefined) {
    forget(turn, sa);
    return;
  }
  if (idr === undefined || auth === undefined) {
    forget(turn, sa);
    noteConnectionFailure(turn, sa, authRefusal(sa, connection, payloads));
    return;
  }
  const ppk = ppkOf(sa, connection);
  if (ppk !== undefined && findNotify(payloads, NotifyType.PPK_IDENTITY) !== undefined) {
    const bare = sa.protection;
    sa.protection = mixPpk(bare, ppk);
    wipeUnmixed(bare);
  } else if (connection.ppk?.isRequired === true) {
    rejectPeer(turn, sa);
    const { place } = connection;
    noteConnectionFailure(turn, sa, { code: "ppkRefused", ...about(sa), reason: "notUsed", place });
    return;
  }
  const outcome = authenticate(sa, connection, idr, auth, payloads);
  if (outcome.kind === "failed") {
    rejectPeer(turn, sa);
    noteConnectionFailure(turn, sa, outcome.failure);
    return;
  }
  if (outcome.kind === "proven") {
    establish(turn, sa, connection, idr, payloads, { method: auth.method });
    return;
  }
  sa.phase = "checking";
  sa.response = payloads;
  sa.job = startJob(turn, sa.id, outcome.work);
}

function authRefusal(
  sa: AuthenticatingIkeSa,
  connection: Connection,
  payloads: readonly Payload[],
): FailureNotice {
  const notifyType = findError(payloads)?.notifyType;
  if (notifyType === undefined)
    return { code: "refused", ...about(sa), exchange: "IKE_AUTH", what: "response without IDr or AUTH" };
  if (notifyType === NotifyType.AUTHENTICATION_FAILED) return rejectionOf(sa, connection, sa.proof);
  return { code: "errorFromPeer", ...about(sa), exchange: "IKE_AUTH", notifyType };
}

/** The peer must claim the identity that we expect and prove the key that goes with it [AUTH-09]. */
function authenticate(
  sa: AuthenticatingIkeSa,
  connection: Connection,
  idr: IdPayload,
  auth: AuthPayload,
  payloads: readonly Payload[],
): Exclude<PeerCheck, { kind: "disproved" }> | { readonly kind: "failed"; readonly failure: FailureNotice } {
  const { place } = connection;
  const received = { idType: idr.idType, data: idr.data };
  const expected = expectedIdentity(connection, sa.remote.address);
  if (expected !== "any" && !matchIdentity(expected, received)) {
    const mismatch = { role: "initiator", received, expected: [expected], place } as const;
    return { kind: "failed", failure: { code: "identityMismatch", ...about(sa), ...mismatch } };
  }
  const octets = authOctets(sa.protection, sa.transcript, false, idr);
  const check = checkPeer(sa.protection, octets, connection.remote.auth, received, auth, payloads);
  if (check.kind !== "disproved") return check;
  return { kind: "failed", failure: authFailure(sa, connection, idr, auth, check.cause) };
}

function authFailure(
  sa: AuthenticatingIkeSa,
  connection: Connection,
  idr: IdPayload,
  { method }: AuthPayload,
  cause: AuthenticationCause,
): FailureNotice {
  const identity = identityOf(idr);
  const { place, remote } = connection;
  const how = { role: "initiator", cause, expects: remote.auth.kind, identity, method, place } as const;
  return { code: "authenticationFailed", ...about(sa), ...how };
}

/** Tells the peer in an exchange of its own, and keeps nothing else (RFC 7296 section 2.21.2). */
function rejectPeer(turn: Turn, sa: AuthenticatingIkeSa): void {
  if (sa.firstChild !== undefined) turn.machine.spis.release(sa.firstChild.inboundSpi);
  const leaving = leave(turn, sa, "authenticationFailed", { deletedBy: "nobody" });
  const payloads = [notify(NotifyType.AUTHENTICATION_FAILED)];
  sendRequest(turn, leaving, ExchangeType.INFORMATIONAL, payloads, { kind: "authenticationFailed" });
}

function establish(
  turn: Turn,
  sa: AuthenticatingIkeSa,
  connection: Connection,
  idr: IdPayload,
  payloads: readonly Payload[],
  theirs: ProofFacts,
): void {
  const peerIdentity = identityOf(idr);
  const { nonces } = sa.transcript;
  const established = newEstablishedIkeSa(
    turn,
    {
      id: sa.id,
      isOriginalInitiator: true,
      initiatorSpi: sa.initiatorSpi,
      responderSpi: sa.responderSpi,
      local: sa.local,
      remote: sa.remote,
      connection: sa.connection,
      instance: instanceOf(turn.machine, connection, peerIdentity),
      localIdentity: sa.localIdentity,
      peerIdentity,
      proofs: { ours: sa.proof ?? { method: 0 }, theirs },
      nat: sa.nat,
      protection: sa.protection,
      fragmentation: sa.fragmentation,
      window: sa.window,
      authenticatedAt: turn.now,
      authentication: newAuthentication(
        connection,
        "us",
        toldLifetime(payloads),
        turn.now,
        turn.machine.random,
      ),
      lowestNonce: lowerNonce(nonces.initiator, nonces.responder),
    },
    connection.ike.rekey,
  );
  established.inbox = sa.inbox;
  established.elder = sa.renews;
  beginHandOver(turn, established);
  established.mobike = agreedMobike(turn.machine, connection, sa, payloads);
  announceIkeSa(turn, established);
  const addresses = established.mobike?.peerAddresses ?? [];
  if (addresses.length > 0) notice(turn, { code: "peerAddresses", ...about(established), addresses });
  if (sa.firstChild !== undefined)
    finishFirstChild(turn, established, sa.transcript, sa.firstChild, payloads);
  settleDuplicates(turn, established, undefined);
}

/** [CHILD-01] whatever becomes of the child, the IKE SA stays. */
function finishFirstChild(
  turn: Turn,
  sa: EstablishedIkeSa,
  { nonces }: InitTranscript,
  { name, inboundSpi, offered }: FirstChild,
  payloads: readonly Payload[],
): void {
  const configuration = childConfiguration(turn.machine, sa.connection, name);
  // Gone from the configuration, or taken down, while the request was under way: the peer is asked to delete it.
  const isDown = keeperOf(turn.machine, sa.connection).children.get(name)?.isDown === true;
  const isMade = findError(payloads) === undefined || find(payloads, "SA") !== undefined;
  if (configuration === undefined || (isDown && isMade)) {
    sa.orphans.push({ inboundSpi, isReserved: true, protocolId: protocolOfChild(turn, sa, name) });
    return;
  }
  const asked: ChildAsked = {
    configuration,
    inboundSpi,
    offered,
    negotiation: FIRST_CHILD_NEGOTIATION,
    nonces,
    method: 0,
    old: undefined,
    sibling: 0,
    hasResources: hasResources(turn.machine, configuration),
  };
  const error = findError(payloads);
  if (error !== undefined && find(payloads, "SA") === undefined) {
    turn.machine.spis.release(inboundSpi);
    handleRefusal(turn, sa, { configuration, offered, sibling: 0, pair: 0 }, error, "IKE_AUTH");
    return;
  }
  const answer = readChildAnswer(sa, asked, payloads, []);
  if (answer.kind === "agreed") {
    const { child, outbound } = installInbound(turn, sa, { ...answer.agreed, isFirst: true });
    // A peer that wants another group, or none, says so now instead of an hour later.
    if (configuration.rehearse === true) child.rekeyAt = turn.now;
    installOutbound(turn, outbound);
    announceChild(turn, sa, child, answer.agreed);
    settleNewChild(turn, sa, child, configuration, offered);
    return;
  }
  sa.orphans.push({ inboundSpi, isReserved: true, protocolId: protocolOfChild(turn, sa, name) });
  noteChildFailure(turn, sa, name, answer.kind === "unusable" ? answer.failure : undefined);
}
