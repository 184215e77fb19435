/** What processes and the machine use, as the kernel counts it. */
import { readFileSync } from "node:fs";

/** USER_HZ; the same on every Linux of the architectures that Node runs on. */
const TICKS_PER_SECOND = 100;
const SAMPLE_MS = 200;

/** CPU seconds of a process and all its threads so far; 0 when it is gone. */
export function processSeconds(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name of the program stands in brackets and may hold anything; utime and stime are fields 14 and 15.
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
}

/** CPU seconds of the whole machine that were not idle. */
function machineSeconds(): number {
  const fields = readFileSync("/proc/stat", "utf8")
    .split("\n", 1)[0]!
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  const [user, nice, system, , , irq, softIrq, steal] = fields;
  return (user! + nice! + system! + irq! + softIrq! + (steal ?? 0)) / TICKS_PER_SECOND;
}

export function residentOctets(pid: number): number {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return Number(kilobytes ?? 0) * 1024;
  } catch {
    return 0;
  }
}

export interface Usage {
  /** Of all the processes together. */
  readonly processSeconds: number;
  readonly machineSeconds: number;
  /** Of the process that had most. */
  readonly residentOctetsMax: number;
}

/** Runs `work` and counts what these processes use meanwhile. */
export async function metered<Result>(
  pids: readonly number[],
  work: () => Promise<Result>,
): Promise<{ readonly result: Result; readonly usage: Usage }> {
  let residentOctetsMax = 0;
  const look = () => {
    for (const pid of pids) residentOctetsMax = Math.max(residentOctetsMax, residentOctets(pid));
  };
  const seconds = () => pids.reduce((sum, pid) => sum + processSeconds(pid), 0);
  look();
  const timer = setInterval(look, SAMPLE_MS);
  const [processBefore, machineBefore] = [seconds(), machineSeconds()];
  try {
    const result = await work();
    look();
    return {
      result,
      usage: {
        processSeconds: seconds() - processBefore,
        machineSeconds: machineSeconds() - machineBefore,
        residentOctetsMax,
      },
    };
  } finally {
    clearInterval(timer);
  }
}
