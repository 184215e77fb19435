/** A thread that blocks in native code until another one wakes it. */
import { parentPort, workerData } from "node:worker_threads";
import { createWaiter } from "../../../src/io/native-wait.ts";

export interface WaitOrder {
  readonly wakeFd: number;
  /** 0: the thread is about to wait; 1: it may stop. */
  readonly flag: Int32Array;
}

export interface WaitReport {
  readonly woken: boolean;
}

const { wakeFd, flag } = workerData as WaitOrder;
const waiter = createWaiter([], wakeFd);
Atomics.store(flag, 0, 1);
let woken = false;
while (Atomics.load(flag, 1) === 0 || !woken) woken = waiter.wait(60_000) === 1 || woken;
parentPort!.postMessage({ woken } satisfies WaitReport);
