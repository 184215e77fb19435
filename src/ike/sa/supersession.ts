/** One IKE SA with the same peer takes the place of another that was authenticated on its own (RFC 7296 sections 2.4 and 2.8.3). */
import { Instant } from "../../base/instant.ts";
import { childKeeper } from "../keep-state.ts";
import type { IkeDownReason } from "../notice.ts";
import { command, keeperOf, type Turn } from "../turn.ts";
import { activateOutbound, lingerOf } from "./child-lifecycle.ts";
import type { ChildSa } from "./child-sa.ts";
import type { EstablishedIkeSa } from "./ike-sa.ts";
import { leave } from "./lifecycle.ts";
import { childrenToTakeOver } from "./same-peer.ts";

/**
 * Children whose traffic the fresh IKE SA carries go without a word; their inbound halves stay with it until the last packets
 * are here, so that nothing is lost [LIFE-04].
 */
export function supersede(
  turn: Turn,
  old: EstablishedIkeSa,
  fresh: EstablishedIkeSa,
  reason: IkeDownReason,
  deletedBy: "us" | "nobody",
): void {
  const { now } = turn;
  const isCarried = ({ name }: ChildSa) =>
    fresh.children.some((one) => one.name === name && one.state === "installed");
  for (const child of old.children.filter(isCarried)) {
    if (child.deferred !== undefined) activateOutbound(turn, child);
    command(turn, { kind: "removeOutboundSa", inboundSpi: child.inboundSpi });
    turn.machine.carriers.delete(child.inboundSpi);
    fresh.lingering.push(lingerOf(child.inboundSpi, now));
  }
  old.children = old.children.filter((child) => !isCarried(child));
  for (const child of fresh.children) activateOutbound(turn, child);
  fresh.lingering.push(...old.lingering.splice(0));
  leave(turn, old, reason, { deletedBy });
}

/** The elder goes as soon as nothing of it is missing on the fresh one, or what is missing was refused. */
export function handOver(turn: Turn, fresh: EstablishedIkeSa): void {
  if (fresh.elder === undefined) return;
  const { machine, now } = turn;
  const elder = machine.sas.get(fresh.elder);
  if (elder?.state !== "established") {
    fresh.elder = undefined;
    return;
  }
  const keeper = keeperOf(machine, fresh.connection);
  const isOpen = (name: string) => (childKeeper(keeper, name).nextTryAt ?? Instant(0)) <= now;
  if (childrenToTakeOver(turn, fresh).some(isOpen)) return;
  fresh.elder = undefined;
  supersede(turn, elder, fresh, "reauthenticated", "us");
}
