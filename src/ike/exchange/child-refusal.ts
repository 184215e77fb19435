/** A new child SA that the peer refused, or granted in part: another way to ask, patience, or a failure (RFC 7296 sections 1.3 and 2.9). */
import { after } from "../../base/instant.ts";
import type { ChildConfiguration } from "../../policy/connection.ts";
import { pairsOverlap, type SelectorPair, withinSelectors } from "../../policy/traffic-selector.ts";
import type { NotifyPayload } from "../../wire/ike/payload.ts";
import { NotifyType } from "../../wire/ike/registries.ts";
import { childKeeper, postpone } from "../keep-state.ts";
import { REFUSED_PAIR_RETRY } from "../limits.ts";
import {
  isPerPacket,
  pairOfPacket,
  pairsOf,
  saPerOf,
  untouchedPairs,
} from "../negotiation/selector-pairs.ts";
import { keeperName } from "../negotiation/siblings.ts";
import { betweenHosts } from "../negotiation/transport-mode.ts";
import type { FailureNotice } from "../notice.ts";
import { markDeleting } from "../sa/child-lifecycle.ts";
import type { ChildSa } from "../sa/child-sa.ts";
import type { EstablishedIkeSa } from "../sa/ike-sa.ts";
import { noteChildFailure, releaseAcquire } from "../sa/lifecycle.ts";
import { about, keeperOf, notice, type Turn } from "../turn.ts";
import { childRefusal } from "./child-answer.ts";

/** What we had asked for. */
export interface RefusedChild {
  readonly configuration: ChildConfiguration;
  readonly offered: SelectorPair;
  readonly sibling: number;
  readonly pair: number;
}

export function handleRefusal(
  turn: Turn,
  sa: EstablishedIkeSa,
  refused: RefusedChild,
  error: NotifyPayload,
  exchange: "IKE_AUTH" | "CREATE_CHILD_SA",
): void {
  const { configuration, sibling, pair } = refused;
  const { name } = configuration;
  if (error.notifyType === NotifyType.TEMPORARY_FAILURE) {
    // [CHILD-20] busy: no failure to talk about, just later.
    const keeper = childKeeper(keeperOf(turn.machine, sa.connection), keeperName(name, sibling, pair));
    postpone(keeper, undefined, turn.now, turn.machine.random);
    return;
  }
  const isGuess = isGuessed(sa, refused, error);
  if (isGuess) forgetSplit(sa, name);
  else if (sibling === 0 && askInParts(turn, sa, refused, error)) return;
  const failure = childRefusal(sa, refused, error, exchange);
  if (pair > 0 && isTooMuch(error) && standingOf(sa, name).length > 0) leaveOut(turn, sa, refused, failure);
  else noteChildFailure(turn, sa, name, failure, sibling, isGuess ? 0 : pair);
}

/** The refusal is about selectors or about the number of SAs, so that others of the child may be good. */
function isTooMuch({ notifyType }: NotifyPayload): boolean {
  return isAboutSelectors(notifyType) || notifyType === NotifyType.NO_ADDITIONAL_SAS;
}

function isAboutSelectors(notifyType: number): boolean {
  return notifyType === NotifyType.TS_UNACCEPTABLE || notifyType === NotifyType.SINGLE_PAIR_REQUIRED;
}

/** One pair fared no better than all of them: it was the proposal after all. */
function isGuessed(
  sa: EstablishedIkeSa,
  { configuration }: RefusedChild,
  { notifyType }: NotifyPayload,
): boolean {
  const isSplit = configuration.saPer === undefined && saPerOf(sa, configuration) === "pair";
  const hasNone = standingOf(sa, configuration.name).length === 0;
  return notifyType === NotifyType.NO_PROPOSAL_CHOSEN && isSplit && hasNone;
}

/**
 * Asks for less at a time where that may help: one pair of selectors in each SA of a child that has several, and the addresses
 * of a packet where the peer wants single ones. What it turned out to want holds as long as the IKE SA and its successors.
 * @returns whether the child is asked for anew
 */
function askInParts(
  turn: Turn,
  sa: EstablishedIkeSa,
  { configuration, offered, pair }: RefusedChild,
  { notifyType }: NotifyPayload,
): boolean {
  const { name } = configuration;
  const { selectors } = betweenHosts(configuration, sa) ?? configuration;
  const saPer = saPerOf(sa, configuration);
  const isWhole = saPer === "all" && pair === 0;
  const pairs = pairsOf(selectors).length;
  // Some peers call it NO_PROPOSAL_CHOSEN; a packet in front does not make them do so.
  const isPerhaps = notifyType === NotifyType.NO_PROPOSAL_CHOSEN && pairs > 1;
  const hasSeveral = offered.local.length > 1 || offered.remote.length > 1;
  const whom = about(sa, name);
  if (isWhole && hasSeveral && pairs > 0 && (isAboutSelectors(notifyType) || isPerhaps)) {
    sa.splits.push({ child: name, saPer: "pair" });
    notice(turn, { code: "askingInParts", ...whom, saPer: "pair", notifyType, pairs });
    return true;
  }
  if (notifyType === NotifyType.SINGLE_PAIR_REQUIRED && !isPerPacket(saPer)) {
    forgetSplit(sa, name);
    sa.splits.push({ child: name, saPer: "host" });
    notice(turn, { code: "askingInParts", ...whom, saPer: "host", notifyType, pairs });
    return childKeeper(keeperOf(turn.machine, sa.connection), name).packet !== undefined;
  }
  return false;
}

function forgetSplit(sa: EstablishedIkeSa, name: string): void {
  sa.splits = sa.splits.filter(({ child }) => child !== name);
}

/** A pair that the peer does not take beside others that it does: said once, and not asked for again before long. */
function leaveOut(
  turn: Turn,
  sa: EstablishedIkeSa,
  { configuration, pair, offered }: RefusedChild,
  failure: FailureNotice,
): void {
  const { name } = configuration;
  const keeper = keeperOf(turn.machine, sa.connection);
  const own = childKeeper(keeper, keeperName(name, 0, pair));
  own.failures++;
  own.nextTryAt = after(turn.now, REFUSED_PAIR_RETRY);
  own.lastFailure = failure;
  notice(turn, failure);
  const { packet } = childKeeper(keeper, name);
  const isMeant =
    packet !== undefined && pairsOverlap(offered, { local: [packet.local], remote: [packet.remote] });
  if (isMeant) releaseAcquire(turn, sa.connection, name);
}

/**
 * A new SA of ours is there: a packet that it leaves out is asked for next if that can help, and else has no SA. One that
 * brings nothing new goes again.
 */
export function settleNewChild(
  turn: Turn,
  sa: EstablishedIkeSa,
  child: ChildSa,
  configuration: ChildConfiguration,
  offered: SelectorPair,
): void {
  const { name, place } = configuration;
  const { packet } = childKeeper(keeperOf(turn.machine, sa.connection), name);
  if (packet === undefined || child.sibling > 0) return;
  const standing = standingOf(sa, name);
  const pairs = pairsOf((betweenHosts(configuration, sa) ?? configuration).selectors);
  if (untouchedPairs(pairs, standing).includes(pairOfPacket(pairs, packet))) return;
  const isNothingNew = standing.some((other) => other !== child && covers(other.selectors, child.selectors));
  if (isNothingNew) markDeleting(turn, child, "redundant");
  const whom = about(sa, name);
  const sides = { role: "initiator", ours: offered, theirs: child.selectors } as const;
  noteChildFailure(turn, sa, name, { code: "selectorsUnacceptable", ...whom, ...sides, place });
}

function standingOf(sa: EstablishedIkeSa, name: string): readonly ChildSa[] {
  return sa.children.filter((one) => one.name === name && one.state === "installed");
}

function covers(outer: SelectorPair, inner: SelectorPair): boolean {
  return withinSelectors(inner.local, outer.local) && withinSelectors(inner.remote, outer.remote);
}
