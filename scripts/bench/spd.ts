/**
 * What searching the SPD costs with 10,000 entries against ten: ratios of alternating runs in one process, since nothing else can
 * be trusted on a machine that does other things. `tsx scripts/bench/spd.ts [entries]`
 */

import { Spi } from "../../src/base/spi.ts";
import { FLOW_UNKNOWN, FlowCache } from "../../src/dataplane/flow-cache.ts";
import { outerPath } from "../../src/policy/endpoint-record.ts";
import { OutboundChoice } from "../../src/policy/outbound-choice.ts";
import { writeSaRecord } from "../../src/policy/sa-record.ts";
import { formatSaTable, type SaTable, saTableRegions } from "../../src/policy/sa-table.ts";
import { SadWriter } from "../../src/policy/sad-writer.ts";
import type { PacketKey } from "../../src/policy/selector-record.ts";
import { type CompiledSpd, compileSpd, lookupSpd, type SpdEntry } from "../../src/policy/spd.ts";
import { endpoint, HANDLING, SUITES } from "../../test/unit/dataplane/gateway-fixture.ts";
import { drawing, keyWithin, SPD_SETS, worstWork } from "../../test/unit/policy/spd-sets.ts";

const FEW = 10;
const MANY = Number(process.argv[2] ?? 10_000);
const KEYS = 4096;
const ROUNDS = 15;
const PASSES = 8;

interface Subject {
  readonly spd: CompiledSpd;
  readonly table: SaTable;
  readonly choice: OutboundChoice;
  readonly keys: readonly PacketKey[];
}

/** An SPD, with an outbound SA for every entry, and packets for it. */
function subject(entries: readonly SpdEntry[]): Subject {
  const size = { slots: entries.length, endpoints: 4, policies: entries.length, lanes: 1 };
  const table = formatSaTable(new ArrayBuffer(saTableRegions(size).total), size);
  const writer = new SadWriter(table);
  const end = endpoint("192.0.2.1");
  const keys = { encr: new Uint8Array(36), integ: new Uint8Array() };
  for (const [policy, { selectors }] of entries.entries()) {
    const spi = Spi(0x1000 + policy);
    const slot = writer.allocateSlot();
    writeSaRecord(
      table,
      writer.memory,
      {
        spi,
        inboundSpi: spi,
        policy: `p${policy}`,
        suite: SUITES.aes256gcm16,
        keys,
        encapsulation: "udp",
        local: end,
        remote: end,
        selectors,
        lifetime: {},
        handling: HANDLING,
      },
      { slot, lane: 0, policy, endpoint: writer.takeEndpoint(outerPath(end, end, "udp")), pathMtu: 1500 },
    );
    writer.publishOutbound(slot);
  }
  const draw = drawing(1);
  const drawn = Array.from({ length: KEYS }, () => keyWithin(entries[draw(entries.length)]!, draw));
  return {
    spd: compileSpd(entries),
    table,
    choice: new OutboundChoice(table, writer.memory, 0),
    keys: drawn,
  };
}

/** What a packet costs that the flow cache does not know, in nanoseconds: asked in vain, SPD, SA, remembered. */
function missNanoseconds({ spd, table, choice, keys }: Subject): number {
  const flows = new FlowCache(table);
  const start = process.hrtime.bigint();
  for (let pass = 0; pass < PASSES; pass++) {
    flows.clear();
    for (const key of keys) {
      if (flows.find(key, 0) !== FLOW_UNKNOWN) continue;
      const entry = lookupSpd(spd, key);
      const policy = spd.policy[entry]!;
      const generation = flows.generationOf(policy);
      flows.store(key, 0, choice.find(spd, entry, policy, generation, key), policy, generation);
    }
  }
  return Number(process.hrtime.bigint() - start) / (PASSES * keys.length);
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1]!;
}

console.log(
  `a flow cache miss with ${MANY} policies and SAs over one with ${FEW}, medians of ${ROUNDS} alternating runs`,
);
for (const [name, set] of Object.entries(SPD_SETS)) {
  const few = subject(set(FEW));
  const entries = set(MANY);
  const before = process.cpuUsage();
  compileSpd(entries);
  const { user, system } = process.cpuUsage(before);
  const many = subject(entries);
  const ratios = Array.from({ length: ROUNDS }, () => missNanoseconds(many) / missNanoseconds(few));
  const { steps, candidates } = worstWork(many.spd);
  const compiled = `compiled in ${((user + system) / 1000).toFixed(0)} ms of CPU time`;
  console.log(
    `${name.padEnd(52)} ${median(ratios).toFixed(2)}   at most ${steps} steps, ${candidates} entries   ${compiled}`,
  );
}
