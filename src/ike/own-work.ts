/** What an established IKE SA is to do next of its own accord, one exchange at a time (RFC 7296 sections 2.3, 2.4 and 2.8). */
import { after, Instant } from "../base/instant.ts";
import type { ChildConfiguration } from "../policy/connection.ts";
import { IV_REKEY, MESSAGE_ID_REKEY } from "./limits.ts";
import { missingChildren } from "./missing-children.ts";
import { lastUseOf } from "./sa/child-lifecycle.ts";
import type { ChildSa } from "./sa/child-sa.ts";
import type { EstablishedIkeSa } from "./sa/ike-sa.ts";
import { childConfiguration, type Machine } from "./turn.ts";

type Work =
  | { readonly kind: "deleteChildren" }
  | { readonly kind: "rekeyIke" }
  | { readonly kind: "reauthenticate" }
  | { readonly kind: "closeIdle"; readonly child: ChildSa }
  | { readonly kind: "rekeyChild"; readonly child: ChildSa }
  | {
      readonly kind: "createChild";
      readonly child: ChildConfiguration;
      readonly sibling: number;
      readonly pair: number;
    }
  | { readonly kind: "liveness" }
  | { readonly kind: "probePath" }
  | { readonly kind: "updateAddresses" | "checkRoutability" | "tellAddresses" };

export interface Planned {
  readonly at: Instant;
  readonly work: Work;
}

const NOW = Instant(0);

/**
 * The work that is due, most urgent kind first, or else what falls due next; `undefined` while an exchange or a computation
 * is under way, or when another IKE SA is to take over.
 */
export function ownWork(machine: Machine, sa: EstablishedIkeSa, now: Instant): Planned | undefined {
  if (sa.window.outstanding !== undefined || sa.job !== undefined) return undefined;
  if (sa.heldFor !== undefined || sa.redundantUntil !== undefined) return undefined;
  // The peer is about to finish what it began, within seconds; what we begin now would only cross it.
  if (sa.followUps.length > 0) return undefined;
  let next: Planned | undefined;
  for (const planned of candidates(machine, sa)) {
    if (planned.at <= now) return planned;
    if (next === undefined || planned.at < next.at) next = planned;
  }
  return next;
}

function candidates(machine: Machine, sa: EstablishedIkeSa): readonly Planned[] {
  const planned: Planned[] = [...moves(sa)];
  if (sa.orphans.length > 0 || sa.children.some(({ state }) => state === "deleting"))
    planned.push({ at: NOW, work: { kind: "deleteChildren" } });
  const { renewAt, isRenewing } = sa.authentication;
  if (renewAt !== undefined && !isRenewing) planned.push({ at: renewAt, work: { kind: "reauthenticate" } });
  planned.push({ at: rekeyIkeAt(sa), work: { kind: "rekeyIke" } });
  for (const child of sa.children) {
    if (child.state !== "installed") continue;
    const idleAt = idleEnd(machine, sa, child);
    if (idleAt !== undefined) planned.push({ at: idleAt, work: { kind: "closeIdle", child } });
    const at = child.notBefore ?? child.rekeyAt;
    planned.push({ at, work: { kind: "rekeyChild", child } });
  }
  for (const { at, child, sibling, pair } of missingChildren(machine, sa))
    planned.push({ at, work: { kind: "createChild", child, sibling, pair } });
  const connection = machine.connections.get(sa.connection);
  if (connection !== undefined) {
    const at = after(lastHeardAt(machine, sa), connection.ike.liveness);
    planned.push({ at, work: { kind: "liveness" } });
  }
  // The last in the list: whatever else is due goes first.
  if (sa.pathProbe !== undefined) planned.push({ at: NOW, work: { kind: "probePath" } });
  return planned;
}

/** What MOBIKE has to say goes before everything else, which may not get through without it. */
function moves({ mobike }: EstablishedIkeSa): readonly Planned[] {
  if (mobike === undefined) return [];
  const { isUpdateDue, isCheckDue, isTellDue } = mobike;
  if (isUpdateDue) return [{ at: NOW, work: { kind: "updateAddresses" } }];
  if (isCheckDue) return [{ at: NOW, work: { kind: "checkRoutability" } }];
  return isTellDue ? [{ at: NOW, work: { kind: "tellAddresses" } }] : [];
}

/** [MID-11] [ENC-10] also long before message IDs or IVs could run out. */
function rekeyIkeAt({ window, protection, rekeyAt, rekeyNotBefore }: EstablishedIkeSa): Instant {
  const isWorn = window.nextRequestId > MESSAGE_ID_REKEY || window.expectedRequestId > MESSAGE_ID_REKEY;
  const at = isWorn || protection.nextIv > IV_REKEY ? NOW : rekeyAt;
  return rekeyNotBefore ?? at;
}

/** When a child that nobody uses is closed; `undefined` for those that stay. */
function idleEnd(machine: Machine, sa: EstablishedIkeSa, child: ChildSa): Instant | undefined {
  const inactivity = childConfiguration(machine, sa.connection, child.name)?.inactivity;
  return inactivity === undefined ? undefined : after(lastUseOf({ machine }, child), inactivity);
}

/** Authentic ESP proves life as well as IKE does [CHILD-23]. */
export function lastHeardAt(machine: Machine, sa: EstablishedIkeSa): Instant {
  let latest = sa.lastHeardAt;
  for (const { inboundSpi } of sa.children) {
    const at = machine.usage.usage(inboundSpi)?.lastInboundAt;
    if (at !== undefined && at > latest) latest = at;
  }
  return latest;
}
