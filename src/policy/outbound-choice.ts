/** Which outbound SA all packets of a policy leave by, remembered for each of its SPD entries' packets while its chain stays. */
import { Policy, type SaTable, SelectorRecord, Slot } from "./sa-table.ts";
import { NO_SLOT, outboundFor, slotOffset } from "./sad.ts";
import type { PacketKey, SelectorMemory } from "./selector-record.ts";
import { localSelectorsAt, remoteSelectorsAt } from "./slot-tail.ts";
import type { CompiledSpd } from "./spd.ts";

/** Words for each policy: SPD entry + 1 or 0, generation of the chain, slot. */
const STRIDE = 4;
const GENERATION = 1;
const SLOT = 2;
const SELECTOR_WORDS = SelectorRecord.STRIDE >> 2;

/**
 * With many policies the SAs' records are in nobody's cache, and looking at their selectors costs more than the rest of the
 * search: where the newest SA is for everything that the entry is for, that is found out once.
 */
export class OutboundChoice {
  readonly #table: SaTable;
  readonly #memory: SelectorMemory;
  readonly #lane: number;
  readonly #words: Uint32Array;

  constructor(table: SaTable, memory: SelectorMemory, lane: number) {
    this.#table = table;
    this.#memory = memory;
    this.#lane = lane;
    this.#words = new Uint32Array(table.size.policies * STRIDE);
  }

  /** The SPD has changed: entries have other numbers. */
  clear(): void {
    this.#words.fill(0);
  }

  /**
   * As {@link outboundFor}, for a packet that entry `entry` of the SPD was found for.
   * @param generation - of the policy's chain, read before
   */
  find(spd: CompiledSpd, entry: number, policy: number, generation: number, key: PacketKey): number {
    const words = this.#words;
    const at = policy * STRIDE;
    if (words[at] === entry + 1 && words[at + GENERATION] === generation) return words[at + SLOT]!;
    const slot = outboundFor(this.#table, this.#memory, policy, key, this.#lane);
    const isForAll = slot !== NO_SLOT && this.#isForAll(spd, entry, policy, slot);
    words[at] = isForAll ? entry + 1 : 0;
    words[at + GENERATION] = generation;
    words[at + SLOT] = slot;
    return slot;
  }

  /** Whether the SA is the newest, the policy has none for some packets only, and it has every selector of the entry. */
  #isForAll(spd: CompiledSpd, entry: number, policy: number, slot: number): boolean {
    const { u32, regions } = this.#table;
    const record = (regions.policies + policy * Policy.STRIDE) >> 2;
    if (
      Atomics.load(u32, record + Policy.HAS_SIBLINGS / 4) !== 0 ||
      Atomics.load(u32, record + Policy.OUTBOUND_HEAD / 4) !== slot + 1
    )
      return false;
    const base = slotOffset(this.#table, slot);
    const side = 4 * entry;
    const local = u32[(base + Slot.LOCAL_SELECTOR_COUNT) >> 2]!;
    const remote = u32[(base + Slot.REMOTE_SELECTOR_COUNT) >> 2]!;
    return (
      this.#hasAll(
        localSelectorsAt(this.#table, base, local),
        local,
        spd.selectors.u32,
        spd.sides[side]!,
        spd.sides[side + 1]!,
      ) &&
      this.#hasAll(
        remoteSelectorsAt(this.#table, base, remote),
        remote,
        spd.selectors.u32,
        spd.sides[side + 2]!,
        spd.sides[side + 3]!,
      )
    );
  }

  /** Whether each of the entry's selectors is one of the SA's, octet for octet. */
  #hasAll(at: number, count: number, wanted: Uint32Array, from: number, wantedCount: number): boolean {
    for (let i = 0; i < wantedCount; i++) {
      let isThere = false;
      for (let k = 0; k < count && !isThere; k++)
        isThere = isSame(
          this.#memory.u32,
          (at + k * SelectorRecord.STRIDE) >> 2,
          wanted,
          (from + i * SelectorRecord.STRIDE) >> 2,
        );
      if (!isThere) return false;
    }
    return true;
  }
}

function isSame(a: Uint32Array, at: number, b: Uint32Array, from: number): boolean {
  for (let word = 0; word < SELECTOR_WORDS; word++) if (a[at + word] !== b[from + word]) return false;
  return true;
}
