/** What the native engine does with every library: keeps the contract, agrees with its twin, works from several threads and processes. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { toHex } from "../../../src/base/bytes.ts";
import { createArenaBatch, PACKET_OK, type PacketBatch } from "../../../src/base/packet-batch.ts";
import { createTwinEspEngine, createTwinKeyStore } from "../../../src/esp/twin-engine.ts";
import { cryptoProvider } from "../../../src/io/crypto-provider.ts";
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
import { engineFramesContract } from "../esp/engine-frames-contract.ts";
import {
  allPackets,
  assign,
  type EngineUnderTest,
  framesOf,
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
  sealed,
  sequenceOf,
  setSequence,
  withTrailer,
  writeSlot,
} from "../esp/engine-suites.ts";
import { engineVectors } from "../esp/engine-vectors.ts";
import { RUN_TYPESCRIPT, typescriptWorker } from "../run-typescript.ts";
import type { SealOrder, SealReport } from "./native-seal-worker.ts";
import { headersOf, tcpPacket, udpPacket } from "./tcp-segments.ts";

const SIZE = { slots: 8, endpoints: 4, policies: 4, lanes: 1 };

interface NativeBench extends EngineUnderTest {
  readonly sa: NativeSaTable;
  readonly keys: NativeKeyStore;
  readonly engine: NativeEspEngine;
}

const open: NativeBench[] = [];

export function makeNative(): NativeBench {
  const sa = createNativeSaTable(SIZE);
  const keys = createNativeKeyStore(sa);
  const bench = { sa, table: sa.table, keys, engine: createNativeEspEngine(sa, keys) };
  open.push(bench);
  return bench;
}

export function makeTwin(): EngineUnderTest {
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

/** @param name - how the library's name begins, which this process was told to use */
export function nativeEngine(name: string): void {
  test("the library that was asked for does the work", () => {
    expect(cryptoProvider()).toEqual({ name: expect.stringMatching(`^${name}`) });
  });
  engineContract(makeNative);
  engineFramesContract(makeNative);
  engineVectors(makeNative);
  describe("and its twin", twins);
  describe("and its twin, frames", framesOfBoth);
  describe("in several threads and processes", threads);

  test("contexts of wiped and replaced keys are freed on demand, others stay", () => {
    const bench = makeNative();
    installPair(bench, GCM_128, { outbound: 0, inbound: 1 });
    installPair(bench, GCM_128, { outbound: 2, inbound: 3 });
    const frames = plaintexts([16, 16]);
    frames.slot[1] = 2;
    expect(sealed(bench, frames).count).toBe(2);
    expect(bench.engine.releaseStale()).toBe(0);
    bench.keys.wipe(0);
    expect(bench.engine.releaseStale()).toBe(1);
    installPair(bench, GCM_128, { outbound: 2, inbound: 3, seed: 9 });
    expect(bench.engine.releaseStale()).toBe(1);
    expect(bench.engine.releaseStale()).toBe(0);
  });
}

function twins(): void {
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
      const frames = plaintexts(lengths);
      const before = allPackets(frames).map((payload) => withTrailer(payload, suite));
      const batch = sealed(from, frames);
      to.engine.open(assign(batch, 1));
      expect(statuses(batch)).toEqual([PACKET_OK, PACKET_OK, PACKET_OK]);
      expect(allPackets(batch)).toEqual(before);
    }
  });

  test.each(SUITES.filter((suite) => !isCbc(suite)))("$name: the same octets from both", (suite) => {
    const both = [makeNative(), makeTwin()].map((bench) => {
      installPair(bench, suite, { esn: true, sequence: 0xfffffffen, limit: 2n ** 60n });
      return allPackets(sealed(bench, plaintexts([4, 64, 1400]))).map(toHex);
    });
    expect(both[0]?.length).toBe(3);
    expect(both[0]).toEqual(both[1]);
  });

  test.each(SUITES)("$name: the same verdict and remains for whatever arrives", (suite) => {
    const native = makeNative();
    const twin = makeTwin();
    for (const bench of [native, twin]) installPair(bench, suite);
    const genuine = packetOf(sealed(twin, plaintexts([64])));
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

/** Frames of all kinds, sound and not, sealed by both. */
function framesOfBoth(): void {
  const column = (most: number) => fc.array(fc.nat(most), { minLength: 6, maxLength: 6 });
  const content = fc
    .record({
      family: fc.constantFrom(4, 6),
      isUdp: fc.boolean(),
      length: fc.nat(4000),
      at: fc.nat(400),
      value: fc.nat(255),
    })
    .map(({ family, isUdp, length, at, value }) => {
      const fields = { family: family as 4 | 6, sourcePort: 9, sequence: 5, payload: octets(length) };
      const packet = isUdp ? udpPacket(fields) : tcpPacket(fields);
      // One in four is damaged in its headers.
      if (at < 100 && at < packet.length) packet[at] = value;
      return packet;
    });
  const kinds = fc.array(fc.constantFrom(0, 1, 1, 4, 4, 5, 5, 3, 0x81), { minLength: 6, maxLength: 6 });

  test.each([GCM_128, SUITES[3]!])("$name: the same packets of whatever frames", (suite) => {
    const native = makeNative();
    const twin = makeTwin();
    const run = (
      bench: EngineUnderTest,
      contents: readonly Uint8Array[],
      columns: { kind: number[]; segment: number[]; strip: number[]; padTo: number[]; limit: number },
    ) => {
      installPair(bench, suite, { limit: BigInt(columns.limit) });
      const frames = framesOf(contents);
      frames.kind.set(columns.kind);
      frames.segmentLength.set(columns.segment);
      frames.strip.set(columns.strip);
      frames.padTo.set(columns.padTo);
      contents.forEach((packet, i) => {
        const headers = packet.length < 60 ? 0 : headersOf(packet);
        if (columns.kind[i] !== 0)
          frames.segments[i] = Math.ceil((packet.length - headers) / (columns.segment[i] || 1));
      });
      const into = createArenaBatch(40, 20_000);
      const seen: unknown[] = [];
      for (let round = 0; round < 40 && frames.cursor[0]! < frames.count; round++) {
        bench.engine.seal(frames, into);
        seen.push(into.count, ...allPackets(into).map(toHex), [...frames.cursor]);
      }
      seen.push(statuses(frames), [...frames.sealed.subarray(0, frames.count)], sequenceOf(bench.table, 0));
      return seen;
    };
    const columns = fc.record({
      kind: kinds,
      segment: fc.array(fc.constantFrom(0, 7, 100, 1400, 5000, 65_535), { minLength: 6, maxLength: 6 }),
      strip: fc.array(fc.constantFrom(0, 0, 0, 20, 40, 41), { minLength: 6, maxLength: 6 }),
      padTo: column(1500),
      limit: fc.nat(300),
    });
    fc.assert(
      fc.property(fc.array(content, { minLength: 1, maxLength: 6 }), columns, (contents, given) => {
        expect(run(native, contents, given)).toEqual(run(twin, contents, given));
      }),
      { numRuns: 60 },
    );
  });
}

const statuses = (batch: PacketBatch) => [...batch.status.subarray(0, batch.count)];

function threads(): void {
  test("[ESP-02] [ESP-03] threads that seal with one slot take each number once and none past the limit", async () => {
    const bench = makeNative();
    const limit = 45_000;
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
    sealed(bench, plaintexts([16]));
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
    expect(packetOf(batch)).toEqual(withTrailer(octets(32, 2), GCM_128));
    expect(sequenceOf(bench.table, 0)).toBe(2n);
  });

  test("numbers that another mapping of the table set are seen", () => {
    const bench = makeNative();
    writeSlot(bench.table, 0, GCM_128, { direction: OUTBOUND });
    writeSlot(bench.table, 1, GCM_128, { direction: INBOUND });
    bench.keys.install(0, octets(20), octets(0));
    setSequence(bench.table, 0, 99n);
    const batch = sealed(bench, plaintexts([16]));
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
