/** The native engine keeps the contract, agrees with its twin, and works from several threads and processes. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { toHex } from "../../../src/base/bytes.ts";
import { PACKET_OK, type PacketBatch } from "../../../src/base/packet-batch.ts";
import { createTwinEspEngine, createTwinKeyStore } from "../../../src/esp/twin-engine.ts";
import { createNativeEspEngine, type NativeEspEngine } from "../../../src/io/native-esp-engine.ts";
import {
  createNativeKeyStore,
  createNativeSaTable,
  type NativeKeyStore,
  type NativeSaTable,
} from "../../../src/io/native-memory.ts";
import { closeFd } from "../../../src/io/native-socket.ts";
import { formatSaTable, saTableRegions } from "../../../src/policy/sa-table.ts";
import { seededRandom } from "../crypto/seeded-random.ts";
import { engineContract } from "../esp/engine-contract.ts";
import {
  allPackets,
  assign,
  type EngineUnderTest,
  GCM_128,
  INBOUND,
  installPair,
  isCbc,
  OUTBOUND,
  octets,
  packetOf,
  packets,
  plaintexts,
  SUITES,
  sequenceOf,
  setSequence,
  writeSlot,
} from "../esp/engine-suites.ts";
import { engineVectors } from "../esp/engine-vectors.ts";
import { describeNative, RUN_TYPESCRIPT, typescriptWorker } from "./native-addon.ts";
import type { SealOrder, SealReport } from "./native-seal-worker.ts";

const SIZE = { slots: 8, endpoints: 4, policies: 4, lanes: 1 };

interface NativeBench extends EngineUnderTest {
  readonly sa: NativeSaTable;
  readonly keys: NativeKeyStore;
  readonly engine: NativeEspEngine;
}

const open: NativeBench[] = [];

function makeNative(): NativeBench {
  const sa = createNativeSaTable(SIZE);
  const keys = createNativeKeyStore(sa);
  const bench = { sa, table: sa.table, keys, engine: createNativeEspEngine(sa, keys) };
  open.push(bench);
  return bench;
}

function makeTwin(): EngineUnderTest {
  const table = formatSaTable(new ArrayBuffer(saTableRegions(SIZE).total), SIZE);
  const keys = createTwinKeyStore(table);
  return { table, keys, engine: createTwinEspEngine(table, keys, seededRandom("twin")) };
}

afterEach(() => {
  for (const { sa, keys, engine } of open.splice(0)) {
    engine.close();
    keys.close();
    closeFd(keys.fd);
    closeFd(sa.fd);
  }
});

describeNative("the native engine", () => {
  engineContract(makeNative);
  engineVectors(makeNative);
  describe("and its twin", twins);
  describe("in several threads and processes", threads);

  test("contexts of wiped and replaced keys are freed on demand, others stay", () => {
    const bench = makeNative();
    installPair(bench, GCM_128, { outbound: 0, inbound: 1 });
    installPair(bench, GCM_128, { outbound: 2, inbound: 3 });
    const batch = plaintexts([16, 16]);
    batch.slot[1] = 2;
    bench.engine.seal(batch);
    expect(bench.engine.releaseStale()).toBe(0);
    bench.keys.wipe(0);
    expect(bench.engine.releaseStale()).toBe(1);
    installPair(bench, GCM_128, { outbound: 2, inbound: 3, seed: 9 });
    expect(bench.engine.releaseStale()).toBe(1);
    expect(bench.engine.releaseStale()).toBe(0);
  });
});

function twins(): void {
  const statuses = (batch: PacketBatch) => [...batch.status.subarray(0, batch.count)];
  const cases = SUITES.flatMap((suite) => [false, true].map((esn) => ({ name: suite.name, esn, suite })));

  test.each(cases)("$name, ESN $esn: each opens what the other seals", ({ suite, esn }) => {
    const record = { esn, sequence: 0xfffffff0n, limit: 2n ** 52n, seed: 8 };
    const lengths = esn ? [16, 64, 1024] : [16, 64, 1024].slice(0, 3);
    for (const [from, to] of [
      [makeNative(), makeTwin()],
      [makeTwin(), makeNative()],
    ] as const) {
      installPair(from, suite, record);
      installPair(to, suite, record);
      const batch = plaintexts(lengths);
      const before = allPackets(batch);
      from.engine.seal(batch);
      to.engine.open(assign(batch, 1));
      expect(statuses(batch)).toEqual([PACKET_OK, PACKET_OK, PACKET_OK]);
      expect(allPackets(batch)).toEqual(before);
    }
  });

  test.each(SUITES.filter((suite) => !isCbc(suite)))("$name: the same octets from both", (suite) => {
    const sealed = [makeNative(), makeTwin()].map((bench) => {
      installPair(bench, suite, { esn: true, sequence: 0xfffffffen, limit: 2n ** 60n });
      const batch = plaintexts([4, 64, 1400]);
      bench.engine.seal(batch);
      return allPackets(batch).map(toHex);
    });
    expect(sealed[0]).toEqual(sealed[1]);
  });

  test.each(SUITES)("$name: the same verdict and remains for whatever arrives", (suite) => {
    const native = makeNative();
    const twin = makeTwin();
    for (const bench of [native, twin]) installPair(bench, suite);
    const sealed = plaintexts([64]);
    twin.engine.seal(sealed);
    const genuine = packetOf(sealed);
    const damaged = fc
      .tuple(fc.nat(genuine.length - 1), fc.nat(255), fc.nat(genuine.length))
      .map(([at, change, length]) => {
        const copy = genuine.slice();
        copy[at]! ^= change;
        return copy.slice(0, length);
      });
    const arrivals = fc.array(fc.oneof(damaged, fc.uint8Array({ maxLength: 200 }), fc.constant(genuine)), {
      maxLength: 20,
    });
    const places = fc.array(fc.record({ slot: fc.nat(3), offset: fc.nat(2_000_000), moves: fc.nat(9) }), {
      minLength: 20,
      maxLength: 20,
    });
    fc.assert(
      fc.property(arrivals, places, (contents, where) => {
        const [a, b] = [packets(contents), packets(contents)];
        for (const batch of [a, b])
          where.slice(0, contents.length).forEach(({ slot, offset, moves }, i) => {
            batch.slot[i] = slot === 0 ? 0 : 1;
            if (moves === 0) batch.offset[i] = offset;
          });
        native.engine.open(a);
        twin.engine.open(b);
        expect(statuses(a)).toEqual(statuses(b));
        expect(a.offset).toEqual(b.offset);
        expect(a.length).toEqual(b.length);
        expect(Buffer.compare(a.bytes, b.bytes)).toBe(0);
      }),
      { numRuns: 40 },
    );
  });
}

function threads(): void {
  test("[ESP-02] [ESP-03] threads that seal with one slot take each number once and none past the limit", async () => {
    const bench = makeNative();
    const limit = 30_000;
    installPair(bench, GCM_128, { limit: BigInt(limit) });
    const order: SealOrder = {
      tableFd: bench.sa.fd,
      keysFd: bench.keys.fd,
      slot: 0,
      batches: 300,
      perBatch: 64,
      gate: new Int32Array(new SharedArrayBuffer(4)),
      threads: 3,
    };
    const reports = await Promise.all([runSealer(order), runSealer(order), runSealer(order)]);
    const taken = reports.flatMap((report) => [...report.numbers]);
    expect(reports.filter((report) => report.numbers.length > 0).length).toBe(3);
    expect(taken.length).toBe(limit);
    expect(new Set(taken).size).toBe(limit);
    expect(Math.max(...taken.slice(0, 1000), ...reports.map((r) => r.numbers.at(-1)!))).toBeLessThanOrEqual(
      limit,
    );
    expect(reports.reduce((sum, report) => sum + report.exhausted, 0)).toBe(3 * 300 * 64 - limit);
    expect(sequenceOf(bench.table, 0)).toBe(BigInt(limit));
  });

  test("a key that the main thread wipes is gone for a worker's next packet", async () => {
    const bench = makeNative();
    installPair(bench, GCM_128);
    bench.keys.wipe(0);
    const order = { tableFd: bench.sa.fd, keysFd: bench.keys.fd, slot: 0, batches: 1, perBatch: 2 };
    const report = await runSealer({ ...order, gate: new Int32Array(new SharedArrayBuffer(4)), threads: 1 });
    expect(report.numbers.length).toBe(0);
    expect(report.exhausted).toBe(0);
  });

  test("another process that is handed the descriptors goes on with keys and numbers", async () => {
    const bench = makeNative();
    installPair(bench, GCM_128);
    bench.engine.seal(plaintexts([16]));
    const child = spawn(
      process.execPath,
      [...RUN_TYPESCRIPT, fileURLToPath(new URL("./native-seal-process.ts", import.meta.url)), "3", "4"],
      { stdio: ["ignore", "pipe", "inherit", bench.sa.fd, bench.keys.fd] },
    );
    let output = "";
    child.stdout!.on("data", (chunk: Buffer) => {
      output += chunk.toString("latin1");
    });
    const status = await new Promise((resolve) => child.on("close", resolve));
    expect(status).toBe(0);
    const batch = packets([Uint8Array.from(Buffer.from(output.trim(), "hex"))]);
    bench.engine.open(batch);
    expect(batch.status[0]).toBe(PACKET_OK);
    expect(packetOf(batch)).toEqual(octets(32, 2));
    expect(sequenceOf(bench.table, 0)).toBe(2n);
  });

  test("numbers that another mapping of the table set are seen", () => {
    const bench = makeNative();
    writeSlot(bench.table, 0, GCM_128, { direction: OUTBOUND });
    writeSlot(bench.table, 1, GCM_128, { direction: INBOUND });
    bench.keys.install(0, octets(20), octets(0));
    setSequence(bench.table, 0, 99n);
    const batch = plaintexts([16]);
    bench.engine.seal(batch);
    expect(new DataView(packetOf(batch).buffer).getUint32(4)).toBe(100);
  });
}

function runSealer(order: SealOrder): Promise<SealReport> {
  return new Promise((resolve, reject) => {
    const worker = typescriptWorker(new URL("./native-seal-worker.ts", import.meta.url), order);
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}
