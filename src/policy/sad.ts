/** The security association database as a lane reads it (RFC 4301 section 4.4.2): by SPI inbound, by policy outbound. */
import { INDEX_ENTRY_STRIDE, Policy, type SaTable, SelectorRecord, Slot, SlotState } from "./sa-table.ts";
import { Key, matchesLocal, matchesRemote, type PacketKey, type SelectorMemory } from "./selector-record.ts";
import { localSelectorsAt, remoteSelectorsAt } from "./slot-tail.ts";

/** Value of an index entry's slot field for an SA that was removed. */
export const INDEX_DELETED = 0xffffffff;
/** Value of the slot field for an SPI that a peer may know and that has no SA yet. */
export const INDEX_AWAITED = 0xfffffffe;
/** No SA fits. */
export const NO_SLOT = -1;
/** There is no SA yet: it is being negotiated. */
export const AWAITED_SLOT = -2;

/** Octet of a slot's record in the table. */
export function slotOffset(table: SaTable, slot: number): number {
  return table.regions.slots + slot * Slot.STRIDE;
}

/** First place to look for an SPI: its bits are random unless an operator chose them. */
export function indexStart(table: SaTable, spi: number): number {
  return (Math.imul(spi, 0x9e3779b1) >>> 8) & (table.regions.indexCapacity - 1);
}

/**
 * The slot of the live inbound SA with this SPI, whatever addresses the packet has [SPD-06] [NAT-10]; {@link AWAITED_SLOT} or
 * {@link NO_SLOT}.
 */
export function findBySpi(table: SaTable, spi: number): number {
  const mask = table.regions.indexCapacity - 1;
  let at = indexStart(table, spi);
  for (let probes = 0; probes <= mask; probes++) {
    const word = (table.regions.index + at * INDEX_ENTRY_STRIDE) >> 2;
    const slotPlusOne = Atomics.load(table.u32, word + 1);
    if (slotPlusOne === 0) return NO_SLOT;
    if (slotPlusOne !== INDEX_DELETED && table.u32[word] === spi) {
      if (slotPlusOne === INDEX_AWAITED) return AWAITED_SLOT;
      const record = slotOffset(table, slotPlusOne - 1) >> 2;
      const isLive = Atomics.load(table.u32, record + Slot.STATE / 4) === SlotState.LIVE;
      return isLive && table.u32[record + Slot.SPI / 4] === spi ? slotPlusOne - 1 : NO_SLOT;
    }
    at = (at + 1) & mask;
  }
  return NO_SLOT;
}

/**
 * The live outbound SA of a policy whose selectors hold the packet, or {@link NO_SLOT}: the newest of those for the packet's
 * DSCP value and the lane, else of those for everything else, else of any (RFC 4301 section 4.1, RFC 9611 section 4) [PAR-01] [RES-05].
 */
export function outboundFor(
  table: SaTable,
  memory: SelectorMemory,
  policy: number,
  key: PacketKey,
  lane: number,
): number {
  const record = (table.regions.policies + policy * Policy.STRIDE) >> 2;
  const hasSiblings = Atomics.load(table.u32, record + Policy.HAS_SIBLINGS / 4) !== 0;
  let best = NO_SLOT;
  let bestFit = -1;
  let slotPlusOne = Atomics.load(table.u32, record + Policy.OUTBOUND_HEAD / 4);
  for (let steps = 0; slotPlusOne !== 0 && steps < table.size.slots; steps++) {
    const slot = slotPlusOne - 1;
    const word = slotOffset(table, slot) >> 2;
    const isLive = Atomics.load(table.u32, word + Slot.STATE / 4) === SlotState.LIVE;
    if (isLive && saMatches(table, memory, slot, key)) {
      if (!hasSiblings) return slot;
      const fit = fitness(table, word, key[Key.DSCP]!, lane);
      if (fit > bestFit) {
        best = slot;
        bestFit = fit;
      }
    }
    slotPlusOne = Atomics.load(table.u32, word + Slot.NEXT_FOR_POLICY / 4);
  }
  return best;
}

/** 2 for what is meant for exactly this, 1 for what is meant for everything; the DSCP value counts more than the lane. */
function fitness({ u32 }: SaTable, word: number, dscp: number, lane: number): number {
  const set = word + Slot.DSCP_SET / 4;
  const isSet = (u32[set + (dscp >> 5)]! & (1 << (dscp & 31))) !== 0;
  const forDscp = isSet ? 2 : u32[set] === 0 && u32[set + 1] === 0 ? 1 : 0;
  const resource = u32[word + Slot.RESOURCE / 4]!;
  const forLane = resource === lane + 1 ? 2 : resource === 0 ? 1 : 0;
  return 3 * forDscp + forLane;
}

/** Whether a packet lies within the selectors of exactly this SA [SPD-04]. */
export function saMatches(table: SaTable, memory: SelectorMemory, slot: number, key: PacketKey): boolean {
  const record = slotOffset(table, slot);
  const local = table.u32[(record + Slot.LOCAL_SELECTOR_COUNT) >> 2]!;
  const remote = table.u32[(record + Slot.REMOTE_SELECTOR_COUNT) >> 2]!;
  return (
    matchesRemote(memory, remoteSelectorsAt(table, record, remote), remote, key) &&
    matchesLocal(memory, localSelectorsAt(table, record, local), local, key)
  );
}

/** Whether two outbound SAs are for the same packets: of the same policy, with the same selectors, DSCP values and lane. */
export function hasSameTraffic(table: SaTable, slot: number, other: number): boolean {
  const [a, b] = [slotOffset(table, slot), slotOffset(table, other)];
  const fields = [
    Slot.POLICY,
    Slot.MODE,
    Slot.PROTOCOL,
    Slot.DSCP_SET,
    Slot.DSCP_SET + 4,
    Slot.RESOURCE,
    Slot.LOCAL_SELECTOR_COUNT,
    Slot.REMOTE_SELECTOR_COUNT,
  ];
  if (fields.some((field) => table.u32[(a + field) >> 2] !== table.u32[(b + field) >> 2])) return false;
  const isSame = (selectorsAt: typeof localSelectorsAt, countField: number) => {
    const count = table.u32[(a + countField) >> 2]!;
    const [of, beside] = [selectorsAt(table, a, count), selectorsAt(table, b, count)];
    for (let at = 0; at < count * SelectorRecord.STRIDE; at++)
      if (table.bytes[of + at] !== table.bytes[beside + at]) return false;
    return true;
  };
  return (
    isSame(localSelectorsAt, Slot.LOCAL_SELECTOR_COUNT) &&
    isSame(remoteSelectorsAt, Slot.REMOTE_SELECTOR_COUNT)
  );
}
