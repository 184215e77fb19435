/**
 * An SA table that another process left, perhaps killed in the middle of a change: whatever was not complete is undone, and
 * what follows from the records (SPI index, chains, references) is made anew. To be done before any lane looks at it.
 */
import { endpointOffset } from "./endpoint-record.ts";
import {
  AggfragMode,
  EndpointRecord,
  Header,
  INDEX_ENTRY_STRIDE,
  Policy,
  REPLAY_WINDOW_MAX,
  type SaTable,
  SELECTORS_PER_SIDE,
  Slot,
  SlotState,
} from "./sa-table.ts";
import { slotOffset } from "./sad.ts";
import { insertSpi } from "./sad-writer.ts";

/**
 * @param isUsable - whether a slot's keys are whole and its policy is known; the rest is checked here
 * @returns slots that are free now: their keys are to be wiped
 */
export function recoverSaTable(
  table: SaTable,
  isUsable: (slot: number, policy: number) => boolean,
): readonly number[] {
  const { u32 } = table;
  u32[Header.SLOTS_USED / 4] = Math.min(u32[Header.SLOTS_USED / 4]!, table.size.slots);
  u32[Header.ENDPOINTS_USED / 4] = Math.min(u32[Header.ENDPOINTS_USED / 4]!, table.size.endpoints);
  const recovery = new Recovery(table);
  const isWhole = (slot: number) => recovery.isSound(slot) && isUsable(slot, recovery.get(slot, Slot.POLICY));
  const { inbound, outbound } = recovery.pairs(isWhole);
  const kept = new Set([...inbound, ...outbound]);
  const freed: number[] = [];
  for (let slot = 0; slot < u32[Header.SLOTS_USED / 4]!; slot++) {
    if (kept.has(slot)) recovery.put(slot, Slot.LIMITS_RAISED, 0);
    else {
      recovery.put(slot, Slot.STATE, SlotState.FREE);
      freed.push(slot);
    }
  }
  recovery.indexSpis(inbound);
  recovery.linkPolicies(outbound);
  recovery.linkPaced(outbound);
  recovery.countReferences(kept);
  u32.fill(0, Header.LANE_EPOCHS / 4, Header.LANE_EPOCHS / 4 + table.size.lanes);
  for (const field of [Header.GENERATION, Header.PACED_GENERATION, Header.ENDPOINT_GENERATION])
    u32[field / 4] = (u32[field / 4]! + 1) >>> 0;
  return freed;
}

class Recovery {
  readonly #table: SaTable;

  constructor(table: SaTable) {
    this.#table = table;
  }

  get(slot: number, field: number): number {
    return this.#table.u32[(slotOffset(this.#table, slot) + field) / 4]!;
  }

  put(slot: number, field: number, value: number): void {
    Atomics.store(this.#table.u32, (slotOffset(this.#table, slot) + field) / 4, value);
  }

  /** Whatever lanes use as a number of something else lies within bounds. */
  isSound(slot: number): boolean {
    const { size, bytes, u32 } = this.#table;
    const state = this.get(slot, Slot.STATE);
    const endpoint = this.get(slot, Slot.ENDPOINT);
    if (state !== SlotState.LIVE && state !== SlotState.STOPPED) return false;
    if (endpoint >= u32[Header.ENDPOINTS_USED / 4]!) return false;
    const family = bytes[endpointOffset(this.#table, endpoint) + EndpointRecord.FAMILY];
    return (
      (family === 4 || family === 6) &&
      this.get(slot, Slot.POLICY) < size.policies &&
      this.get(slot, Slot.OWNER_LANE) < size.lanes &&
      this.get(slot, Slot.LOCAL_SELECTOR_COUNT) <= SELECTORS_PER_SIDE &&
      this.get(slot, Slot.REMOTE_SELECTOR_COUNT) <= SELECTORS_PER_SIDE &&
      this.get(slot, Slot.REPLAY_WINDOW) <= REPLAY_WINDOW_MAX
    );
  }

  /** Inbound SAs with an SPI of their own, and the outbound ones that are paired with one of them from both sides. */
  pairs(isWhole: (slot: number) => boolean): { inbound: Set<number>; outbound: Set<number> } {
    const inbound = new Set<number>();
    const outbound = new Set<number>();
    const spis = new Set<number>();
    const used = this.#table.u32[Header.SLOTS_USED / 4]!;
    for (let slot = 0; slot < used; slot++) {
      const spi = this.get(slot, Slot.SPI);
      if (this.get(slot, Slot.DIRECTION) !== 0 || this.get(slot, Slot.STATE) !== SlotState.LIVE) continue;
      if (spis.has(spi) || !isWhole(slot)) continue;
      spis.add(spi);
      inbound.add(slot);
    }
    for (const slot of inbound) {
      const other = this.get(slot, Slot.PAIR) - 1;
      const isPaired =
        other >= 0 &&
        other < used &&
        this.get(other, Slot.DIRECTION) === 1 &&
        this.get(other, Slot.PAIR) === slot + 1 &&
        isWhole(other);
      if (isPaired) outbound.add(other);
      else this.put(slot, Slot.PAIR, 0);
    }
    return { inbound, outbound };
  }

  indexSpis(inbound: Iterable<number>): void {
    const { u32, regions } = this.#table;
    const first = regions.index / 4;
    u32.fill(0, first, first + (regions.indexCapacity * INDEX_ENTRY_STRIDE) / 4);
    for (const slot of inbound) insertSpi(this.#table, this.get(slot, Slot.SPI), slot + 1);
  }

  /** The order of a chain is that of its SAs' making; one that was about to become the first does. */
  linkPolicies(outbound: ReadonlySet<number>): void {
    const { u32, regions, size } = this.#table;
    const isLinked = (slot: number) => outbound.has(slot) && this.get(slot, Slot.STATE) === SlotState.LIVE;
    const left = new Set([...outbound].filter(isLinked));
    for (let policy = 0; policy < size.policies; policy++) {
      const word = (regions.policies + policy * Policy.STRIDE) / 4;
      if (u32[word + Policy.ACQUIRE / 4] !== 0) u32[word + Policy.ACQUIRE / 4] = 0;
      let next = u32[word + Policy.OUTBOUND_HEAD / 4]!;
      const chain: number[] = [];
      while (next !== 0 && left.has(next - 1) && this.get(next - 1, Slot.POLICY) === policy) {
        chain.push(next - 1);
        left.delete(next - 1);
        next = this.get(next - 1, Slot.NEXT_FOR_POLICY);
      }
      if (chain.length > 0 || u32[word + Policy.OUTBOUND_HEAD / 4] !== 0) this.#link(word, chain);
    }
    for (const slot of left) {
      const word = (regions.policies + this.get(slot, Slot.POLICY) * Policy.STRIDE) / 4;
      this.put(slot, Slot.NEXT_FOR_POLICY, u32[word + Policy.OUTBOUND_HEAD / 4]!);
      u32[word + Policy.OUTBOUND_HEAD / 4] = slot + 1;
    }
  }

  #link(word: number, chain: readonly number[]): void {
    const { u32 } = this.#table;
    u32[word + Policy.OUTBOUND_HEAD / 4] = chain.length === 0 ? 0 : chain[0]! + 1;
    for (const [i, slot] of chain.entries())
      this.put(slot, Slot.NEXT_FOR_POLICY, i + 1 < chain.length ? chain[i + 1]! + 1 : 0);
    u32[word + Policy.GENERATION / 4] = (u32[word + Policy.GENERATION / 4]! + 1) >>> 0;
  }

  linkPaced(outbound: Iterable<number>): void {
    let first = 0;
    for (const slot of outbound) {
      const isPaced =
        this.get(slot, Slot.AGGFRAG_MODE) !== AggfragMode.OFF || this.get(slot, Slot.DUMMY_RATE) > 0;
      if (!isPaced || this.get(slot, Slot.STATE) !== SlotState.LIVE) continue;
      this.put(slot, Slot.NEXT_PACED, first);
      first = slot + 1;
    }
    this.#table.u32[Header.PACED_HEAD / 4] = first;
  }

  countReferences(kept: Iterable<number>): void {
    const { u32 } = this.#table;
    const word = (endpoint: number) =>
      (endpointOffset(this.#table, endpoint) + EndpointRecord.REFERENCES) / 4;
    for (let endpoint = 0; endpoint < u32[Header.ENDPOINTS_USED / 4]!; endpoint++) u32[word(endpoint)] = 0;
    for (const slot of kept) {
      const at = word(this.get(slot, Slot.ENDPOINT));
      u32[at] = u32[at]! + 1;
    }
  }
}
