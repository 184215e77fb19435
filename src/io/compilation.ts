/**
 * How V8 compiles the daemon. Negotiations run each function a few times per IKE SA: for the first thousands of them the
 * optimising compiler costs more than it saves, and so does the interpreter.
 */
import { setFlagsFromString } from "node:v8";

/**
 * Machine code without optimisation at the first call; optimisation after 1 MB of bytecode instead of 132 KB. A lane's loops
 * get there in a moment.
 */
const FLAGS = ["--always-sparkplug", "--interrupt-budget=1000000"];

/**
 * Space for young objects stays as it is. V8 doubles it up to 16 MB, three times over, as soon as many objects stay, as those of
 * IKE SAs do: a thousand tunnels took twice the memory. Other threads only cost time in so little of it.
 */
const MEMORY_FLAGS = ["--semi-space-growth-factor=1", "--no-parallel-scavenge"];

/** For functions that are called for the first time from now on, in every thread. */
export function compileForNegotiations(): void {
  for (const flag of [...FLAGS, ...MEMORY_FLAGS]) setFlagsFromString(flag);
}
