/**
 * How V8 compiles the daemon. Negotiations run each function a few times per IKE SA: for the first thousands of them the
 * optimising compiler costs more than it saves, and so does the interpreter.
 */
import { setFlagsFromString } from "node:v8";

/** Machine code without optimisation at the first call. */
const BASELINE = "--always-sparkplug";
/** Octets of bytecode that a function may run before it is optimised: while tunnels come up, and then V8's own. */
const EARLY_BUDGET = 1_000_000;
const BUDGET = 132 * 1024;
/** Later nothing is gained by waiting, and code of lanes that runs once per batch would leave numbers on the heap for long. */
const EARLY_MS = 15_000;

/**
 * Space for young objects stays as it is. V8 doubles it up to 16 MB, three times over, as soon as many objects stay, as those of
 * IKE SAs do: a thousand tunnels took twice the memory. Other threads only cost time in so little of it.
 */
const MEMORY_FLAGS = ["--semi-space-growth-factor=1", "--no-parallel-scavenge"];

/** For functions that are called for the first time from now on, in every thread. */
export function compileForNegotiations(): void {
  for (const flag of [BASELINE, ...MEMORY_FLAGS]) setFlagsFromString(flag);
  setBudget(EARLY_BUDGET);
  setTimeout(() => setBudget(BUDGET), EARLY_MS).unref();
}

function setBudget(octets: number): void {
  setFlagsFromString(`--interrupt-budget=${octets}`);
}
