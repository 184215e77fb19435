/** Another configuration for a running machine: what did not change goes on, the rest ends and begins anew. */
import { contains } from "../base/address-range.ts";
import { isSameValue } from "../base/same-value.ts";
import { indexCallers } from "../policy/caller-index.ts";
import type { ChildConfiguration, Connection } from "../policy/connection.ts";
import { keepNumbers } from "../policy/peer-numbers.ts";
import { childChanges, connectionChanges } from "./changes.ts";
import { closeConnection, closeUnfinished } from "./command.ts";
import { clearFailures, type Keeper } from "./keep-state.ts";
import { outdate } from "./sa/authentication.ts";
import { markDeleting } from "./sa/child-lifecycle.ts";
import type { IkeSa } from "./sa/ike-sa.ts";
import { establishedOf, ikeSasOf, keeperOf, type Machine, type Turn } from "./turn.ts";

export function replaceConnections(turn: Turn, connections: readonly Connection[]): void {
  const { machine } = turn;
  const before = machine.connections;
  const running = [...before.values()];
  const numbered = keepNumbers(
    connections.map((connection) => ({ connection })),
    running,
  ).map(({ connection }) => connection);
  machine.connections = new Map(numbered.map((connection) => [connection.name, connection]));
  machine.callers = indexCallers(numbered);
  for (const [name, old] of before) {
    const fresh = machine.connections.get(name);
    if (fresh === undefined) {
      closeConnection(turn, name, "configurationChanged");
      continue;
    }
    const { ending, renewing } = connectionChanges(old, fresh);
    if (ending.length > 0 || hasMovedAway(machine, fresh)) {
      closeConnection(turn, name, "configurationChanged");
      clearFailures(keeperOf(machine, name));
    } else {
      if (renewing.length > 0) renew(turn, fresh);
      // Other addresses, for instance, are tried at once.
      if (!isSameValue(old, fresh)) clearFailures(keeperOf(machine, name));
      changeChildren(turn, old, fresh);
    }
  }
  forgetKeepers(turn, before);
}

/** What stands goes on until a new authentication has taken its place; what is in the making begins anew. */
function renew(turn: Turn, connection: Connection): void {
  const { machine, now } = turn;
  closeUnfinished(turn, connection.name);
  for (const sa of establishedOf(machine, connection.name)) {
    outdate(sa.authentication, connection, now);
    machine.touched.sas.add(sa.id);
  }
}

/** Of names that have become those of something else: a connection, or the peers of one together. */
function forgetKeepers({ machine: { connections, keepers } }: Turn, before: Machine["connections"]): void {
  const shared = new Set([...connections.values()].map(({ oneOf }) => oneOf?.connection));
  for (const name of [...keepers.keys()])
    if (before.has(name) !== connections.has(name) || !(connections.has(name) || shared.has(name)))
      keepers.delete(name);
}

/** Whether an IKE SA's peer is where the connection no longer looks for it. What DNS says ends no IKE SA that is there. */
export function hasMovedAway(machine: Machine, { name, remote }: Connection): boolean {
  if (remote.addresses.length === 0 || remote.names !== undefined) return false;
  return ikeSasOf(machine, name).some(
    (sa) => !hasSaidSo(sa) && !remote.addresses.some((range) => contains(range, sa.remote.address)),
  );
}

/** Its peer told us of the addresses where it may be found (RFC 4555). */
function hasSaidSo(sa: IkeSa): boolean {
  return sa.state === "established" && sa.mobike?.isInitiator === true;
}

function changeChildren(turn: Turn, old: Connection, fresh: Connection): void {
  const keeper = keeperOf(turn.machine, fresh.name);
  for (const child of old.children) {
    const now = fresh.children.find(({ name }) => name === child.name);
    const changes = now === undefined ? undefined : childChanges(child, now);
    if (changes === undefined || changes.ending.length > 0) endSas(turn, fresh, keeper, child);
    else if (changes.rekeying.length > 0) rekeySas(turn, fresh, keeper, child);
  }
}

function endSas(
  turn: Turn,
  { name: connection }: Connection,
  keeper: Keeper,
  child: ChildConfiguration,
): void {
  forgetChild(keeper, child);
  for (const sa of establishedOf(turn.machine, connection)) {
    sa.splits = sa.splits.filter((split) => split.child !== child.name);
    for (const one of sa.children)
      if (one.name === child.name && one.state === "installed")
        markDeleting(turn, one, "configurationChanged");
  }
}

/** What they carry goes on until their successors are there; a peer that refuses those keeps them for their lifetime. */
function rekeySas(
  turn: Turn,
  { name: connection }: Connection,
  keeper: Keeper,
  child: ChildConfiguration,
): void {
  forgetChild(keeper, child);
  for (const sa of establishedOf(turn.machine, connection))
    for (const one of sa.children) {
      if (one.name !== child.name || one.state !== "installed") continue;
      one.rekeyAt = turn.now;
      one.notBefore = undefined;
    }
}

/** With what is remembered of its single SAs. */
function forgetChild({ children }: Keeper, { name }: ChildConfiguration): void {
  for (const key of [...children.keys()])
    if (key === name || key.startsWith(`${name} `)) children.delete(key);
}
