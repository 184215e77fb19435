/** Everything that time brings: repetitions, giving up, rekeys, ends of lifetimes, keepalives (RFC 7296 sections 2.1, 2.4, 2.8). */
import { after, earlier, type Instant } from "../base/instant.ts";
import { withinSelectors } from "../policy/traffic-selector.ts";
import { ExchangeType, nameOf } from "../wire/ike/registries.ts";
import { beginCreateChild } from "./exchange/create-child-sa-initiator.ts";
import { expireFollowUps } from "./exchange/followup-ke-responder.ts";
import { connect, initTimeout, retransmitInit } from "./exchange/ike-sa-init-initiator.ts";
import { sendDeleteChildren, sendDeleteIke, sendLiveness } from "./exchange/informational.ts";
import { sendAddresses, sendCheck, sendUpdate, tryAnotherPath } from "./exchange/mobike.ts";
import { passProbeOn, repeatProbe, sendProbe } from "./exchange/path-probe.ts";
import { beginRekeyIke } from "./exchange/rekey-ike-initiator.ts";
import { IV_CLOSE, MESSAGE_ID_CLOSE, NAT_KEEPALIVE_INTERVAL, OUTBOUND_DEFERRAL_POLL } from "./limits.ts";
import type { FailureNotice } from "./notice.ts";
import { ownWork } from "./own-work.ts";
import { activateOutbound, endChild, endLingering, markDeleting } from "./sa/child-lifecycle.ts";
import type { ChildSa } from "./sa/child-sa.ts";
import type { EstablishedIkeSa, IkeSa, LeavingIkeSa, ProtectedIkeSa } from "./sa/ike-sa.ts";
import { forget, leave, noteConnectionFailure } from "./sa/lifecycle.ts";
import { planOf, repeatRequest, sizeOf } from "./sa/message-exchange.ts";
import type { Outstanding } from "./sa/message-window.ts";
import { retransmitAt } from "./sa/retransmission.ts";
import { successorOf } from "./sa/same-peer.ts";
import { handOver, supersede } from "./sa/supersession.ts";
import { about, childConfiguration, keeperOf, type Machine, notice, type Turn } from "./turn.ts";
import { unreachableFacts } from "./unreachable.ts";

/** Does for one IKE SA what is due by now. */
export function advance(turn: Turn, sa: IkeSa): void {
  switch (sa.state) {
    case "initiating":
      retransmitInit(turn, sa);
      return;
    case "halfOpen":
      if (turn.now >= sa.expiresAt) forget(turn, sa);
      return;
    case "authenticating":
      retransmit(turn, sa);
      return;
    case "established":
      advanceEstablished(turn, sa);
      return;
    case "leaving":
      advanceLeaving(turn, sa);
      return;
    default:
      sa satisfies never;
  }
}

/** When `advance` has something to do next for an IKE SA, and what. */
export function timeoutOf(
  machine: Machine,
  sa: IkeSa,
  now: Instant,
): { at: Instant; reason: string } | undefined {
  switch (sa.state) {
    case "initiating":
      return timeout(initTimeout(sa), "IKE_SA_INIT");
    case "halfOpen":
      return timeout(earlier(sa.expiresAt, sa.job?.deadline), "half-open IKE SA");
    case "authenticating":
      return timeout(earlier(sa.window.outstanding?.nextAt, sa.job?.deadline), "IKE_AUTH");
    case "leaving":
      return timeout(earlier(sa.window.outstanding?.nextAt, sa.deadline), "end of an IKE SA");
    case "established":
      return establishedTimeout(machine, sa, now);
    default:
      return sa satisfies never;
  }
}

function timeout(at: Instant | undefined, reason: string): { at: Instant; reason: string } | undefined {
  return at === undefined ? undefined : { at, reason };
}

function establishedTimeout(
  machine: Machine,
  sa: EstablishedIkeSa,
  now: Instant,
): { at: Instant; reason: string } | undefined {
  const work = ownWork(machine, sa, now);
  let best = timeout(sa.expiresAt, "IKE SA lifetime");
  const offer = (at: Instant | undefined, reason: string) => {
    if (at !== undefined && (best === undefined || at < best.at)) best = { at, reason };
  };
  if (work !== undefined) offer(work.at, work.work.kind);
  offer(sa.window.outstanding?.nextAt, "retransmission");
  offer(sa.job?.deadline, "computation");
  for (const { until } of sa.followUps) offer(until, "additional key exchanges");
  offer(sa.redundantUntil, "redundant IKE SA");
  offer(sa.authentication.endsAt, "end of the authentication");
  offer(keepaliveAt(machine, sa), "NAT-keepalive");
  offer(partialUntil(sa), "incomplete message");
  for (const { until } of sa.lingering) offer(until, "end of a replaced child SA");
  for (const child of sa.children) {
    if (child.state !== "deleting") offer(child.expiresAt, "child SA lifetime");
    if (child.state === "replaced") offer(child.deadline, "replaced child SA");
    if (child.deferred !== undefined) offer(nextPoll(child.deferred.until, now), "use of a new child SA");
  }
  return best;
}

/** When the first of the messages that are being put together is given up. */
function partialUntil({
  window: { partialRequest, partialResponse },
}: EstablishedIkeSa): Instant | undefined {
  return earlier(partialRequest?.until, partialResponse?.until);
}

/** [FRAG-07] what never became complete. */
function dropStaleFragments({ now }: Turn, { window }: EstablishedIkeSa): void {
  if (window.partialRequest !== undefined && now >= window.partialRequest.until)
    window.partialRequest = undefined;
  if (window.partialResponse !== undefined && now >= window.partialResponse.until)
    window.partialResponse = undefined;
}

function nextPoll(until: Instant, now: Instant): Instant {
  return earlier(until, after(now, OUTBOUND_DEFERRAL_POLL)) ?? until;
}

/** Repeats the request in flight, or gives its IKE SA up [MID-04]. */
function retransmit(turn: Turn, sa: ProtectedIkeSa): void {
  const { outstanding } = sa.window;
  const { now, machine } = turn;
  if (outstanding === undefined || now < outstanding.nextAt) return;
  const plan = planOf(turn, sa);
  if (outstanding.tries >= plan.tries) {
    giveUp(turn, sa, outstanding);
    return;
  }
  outstanding.tries++;
  outstanding.nextAt = retransmitAt(plan, outstanding.tries, now, machine.random);
  if (outstanding.exchange.kind === "pathProbe") {
    repeatProbe(turn, sa, outstanding.exchange);
    return;
  }
  if (sa.state === "established") tryAnotherPath(turn, sa, outstanding.tries);
  repeatRequest(turn, sa);
}

function giveUp(turn: Turn, sa: ProtectedIkeSa, { exchangeType, tries, messages }: Outstanding): void {
  const exchange = nameOf(ExchangeType, exchangeType) as Extract<
    FailureNotice,
    { code: "noAnswer" }
  >["exchange"];
  const size = sizeOf(turn, sa, messages);
  const failure: FailureNotice = {
    code: "noAnswer",
    ...about(sa),
    exchange,
    tries,
    size,
    ...unreachableFacts(sa, turn.now),
  };
  if (sa.state === "authenticating") {
    forget(turn, sa);
    noteConnectionFailure(turn, sa, failure);
    return;
  }
  if (sa.state === "established") {
    notice(turn, failure);
    forget(turn, leave(turn, sa, "noAnswer", { deletedBy: "nobody" }));
    return;
  }
  forget(turn, sa);
}

function advanceLeaving(turn: Turn, sa: LeavingIkeSa): void {
  retransmit(turn, sa);
  if (turn.machine.sas.get(sa.id) !== sa) return;
  const { outstanding } = sa.window;
  const isOver = turn.now >= sa.deadline;
  // Whoever was to delete it has not: we do, unless all is said already.
  if (isOver && sa.deletedBy === "peer") sa.deletedBy = "us";
  if (sa.deletedBy === "us") {
    if (outstanding === undefined) sendDeleteIke(turn, sa);
    sa.deadline = after(turn.now, NAT_KEEPALIVE_INTERVAL);
    return;
  }
  if (isOver) forget(turn, sa);
}

function advanceEstablished(turn: Turn, sa: EstablishedIkeSa): void {
  const { machine, now } = turn;
  if (isSpent(sa) || now >= sa.expiresAt) {
    leave(turn, sa, "expired", { deletedBy: "us" });
    return;
  }
  const { endsAt } = sa.authentication;
  if (endsAt !== undefined && now >= endsAt) {
    const reason = sa.authentication.isOutdated ? "configurationChanged" : "authenticationExpired";
    leave(turn, sa, reason, { deletedBy: "us" });
    return;
  }
  if (sa.redundantUntil !== undefined && now >= sa.redundantUntil) {
    endRedundant(turn, sa);
    return;
  }
  retransmit(turn, sa);
  if (machine.sas.get(sa.id) !== sa) return;
  dropStaleFragments(turn, sa);
  handOver(turn, sa);
  expireFollowUps(turn, sa);
  endLingering(turn, sa);
  for (const child of [...sa.children]) advanceChild(turn, sa, child);
  keepAlive(turn, sa);
  passProbeOn(turn, sa);
  workOn(turn, sa);
}

/** [MID-11] [ENC-10] nothing may be sealed any more. */
function isSpent({ window, protection }: EstablishedIkeSa): boolean {
  return (
    window.nextRequestId > MESSAGE_ID_CLOSE ||
    window.expectedRequestId > MESSAGE_ID_CLOSE ||
    protection.nextIv > IV_CLOSE
  );
}

function advanceChild(turn: Turn, sa: EstablishedIkeSa, child: ChildSa): void {
  const { machine, now } = turn;
  const { deferred } = child;
  if (deferred !== undefined) {
    const isUsed = (machine.usage.usage(child.inboundSpi)?.inboundPackets ?? 0) > 0;
    if (isUsed || now >= deferred.until) activateOutbound(turn, child);
  }
  if (child.state === "deleting") return;
  // [CHILD-24] past its hard limit it carries nothing.
  if (now >= child.expiresAt) endChild(turn, sa, child, "expired");
  else if (child.state === "replaced" && child.deadline !== undefined && now >= child.deadline)
    markDeleting(turn, child, child.leaving ?? "rekeyed");
}

/** When the side behind a NAT has been silent for long enough [NAT-06]. */
function keepaliveAt(machine: Machine, sa: EstablishedIkeSa): Instant | undefined {
  if (!sa.nat.weAreBehind) return undefined;
  let latest = sa.lastSentAt;
  for (const { inboundSpi } of sa.children) {
    const at = machine.usage.usage(inboundSpi)?.lastOutboundAt;
    if (at !== undefined && at > latest) latest = at;
  }
  return after(latest, NAT_KEEPALIVE_INTERVAL);
}

function keepAlive(turn: Turn, sa: EstablishedIkeSa): void {
  const at = keepaliveAt(turn.machine, sa);
  if (at === undefined || turn.now < at) return;
  const { local, remote } = sa;
  turn.actions.push({ kind: "sendKeepalive", local, remote });
  sa.lastSentAt = turn.now;
}

function workOn(turn: Turn, sa: EstablishedIkeSa): void {
  const { machine, now } = turn;
  const planned = ownWork(machine, sa, now);
  if (planned === undefined || planned.at > now) return;
  const { work } = planned;
  switch (work.kind) {
    case "deleteChildren":
      sendDeleteChildren(turn, sa);
      return;
    case "rekeyIke":
      beginRekeyIke(turn, sa);
      return;
    case "reauthenticate":
      reauthenticate(turn, sa);
      return;
    case "closeIdle":
      markDeleting(turn, work.child, "inactive");
      workOn(turn, sa);
      return;
    case "rekeyChild":
      rekeyChild(turn, sa, work.child);
      return;
    case "createChild":
      beginCreateChild(turn, sa, {
        kind: "createChild",
        child: work.child.name,
        replaces: undefined,
        sibling: work.sibling,
        pair: work.pair,
        keRetries: 0,
      });
      return;
    case "liveness":
      sendLiveness(turn, sa);
      return;
    case "probePath":
      sendProbe(turn, sa);
      return;
    case "updateAddresses":
      sendUpdate(turn, sa);
      return;
    case "checkRoutability":
      sendCheck(turn, sa);
      return;
    case "tellAddresses":
      sendAddresses(turn, sa);
      return;
    default:
      work satisfies never;
  }
}

/** The newer one with the same peer takes what it can. */
function endRedundant(turn: Turn, sa: EstablishedIkeSa): void {
  const fresh = successorOf(turn, sa);
  if (fresh === undefined) leave(turn, sa, "replaced", { deletedBy: "us" });
  else supersede(turn, sa, fresh, fresh.elder === sa.id ? "reauthenticated" : "replaced", "us");
}

/** A new IKE SA beside this one, with everything that this one has; then this one is closed (RFC 7296 section 2.8.3). */
function reauthenticate(turn: Turn, sa: EstablishedIkeSa): void {
  const connection = turn.machine.connections.get(sa.connection);
  if (connection === undefined) return;
  sa.authentication.isRenewing = true;
  connect(turn, connection, keeperOf(turn.machine, sa.connection), undefined, sa);
}

/** One that another SA for the same traffic has joined, or that no configuration wants, goes instead of being renewed. */
function rekeyChild(turn: Turn, sa: EstablishedIkeSa, child: ChildSa): void {
  if (childConfiguration(turn.machine, sa.connection, child.name) === undefined) {
    markDeleting(turn, child, "configurationChanged");
    workOn(turn, sa);
    return;
  }
  const isDuplicate = sa.children.some(
    (other) =>
      other !== child &&
      other.state === "installed" &&
      other.name === child.name &&
      other.sibling === child.sibling &&
      other.createdAt >= child.createdAt &&
      coversTraffic(other, child),
  );
  if (isDuplicate) {
    markDeleting(turn, child, "redundant");
    workOn(turn, sa);
    return;
  }
  const { inboundSpi: replaces, sibling } = child;
  beginCreateChild(turn, sa, {
    kind: "createChild",
    child: child.name,
    replaces,
    sibling,
    pair: 0,
    keRetries: 0,
  });
}

function coversTraffic(outer: ChildSa, inner: ChildSa): boolean {
  return (
    withinSelectors(inner.selectors.local, outer.selectors.local) &&
    withinSelectors(inner.selectors.remote, outer.selectors.remote)
  );
}
