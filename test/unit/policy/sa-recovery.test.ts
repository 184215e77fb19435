/** What a killed process leaves of its SA table is made whole before lanes see it. */
import { describe, expect, test } from "vitest";
import { Instant } from "../../../src/base/instant.ts";
import { Spi } from "../../../src/base/spi.ts";
import { createDataPlane, type DataPlane } from "../../../src/dataplane/data-plane.ts";
import { InheritedPairs } from "../../../src/gateway/inherited-pairs.ts";
import type { InboundSa } from "../../../src/policy/data-plane.ts";
import { recoverSaTable } from "../../../src/policy/sa-recovery.ts";
import {
  formatSaTable,
  Header,
  Policy,
  type SaTable,
  Slot,
  SlotState,
  saTableRegions,
} from "../../../src/policy/sa-table.ts";
import { findBySpi, NO_SLOT, slotOffset } from "../../../src/policy/sad.ts";
import { endpoint, HANDLING, SUITES, seededRandom, selectors } from "../dataplane/gateway-fixture.ts";

interface World {
  readonly table: SaTable;
  readonly plane: DataPlane;
  readonly keys: Set<number>;
}

function planeOver(table: SaTable, keys: Set<number>, policies?: DataPlane): DataPlane {
  const store = {
    install: (slot: number) => void keys.add(slot),
    wipe: (slot: number) => void keys.delete(slot),
  };
  return createDataPlane({
    table,
    keys: store,
    random: seededRandom(5),
    ...(policies === undefined ? {} : { policies: new Map(policies.policies()) }),
  });
}

function makeWorld(): World {
  const size = { slots: 32, endpoints: 8, policies: 4, lanes: 2 };
  const table = formatSaTable(new ArrayBuffer(saTableRegions(size).total), size);
  const keys = new Set<number>();
  return { table, keys, plane: planeOver(table, keys) };
}

const inbound = (spi: number, more: Partial<InboundSa> = {}): InboundSa => ({
  spi: Spi(spi),
  policy: "net/lan",
  suite: SUITES.aes256gcm16,
  keys: { encr: new Uint8Array(36).fill(1), integ: new Uint8Array() },
  encapsulation: "udp",
  local: endpoint("192.0.2.1"),
  remote: endpoint("198.51.100.2"),
  selectors: selectors("10.1.0.0/16", "10.2.0.0/16"),
  lifetime: { expiresAt: Instant(9000) },
  handling: HANDLING,
  ...more,
});

function addPair({ plane }: Pick<World, "plane">, spi: number, more: Partial<InboundSa> = {}): Spi {
  plane.execute({ kind: "addInboundSa", sa: inbound(spi, more) });
  plane.execute({ kind: "addOutboundSa", sa: { ...inbound(spi + 0x9000, more), inboundSpi: Spi(spi) } });
  return Spi(spi);
}

/** The next process finds the memory as it is. */
function crash({ table, keys, plane }: World): World {
  const known = new Set(plane.policies().values());
  for (const slot of recoverSaTable(table, (one, policy) => keys.has(one) && known.has(policy)))
    keys.delete(slot);
  return { table, keys, plane: planeOver(table, keys, plane) };
}

const word = (table: SaTable, slot: number, field: number) => (slotOffset(table, slot) + field) / 4;

function chainOf(table: SaTable, policy: number): number[] {
  const spis: number[] = [];
  let next = table.u32[(table.regions.policies + policy * Policy.STRIDE + Policy.OUTBOUND_HEAD) / 4]!;
  for (; next !== 0; next = table.u32[word(table, next - 1, Slot.NEXT_FOR_POLICY)]!)
    spis.push(table.u32[word(table, next - 1, Slot.SPI)]!);
  return spis;
}

describe("a table that was left as it ran", () => {
  test("[ESP-02] pairs, their numbers, their order and their peers are what they were", () => {
    const before = makeWorld();
    for (const spi of [0x1000, 0x2000, 0x3001]) addPair(before, spi);
    addPair(before, 0x4000, { policy: "net/other", local: endpoint("192.0.2.9") });
    const slot = before.table.u32[word(before.table, findBySpi(before.table, 0x2000), Slot.PAIR)]! - 1;
    before.table.u32[word(before.table, slot, Slot.SEQUENCE)] = 77;
    const pairs = before.plane.pairs();

    const after = crash(before);

    expect(after.plane.pairs()).toEqual(pairs);
    expect(after.plane.usage(Spi(0x2000))?.nextSequenceNumber).toBe(78);
    expect(after.plane.pairs().map(({ expiresAt }) => expiresAt)).toEqual([9000, 9000, 9000, 9000]);
    expect(chainOf(after.table, 0)).toEqual([0x3001 + 0x9000, 0x2000 + 0x9000, 0x1000 + 0x9000]);
    expect(() => addPair(after, 0x1000)).toThrow(expect.objectContaining({ code: "SAD_DUPLICATE" }));
    // What is free is used, and nothing else.
    for (let i = 0; i < 12; i++) addPair(after, 0x5000 + 0x10 * i);
    expect(() => after.plane.reserve()).toThrow(expect.objectContaining({ code: "SAD_FULL" }));
    for (const { inboundSpi } of after.plane.pairs()) after.plane.execute({ kind: "removePair", inboundSpi });
    after.plane.reclaim();
    expect([...after.keys]).toEqual([]);
  });

  test("what was taken out and only waited for lanes is free, and its keys are gone", () => {
    const before = makeWorld();
    addPair(before, 0x1000);
    // A lane in the middle of a turn that never ends.
    before.table.u32[Header.LANE_EPOCHS / 4] = 3;
    before.plane.execute({ kind: "removePair", inboundSpi: Spi(0x1000) });
    expect(before.keys.size).toBe(2);

    const after = crash(before);

    expect(after.keys.size).toBe(0);
    expect(after.plane.pairs()).toEqual([]);
    expect(after.table.u32[Header.LANE_EPOCHS / 4]).toBe(0);
  });
});

describe("a table whose writer was killed in the middle", () => {
  test("an SA that is in no index and no chain yet is found; a torn index and a torn chain are mended", () => {
    const before = makeWorld();
    for (const spi of [0x1000, 0x2000]) addPair(before, spi);
    const { table } = before;
    table.u32.fill(0xffffffff, table.regions.index / 4, table.regions.policies / 4);
    const head = (table.regions.policies + Policy.OUTBOUND_HEAD) / 4;
    // The newest one is not the first yet.
    table.u32[head] = table.u32[word(table, table.u32[head]! - 1, Slot.NEXT_FOR_POLICY)]!;
    table.u32[head + 1] = 1;

    crash(before);

    expect(findBySpi(table, 0x1000)).not.toBe(NO_SLOT);
    expect(findBySpi(table, 0x2000)).not.toBe(NO_SLOT);
    expect(findBySpi(table, 0x3000)).toBe(NO_SLOT);
    expect(chainOf(table, 0)).toEqual([0x2000 + 0x9000, 0x1000 + 0x9000]);
    expect(table.u32[head + 1]).toBe(0);
  });

  test("a chain that runs in a circle ends", () => {
    const before = makeWorld();
    for (const spi of [0x1000, 0x2000]) addPair(before, spi);
    const { table } = before;
    const head = table.u32[(table.regions.policies + Policy.OUTBOUND_HEAD) / 4]! - 1;
    table.u32[word(table, head, Slot.NEXT_FOR_POLICY)] = head + 1;
    crash(before);
    expect(chainOf(table, 0).sort()).toEqual([0x1000 + 0x9000, 0x2000 + 0x9000]);
  });

  test.each([
    ["keys", undefined, 0],
    ["a state", Slot.STATE, SlotState.FREE],
    ["an endpoint", Slot.ENDPOINT, 5],
    ["a policy with a name", Slot.POLICY, 3],
    ["a pair", Slot.PAIR, 31],
    ["a lane", Slot.OWNER_LANE, 2],
    ["selectors", Slot.LOCAL_SELECTOR_COUNT, 99],
  ])("an outbound SA without %s is gone, its other half and the others stay", (_, field, value) => {
    const before = makeWorld();
    for (const spi of [0x1000, 0x2000]) addPair(before, spi);
    const slot = before.table.u32[word(before.table, findBySpi(before.table, 0x1000), Slot.PAIR)]! - 1;
    if (field === undefined) before.keys.delete(slot);
    else before.table.u32[word(before.table, slot, field)] = value;

    const after = crash(before);

    expect(after.plane.pairs().map(({ inboundSpi, outboundSpi }) => [inboundSpi, outboundSpi])).toEqual([
      [0x1000, undefined],
      [0x2000, 0x2000 + 0x9000],
    ]);
    expect(chainOf(after.table, 0)).toEqual([0x2000 + 0x9000]);
    expect(after.keys.size).toBe(3);
  });

  test("an inbound SA that cannot stay takes its other half with it", () => {
    const before = makeWorld();
    addPair(before, 0x1000);
    before.keys.delete(findBySpi(before.table, 0x1000));
    const after = crash(before);
    expect(after.plane.pairs()).toEqual([]);
    expect(after.keys.size).toBe(0);
    expect(chainOf(after.table, 0)).toEqual([]);
  });
});

describe("pairs without their IKE SA", () => {
  const inherit = () => {
    const before = makeWorld();
    addPair(before, 0x1000);
    const world = crash(before);
    const inherited = new InheritedPairs(world.plane);
    for (const pair of world.plane.pairs()) inherited.take(pair);
    return { ...world, inherited };
  };

  test("carry until a successor does, then receive for a moment, then are over", () => {
    const world = inherit();
    expect(world.inherited.waiting).toBe(1);
    expect(world.inherited.advance(Instant(8999))).toEqual([]);

    addPair(world, 0x2000);
    const news = world.inherited.giveWay(Spi(0x2000), Instant(5000));

    expect(news).toMatchObject([{ what: "renewed", inboundSpi: 0x1000 }]);
    expect(chainOf(world.table, 0)).toEqual([0x2000 + 0x9000]);
    expect(findBySpi(world.table, 0x1000)).not.toBe(NO_SLOT);
    expect(world.inherited.waiting).toBe(0);
    const end = world.inherited.nextTimeout()!;
    expect(end).toBeGreaterThan(5000);
    expect(world.inherited.advance(end)).toMatchObject([{ what: "ended", inboundSpi: 0x1000 }]);
    expect(world.inherited.nextTimeout()).toBeUndefined();
  });

  test.each([
    ["another peer", { remote: endpoint("198.51.100.3") }],
    ["other networks", { selectors: selectors("10.1.0.0/16", "10.2.0.0/24") }],
    ["another policy", { policy: "net/other" }],
  ])("do not give way to SAs for %s", (_, more) => {
    const world = inherit();
    addPair(world, 0x2000, more);
    expect(world.inherited.giveWay(Spi(0x2000), Instant(5000))).toEqual([]);
    expect(world.inherited.waiting).toBe(1);
  });

  test("end when their own lifetime does", () => {
    const { inherited } = inherit();
    expect(inherited.nextTimeout()).toBe(9000);
    expect(inherited.advance(Instant(9000))).toMatchObject([{ what: "expired", inboundSpi: 0x1000 }]);
  });
});
