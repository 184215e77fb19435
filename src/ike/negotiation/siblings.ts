/**
 * Child SAs that stand beside each other for the same traffic: one for each class of DSCP values (RFC 4301 section 4.1), or one
 * for each lane of either end (RFC 9611). Number 0 is the SA for everything else, which RFC 9611 calls the fallback SA.
 */
import type { ChildConfiguration } from "../../policy/connection.ts";
import type { Payload } from "../../wire/ike/payload.ts";
import { NotifyType } from "../../wire/ike/registries.ts";
import { findNotify, notify } from "../exchange/payload-list.ts";
import { RESOURCE_SAS_PER_CHILD_MAX } from "../limits.ts";
import type { ChildSa } from "../sa/child-sa.ts";
import type { EstablishedIkeSa } from "../sa/ike-sa.ts";
import { ownExchange } from "../sa/message-window.ts";
import type { Machine } from "../turn.ts";
import { saPerOf } from "./selector-pairs.ts";

/** Whether SAs of a child may be bound to lanes: DSCP classes and lanes are not combined. */
export function hasResources(
  { lanes }: Pick<Machine, "lanes">,
  { dscpClasses, hasNoLaneSas }: ChildConfiguration,
): boolean {
  return lanes > 1 && hasNoLaneSas !== true && (dscpClasses ?? []).length === 0;
}

/** What a request or an answer says about lanes; empty when its SA is none of ours to bind. [RES-01] */
export function resourceNotifies(isAsked: boolean): readonly Payload[] {
  return isAsked ? [notify(NotifyType.SA_RESOURCE_INFO)] : [];
}

/** The identifier in it is for eyes only: nothing depends on it (RFC 9611 section 5.1) [RES-02]. */
export function hasResourceInfo(payloads: readonly Payload[]): boolean {
  return findNotify(payloads, NotifyType.SA_RESOURCE_INFO) !== undefined;
}

/** Numbers of the SAs that ought to stand beside number 0 and do not; none before that one is there. */
export function missingSiblings(
  machine: Pick<Machine, "lanes">,
  sa: EstablishedIkeSa,
  configuration: ChildConfiguration,
): readonly number[] {
  if (sa.refusedSiblings.includes(configuration.name) || saPerOf(sa, configuration) !== "all") return [];
  const standing = siblingsOf(sa, configuration);
  const first = standing.find(({ sibling, state }) => sibling === 0 && state === "installed");
  if (first === undefined) return [];
  const wanted = hasResources(machine, configuration)
    ? first.takesResources
      ? machine.lanes
      : 0
    : (configuration.dscpClasses?.length ?? 0);
  const numbers = Array.from({ length: wanted }, (_, i) => i + 1);
  return numbers.filter((number) => !standing.some(({ sibling }) => sibling === number));
}

/**
 * As responder: which number a further SA of the peer's gets. The peer chooses classes and lanes for its own direction only,
 * so it is ours to say what we send through it.
 * @returns `full` when the peer has enough of them: TS_MAX_QUEUE [RES-04]
 */
export function numberForRequest(
  machine: Pick<Machine, "lanes">,
  sa: EstablishedIkeSa,
  configuration: ChildConfiguration,
  isResource: boolean,
): number | "full" {
  const standing = siblingsOf(sa, configuration);
  if (!standing.some(({ sibling }) => sibling === 0) || saPerOf(sa, configuration) !== "all") return 0;
  const own = ownExchange(sa.window);
  const isOurs =
    own?.kind === "createChild" && own.child === configuration.name && own.replaces === undefined;
  const pending = isOurs ? own.sibling : 0;
  const canBind = hasResources(machine, configuration);
  if (canBind && !isResource) return 0;
  const count = canBind ? machine.lanes : (configuration.dscpClasses?.length ?? 0);
  const load = new Array<number>(count).fill(0);
  for (const { sibling } of standing) if (sibling > 0 && sibling <= count) load[sibling - 1]!++;
  if (canBind && standing.length > RESOURCE_SAS_PER_CHILD_MAX) return "full";
  const free = load.findIndex((taken, i) => taken === 0 && i + 1 !== pending);
  if (free >= 0) return free + 1;
  // Both ends ask for the last one at once: their nonces decide (RFC 7296 section 2.8.1).
  if (pending > 0 && load[pending - 1] === 0) return pending;
  return canBind ? load.indexOf(Math.min(...load)) + 1 : 0;
}

function siblingsOf(sa: EstablishedIkeSa, { name }: ChildConfiguration): readonly ChildSa[] {
  return sa.children.filter((child) => child.name === name && child.state !== "deleting");
}

/** The lane that an SA is bound to; `undefined`: any. */
export function laneOfSibling(
  machine: Pick<Machine, "lanes">,
  configuration: ChildConfiguration,
  sibling: number,
): number | undefined {
  return sibling > 0 && hasResources(machine, configuration) ? sibling - 1 : undefined;
}

/** The DSCP values that leave through an SA; `undefined`: whatever has no SA of its own. */
export function dscpsOfSibling(
  { dscpClasses }: ChildConfiguration,
  sibling: number,
): readonly number[] | undefined {
  return sibling > 0 ? dscpClasses?.[sibling - 1] : undefined;
}

/** What remembers failures and the next try of an SA, by the name of its child, which has no blanks. */
export function keeperName(child: string, sibling: number, pair = 0): string {
  if (pair > 0) return `${child} pair ${pair}`;
  return sibling === 0 ? child : `${child} ${sibling}`;
}
