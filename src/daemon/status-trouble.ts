/** What of a status an operator should look at: the one decision that status, its exit status and monitoring share. */
import {
  type ChildStatus,
  type ConnectionStatus,
  STATUS_ENTRIES_MAX,
  type StatusDocument,
  type Trouble,
} from "../control/schema.ts";

/** Of the peer's packets in the last minute, with so many at least to go by. */
const LOSS_SHARE = 0.02;
const LOSS_SENT_MIN = 200;

type Judged<T> = Omit<T, "troubles">;

export function childTroubles(child: Judged<ChildStatus>): Trouble[] {
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

export function connectionTroubles(connection: Judged<ConnectionStatus>): Trouble[] {
  const { state, keep, waitsFor, failure } = connection;
  if (state === "up" || state === "rekeying" || state === "manual") return [];
  const isWanted = keep === "up" && waitsFor !== "operator";
  return whyNotUp(isWanted, failure !== undefined && state === "waiting");
}

/** What waits for its peer or for a packet is as it should be, unless its last try failed and another is to follow. */
function whyNotUp(isWanted: boolean, hasFailed: boolean): Trouble[] {
  return isWanted ? ["notUp"] : hasFailed ? ["failed"] : [];
}

export function isInTrouble({ troubles, children }: ConnectionStatus): boolean {
  return troubles.length > 0 || children.some((child) => child.troubles.length > 0);
}

export function totalsOf(connections: readonly ConnectionStatus[]): StatusDocument["totals"] {
  const children = connections.flatMap((connection) => connection.children);
  const isUp = ({ state }: ConnectionStatus | ChildStatus) =>
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
export function toldOf(
  connections: readonly ConnectionStatus[],
  limit: number,
  entries = STATUS_ENTRIES_MAX,
): ConnectionStatus[] {
  const fit = fitting(connections, limit, entries);
  if (fit === connections.length) return [...connections];
  const first = connections.filter(isInTrouble);
  const ordered = [...first, ...connections.filter((one) => !isInTrouble(one))];
  return ordered.slice(0, fitting(ordered, limit, entries));
}

/** How many from the front there is room for; one at least. */
function fitting(connections: readonly ConnectionStatus[], limit: number, entries: number): number {
  let used = 0;
  for (const [i, { children }] of connections.entries()) {
    used += 1 + children.length;
    if (i >= limit || (i > 0 && used > entries)) return i;
  }
  return connections.length;
}
