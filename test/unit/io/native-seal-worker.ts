/** A thread that seals with a slot of a table it was handed, all such threads at the same time. */
import { parentPort, workerData } from "node:worker_threads";
import { createArenaBatch, PACKET_SEQUENCE_EXHAUSTED } from "../../../src/base/packet-batch.ts";
import { createNativeEspEngine } from "../../../src/io/native-esp-engine.ts";
import { openNativeKeyStore, openNativeSaTable } from "../../../src/io/native-memory.ts";
import { plaintexts } from "../esp/engine-suites.ts";

export interface SealOrder {
  readonly tableFd: number;
  readonly keysFd: number;
  readonly slot: number;
  readonly batches: number;
  readonly perBatch: number;
  /** Counts the threads that are ready. */
  readonly gate: Int32Array;
  readonly threads: number;
}

export interface SealReport {
  readonly numbers: Uint32Array;
  readonly exhausted: number;
}

const order = workerData as SealOrder;
const table = openNativeSaTable(order.tableFd);
const engine = createNativeEspEngine(table, openNativeKeyStore(order.keysFd, table));
const lengths = new Array<number>(order.perBatch).fill(16);
const numbers: number[] = [];
let exhausted = 0;

Atomics.add(order.gate, 0, 1);
while (Atomics.load(order.gate, 0) < order.threads);
const frames = plaintexts(lengths, order.slot);
const batch = createArenaBatch(order.perBatch, order.perBatch * 100);
for (let turn = 0; turn < order.batches; turn++) {
  frames.cursor.fill(0);
  engine.seal(frames, batch);
  for (let i = 0; i < batch.count; i++) numbers.push(batch.view.getUint32(batch.offset[i]! + 4));
  for (let i = 0; i < frames.count; i++) if (frames.status[i] === PACKET_SEQUENCE_EXHAUSTED) exhausted++;
}
parentPort!.postMessage({ numbers: Uint32Array.from(numbers), exhausted } satisfies SealReport);
