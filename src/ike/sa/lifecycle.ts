/** Beginning and end of IKE SAs: established, superseded, closed, forgotten (RFC 7296 sections 1.4.1, 2.4 and 2.8). */
import { equal, wipe } from "../../base/bytes.ts";
import { after, DurationMs } from "../../base/instant.ts";
import type { Rekey } from "../../policy/connection.ts";
import { childKeeper, type Keeper, postpone } from "../keep-state.ts";
import {
  CHILD_REQUESTS_BURST,
  RECONNECT_JITTER,
  REFUSED_LIFETIME,
  REPLACED_PATIENCE,
  STABLE_AFTER,
} from "../limits.ts";
import { keeperName } from "../negotiation/siblings.ts";
import type { FailureNotice, IkeDownReason } from "../notice.ts";
import {
  about,
  addIkeSa,
  besideOf,
  command,
  dropJob,
  keeperOf,
  nameOfIkeSa,
  notice,
  policyOfChild,
  removeIkeSa,
  type Turn,
} from "../turn.ts";
import { lifetimeOf, removeAllChildren } from "./child-lifecycle.ts";
import { dropFollowUp } from "./follow-up.ts";
import type {
  Continuation,
  EstablishedIkeSa,
  HalfOpenIkeSa,
  IkeSa,
  LeavingIkeSa,
  ProtectedIkeSa,
} from "./ike-sa.ts";
import type { IkeSaId } from "./ike-sa-id.ts";
import { abandonExchange, disposeExchange } from "./message-exchange.ts";
import { postponeRenewal, reinstate } from "./same-peer.ts";
import { wipeProtection } from "./sk-payload.ts";

export interface Leave {
  /** `us`: we send a Delete. `peer`: it will. `nobody`: all is said, only repetitions are answered. */
  readonly deletedBy: "us" | "peer" | "nobody";
  /** The IKE SA that took the children. */
  readonly successor?: IkeSaId;
}

/** Turns an IKE SA into one on its way out; children that were not moved go at once. */
export function leave(turn: Turn, sa: ProtectedIkeSa, reason: IkeDownReason, how: Leave): LeavingIkeSa {
  const { machine, now } = turn;
  const patience = how.deletedBy === "nobody" ? REFUSED_LIFETIME : REPLACED_PATIENCE;
  if (sa.state === "leaving") {
    if (how.deletedBy === "nobody") {
      sa.deletedBy = "nobody";
      sa.deadline = after(now, patience);
      abandonExchange(turn, sa.window);
    }
    return sa;
  }
  if (sa.state === "established") leaveEstablished(turn, sa, reason, how);
  else {
    dropJob(machine, sa.job);
    postponeRenewal(turn, sa.renews);
  }
  if (how.deletedBy === "nobody") abandonExchange(turn, sa.window);
  const leaving: LeavingIkeSa = {
    state: "leaving",
    id: sa.id,
    isOriginalInitiator: sa.isOriginalInitiator,
    initiatorSpi: sa.initiatorSpi,
    responderSpi: sa.responderSpi,
    local: sa.local,
    remote: sa.remote,
    connection: sa.connection,
    protection: sa.protection,
    fragmentation: sa.fragmentation,
    window: sa.window,
    reason,
    successor: how.successor,
    deletedBy: how.deletedBy,
    deadline: after(now, patience),
  };
  addIkeSa(machine, leaving);
  return leaving;
}

function leaveEstablished(turn: Turn, sa: EstablishedIkeSa, reason: IkeDownReason, how: Leave): void {
  dropJob(turn.machine, sa.job);
  disposeContinuation(turn, sa.job?.continuation);
  sa.job = undefined;
  sa.inbox = [];
  if (sa.pathProbe !== undefined)
    turn.actions.push({ kind: "pathProbed", probe: sa.pathProbe, outcome: "unknown" });
  sa.pathProbe = undefined;
  for (const followUp of sa.followUps) dropFollowUp(turn, sa, followUp);
  if (how.successor !== undefined) return;
  endHeld(turn, sa, reason);
  removeAllChildren(turn, sa, reason);
  for (const { inboundSpi, isReserved } of sa.orphans.splice(0))
    if (isReserved) turn.machine.spis.release(inboundSpi);
  // One that never took over was never up for anybody.
  if (reason === "rekeyed" || sa.heldFor !== undefined) return;
  notice(turn, { code: "ikeSaDown", ...about(sa), ikeSa: nameOfIkeSa(sa), reason });
  reinstate(turn, sa);
  scheduleReconnect(turn, sa, reason);
}

/** What the peer made to take this one's place goes with it: nobody is left to decide between them. */
function endHeld(turn: Turn, sa: EstablishedIkeSa, reason: IkeDownReason): void {
  const { machine } = turn;
  for (const id of [...besideOf(machine, sa)]) {
    const other = machine.sas.get(id);
    if (other?.state === "established" && other.heldFor === sa.id)
      leave(turn, other, reason, { deletedBy: "us" });
  }
}

/** Wipes what a computation that nobody waits for any more was for. */
function disposeContinuation(turn: Turn, continuation: Continuation | undefined): void {
  if (continuation?.kind === "response" || continuation?.kind === "followUp")
    disposeExchange(turn, continuation.exchange);
  if (continuation?.kind === "request" && continuation.request.kind === "followUp") {
    wipe(...continuation.request.secrets);
    disposeExchange(turn, continuation.request.parent);
  }
  if (continuation?.kind === "answerWithKey") wipe(continuation.keyExchange.privateValue);
}

/** Something else is there, or nothing is wanted. */
const NO_RECONNECT: readonly IkeDownReason[] = ["command", "replaced", "rekeyed", "reauthenticated"];

/** When to set the connection up again: soon if the IKE SA had lived, later if it never lasted. */
function scheduleReconnect({ machine, now }: Turn, sa: EstablishedIkeSa, reason: IkeDownReason): void {
  if (NO_RECONNECT.includes(reason)) return;
  const keeper = keeperOf(machine, sa.connection);
  const hasLived = now >= after(sa.authenticatedAt, STABLE_AFTER);
  if (!hasLived && reason !== "noAnswer") {
    postpone(keeper, undefined, now, machine.random);
    return;
  }
  keeper.failures = 0;
  keeper.nextTryAt = after(now, DurationMs(RECONNECT_JITTER * machine.random.fraction()));
}

/** Forgets an IKE SA and wipes its secrets; nothing is sent. */
export function forget(turn: Turn, sa: IkeSa): void {
  const { machine } = turn;
  removeIkeSa(machine, sa);
  if ("renews" in sa) postponeRenewal(turn, sa.renews);
  if (sa.state === "halfOpen") {
    forgetHalfOpen(turn, sa);
    return;
  }
  if (sa.state === "initiating") {
    dropJob(machine, sa.job);
    wipe(sa.keyExchange.privateValue);
    return;
  }
  abandonExchange(turn, sa.window);
  if (sa.state === "authenticating") {
    dropJob(machine, sa.job);
    if (sa.keyExchange !== undefined) wipe(sa.keyExchange.privateValue);
    if (sa.firstChild !== undefined) machine.spis.release(sa.firstChild.inboundSpi);
  }
  wipeProtection(sa.protection);
}

function forgetHalfOpen({ machine }: Turn, sa: HalfOpenIkeSa): void {
  dropJob(machine, sa.job);
  wipe(sa.keyExchange.privateValue);
  if (sa.protection !== undefined) wipeProtection(sa.protection);
  const { lastResponse } = sa.window;
  if (lastResponse?.sealedBy !== undefined) wipeProtection(lastResponse.sealedBy);
  releaseHalfOpen(machine, sa);
}

/** Frees the place among the half-open ones, when it is gone or established. */
export function releaseHalfOpen(machine: Turn["machine"], sa: HalfOpenIkeSa): void {
  if (machine.byRequest.get(sa.digest) === sa.id) machine.byRequest.delete(sa.digest);
  for (const key of sa.slot.keys) {
    const count = (machine.halfOpen.get(key) ?? 1) - 1;
    if (count > 0) machine.halfOpen.set(key, count);
    else machine.halfOpen.delete(key);
  }
  if (!sa.slot.isReserved) machine.halfOpenStrangers--;
}

/** Moves children and what else belongs to them from a rekeyed IKE SA to its successor [CHILD-13]. */
export function moveChildren({ machine }: Turn, from: EstablishedIkeSa, to: EstablishedIkeSa): void {
  for (const { inboundSpi } of from.children) machine.carriers.set(inboundSpi, to.id);
  to.children.push(...from.children.splice(0));
  to.lingering.push(...from.lingering.splice(0));
  to.orphans.push(...from.orphans.splice(0));
  to.splits.push(...from.splits.splice(0));
}

/** What an authenticated IKE SA is made of; the rest starts empty. */
export type NewIkeSa = Pick<
  EstablishedIkeSa,
  | "id"
  | "isOriginalInitiator"
  | "initiatorSpi"
  | "responderSpi"
  | "local"
  | "remote"
  | "connection"
  | "instance"
  | "localIdentity"
  | "peerIdentity"
  | "proofs"
  | "nat"
  | "protection"
  | "fragmentation"
  | "mobike"
  | "window"
  | "authenticatedAt"
  | "authentication"
  | "lowestNonce"
>;

/** An established IKE SA without children; `rekey` gives its lifetime. */
export function newEstablishedIkeSa(turn: Turn, made: NewIkeSa, rekey: Rekey): EstablishedIkeSa {
  return {
    state: "established",
    ...made,
    establishedAt: turn.now,
    ...lifetimeOf(turn, rekey),
    rekeyNotBefore: undefined,
    rekeyFailures: 0,
    lastHeardAt: turn.now,
    lastSentAt: turn.now,
    children: [],
    refusedSiblings: [],
    splits: [],
    childRequests: { allowance: CHILD_REQUESTS_BURST, since: turn.now },
    lingering: [],
    orphans: [],
    followUps: [],
    job: undefined,
    inbox: [],
    heldFor: undefined,
    redundantUntil: undefined,
  };
}

/** Whoever is there was let in meanwhile. */
function forgetRefused(keeper: Keeper | undefined, { remote }: EstablishedIkeSa): void {
  const refused = keeper?.lastRefused?.failure.remote;
  if (keeper !== undefined && refused !== undefined && equal(refused.address, remote.address))
    keeper.lastRefused = undefined;
}

/** Everything is in place; failures of the past are forgotten once it has lasted. */
export function announceIkeSa(turn: Turn, sa: EstablishedIkeSa): void {
  addIkeSa(turn.machine, sa);
  const keeper = keeperOf(turn.machine, sa.connection);
  keeper.lastFailure = undefined;
  forgetRefused(keeper, sa);
  const shared = turn.machine.connections.get(sa.connection)?.oneOf?.connection;
  if (shared !== undefined) forgetRefused(turn.machine.keepers.get(shared), sa);
  keeper.nextTryAt = undefined;
  keeper.isWanted = false;
  notice(turn, {
    code: "ikeSaUp",
    ...about(sa),
    ikeSa: nameOfIkeSa(sa),
    role: sa.isOriginalInitiator ? "initiator" : "responder",
    local: sa.local,
    suite: sa.protection.suite,
    nat: sa.nat,
    peerIdentity: sa.peerIdentity,
    proofs: sa.proofs,
    rekeyAt: sa.rekeyAt,
  });
}

/** A try to set up a connection came to nothing: says why and when the next one is; packets that wait are let go. */
export function noteConnectionFailure(
  turn: Turn,
  target: {
    readonly connection: string;
    readonly remote?: IkeSa["remote"];
    readonly renews?: IkeSaId | undefined;
  },
  failure: FailureNotice,
): void {
  const { machine } = turn;
  const keeper = keeperOf(machine, target.connection);
  const renewAt = renewalOf(turn, target.renews);
  if (renewAt !== undefined) {
    notice(turn, failure);
    notice(turn, { code: "reauthPostponed", ...about(target), at: renewAt, failure });
    return;
  }
  keeper.addressIndex++;
  const at = postpone(keeper, failure, turn.now, machine.random);
  notice(turn, failure);
  releaseAcquires(turn, target.connection);
  const connection = machine.connections.get(target.connection);
  if (connection?.keep === "up" && !keeper.isDown)
    notice(turn, { code: "retrying", ...about(target), at, attempt: keeper.failures + 1, failure });
}

/** When an authentication whose repetition failed is tried again; `undefined` when its IKE SA is gone. */
function renewalOf({ machine }: Turn, renews: IkeSaId | undefined) {
  const old = renews === undefined ? undefined : machine.sas.get(renews);
  return old?.state === "established" ? old.authentication.renewAt : undefined;
}

/** Answers all acquires of a connection in the negative; a later packet asks anew. */
export function releaseAcquires(turn: Turn, connection: string): void {
  const keeper = keeperOf(turn.machine, connection);
  for (const child of keeper.children.keys()) releaseAcquire(turn, connection, child);
}

export function releaseAcquire(turn: Turn, connection: string, child: string): void {
  const keeper = childKeeper(keeperOf(turn.machine, connection), child);
  keeper.packet = undefined;
  if (!keeper.hasAcquire) return;
  keeper.hasAcquire = false;
  keeper.isWanted = false;
  command(turn, { kind: "acquireFailed", policy: policyOfChild(turn.machine, connection, child) });
}

/** A child could not be set up though the IKE SA stands [CHILD-01]. */
export function noteChildFailure(
  turn: Turn,
  sa: EstablishedIkeSa,
  child: string,
  failure: FailureNotice | undefined,
  sibling = 0,
  pair = 0,
): void {
  const keeper = childKeeper(keeperOf(turn.machine, sa.connection), keeperName(child, sibling, pair));
  const at = postpone(keeper, failure, turn.now, turn.machine.random);
  if (sibling === 0) releaseAcquire(turn, sa.connection, child);
  if (failure === undefined) return;
  notice(turn, failure);
  notice(turn, { code: "retrying", ...about(sa, child), at, attempt: keeper.failures + 1, failure });
}
