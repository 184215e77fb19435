/**
 * Threads of lanes, which may be started before it is known what they carry: a thread needs as long until it runs a script as all
 * that a restart does before the lane can have its work.
 */
import { type MessagePort, Worker } from "node:worker_threads";
import type { LaneThreadData } from "./lane-control.ts";
import { workerLocation } from "./worker-location.ts";

/** The loop allocates next to nothing; what it has is code and batches, and what loading it leaves behind. */
const LIMITS = { maxOldGenerationSizeMb: 48, maxYoungGenerationSizeMb: 3, stackSizeMb: 2 } as const;

/** What a lane's thread is started with, or is sent when it waits. */
export interface LaneWork {
  readonly data: LaneThreadData;
  readonly commands: MessagePort;
}

/** Several scripts run in the main thread, each with a copy of this file. */
const WAITING = Symbol.for("tungate: waiting lanes");
const main = globalThis as { [WAITING]?: Worker[] };

/** Starts threads that wait for {@link startLane}. */
export function startWaitingLanes(count: number): void {
  const waiting = Array.from({ length: count }, (_, index) => laneWorker(index));
  main[WAITING] = waiting;
  for (const worker of waiting) {
    // Whoever wants a lane then starts its thread anew, and hears what is wrong with it.
    const forget = () => void (waiting.includes(worker) && waiting.splice(waiting.indexOf(worker), 1));
    worker.on("error", forget);
    worker.on("exit", forget);
  }
}

/** A thread that has its work. */
export function startLane(work: LaneWork): Worker {
  const waiting = main[WAITING]?.shift();
  if (waiting === undefined) return laneWorker(work.data.index, work);
  waiting.postMessage(work, [work.commands]);
  return waiting;
}

/** Ends threads that there is no work for. */
export function dismissWaitingLanes(): void {
  for (const waiting of main[WAITING]?.splice(0) ?? []) void waiting.terminate();
}

function laneWorker(index: number, work?: LaneWork): Worker {
  return new Worker(workerLocation("io/lane-worker", import.meta.url), {
    workerData: work,
    transferList: work === undefined ? [] : [work.commands],
    resourceLimits: LIMITS,
    name: `lane ${index}`,
  });
}
