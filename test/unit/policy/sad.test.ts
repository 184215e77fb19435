import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { IpAddress, parseIpAddress } from "../../../src/base/ip-address.ts";
import { Spi } from "../../../src/base/spi.ts";
import type { InboundSa, OutboundSa } from "../../../src/policy/data-plane.ts";
import { outerPath } from "../../../src/policy/endpoint-record.ts";
import { readUint64, suiteSizes, writeSaRecord } from "../../../src/policy/sa-record.ts";
import {
  formatSaTable,
  Header,
  REPLAY_WINDOW_MAX,
  type SaTable,
  SLOT_REPLAY_WINDOW,
  Slot,
  SlotState,
  saTableRegions,
} from "../../../src/policy/sa-table.ts";
import {
  AWAITED_SLOT,
  findBySpi,
  NO_SLOT,
  outboundFor,
  saMatches,
  slotOffset,
} from "../../../src/policy/sad.ts";
import { SadWriter } from "../../../src/policy/sad-writer.ts";
import { Key, type SelectorMemory } from "../../../src/policy/selector-record.ts";
import { parseSelector } from "../../../src/policy/selector-text.ts";
import { Encr, Integ } from "../../../src/wire/ike/registries.ts";
import { keyOf } from "./arbitraries.ts";

function makeTable(slots = 8, lanes = 2): SaTable {
  const size = { slots, endpoints: slots, policies: 4, lanes };
  return formatSaTable(new ArrayBuffer(saTableRegions(size).total), size);
}

const end = (text: string, port = 4500) => ({ address: IpAddress(parseIpAddress(text)!), port });
const read = (text: string) => parseSelector(text)!;

function inbound(spi: number, more: Partial<InboundSa> = {}): InboundSa {
  return {
    spi: Spi(spi),
    policy: "net/lan",
    suite: { encr: Encr.AES_GCM_16, encrKeyBits: 256, integ: 0, esn: true },
    keys: { encr: new Uint8Array(36), integ: new Uint8Array() },
    encapsulation: "udp",
    local: end("192.0.2.1"),
    remote: end("198.51.100.2"),
    selectors: { local: [read("10.1.0.0/16")], remote: [read("10.2.0.0/16")] },
    lifetime: {},
    handling: { replayWindow: 64, dscp: "copy", ecn: "copy", df: "copy" },
    ...more,
  };
}

function outbound(spi: number, more: Partial<OutboundSa> = {}): OutboundSa {
  return { ...inbound(spi), inboundSpi: Spi(spi), ...more };
}

function place(writer: SadWriter, sa: InboundSa | OutboundSa, policy = 0): number {
  const slot = writer.allocateSlot();
  const endpoint = writer.takeEndpoint(outerPath(sa.local, sa.remote, sa.encapsulation));
  writeSaRecord(writer.table, writer.memory, sa, { slot, lane: 0, policy, endpoint, pathMtu: 1500 });
  return slot;
}

const packet = keyOf({
  family: 4,
  protocol: 6,
  local: IpAddress(parseIpAddress("10.1.0.1")!),
  remote: IpAddress(parseIpAddress("10.2.0.1")!),
  localPort: 1,
  remotePort: 2,
});

describe("the SPI index", () => {
  test("finds the live inbound SAs by SPI alone, and those that are awaited, whatever was inserted and removed before", () => {
    const spis = fc.constantFrom(...Array.from({ length: 24 }, (_, i) => 256 + i), 0xffffffff, 0x10000100);
    const what = fc.constantFrom("add", "remove", "await");
    fc.assert(
      fc.property(fc.array(fc.record({ spi: spis, what }), { maxLength: 200 }), (steps) => {
        const writer = new SadWriter(makeTable(16));
        const live = new Map<number, number>();
        const awaited = new Set<number>();
        for (const { spi, what } of steps) {
          if (what === "add" && !live.has(spi) && writer.freeSlots() > 0) {
            const slot = place(writer, inbound(spi));
            writer.publishInbound(slot);
            awaited.delete(spi);
            live.set(spi, slot);
          } else if (what === "remove" && live.has(spi)) {
            writer.retire(live.get(spi)!);
            live.delete(spi);
            writer.reclaim();
          } else if (what === "remove" && awaited.delete(spi)) writer.awaitNoLonger(spi);
          else if (what === "await" && !live.has(spi) && !awaited.has(spi)) {
            writer.await(spi);
            awaited.add(spi);
          }
          const absent = awaited.has(spi) ? AWAITED_SLOT : NO_SLOT;
          expect(findBySpi(writer.table, spi)).toBe(live.get(spi) ?? absent);
        }
        for (const spi of awaited) expect(findBySpi(writer.table, spi)).toBe(AWAITED_SLOT);
        for (const [spi, slot] of live) expect(findBySpi(writer.table, spi)).toBe(slot);
      }),
      { numRuns: 300 },
    );
  });

  test("an SA is not found before it is published", () => {
    const writer = new SadWriter(makeTable());
    const slot = place(writer, inbound(0x1234));
    expect(findBySpi(writer.table, 0x1234)).toBe(NO_SLOT);
    writer.publishInbound(slot);
    expect(findBySpi(writer.table, 0x1234)).toBe(slot);
  });

  test("an SA that is being taken out is found no more, though the index still names it", () => {
    const writer = new SadWriter(makeTable());
    const slot = place(writer, inbound(0x1234));
    writer.publishInbound(slot);
    writer.table.u32[(slotOffset(writer.table, slot) + Slot.STATE) / 4] = SlotState.RETIRED;
    expect(findBySpi(writer.table, 0x1234)).toBe(NO_SLOT);
  });

  test("removal leaves no trail that makes later searches longer", () => {
    const table = makeTable(16);
    const writer = new SadWriter(table);
    for (let spi = 1000; spi < 6000; spi++) {
      const slot = place(writer, inbound(spi));
      writer.publishInbound(slot);
      writer.retire(slot);
      writer.reclaim();
    }
    const words = table.u32.subarray(table.regions.index / 4, table.regions.policies / 4);
    const used = words.filter((value, i) => i % 2 === 1 && value !== 0).length;
    expect(used).toBe(0);
  });
});

describe("a policy's outbound SAs", () => {
  test("the newest that holds the packet is used, older ones when it is gone", () => {
    const writer = new SadWriter(makeTable());
    const { table, memory } = writer;
    const wide = place(writer, outbound(0x1001));
    const other = place(
      writer,
      outbound(0x1002, { selectors: { local: [read("10.1.9.0/24")], remote: [read("10.2.0.0/16")] } }),
    );
    const newest = place(writer, outbound(0x1003));
    expect(outboundFor(table, memory, 0, packet, 0)).toBe(NO_SLOT);
    for (const slot of [wide, other, newest]) writer.publishOutbound(slot);
    expect(outboundFor(table, memory, 0, packet, 0)).toBe(newest);
    expect(outboundFor(table, memory, 1, packet, 0)).toBe(NO_SLOT);
    writer.stopOutbound(newest);
    expect(outboundFor(table, memory, 0, packet, 0)).toBe(wide);
    writer.retire(wide);
    expect(outboundFor(table, memory, 0, packet, 0)).toBe(NO_SLOT);
    expect(saMatches(table, memory, other, packet)).toBe(false);
  });
});

describe("SAs beside each other for one policy", () => {
  const lookup = (table: SaTable, memory: SelectorMemory, dscp: number, lane: number) => {
    const key = packet.slice();
    key[Key.DSCP] = dscp;
    return outboundFor(table, memory, 0, key, lane);
  };

  test("[PAR-01] a packet leaves through the SA for its DSCP value, else through the one for everything else", () => {
    const writer = new SadWriter(makeTable());
    const { table, memory } = writer;
    const first = place(writer, outbound(0x1001));
    const voice = place(writer, outbound(0x1002, { dscps: [46, 44] }));
    const assured = place(writer, outbound(0x1003, { dscps: [10, 12, 14, 0] }));
    for (const slot of [first, voice, assured]) writer.publishOutbound(slot);
    const bySlot = Array.from({ length: 64 }, (_, dscp) => lookup(table, memory, dscp, 0));
    for (const [dscp, slot] of bySlot.entries())
      expect(slot, `DSCP ${dscp}`).toBe(
        [44, 46].includes(dscp) ? voice : [0, 10, 12, 14].includes(dscp) ? assured : first,
      );
    const renewed = place(writer, outbound(0x1004, { dscps: [46, 44] }));
    writer.publishOutbound(renewed);
    expect(lookup(table, memory, 46, 0)).toBe(renewed);
    writer.retire(renewed);
    writer.retire(voice);
    expect(lookup(table, memory, 46, 0)).toBe(first);
    writer.retire(first);
    expect(lookup(table, memory, 46, 0)).toBe(assured);
  });

  test("[RES-05] a lane sends through its own SA, else through the one for all, else through another's", () => {
    const writer = new SadWriter(makeTable(8, 4));
    const { table, memory } = writer;
    const all = place(writer, outbound(0x1001));
    const ofLane0 = place(writer, outbound(0x1002, { resource: 0 }));
    const ofLane2 = place(writer, outbound(0x1003, { resource: 2 }));
    for (const slot of [all, ofLane0, ofLane2]) writer.publishOutbound(slot);
    expect([0, 1, 2, 3].map((lane) => lookup(table, memory, 0, lane))).toEqual([ofLane0, all, ofLane2, all]);
    writer.retire(all);
    expect(lookup(table, memory, 0, 0)).toBe(ofLane0);
    expect([ofLane0, ofLane2]).toContain(lookup(table, memory, 0, 1));
  });
});

describe("slots and lanes", () => {
  const epochWord = (lane: number) => Header.LANE_EPOCHS / 4 + lane;

  test("a removed SA's slot is free only after every lane that was in a turn has left it", () => {
    const writer = new SadWriter(makeTable(8, 2));
    const { u32 } = writer.table;
    const slot = place(writer, inbound(0x2000));
    writer.publishInbound(slot);
    u32[epochWord(0)] = 7;
    u32[epochWord(1)] = 4;
    writer.retire(slot);

    expect(writer.reclaim()).toEqual([]);
    expect(writer.freeSlots()).toBe(7);
    u32[epochWord(1)] = 5;
    expect(writer.reclaim()).toEqual([]);
    u32[epochWord(0)] = 8;
    expect(writer.reclaim()).toEqual([slot]);
    expect(writer.freeSlots()).toBe(8);
    expect(writer.reclaim()).toEqual([]);
  });

  test("a full table says so", () => {
    const writer = new SadWriter(makeTable(2));
    writer.allocateSlot();
    writer.allocateSlot();
    expect(() => writer.allocateSlot()).toThrow(expect.objectContaining({ code: "SAD_FULL" }));
  });

  test("every change that a lane may have remembered an answer about is counted", () => {
    const writer = new SadWriter(makeTable());
    const { u32 } = writer.table;
    const changes = (action: () => void) => {
      const before = u32[Header.GENERATION / 4]!;
      action();
      return u32[Header.GENERATION / 4]! !== before;
    };
    const slot = place(writer, outbound(0x3000));
    const moved = writer.takeEndpoint(outerPath(end("192.0.2.1"), end("203.0.113.9"), "udp"));
    expect(changes(() => writer.publishOutbound(slot))).toBe(true);
    expect(changes(() => writer.swapEndpoint(slot, moved))).toBe(true);
    expect(changes(() => writer.clearAcquire(0))).toBe(true);
    expect(changes(() => writer.stopOutbound(slot))).toBe(true);
    expect(changes(() => writer.retire(slot))).toBe(true);
  });
});

describe("endpoints", () => {
  test("are shared by content and free when the last SA is gone", () => {
    const writer = new SadWriter(makeTable(8, 1));
    const path = outerPath(end("192.0.2.1"), end("198.51.100.2"), "udp");
    const first = writer.takeEndpoint(path);
    expect(writer.takeEndpoint(path)).toBe(first);
    expect(writer.readEndpoint(first)).toEqual(path);
    const other = writer.takeEndpoint(outerPath(end("192.0.2.1"), end("198.51.100.2", 4501), "udp"));
    expect(other).not.toBe(first);
    writer.dropEndpoint(first);
    expect(writer.takeEndpoint(path)).toBe(first);
    writer.dropEndpoint(first);
    writer.dropEndpoint(first);
    expect(writer.takeEndpoint(path)).not.toBe(first);
  });

  test("raw ESP has no ports", () => {
    const writer = new SadWriter(makeTable());
    const raw = writer.takeEndpoint(outerPath(end("2001:db8::1"), end("2001:db8::2"), "esp"));
    expect(writer.readEndpoint(raw)).toEqual(outerPath(end("2001:db8::1", 0), end("2001:db8::2", 0), "esp"));
  });
});

describe("an SA's record", () => {
  test("[ESP-02] the first number is 1 unless a manual SA continues, and ESN decides the last", () => {
    const writer = new SadWriter(makeTable());
    const numbersOf = (sa: OutboundSa) => {
      const base = slotOffset(writer.table, place(writer, sa));
      return [
        readUint64(writer.table, base + Slot.SEQUENCE) + 1,
        readUint64(writer.table, base + Slot.SEQUENCE_LIMIT),
      ];
    };
    const short = { encr: Encr.AES_GCM_16, encrKeyBits: 256, integ: 0, esn: false };
    expect(numbersOf(outbound(0x1001))).toEqual([1, 2 ** 52]);
    expect(numbersOf(outbound(0x1002, { suite: short }))).toEqual([1, 0xffffffff]);
    expect(
      numbersOf(outbound(0x1003, { suite: short, firstSequenceNumber: 5000, lastSequenceNumber: 6000 })),
    ).toEqual([5000, 6000]);
    expect(numbersOf(outbound(0x1004, { suite: short, lastSequenceNumber: 2 ** 40 }))).toEqual([
      1, 0xffffffff,
    ]);
  });

  test("[ESP-04] the window is at least 32 and at most what the slot holds; 0 stays off", () => {
    const writer = new SadWriter(makeTable());
    const windowOf = (packets: number) => {
      const sa = inbound(0x1001, {
        handling: { replayWindow: packets, dscp: "copy", ecn: "copy", df: "copy" },
      });
      return writer.table.u32[(slotOffset(writer.table, place(writer, sa)) + Slot.REPLAY_WINDOW) / 4];
    };
    expect([0, 1, 32, 4096, 1e9].map(windowOf)).toEqual([0, 32, 32, 4096, REPLAY_WINDOW_MAX]);
  });

  test("SAs of a common kind fill their slots and touch nothing else, so that thousands of them are small", () => {
    const writer = new SadWriter(makeTable());
    const { bytes, regions } = writer.table;
    for (let i = 0; i < 4; i++) {
      const before = bytes.slice();
      const handling = { replayWindow: SLOT_REPLAY_WINDOW, dscp: "copy", ecn: "copy", df: "copy" } as const;
      const slot = place(writer, (i % 2 === 0 ? inbound : outbound)(0x1000 + i, { handling }));
      const from = slotOffset(writer.table, slot);
      const isChanged = (at: number) => at >= regions.slots && bytes[at] !== before[at];
      const changed = [...bytes.keys()].filter(isChanged);
      expect(changed.length).toBeGreaterThan(50);
      expect(changed[0]).toBeGreaterThanOrEqual(from);
      expect(changed.at(-1)).toBeLessThan(from + Slot.STRIDE);
    }
  });

  test("[SPD-04] several selectors are found in the tail of the SA that has them, beside others in their slots", () => {
    const writer = new SadWriter(makeTable());
    const others = ["10.7.0.0/16", "10.2.0.0/16", "10.8.0.0/16"].map(read);
    const here = [read("10.1.0.0/16")];
    const elsewhere = [read("10.9.0.0/16")];
    const matches = [
      { local: here, remote: elsewhere },
      { local: here, remote: others },
      { local: [read("10.6.0.0/16"), ...here], remote: others },
      { local: [read("10.6.0.0/16"), ...elsewhere], remote: others },
      { local: here, remote: [...elsewhere, read("10.6.0.0/16")] },
      { local: here, remote: [read("10.2.0.0/16")] },
    ].map((selectors, i) => place(writer, inbound(0x1000 + i, { selectors })));
    const answers = matches.map((slot) => saMatches(writer.table, writer.memory, slot, packet));
    expect(answers).toEqual([false, true, true, false, false, true]);
  });

  test("a cipher without integrity, or a combined mode with one, is refused", () => {
    const refused = { code: "SAD_UNSUPPORTED" };
    const suite = (encr: number, encrKeyBits: number, integ: number) => ({
      encr,
      encrKeyBits,
      integ,
      esn: false,
    });
    expect(() => suiteSizes(suite(Encr.AES_CBC, 128, 0))).toThrow(expect.objectContaining(refused));
    expect(() => suiteSizes(suite(Encr.NULL, 0, 0))).toThrow(expect.objectContaining(refused));
    expect(() => suiteSizes(suite(Encr.AES_GCM_16, 128, Integ.HMAC_SHA2_256_128))).toThrow(
      expect.objectContaining(refused),
    );
    expect(() => suiteSizes(suite(Encr.AES_GCM_16, 100, 0))).toThrow(expect.objectContaining(refused));
    expect(suiteSizes(suite(Encr.AES_CBC, 128, Integ.HMAC_SHA2_256_128))).toEqual({
      ivLength: 16,
      icvLength: 16,
      blockSize: 16,
    });
    expect(suiteSizes(suite(Encr.NULL, 0, Integ.HMAC_SHA2_256_128))).toEqual({
      ivLength: 0,
      icvLength: 16,
      blockSize: 4,
    });
  });

  test("no selectors are refused; those that others hold, and those beyond the room, are left out", () => {
    const writer = new SadWriter(makeTable());
    const one = [read("10.1.0.0/16")];
    expect(() => place(writer, inbound(0x1001, { selectors: { local: one, remote: [] } }))).toThrow(
      expect.objectContaining({ code: "SAD_SELECTORS" }),
    );
    const many = Array.from({ length: 40 }, (_, i) => read(`10.2.${i}.0/24`));
    const countOf = (remote: typeof many) => {
      const slot = place(writer, inbound(0x1001, { selectors: { local: one, remote } }));
      return writer.table.u32[(slotOffset(writer.table, slot) + Slot.REMOTE_SELECTOR_COUNT) / 4];
    };
    expect(countOf(many)).toBe(32);
    expect(countOf([...many, read("10.2.0.0/16")])).toBe(1);
  });
});
