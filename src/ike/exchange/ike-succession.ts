/** One IKE SA takes over from another: who wins when both ends rekey at once, and who deletes what (RFC 7296 sections 2.8 and 2.8.2). */
import type { ExchangeRole } from "../notice.ts";
import type { EstablishedIkeSa } from "../sa/ike-sa.ts";
import type { IkeSaId } from "../sa/ike-sa-id.ts";
import { leave, moveChildren } from "../sa/lifecycle.ts";
import { abandonExchange } from "../sa/message-exchange.ts";
import { ownExchange } from "../sa/message-window.ts";
import { takePlace } from "../sa/same-peer.ts";
import { about, nameOfIkeSa, notice, type Turn } from "../turn.ts";

/**
 * Children, and everything that is still to be done, go to the new IKE SA; the old one waits for its Delete [CHILD-13].
 * @param deletedBy - who made the new one sends the Delete of the old one
 */
export function succeed(
  turn: Turn,
  old: EstablishedIkeSa,
  fresh: EstablishedIkeSa,
  deletedBy: "us" | "peer" | "nobody",
): void {
  moveChildren(turn, old, fresh);
  takePlace(turn, old, fresh);
  fresh.heldFor = undefined;
  const role: ExchangeRole = fresh.isOriginalInitiator ? "initiator" : "responder";
  const { rekeyAt } = fresh;
  const { suite } = fresh.protection;
  const names = { old: nameOfIkeSa(old), ikeSa: nameOfIkeSa(fresh) };
  leave(turn, old, "rekeyed", { deletedBy, successor: fresh.id });
  notice(turn, { code: "ikeSaRekeyed", ...about(fresh), ...names, role, suite, rekeyAt });
}

/** The IKE SA that the peer made while our own rekey of `old` was in flight. */
export function heldSuccessor(turn: Turn, crossingId: IkeSaId | undefined): EstablishedIkeSa | undefined {
  const sa = crossingId === undefined ? undefined : turn.machine.sas.get(crossingId);
  return sa?.state === "established" ? sa : undefined;
}

/** The peer treats a held IKE SA as the one that stays: our own rekey of the old one is forgotten. */
export function adoptHeld(turn: Turn, held: EstablishedIkeSa): void {
  if (held.heldFor === undefined) return;
  const old = turn.machine.sas.get(held.heldFor);
  held.heldFor = undefined;
  if (old?.state !== "established") return;
  if (ownExchange(old.window)?.kind === "rekeyIke") abandonExchange(turn, old.window);
  succeed(turn, old, held, "peer");
}
