/** What another configuration would change, and what that costs the tunnels that are up. Pure: two configurations and states in, a plan out. */
import { isSameValue } from "../../base/same-value.ts";
import type { Configuration, ConfiguredConnection, ManualChild } from "../../config/configuration.ts";
import type { ReloadPlan } from "../../control/reload-schema.ts";
import { childChanges, connectionChanges } from "../../ike/changes.ts";
import type { ConnectionState } from "../../ike/connection-state.ts";
import { OUTDATED_PATIENCE } from "../../ike/limits.ts";
import { planSettings } from "./plan-settings.ts";
import { summaryOf } from "./plan-text.ts";

export interface PlanInput {
  readonly running: Configuration;
  /** With the names of the running one, see `RunningGateway.numbered`. */
  readonly fresh: Configuration;
  readonly states: readonly ConnectionState[];
  /** Connections whose peers are where the new configuration no longer looks. */
  readonly movedAway: ReadonlySet<string>;
  /** How many lanes run; what a configuration asks for in words comes to a number. */
  readonly lanesOf: (configured: "auto" | number) => number;
}

const RENEWAL_SECONDS = OUTDATED_PATIENCE / 1000;

type ConnectionPlan = ReloadPlan["connections"][number];
type ChildPlan = ConnectionPlan["children"][number];

/** SAs of a child that carry traffic now, by connection and child. */
interface Up {
  isUp(connection: string): boolean;
  tunnels(connection: string, child?: string): number;
}

export function planReload(input: PlanInput): ReloadPlan {
  const { running, fresh } = input;
  const up = upOf(input.states);
  const names = new Set([...namesOf(running), ...namesOf(fresh)]);
  const [before, after] = [byName(running), byName(fresh)];
  const connections = [...names].flatMap((name) => {
    const change = planConnection(name, before.get(name), after.get(name), input.movedAway.has(name), up);
    return change === undefined ? [] : [change];
  });
  const settings = planSettings(running, fresh, input.lanesOf);
  const counts = countsOf(connections, up);
  return {
    summary: summaryOf(counts, connections, settings),
    isEmpty: connections.length === 0 && settings.length === 0,
    connections,
    settings,
    counts,
  };
}

function upOf(states: readonly ConnectionState[]): Up {
  const children = new Map<string, number>();
  const connected = new Set<string>();
  const add = (key: string, count: number) => children.set(key, (children.get(key) ?? 0) + count);
  for (const { connection, ikeSa, children: all } of states) {
    if (ikeSa !== undefined) connected.add(connection);
    for (const { name, sa } of all) {
      if (sa === undefined) continue;
      add(connection, 1);
      add(`${connection}/${name}`, 1);
    }
  }
  return {
    isUp: (connection) => connected.has(connection),
    tunnels: (connection, child) =>
      children.get(child === undefined ? connection : `${connection}/${child}`) ?? 0,
  };
}

/** A name's IKE connection and its children with keys of their own. */
interface Named {
  readonly configured?: ConfiguredConnection;
  readonly manual: ReadonlyMap<string, ManualChild>;
}

function namesOf({ connections, manual }: Configuration): readonly string[] {
  return [...connections.map(({ connection }) => connection.name), ...manual.map((one) => one.connection)];
}

function byName({ connections, manual }: Configuration): ReadonlyMap<string, Named> {
  const manuals = new Map<string, Map<string, ManualChild>>();
  for (const child of manual) {
    const known = manuals.get(child.connection) ?? new Map<string, ManualChild>();
    manuals.set(child.connection, known.set(child.name, child));
  }
  const found = new Map<string, Named>();
  for (const [name, own] of manuals) found.set(name, { manual: own });
  for (const configured of connections) {
    const { name } = configured.connection;
    found.set(name, { configured, manual: manuals.get(name) ?? new Map() });
  }
  return found;
}

function planConnection(
  name: string,
  before: Named | undefined,
  after: Named | undefined,
  hasMoved: boolean,
  up: Up,
): ConnectionPlan | undefined {
  const isUp = up.isUp(name);
  const manual = planManual(before?.manual ?? new Map(), after?.manual ?? new Map());
  const [old, fresh] = [before?.configured, after?.configured];
  if (after === undefined || before === undefined) {
    const known = (before ?? after)!;
    const change = after === undefined ? "removed" : "added";
    const own = known.configured?.connection.children.map((one) => one.name) ?? [];
    const children = own.map((child) => childPlan(child, change, up.tunnels(name, child) > 0, []));
    return { name, change, isUp, reasons: [], children: [...children, ...manual] };
  }
  if (old === undefined || fresh === undefined) {
    if (old === undefined && fresh === undefined)
      return manual.length === 0
        ? undefined
        : { name, change: "changed", isUp, reasons: [], children: manual };
    const reason = fresh === undefined ? "IKE negotiates nothing here any more" : "IKE negotiates here now";
    return {
      name,
      change: fresh === undefined ? "reconnects" : "changed",
      isUp,
      reasons: [reason],
      children: manual,
    };
  }
  return planKnown(name, old, fresh, hasMoved, up, manual);
}

function planKnown(
  name: string,
  old: ConfiguredConnection,
  fresh: ConfiguredConnection,
  hasMoved: boolean,
  up: Up,
  manual: readonly ChildPlan[],
): ConnectionPlan | undefined {
  const { ending, renewing, quiet } = connectionChanges(old.connection, fresh.connection);
  const isUp = up.isUp(name);
  const children = [...planChildren(name, old, fresh, up), ...manual];
  const away = hasMoved && ending.length === 0 ? ["remote.address no longer holds where the peer is"] : [];
  const reasons = [
    ...ending.map((key) => `${key}: the IKE SA rests on it`),
    ...away,
    ...renewing.map(
      (key) =>
        `${key}: the IKE SA serves until one with the new setting stands, at most ${RENEWAL_SECONDS} s`,
    ),
    ...quiet.map((key) => `${key}: from now on, nothing is interrupted`),
    ...routingReasons(old, fresh),
  ];
  if (ending.length + away.length > 0) return { name, change: "reconnects", isUp, reasons, children };
  if (reasons.length + children.length === 0) return undefined;
  if (renewing.length > 0) return { name, change: "reauthenticates", isUp, reasons, children };
  return { name, change: "changed", isUp, reasons, children };
}

function routingReasons(old: ConfiguredConnection, fresh: ConfiguredConnection): readonly string[] {
  const settings = {
    "remote.address": [old.remoteNames, fresh.remoteNames],
    interface: [old.interface, fresh.interface],
    routes: [old.routes, fresh.routes],
    priority: [old.priorities, fresh.priorities],
  } as const;
  return Object.entries(settings)
    .filter(([, [a, b]]) => !isSameValue(a, b))
    .map(([key]) => `${key}: policy and routes are replaced in place`);
}

function planChildren(
  connection: string,
  { connection: { children: before } }: ConfiguredConnection,
  { connection: { children: after } }: ConfiguredConnection,
  up: Up,
): readonly ChildPlan[] {
  const fresh = new Map(after.map((child) => [child.name, child]));
  const known = new Set(before.map(({ name }) => name));
  const changed = before.flatMap((child): ChildPlan[] => {
    const isUp = up.tunnels(connection, child.name) > 0;
    const now = fresh.get(child.name);
    if (now === undefined) return [childPlan(child.name, "removed", isUp, [])];
    const { ending, rekeying, quiet } = childChanges(child, now);
    const reasons = [
      ...ending.map((key) => `${key}: its SAs are negotiated anew`),
      ...rekeying.map((key) => `${key}: comes with new keys; the old ones serve until then`),
      ...quiet.map((key) => `${key}: from now on, nothing is interrupted`),
    ];
    const change = ending.length > 0 ? "reconnects" : rekeying.length > 0 ? "rekeys" : "changed";
    return reasons.length === 0 ? [] : [childPlan(child.name, change, isUp, reasons)];
  });
  const added = after
    .filter(({ name }) => !known.has(name))
    .map(({ name }) => childPlan(name, "added", false, []));
  return [...changed, ...added];
}

/** Keys of a file know no rekey: what changed is replaced. */
function planManual(
  before: ReadonlyMap<string, ManualChild>,
  after: ReadonlyMap<string, ManualChild>,
): ChildPlan[] {
  const gone = [...before.keys()].filter((name) => !after.has(name));
  return [
    ...gone.map((name) => childPlan(name, "removed", true, [])),
    ...[...after].flatMap(([name, child]) => {
      const old = before.get(name);
      if (old === undefined) return [childPlan(name, "added", false, [])];
      if (isSameValue(old, child)) return [];
      return [childPlan(name, "reconnects", true, ["manual keys: the SA pair is replaced"])];
    }),
  ];
}

function childPlan(name: string, change: ChildPlan["change"], isUp: boolean, reasons: string[]): ChildPlan {
  return { name, change, isUp, reasons };
}

function countsOf(connections: readonly ConnectionPlan[], up: Up): ReloadPlan["counts"] {
  const touched = ({ name, change, children }: ConnectionPlan) => {
    const ending = children.filter((child) => child.change === "removed" || child.change === "reconnects");
    const manual = ending.filter((child) => child.isUp && up.tunnels(name, child.name) === 0).length;
    if (change === "removed" || change === "reconnects") return up.tunnels(name) + manual;
    return manual + ending.reduce((sum, child) => sum + up.tunnels(name, child.name), 0);
  };
  const rekeys = ({ name, change, children }: ConnectionPlan) =>
    change !== "changed" && change !== "reauthenticates"
      ? 0
      : children
          .filter((child) => child.change === "rekeys")
          .reduce((sum, child) => sum + up.tunnels(name, child.name), 0);
  return {
    added: connections.filter(({ change }) => change === "added").length,
    removed: connections.filter(({ change }) => change === "removed").length,
    tunnelsTouched: connections.reduce((sum, one) => sum + touched(one), 0),
    rekeys: connections.reduce((sum, one) => sum + rekeys(one), 0),
    reauthentications: connections.filter(({ change, isUp }) => change === "reauthenticates" && isUp).length,
  };
}
