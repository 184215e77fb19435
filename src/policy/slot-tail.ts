/** Where an SA's selectors and anti-replay bitmap are: in its slot as long as they are few and short, else in the slot's tail. */
import { type SaTable, SLOT_REPLAY_WINDOW, Slot, SlotTail } from "./sa-table.ts";

/** @param base - octet of the slot; so are all results: octets in the table */
function tailOffset({ regions }: SaTable, base: number): number {
  return regions.tails + ((base - regions.slots) / Slot.STRIDE) * SlotTail.STRIDE;
}

/** @param count - of the SA's local selectors */
export function localSelectorsAt(table: SaTable, base: number, count: number): number {
  return count <= 1 ? base + Slot.LOCAL_SELECTOR : tailOffset(table, base) + SlotTail.LOCAL_SELECTORS;
}

/** @param count - of the SA's remote selectors */
export function remoteSelectorsAt(table: SaTable, base: number, count: number): number {
  return count <= 1 ? base + Slot.REMOTE_SELECTOR : tailOffset(table, base) + SlotTail.REMOTE_SELECTORS;
}

/** @param window - packets that the SA's window spans */
export function replayBitmapAt(table: SaTable, base: number, window: number): number {
  return window <= SLOT_REPLAY_WINDOW
    ? base + Slot.REPLAY_BITMAP
    : tailOffset(table, base) + SlotTail.REPLAY_BITMAP;
}
