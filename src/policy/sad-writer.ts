/** The main thread's half of the SA table: slots, endpoints, the SPI index, policies' chains, and when each is free again. */
import { formatIpAddress } from "../base/ip-address.ts";
import {
  endpointOffset,
  formatOuterPath,
  type OuterPath,
  readEndpointRecord,
  writeEndpointRecord,
} from "./endpoint-record.ts";
import {
  AggfragMode,
  EndpointRecord,
  Header,
  INDEX_ENTRY_STRIDE,
  Policy,
  type SaTable,
  Slot,
  SlotState,
} from "./sa-table.ts";
import { INDEX_AWAITED, INDEX_DELETED, indexStart, slotOffset } from "./sad.ts";
import { SadError } from "./sad-error.ts";
import { type SelectorMemory, selectorMemory } from "./selector-record.ts";

/** What lanes may still be looking at. */
interface Retired {
  readonly slots: readonly number[];
  readonly endpoints: readonly number[];
  /** Turn of each lane when it was taken out. */
  readonly epochs: Uint32Array;
}

/** Every change is complete in memory before the store that lets lanes find it. */
export class SadWriter {
  readonly table: SaTable;
  readonly memory: SelectorMemory;
  readonly #freeSlots: number[];
  readonly #freeEndpoints: number[];
  readonly #endpointByPath = new Map<string, number>();
  /** Endpoints in use by our own address. */
  readonly #endpointsOfLocal = new Map<string, number>();
  /** In the order in which they were taken out; those from `#firstRetired` on still wait. */
  #retired: Retired[] = [];
  #firstRetired = 0;

  /** @param table - empty, or as `recoverSaTable` left it */
  constructor(table: SaTable) {
    this.table = table;
    this.memory = selectorMemory(table.u32.buffer as ArrayBuffer);
    const { slots, endpoints } = table.size;
    this.#freeSlots = descending(slots, table.u32[Header.SLOTS_USED / 4]!, (slot) => this.#isFree(slot));
    const isUnused = (endpoint: number) => this.#countReference(endpoint, 0) === 0;
    const usedEndpoints = table.u32[Header.ENDPOINTS_USED / 4]!;
    this.#freeEndpoints = descending(endpoints, usedEndpoints, isUnused);
    for (let endpoint = 0; endpoint < usedEndpoints; endpoint++) {
      if (isUnused(endpoint)) continue;
      const path = this.readEndpoint(endpoint);
      this.#endpointByPath.set(formatOuterPath(path), endpoint);
      this.#countLocal(path, 1);
    }
  }

  #isFree(slot: number): boolean {
    return this.#get(slot, Slot.STATE) === SlotState.FREE;
  }

  /** Slots that can be allocated at once. */
  freeSlots(): number {
    return this.#freeSlots.length;
  }

  /** @throws {@link SadError} `SAD_FULL` */
  allocateSlot(): number {
    const slot = this.#freeSlots.pop();
    if (slot === undefined)
      throw new SadError("SAD_FULL", `all ${this.table.size.slots} SA slots are in use`);
    this.#raiseTo(Header.SLOTS_USED, slot + 1);
    return slot;
  }

  /** Gives back a slot that was never published. */
  returnSlot(slot: number): void {
    this.#freeSlots.push(slot);
  }

  /** Whether {@link takeEndpoint} would find or make a record. */
  hasEndpoint(path: OuterPath): boolean {
    return this.#freeEndpoints.length > 0 || this.#endpointByPath.has(formatOuterPath(path));
  }

  /** Index of an endpoint record with this content, one reference more. @throws {@link SadError} `SAD_FULL` */
  takeEndpoint(path: OuterPath): number {
    const key = formatOuterPath(path);
    const endpoint = this.#endpointByPath.get(key) ?? this.#freeEndpoints.pop();
    if (endpoint === undefined)
      throw new SadError("SAD_FULL", `all ${this.table.size.endpoints} endpoints are in use`);
    if (!this.#endpointByPath.has(key)) {
      writeEndpointRecord(this.table, endpoint, path);
      this.#endpointByPath.set(key, endpoint);
      this.#raiseTo(Header.ENDPOINTS_USED, endpoint + 1);
    }
    if (this.#countReference(endpoint, 1) === 1) this.#countLocal(path, 1);
    return endpoint;
  }

  /** One reference less; the record is free once no SA refers to it and every lane has passed. */
  dropEndpoint(endpoint: number): void {
    if (this.#countReference(endpoint, -1) > 0) return;
    const path = this.readEndpoint(endpoint);
    this.#endpointByPath.delete(formatOuterPath(path));
    this.#countLocal(path, -1);
    this.#retireLater([], [endpoint]);
  }

  readEndpoint(endpoint: number): OuterPath {
    return readEndpointRecord(this.table, endpoint);
  }

  /** Lanes know from now on that an SA with this SPI is to come. */
  await(spi: number): void {
    insertSpi(this.table, spi, INDEX_AWAITED);
  }

  /** No SA with this SPI will come. */
  awaitNoLonger(spi: number): void {
    removeSpi(this.table, spi, INDEX_AWAITED);
    this.#changed();
  }

  /** Makes an inbound SA findable by its SPI, which may have been awaited. */
  publishInbound(slot: number): void {
    const spi = this.#get(slot, Slot.SPI);
    this.#setState(slot, SlotState.LIVE);
    const word = entryWord(this.table, spi, INDEX_AWAITED);
    if (word === undefined) insertSpi(this.table, spi, slot + 1);
    else Atomics.store(this.table.u32, word + 1, slot + 1);
    this.#changed();
  }

  /** Makes an outbound SA the first of its policy. */
  publishOutbound(slot: number): void {
    const policy = this.#get(slot, Slot.POLICY);
    const head = policyWord(this.table, policy, Policy.OUTBOUND_HEAD);
    if (this.#isForSome(slot))
      Atomics.store(this.table.u32, policyWord(this.table, policy, Policy.HAS_SIBLINGS), 1);
    this.#put(slot, Slot.NEXT_FOR_POLICY, this.table.u32[head]!);
    this.#setState(slot, SlotState.LIVE);
    Atomics.store(this.table.u32, head, slot + 1);
    this.#chainChanged(slot);
    if (this.#isPaced(slot)) this.#startPaced(slot);
  }

  /** An outbound SA takes no new packets: it leaves its policy's chain. */
  stopOutbound(slot: number): void {
    const { u32 } = this.table;
    this.#setState(slot, SlotState.STOPPED);
    let link = policyWord(this.table, this.#get(slot, Slot.POLICY), Policy.OUTBOUND_HEAD);
    while (u32[link] !== 0 && u32[link] !== slot + 1)
      link = slotWord(this.table, u32[link]! - 1, Slot.NEXT_FOR_POLICY);
    if (u32[link] === slot + 1) Atomics.store(u32, link, this.#get(slot, Slot.NEXT_FOR_POLICY));
    this.#chainChanged(slot);
    if (this.#isPaced(slot)) this.#stopPaced(slot);
  }

  /** Takes a published slot out; it is free once every lane has passed. */
  retire(slot: number): void {
    if (this.#get(slot, Slot.DIRECTION) === 1) this.stopOutbound(slot);
    else removeSpi(this.table, this.#get(slot, Slot.SPI), slot + 1);
    this.#setState(slot, SlotState.RETIRED);
    this.#retireLater([slot], []);
    this.dropEndpoint(this.#get(slot, Slot.ENDPOINT));
  }

  /** Points a slot to another endpoint, from the next packet on; returns the one before. */
  swapEndpoint(slot: number, endpoint: number): number {
    const before = Atomics.exchange(this.table.u32, slotWord(this.table, slot, Slot.ENDPOINT), endpoint);
    this.#changed();
    return before;
  }

  clearAcquire(policy: number): void {
    Atomics.store(this.table.u32, policyWord(this.table, policy, Policy.ACQUIRE), 0);
    this.#changed();
  }

  /** Frees what every lane has passed; returns the slots whose keys are to be wiped now. */
  reclaim(): readonly number[] {
    const slots: number[] = [];
    // A lane that has not passed an entry has not passed those after it either.
    for (; this.#firstRetired < this.#retired.length; this.#firstRetired++) {
      const entry = this.#retired[this.#firstRetired]!;
      if (!lanesPassed(this.table, entry.epochs)) break;
      slots.push(...entry.slots);
      this.#freeEndpoints.push(...entry.endpoints);
    }
    if (2 * this.#firstRetired >= this.#retired.length) {
      this.#retired = this.#retired.slice(this.#firstRetired);
      this.#firstRetired = 0;
    }
    for (const slot of slots) this.#setState(slot, SlotState.FREE);
    this.#freeSlots.push(...slots);
    return slots;
  }

  #retireLater(slots: readonly number[], endpoints: readonly number[]): void {
    this.#changed();
    this.#retired.push({ slots, endpoints, epochs: laneEpochs(this.table) });
  }

  #changed(): void {
    Atomics.add(this.table.u32, Header.GENERATION / 4, 1);
  }

  #isForSome(slot: number): boolean {
    const fields = [Slot.DSCP_SET, Slot.DSCP_SET + 4, Slot.RESOURCE];
    return fields.some((field) => this.#get(slot, field) !== 0);
  }

  /** What lanes remember about the policy is void; only after the chain has changed may that be said. */
  #chainChanged(slot: number): void {
    const policy = this.#get(slot, Slot.POLICY);
    Atomics.add(this.table.u32, policyWord(this.table, policy, Policy.GENERATION), 1);
    this.#changed();
  }

  /** Lanes look at all endpoints when an address of ours comes or goes, not with each of a thousand peers. */
  #countLocal({ local }: OuterPath, difference: number): void {
    const key = formatIpAddress(local.address);
    const before = this.#endpointsOfLocal.get(key) ?? 0;
    const now = before + difference;
    if (now > 0) this.#endpointsOfLocal.set(key, now);
    else this.#endpointsOfLocal.delete(key);
    if (before === 0 || now === 0) Atomics.add(this.table.u32, Header.ENDPOINT_GENERATION / 4, 1);
  }

  /** The main thread alone writes: no other change comes between. */
  #raiseTo(field: number, count: number): void {
    if (this.table.u32[field / 4]! < count) Atomics.store(this.table.u32, field / 4, count);
  }

  /** Lanes keep a list of those that send by the clock, and are told only when it changes. */
  #isPaced(slot: number): boolean {
    return this.#get(slot, Slot.AGGFRAG_MODE) !== AggfragMode.OFF || this.#get(slot, Slot.DUMMY_RATE) > 0;
  }

  #startPaced(slot: number): void {
    const { u32 } = this.table;
    this.#put(slot, Slot.NEXT_PACED, u32[Header.PACED_HEAD / 4]!);
    Atomics.store(u32, Header.PACED_HEAD / 4, slot + 1);
    Atomics.add(u32, Header.PACED_GENERATION / 4, 1);
  }

  #stopPaced(slot: number): void {
    const { u32 } = this.table;
    let link = Header.PACED_HEAD / 4;
    while (u32[link] !== 0 && u32[link] !== slot + 1)
      link = slotWord(this.table, u32[link]! - 1, Slot.NEXT_PACED);
    if (u32[link] === slot + 1) Atomics.store(u32, link, this.#get(slot, Slot.NEXT_PACED));
    Atomics.add(u32, Header.PACED_GENERATION / 4, 1);
  }

  #countReference(endpoint: number, difference: number): number {
    const word = (endpointOffset(this.table, endpoint) + EndpointRecord.REFERENCES) / 4;
    const count = this.table.u32[word]! + difference;
    this.table.u32[word] = count;
    return count;
  }

  #get(slot: number, field: number): number {
    return this.table.u32[slotWord(this.table, slot, field)]!;
  }

  #put(slot: number, field: number, value: number): void {
    Atomics.store(this.table.u32, slotWord(this.table, slot, field), value);
  }

  #setState(slot: number, state: number): void {
    this.#put(slot, Slot.STATE, state);
  }
}

/**
 * So that the lowest is taken first.
 * @param used - those from here on were never looked at, and are not now: that would touch their memory
 */
function descending(count: number, used: number, isFree: (number: number) => boolean): number[] {
  const all = Array.from({ length: count }, (_, i) => count - 1 - i);
  return used === 0 ? all : all.filter((number) => number >= used || isFree(number));
}

function slotWord(table: SaTable, slot: number, field: number): number {
  return (slotOffset(table, slot) + field) / 4;
}

function policyWord(table: SaTable, policy: number, field: number): number {
  return (table.regions.policies + policy * Policy.STRIDE + field) / 4;
}

function laneEpochs(table: SaTable): Uint32Array {
  return Uint32Array.from({ length: table.size.lanes }, (_, lane) =>
    Atomics.load(table.u32, Header.LANE_EPOCHS / 4 + lane),
  );
}

/** A lane that was between turns, or has left the one that it was in, sees the table as it is now. */
function lanesPassed(table: SaTable, epochs: Uint32Array): boolean {
  return epochs.every(
    (epoch, lane) => epoch % 2 === 0 || Atomics.load(table.u32, Header.LANE_EPOCHS / 4 + lane) !== epoch,
  );
}

/** @param entry - a slot's number + 1, or {@link INDEX_AWAITED} */
export function insertSpi(table: SaTable, spi: number, entry: number): void {
  const mask = table.regions.indexCapacity - 1;
  let at = indexStart(table, spi);
  for (;;) {
    const word = (table.regions.index + at * INDEX_ENTRY_STRIDE) / 4;
    const held = table.u32[word + 1]!;
    if (held === 0 || held === INDEX_DELETED) {
      Atomics.store(table.u32, word, spi);
      Atomics.store(table.u32, word + 1, entry);
      return;
    }
    at = (at + 1) & mask;
  }
}

/** Marks the entry deleted, and makes it and deleted ones before it empty where no chain of probes goes on. */
function removeSpi(table: SaTable, spi: number, entry: number): void {
  const found = entryWord(table, spi, entry);
  if (found === undefined) return;
  Atomics.store(table.u32, found + 1, INDEX_DELETED);
  const mask = table.regions.indexCapacity - 1;
  const slotWord = (at: number) => (table.regions.index + (at & mask) * INDEX_ENTRY_STRIDE) / 4 + 1;
  let at = (found - table.regions.index / 4) / (INDEX_ENTRY_STRIDE / 4);
  if (table.u32[slotWord(at + 1)] !== 0) return;
  while (table.u32[slotWord(at)] === INDEX_DELETED) {
    Atomics.store(table.u32, slotWord(at), 0);
    at += mask;
  }
}

/** Where the index says this of the SPI. */
function entryWord(table: SaTable, spi: number, entry: number): number | undefined {
  const mask = table.regions.indexCapacity - 1;
  for (let at = indexStart(table, spi), probes = 0; probes <= mask; at = (at + 1) & mask, probes++) {
    const word = (table.regions.index + at * INDEX_ENTRY_STRIDE) / 4;
    const held = table.u32[word + 1];
    if (held === 0) return undefined;
    if (held === entry && table.u32[word] === spi) return word;
  }
  return undefined;
}
