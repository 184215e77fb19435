/** Limits of an SA in octets, packets and sequence numbers, counted in its slot (RFC 4301 section 4.4.2.1). */
import type { SaLimit } from "../policy/data-plane.ts";
import { type SaTable, Slot } from "../policy/sa-table.ts";

const SOFT_RAISED = 1;
const HARD_RAISED = 2;

/** Whether the SA may carry one packet more of this many octets [CHILD-24]. */
export function mayCarry(table: SaTable, base: number, octets: number): boolean {
  const { f64 } = table;
  return (
    f64[(base + Slot.PACKETS) >> 3]! < f64[(base + Slot.HARD_PACKETS) >> 3]! &&
    f64[(base + Slot.OCTETS) >> 3]! + octets <= f64[(base + Slot.HARD_OCTETS) >> 3]!
  );
}

/**
 * Counts a packet by the octets that the cipher sees.
 * @returns whether a soft limit is reached that was not reported yet; {@link raiseSoft} says which [SPD-14]
 */
export function countPacket(table: SaTable, base: number, octets: number, now: number): boolean {
  const { f64 } = table;
  const packets = f64[(base + Slot.PACKETS) >> 3]! + 1;
  const total = f64[(base + Slot.OCTETS) >> 3]! + octets;
  f64[(base + Slot.PACKETS) >> 3] = packets;
  f64[(base + Slot.OCTETS) >> 3] = total;
  f64[(base + Slot.LAST_AT) >> 3] = now;
  return (
    (packets >= f64[(base + Slot.SOFT_PACKETS) >> 3]! || total >= f64[(base + Slot.SOFT_OCTETS) >> 3]!) &&
    (table.u32[(base + Slot.LIMITS_RAISED) >> 2]! & SOFT_RAISED) === 0
  );
}

/** Notes that the soft limit is reported, once per SA; `undefined` when it was before. */
export function raiseSoft(table: SaTable, base: number, limit: SaLimit): SaLimit | undefined {
  return raise(table, base, SOFT_RAISED, limit);
}

export function raiseHard(table: SaTable, base: number, limit: SaLimit): SaLimit | undefined {
  return raise(table, base, HARD_RAISED, limit);
}

function raise(table: SaTable, base: number, bit: number, limit: SaLimit): SaLimit | undefined {
  const before = Atomics.or(table.u32, (base + Slot.LIMITS_RAISED) >> 2, bit);
  return (before & bit) === 0 ? limit : undefined;
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
