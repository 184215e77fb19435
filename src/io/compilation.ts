/**
 * How V8 compiles the daemon. Negotiations run each function a few times per IKE SA: for the first thousands of them the
 * optimising compiler costs more than it saves, and so does the interpreter.
 */
import { setFlagsFromString } from "node:v8";

/** Later ones than that of Node.js 20 count calls in place of looks, and say on stderr that they know no flags for these. */
const V8_TAKES_LOOKS = Number.parseInt(process.versions.v8, 10) < 12;
/** Machine code without optimisation at the first call. */
const BASELINE = "--always-sparkplug";
/** Octets of bytecode that a function runs from one look at whether it should be optimised to the next. */
const LOOK_OCTETS = 32 * 1024;
/**
 * Looks that a function has to stay the same for, as many octets as V8 waits for by itself, and octets of the longest function
 * that needs just one look. What is put off at first are V8's decisions, not the looks: a function counts down what it was
 * given, and the code of a lane, which runs once for a packet that comes alone, would wait for minutes longer than it should.
 */
const LOOKS = 6;
const SHORT_OCTETS = 81;
const LOOKS_AT_FIRST = 120;
/** Later nothing is gained by waiting, and code of lanes that runs once per batch would leave numbers on the heap for long. */
const EARLY_SECONDS = 15;
/** Nor where lanes carry so many runs of packets in a second: unoptimised they take half as much processor time again. */
const BUSY_RUNS = 500;

/**
 * Space for young objects stays as it is. V8 doubles it up to 16 MB, three times over, as soon as many objects stay, as those of
 * IKE SAs do: a thousand tunnels took twice the memory. Other threads only cost time in so little of it.
 */
const MEMORY_FLAGS = ["--semi-space-growth-factor=1", "--no-parallel-scavenge"];

/**
 * For functions that are called for the first time from now on, in every thread.
 * @param runs - superpackets and runs of datagrams that lanes have carried so far; asked once a second for a while
 */
export function compileForNegotiations(runs: () => number): void {
  for (const flag of [BASELINE, ...MEMORY_FLAGS]) setFlagsFromString(flag);
  if (!V8_TAKES_LOOKS) return;
  setFlagsFromString(`--interrupt-budget=${LOOK_OCTETS}`);
  optimiseAfter(LOOKS_AT_FIRST, 0);
  let seconds = 0;
  let before = runs();
  const timer = setInterval(() => {
    const now = runs();
    const isBusy = now - before >= BUSY_RUNS;
    before = now;
    if (++seconds < EARLY_SECONDS && !isBusy) return;
    clearInterval(timer);
    optimiseNow();
  }, 1000);
  timer.unref();
}

/** What has run much is optimised when it is looked at next. */
export function optimiseNow(): void {
  optimiseAfter(LOOKS, SHORT_OCTETS);
}

function optimiseAfter(looks: number, shortOctets: number): void {
  setFlagsFromString(`--ticks-before-optimization=${looks}`);
  setFlagsFromString(`--max-bytecode-size-for-early-opt=${shortOctets}`);
}
