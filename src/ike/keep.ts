/** Keeps connections as the configuration and the operator want them: starts what is missing, with patience, for ever. */
import { after, Instant } from "../base/instant.ts";
import type { Connection } from "../policy/connection.ts";
import { connect } from "./exchange/ike-sa-init-initiator.ts";
import { childKeeper, isConnectionWanted, type Keeper } from "./keep-state.ts";
import { DOUBTFUL_SILENCE, DOUBTFUL_TRIES } from "./limits.ts";
import { lastHeardAt } from "./own-work.ts";
import type { EstablishedIkeSa, IkeSa } from "./sa/ike-sa.ts";
import { keeperOf, type Machine, type Turn } from "./turn.ts";

/** Whether a connection has an IKE SA, or is about to get one by our own doing. */
export function isServed(machine: Machine, connection: string, now: Instant): boolean {
  for (const id of machine.byConnection.get(connection) ?? []) {
    const sa = machine.sas.get(id);
    if (sa !== undefined && serves(machine, sa, now)) return true;
  }
  return false;
}

function serves(machine: Machine, sa: IkeSa, now: Instant): boolean {
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

/** Starts a connection that is due. */
export function reconcile(turn: Turn, connection: Connection): void {
  const { machine, now } = turn;
  if (isServed(machine, connection.name, now)) return;
  const at = connectAt(machine, connection);
  if (at === undefined || at > now) return;
  const keeper = keeperOf(machine, connection.name);
  connect(turn, connection, keeper, firstPacket(keeper, connection));
}

/** The packet that asked for the connection, if one did. */
function firstPacket(keeper: Keeper, { children }: Connection) {
  for (const { name } of children) {
    const { packet } = childKeeper(keeper, name);
    if (packet !== undefined) return packet;
  }
  return undefined;
}
