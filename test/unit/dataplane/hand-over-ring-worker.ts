/** The putting side of a ring, in a thread of its own. */
import { workerData } from "node:worker_threads";
import { HandOverRing } from "../../../src/dataplane/hand-over-ring.ts";

export interface RingOrder {
  readonly memory: SharedArrayBuffer;
  readonly octets: number;
  readonly count: number;
}

/** Octets of the record with this number. */
export function lengthOf(number: number): number {
  return 1 + ((number * 7919) % 700);
}

function main({ memory, octets, count }: RingOrder): void {
  const ring = new HandOverRing(memory, 0, octets);
  for (let number = 1; number <= count; ) {
    const length = lengthOf(number);
    const record = ring.reserve(length);
    if (record < 0) continue;
    const start = ring.start(record);
    ring.bytes[start] = number & 0xff;
    ring.bytes[start + length - 1] = number & 0xff;
    ring.u32[ring.words(record)] = number;
    ring.put(record);
    number++;
  }
}

if (workerData !== null && typeof workerData === "object" && "memory" in workerData)
  main(workerData as RingOrder);
