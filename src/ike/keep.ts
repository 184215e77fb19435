/** Keeps connections as the configuration and the operator want them: starts what is missing, with patience, for ever. */
import { after, Instant } from "../base/instant.ts";
import type { Connection } from "../policy/connection.ts";
import { connect } from "./exchange/ike-sa-init-initiator.ts";
import { childKeeper, isConnectionWanted, type Keeper } from "./keep-state.ts";
import { DOUBTFUL_SILENCE, DOUBTFUL_TRIES } from "./limits.ts";
import { lastHeardAt } from "./own-work.ts";
import type { EstablishedIkeSa, IkeSa } from "./sa/ike-sa.ts";
import { keeperOf, type Machine, type Turn } from "./turn.ts";

/** Connections that have an IKE SA or are about to get one by our own doing. */
export function servedConnections(machine: Machine, now: Instant): ReadonlySet<string> {
  const served = new Set<string>();
  for (const sa of machine.sas.values()) if (serves(machine, sa, now)) served.add(sa.connection);
  return served;
}

function serves(
  machine: Machine,
  sa: IkeSa,
  now: Instant,
): sa is Exclude<IkeSa, { state: "halfOpen" | "leaving" }> {
  if (sa.state === "established") return sa.heldFor === undefined && !isDoubtful(machine, sa, now);
  return sa.state === "initiating" || sa.state === "authenticating";
}

/**
 * The peer has not answered for a while and sends nothing authentic: perhaps it has begun anew and knows nothing of this IKE
 * SA. Another one is tried beside it; only when that is authenticated does this one give way [ERR-07].
 */
function isDoubtful(machine: Machine, sa: EstablishedIkeSa, now: Instant): boolean {
  const tries = sa.window.outstanding?.tries ?? 0;
  return tries >= DOUBTFUL_TRIES && now >= after(lastHeardAt(machine, sa), DOUBTFUL_SILENCE);
}

/** When a connection without IKE SA is to be tried; `undefined` when it is not wanted or cannot be called. */
export function connectAt(machine: Machine, connection: Connection): Instant | undefined {
  const keeper = machine.keepers.get(connection.name) ?? keeperOf(machine, connection.name);
  if (machine.isShutDown || !isConnectionWanted(keeper, connection)) return undefined;
  return keeper.nextTryAt ?? Instant(0);
}

/** Starts what is due. */
export function reconcile(turn: Turn): void {
  const { machine, now } = turn;
  const served = servedConnections(machine, now);
  for (const connection of machine.connections.values()) {
    if (served.has(connection.name)) continue;
    const at = connectAt(machine, connection);
    if (at === undefined || at > now) continue;
    const keeper = keeperOf(machine, connection.name);
    connect(turn, connection, keeper, firstPacket(keeper, connection));
  }
}

/** The packet that asked for the connection, if one did. */
function firstPacket(keeper: Keeper, { children }: Connection) {
  for (const { name } of children) {
    const { packet } = childKeeper(keeper, name);
    if (packet !== undefined) return packet;
  }
  return undefined;
}
