/** What of a status an operator should look at: the one decision that status, its exit status and monitoring share. */
import {
  type ChildStatus,
  type ConnectionStatus,
  STATUS_ENTRIES_MAX,
  type StatusDocument,
  type Trouble,
} from "../control/schema.ts";
import type { Loss } from "../gateway/loss-meter.ts";
import type { OneWay } from "../gateway/one-way-watch.ts";
import type { ChildState, ConnectionState } from "../ike/connection-state.ts";

/** Of the peer's packets in the last minute, with so many at least to go by. */
const LOSS_SHARE = 0.02;
const LOSS_SENT_MIN = 200;

/** Absent with manual keys: what only IKE has. */
interface JudgedChild {
  readonly state: ChildStatus["state"];
  readonly keep?: ChildState["keep"];
  readonly waitsFor?: ChildState["waitsFor"] | undefined;
  readonly failure?: ChildState["lastFailure"] | undefined;
  readonly leftOut?: ChildState["leftOut"] | undefined;
  readonly oneWay: OneWay | undefined;
  readonly loss: Loss | undefined;
}

export function childTroubles(child: JudgedChild): Trouble[] {
  const { state, keep, waitsFor, failure, leftOut = [], oneWay, loss } = child;
  const isUp = state === "up" || state === "rekeying" || state === "manual";
  const isWanted = keep === undefined || (keep === "up" && waitsFor !== "operator");
  const recent = loss?.recent;
  return [
    ...(isUp ? [] : whyNotUp(isWanted, failure !== undefined && state === "waiting")),
    ...(oneWay === undefined ? [] : ["oneWay" as const]),
    ...(leftOut.length === 0 ? [] : ["leftOut" as const]),
    ...(isUp && failure?.code === "rekeyRefused" ? ["rekeyRefused" as const] : []),
    ...(recent !== undefined && recent.sent >= LOSS_SENT_MIN && recent.lost > recent.sent * LOSS_SHARE
      ? ["loss" as const]
      : []),
  ];
}

interface JudgedConnection extends Pick<ConnectionState, "keep"> {
  readonly state: ConnectionStatus["state"];
  readonly waitsFor: ConnectionState["waitsFor"] | undefined;
  readonly failure: ConnectionState["lastFailure"] | undefined;
}

export function connectionTroubles(connection: JudgedConnection): Trouble[] {
  const { state, keep, waitsFor, failure } = connection;
  if (state === "up" || state === "rekeying" || state === "manual") return [];
  const isWanted = keep === "up" && waitsFor !== "operator";
  return whyNotUp(isWanted, failure !== undefined && state === "waiting");
}

/** What waits for its peer or for a packet is as it should be, unless its last try failed and another is to follow. */
function whyNotUp(isWanted: boolean, hasFailed: boolean): Trouble[] {
  return isWanted ? ["notUp"] : hasFailed ? ["failed"] : [];
}

/** What totals and the choice of what is told rest on. */
interface Judged {
  readonly state: ConnectionStatus["state"];
  readonly troubles: readonly Trouble[];
  readonly children: readonly {
    readonly state: ChildStatus["state"];
    readonly troubles: readonly Trouble[];
  }[];
}

export function isInTrouble({ troubles, children }: Judged): boolean {
  return troubles.length > 0 || children.some((child) => child.troubles.length > 0);
}

export function totalsOf(connections: readonly Judged[]): StatusDocument["totals"] {
  const children = connections.flatMap((connection) => connection.children);
  const isUp = ({ state }: Pick<ConnectionStatus | ChildStatus, "state">) =>
    state === "up" || state === "rekeying" || state === "manual";
  return {
    connections: connections.length,
    connectionsUp: connections.filter(isUp).length,
    children: children.length,
    childrenUp: children.filter(isUp).length,
    inTrouble: connections.filter(isInTrouble).length,
  };
}

/**
 * At most `limit` of them in their order, with at most `entries` connections and children; where that leaves some out, those in
 * trouble before the others.
 */
export function toldOf<One extends Judged>(
  connections: readonly One[],
  limit: number,
  entries = STATUS_ENTRIES_MAX,
): One[] {
  const fit = fitting(connections, limit, entries);
  if (fit === connections.length) return [...connections];
  const first = connections.filter(isInTrouble);
  const ordered = [...first, ...connections.filter((one) => !isInTrouble(one))];
  return ordered.slice(0, fitting(ordered, limit, entries));
}

/** How many from the front there is room for; one at least. */
function fitting(connections: readonly Judged[], limit: number, entries: number): number {
  let used = 0;
  for (const [i, { children }] of connections.entries()) {
    used += 1 + children.length;
    if (i >= limit || (i > 0 && used > entries)) return i;
  }
  return connections.length;
}
