import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Spi } from "../../../src/base/spi.ts";
import { FLOW_UNKNOWN, FlowCache } from "../../../src/dataplane/flow-cache.ts";
import { outerPath } from "../../../src/policy/endpoint-record.ts";
import { writeSaRecord } from "../../../src/policy/sa-record.ts";
import { formatSaTable, type SaTable, saTableRegions } from "../../../src/policy/sa-table.ts";
import { outboundFor } from "../../../src/policy/sad.ts";
import { SadWriter } from "../../../src/policy/sad-writer.ts";
import { createPacketKey, Key, type PacketKey } from "../../../src/policy/selector-record.ts";
import { endpoint, HANDLING, SUITES, selectors } from "./gateway-fixture.ts";

function makeTable(): SaTable {
  const size = { slots: 16, endpoints: 4, policies: 4, lanes: 1 };
  return formatSaTable(new ArrayBuffer(saTableRegions(size).total), size);
}

function keyOf(flow: number): PacketKey {
  const key = createPacketKey();
  const isV6 = flow % 2 === 1;
  key[Key.FAMILY] = isV6 ? 6 : 4;
  key[Key.PROTOCOL] = flow % 3 === 0 ? 6 : 17;
  key[Key.LOCAL_PORT] = flow % 7;
  key[Key.REMOTE_PORT] = flow % 11;
  key[Key.LOCAL_ADDRESS] = 0x0a010000 + (flow % 13);
  key[Key.REMOTE_ADDRESS] = 0x0a020000 + Math.floor(flow / 200);
  if (isV6) {
    key[Key.LOCAL_ADDRESS + 3] = flow % 17;
    key[Key.REMOTE_ADDRESS + 1] = flow;
  }
  return key;
}

describe("the flow cache", () => {
  test("gives back what was stored or nothing, never another flow's answer", () => {
    const cache = new FlowCache(makeTable());
    const flows = 20_000;
    for (let flow = 0; flow < flows; flow++) {
      cache.store(keyOf(flow), 0, flow);
      cache.store(keyOf(flow), 1, -2);
    }
    const answers = new Map<string, number>();
    for (let flow = 0; flow < flows; flow++) answers.set(keyOf(flow).join(), flow);
    let known = 0;
    for (let flow = 0; flow < flows; flow++) {
      const expected = answers.get(keyOf(flow).join())!;
      const found = cache.find(keyOf(flow), 0);
      expect([FLOW_UNKNOWN, expected]).toContain(found);
      expect([FLOW_UNKNOWN, -2]).toContain(cache.find(keyOf(flow), 1));
      expect(cache.find(keyOf(flow), 2)).toBe(FLOW_UNKNOWN);
      if (found !== FLOW_UNKNOWN) known++;
    }
    expect(known).toBeGreaterThan(500);
  });

  test("a change of any word of the key is another flow", () => {
    const cache = new FlowCache(makeTable());
    const key = keyOf(1);
    cache.store(key, 0, 5);
    expect(cache.find(key, 0)).toBe(5);
    for (let word = 0; word < Key.LENGTH; word++) {
      const other = key.slice();
      other[word] = other[word]! ^ 1;
      expect(cache.find(other, 0)).toBe(FLOW_UNKNOWN);
    }
  });

  test("forgets everything at once", () => {
    const cache = new FlowCache(makeTable());
    cache.store(keyOf(1), 0, 5);
    cache.clear();
    expect(cache.find(keyOf(1), 0)).toBe(FLOW_UNKNOWN);
  });

  test("a change of one policy's SAs makes void what was taken from them, and nothing else", () => {
    const table = makeTable();
    const cache = new FlowCache(table);
    const writer = new SadWriter(table);
    const slot = place(writer, 1, 0x1000);
    for (const policy of [0, 1, 2]) cache.store(keyOf(policy), 0, policy, policy, cache.generationOf(policy));
    cache.store(keyOf(3), 0, -3);
    const found = () => [0, 1, 2, 3].map((flow) => cache.find(keyOf(flow), 0));
    writer.publishOutbound(slot);
    expect(found()).toEqual([0, FLOW_UNKNOWN, 2, -3]);
    cache.store(keyOf(1), 0, slot, 1, cache.generationOf(1));
    expect(found()).toEqual([0, slot, 2, -3]);
    writer.stopOutbound(slot);
    expect(found()).toEqual([0, FLOW_UNKNOWN, 2, -3]);
  });

  test("no answer is older than the last change, whatever comes and goes", () => {
    const step = fc.record({
      what: fc.constantFrom("look", "look", "look", "add", "stop", "retire"),
      policy: fc.nat({ max: 2 }),
      flow: fc.nat({ max: 5 }),
      dscp: fc.constantFrom(0, 46),
      nth: fc.nat({ max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const table = makeTable();
        const cache = new FlowCache(table);
        const writer = new SadWriter(table);
        const live: number[][] = [[], [], []];
        let spi = 0x2000;
        for (const { what, policy, flow, dscp, nth } of steps) {
          const slots = live[policy]!;
          if (what === "add" && slots.length < 4) {
            const slot = place(writer, policy, spi++, nth === 0 ? [46] : undefined);
            writer.publishOutbound(slot);
            slots.push(slot);
          } else if (what === "stop" && slots.length > 0) writer.stopOutbound(slots[nth % slots.length]!);
          else if (what === "retire" && slots.length > 0) {
            writer.retire(slots.splice(nth % slots.length, 1)[0]!);
            writer.reclaim();
          }
          const key = keyOf(flow);
          key[Key.DSCP] = dscp;
          const now = outboundFor(table, writer.memory, policy, key, 0);
          const known = cache.find(key, policy);
          expect([FLOW_UNKNOWN, now]).toContain(known);
          if (known === FLOW_UNKNOWN && now >= 0)
            cache.store(key, policy, now, policy, cache.generationOf(policy));
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** An outbound SA for every packet, written and not yet published. */
function place(writer: SadWriter, policy: number, spi: number, dscps?: readonly number[]): number {
  const end = endpoint("192.0.2.1");
  const slot = writer.allocateSlot();
  const everything = selectors("0.0.0.0/0,::/0", "0.0.0.0/0,::/0");
  writeSaRecord(
    writer.table,
    writer.memory,
    {
      spi: Spi(spi),
      inboundSpi: Spi(spi),
      policy: `p${policy}`,
      suite: SUITES.aes256gcm16,
      keys: { encr: new Uint8Array(36), integ: new Uint8Array() },
      encapsulation: "udp",
      local: end,
      remote: end,
      selectors: everything,
      lifetime: {},
      handling: HANDLING,
      ...(dscps === undefined ? {} : { dscps }),
    },
    { slot, lane: 0, policy, endpoint: writer.takeEndpoint(outerPath(end, end, "udp")), pathMtu: 1500 },
  );
  return slot;
}
