import fc from "fast-check";
import { expect, test } from "vitest";
import { IpAddress } from "../../../src/base/ip-address.ts";
import { Spi } from "../../../src/base/spi.ts";
import { outerPath } from "../../../src/policy/endpoint-record.ts";
import { OutboundChoice } from "../../../src/policy/outbound-choice.ts";
import { writeSaRecord } from "../../../src/policy/sa-record.ts";
import { formatSaTable, Policy, saTableRegions } from "../../../src/policy/sa-table.ts";
import { outboundFor } from "../../../src/policy/sad.ts";
import { SadWriter } from "../../../src/policy/sad-writer.ts";
import { createPacketKey, Key, writeAddressWords } from "../../../src/policy/selector-record.ts";
import { compileSpd, lookupSpd } from "../../../src/policy/spd.ts";
import { endpoint, HANDLING, SUITES, selectors } from "../dataplane/gateway-fixture.ts";

const POLICIES = 3;
const WHOLE = Array.from({ length: POLICIES }, (_, i) => selectors(`10.1.0.0/16`, `10.${i + 2}.0.0/16`));
const NARROW = Array.from({ length: POLICIES }, (_, i) => selectors(`10.1.0.0/17`, `10.${i + 2}.0.0/16`));

function makeDatabase() {
  const size = { slots: 40, endpoints: 4, policies: POLICIES, lanes: 1 };
  const table = formatSaTable(new ArrayBuffer(saTableRegions(size).total), size);
  const writer = new SadWriter(table);
  const entries = WHOLE.map((pair, index) => ({
    action: "protect" as const,
    selectors: pair,
    policy: { name: `p${index}`, index },
  }));
  return { table, writer, spd: compileSpd(entries), choice: new OutboundChoice(table, writer.memory, 0) };
}

function publish({ table, writer }: ReturnType<typeof makeDatabase>, policy: number, kind: string): number {
  const slot = writer.allocateSlot();
  const spi = Spi(0x1000 + slot);
  const end = endpoint("192.0.2.1");
  const sa = {
    spi,
    inboundSpi: spi,
    policy: `p${policy}`,
    suite: SUITES.aes256gcm16,
    keys: { encr: new Uint8Array(36), integ: new Uint8Array() },
    encapsulation: "udp" as const,
    local: end,
    remote: end,
    selectors: (kind === "narrow" ? NARROW : WHOLE)[policy]!,
    lifetime: {},
    handling: HANDLING,
    ...(kind === "dscp" ? { dscps: [46] } : {}),
  };
  const path = writer.takeEndpoint(outerPath(end, end, "udp"));
  writeSaRecord(table, writer.memory, sa, { slot, lane: 0, policy, endpoint: path, pathMtu: 1500 });
  writer.publishOutbound(slot);
  return slot;
}

test("[SPD-04] the SA that is remembered is the one that a search finds, whatever comes, goes or is narrowed", () => {
  const step = fc.oneof(
    {
      weight: 2,
      arbitrary: fc.record({
        policy: fc.nat(POLICIES - 1),
        kind: fc.constantFrom("whole", "whole", "whole", "narrow", "dscp", "stop"),
      }),
    },
    { weight: 4, arbitrary: fc.record({ policy: fc.nat(POLICIES - 1), upper: fc.boolean() }) },
  );
  let remembered = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 4, maxLength: 30 }), (steps) => {
      const database = makeDatabase();
      const { table, writer, spd, choice } = database;
      const live: number[][] = Array.from({ length: POLICIES }, () => []);
      const key = createPacketKey();
      for (const one of steps) {
        if ("kind" in one) {
          if (one.kind !== "stop") live[one.policy]!.push(publish(database, one.policy, one.kind));
          else if (live[one.policy]!.length > 0) writer.stopOutbound(live[one.policy]!.pop()!);
          continue;
        }
        key[Key.FAMILY] = 4;
        key[Key.PROTOCOL] = 17;
        writeAddressWords(key, Key.LOCAL_ADDRESS, IpAddress(Uint8Array.of(10, 1, one.upper ? 200 : 1, 1)));
        writeAddressWords(key, Key.REMOTE_ADDRESS, IpAddress(Uint8Array.of(10, one.policy + 2, 0, 1)));
        const entry = lookupSpd(spd, key);
        const word = (table.regions.policies + one.policy * Policy.STRIDE + Policy.GENERATION) / 4;
        const expected = outboundFor(table, writer.memory, one.policy, key, 0);
        expect(choice.find(spd, entry, one.policy, table.u32[word]!, key)).toBe(expected);
        if (expected >= 0) remembered++;
      }
    }),
    { numRuns: 200 },
  );
  expect(remembered).toBeGreaterThan(100);
});
