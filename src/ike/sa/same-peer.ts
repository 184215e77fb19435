/** IKE SAs with one peer beside each other: which stays, and what the others wait for (RFC 7296 sections 2.4 and 2.8.3). */
import { after } from "../../base/instant.ts";
import { isSameIdentity } from "../../policy/pad.ts";
import { pairsOverlap } from "../../policy/traffic-selector.ts";
import { retryWait } from "../keep-state.ts";
import { HAND_OVER_PATIENCE } from "../limits.ts";
import { isPerPacket, saPerOf } from "../negotiation/selector-pairs.ts";
import { childConfiguration, establishedBeside, ikeSasOf, type Turn } from "../turn.ts";
import { activateOutbound } from "./child-lifecycle.ts";
import type { ChildSa } from "./child-sa.ts";
import type { EstablishedIkeSa } from "./ike-sa.ts";
import type { IkeSaId } from "./ike-sa-id.ts";

export function isSamePeer(a: EstablishedIkeSa, b: EstablishedIkeSa): boolean {
  return isSameIdentity(a.peerIdentity, b.peerIdentity) && isSameIdentity(a.localIdentity, b.localIdentity);
}

/** Children of the elder that the fresh one has yet to make. */
export function childrenToTakeOver(
  { machine }: Turn | { readonly machine: Turn["machine"] },
  fresh: EstablishedIkeSa,
): readonly string[] {
  const elder = fresh.elder === undefined ? undefined : machine.sas.get(fresh.elder);
  if (elder?.state !== "established") return [];
  const standing = fresh.children.filter(({ state }) => state !== "deleting");
  const isMissing = ({ name, state, selectors }: ChildSa) =>
    state === "installed" &&
    isAskedFor(machine, fresh, name) &&
    !standing.some((one) => one.name === name && pairsOverlap(one.selectors, selectors));
  return [...new Set(elder.children.filter(isMissing).map(({ name }) => name))];
}

/** SAs for single packets come anew with the next ones. */
function isAskedFor(machine: Turn["machine"], fresh: EstablishedIkeSa, name: string): boolean {
  const configuration = childConfiguration(machine, fresh.connection, name);
  return configuration !== undefined && !isPerPacket(saPerOf(fresh, configuration));
}

/** A fresh IKE SA of ours is authenticated: the one that it is to replace does nothing more of its own accord. */
export function beginHandOver({ machine, now }: Turn, fresh: EstablishedIkeSa): void {
  const elder = fresh.elder === undefined ? undefined : machine.sas.get(fresh.elder);
  if (elder?.state !== "established") fresh.elder = undefined;
  else {
    elder.redundantUntil = after(now, HAND_OVER_PATIENCE);
    fresh.splits = [...elder.splits];
  }
}

/** The IKE SA that was to repeat the authentication of this one came to nothing: later once more. */
export function postponeRenewal({ machine, now }: Turn, renewed: IkeSaId | undefined): void {
  const old = renewed === undefined ? undefined : machine.sas.get(renewed);
  if (old?.state !== "established" || !old.authentication.isRenewing) return;
  const { authentication } = old;
  authentication.isRenewing = false;
  authentication.failures++;
  authentication.renewAt = after(now, retryWait(authentication.failures, machine.random));
  machine.touched.sas.add(old.id);
}

/** What was to give way to one that leaves stays after all, unless there is still another one. */
export function reinstate(turn: Turn, leaving: EstablishedIkeSa): void {
  const rest = establishedBeside(turn.machine, leaving).filter(
    (other) => other.id !== leaving.id && isSamePeer(other, leaving),
  );
  for (const other of rest) for (const child of other.children) activateOutbound(turn, child);
  postponeRenewal(turn, leaving.elder);
  if (rest.some(({ redundantUntil }) => redundantUntil === undefined)) return;
  for (const other of rest) other.redundantUntil = undefined;
}

/** The successor of a rekeyed IKE SA is to whatever stands beside it what that one was. */
export function takePlace({ machine }: Turn, old: EstablishedIkeSa, fresh: EstablishedIkeSa): void {
  fresh.redundantUntil = old.redundantUntil;
  fresh.elder = old.elder;
  fresh.moved = old.moved;
  fresh.childRequests = old.childRequests;
  for (const other of ikeSasOf(machine, old.connection)) {
    if ("renews" in other && other.renews === old.id) other.renews = fresh.id;
    if (other.state === "established" && other.elder === old.id) other.elder = fresh.id;
  }
}

/** The newest other one with the same peer that is to stay. */
export function successorOf({ machine }: Turn, sa: EstablishedIkeSa): EstablishedIkeSa | undefined {
  return establishedBeside(machine, sa).findLast(
    (other) => other.id !== sa.id && other.redundantUntil === undefined && isSamePeer(other, sa),
  );
}

/** Another IKE SA with the peer carries this child already: what we send stays there until the peer uses the new one. */
export function isBesideAnother({ machine }: Turn, sa: EstablishedIkeSa, child: string): boolean {
  return establishedBeside(machine, sa).some(
    (other) =>
      other !== sa &&
      other.id !== sa.id &&
      isSamePeer(other, sa) &&
      other.children.some((one) => one.name === child && one.state === "installed"),
  );
}
