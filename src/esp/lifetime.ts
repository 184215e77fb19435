/** Limits of an SA in octets, packets and sequence numbers, counted in its slot (RFC 4301 section 4.4.2.1). */
import type { SaLimit } from "../policy/data-plane.ts";
import { type SaTable, Slot } from "../policy/sa-table.ts";

/** Bits of the slot's LIMITS_RAISED. */
export const SOFT_LIMIT = 1;
export const HARD_LIMIT = 2;

/** Whether the SA may carry so many packets more of this many octets together [CHILD-24]. */
export function mayCarry(table: SaTable, base: number, octets: number, packets = 1): boolean {
  const { f64 } = table;
  return (
    f64[(base + Slot.PACKETS) >> 3]! + packets <= f64[(base + Slot.HARD_PACKETS) >> 3]! &&
    f64[(base + Slot.OCTETS) >> 3]! + octets <= f64[(base + Slot.HARD_OCTETS) >> 3]!
  );
}

/**
 * Counts packets by the octets that the cipher sees of all of them.
 * @returns whether a soft limit is reached that was not reported yet; {@link reachedSoft} says which [SPD-14]
 */
export function countPackets(
  table: SaTable,
  base: number,
  octets: number,
  now: number,
  packets = 1,
): boolean {
  const { f64 } = table;
  const count = f64[(base + Slot.PACKETS) >> 3]! + packets;
  const total = f64[(base + Slot.OCTETS) >> 3]! + octets;
  f64[(base + Slot.PACKETS) >> 3] = count;
  f64[(base + Slot.OCTETS) >> 3] = total;
  f64[(base + Slot.LAST_AT) >> 3] = now;
  return (
    (count >= f64[(base + Slot.SOFT_PACKETS) >> 3]! || total >= f64[(base + Slot.SOFT_OCTETS) >> 3]!) &&
    (table.u32[(base + Slot.LIMITS_RAISED) >> 2]! & SOFT_LIMIT) === 0
  );
}

/** Notes that a limit is reported; false when it was before. */
export function markRaised(table: SaTable, base: number, limit: number): boolean {
  return (Atomics.or(table.u32, (base + Slot.LIMITS_RAISED) >> 2, limit) & limit) === 0;
}

/** The report got lost: the next packet makes it again. */
export function clearRaised(table: SaTable, base: number, limit: number): void {
  Atomics.and(table.u32, (base + Slot.LIMITS_RAISED) >> 2, ~limit);
}

/** Which of the two counts reached its soft or hard limit. */
export function reachedSoft(table: SaTable, base: number): SaLimit {
  return table.f64[(base + Slot.PACKETS) >> 3]! >= table.f64[(base + Slot.SOFT_PACKETS) >> 3]!
    ? "packets"
    : "octets";
}

export function reachedHard(table: SaTable, base: number): SaLimit {
  return table.f64[(base + Slot.PACKETS) >> 3]! >= table.f64[(base + Slot.HARD_PACKETS) >> 3]!
    ? "packets"
    : "octets";
}
