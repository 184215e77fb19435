import { expect, test } from "vitest";
import {
  clearRaised,
  countPackets,
  HARD_LIMIT,
  markRaised,
  mayCarry,
  reachedHard,
  reachedSoft,
  SOFT_LIMIT,
} from "../../../src/esp/lifetime.ts";
import { formatSaTable, Slot, saTableRegions } from "../../../src/policy/sa-table.ts";

function makeSa(limits: {
  softPackets?: number;
  hardPackets?: number;
  softOctets?: number;
  hardOctets?: number;
}) {
  const size = { slots: 1, endpoints: 1, policies: 1, lanes: 1 };
  const table = formatSaTable(new ArrayBuffer(saTableRegions(size).total), size);
  const base = table.regions.slots;
  const put = (field: number, value: number | undefined) => {
    table.f64[(base + field) / 8] = value ?? Number.POSITIVE_INFINITY;
  };
  put(Slot.SOFT_PACKETS, limits.softPackets);
  put(Slot.HARD_PACKETS, limits.hardPackets);
  put(Slot.SOFT_OCTETS, limits.softOctets);
  put(Slot.HARD_OCTETS, limits.hardOctets);
  return { table, base };
}

test("[CHILD-24] exactly the packets up to the hard limit are carried", () => {
  const { table, base } = makeSa({ hardPackets: 3 });
  let carried = 0;
  while (mayCarry(table, base, 100)) {
    countPackets(table, base, 100, 0);
    carried++;
  }
  expect(carried).toBe(3);
  expect(reachedHard(table, base)).toBe("packets");
});

test("[CHILD-24] a packet that would cross the hard limit in octets is not carried, one that just reaches it is", () => {
  const { table, base } = makeSa({ hardOctets: 250 });
  countPackets(table, base, 100, 0);
  expect(mayCarry(table, base, 151)).toBe(false);
  expect(mayCarry(table, base, 150)).toBe(true);
  expect(reachedHard(table, base)).toBe("octets");
});

test("[SPD-14] the soft limit is reported when it is reached, once", () => {
  const { table, base } = makeSa({ softPackets: 2, softOctets: 1000 });
  expect(countPackets(table, base, 10, 5)).toBe(false);
  expect(countPackets(table, base, 10, 6)).toBe(true);
  expect(reachedSoft(table, base)).toBe("packets");
  expect(markRaised(table, base, SOFT_LIMIT)).toBe(true);
  expect(countPackets(table, base, 10, 7)).toBe(false);
  expect(markRaised(table, base, SOFT_LIMIT)).toBe(false);
  expect(markRaised(table, base, HARD_LIMIT)).toBe(true);
  expect(table.f64[(base + Slot.LAST_AT) / 8]).toBe(7);
});

test("[SPD-14] octets reach their soft limit by themselves", () => {
  const { table, base } = makeSa({ softPackets: 100, softOctets: 1000 });
  expect(countPackets(table, base, 999, 0)).toBe(false);
  expect(countPackets(table, base, 1, 0)).toBe(true);
  expect(reachedSoft(table, base)).toBe("octets");
});

test("a report that got lost is made again", () => {
  const { table, base } = makeSa({ softPackets: 1 });
  expect(countPackets(table, base, 10, 0)).toBe(true);
  markRaised(table, base, SOFT_LIMIT);
  clearRaised(table, base, SOFT_LIMIT);
  expect(countPackets(table, base, 10, 0)).toBe(true);
});
