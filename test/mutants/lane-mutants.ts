/** Bugs of what makes a lane quick. */
import type { Mutant } from "./mutants.ts";

export const LANE_MUTANTS: readonly Mutant[] = [
  {
    bug: "a lane that sends by the clock is told an old moment",
    file: "src/io/lane-clock.ts",
    find: "if (isExact || present",
    replace: "if (present",
    test: "test/unit/io/lane-clock.test.ts",
    killedBy: "a turn that wants the very moment is told it",
  },
  {
    bug: "each turn of a lane leaves a number on the heap",
    file: "src/io/lane-clock.ts",
    find: "export const CLOCK_STEP_MS = 4;",
    replace: "export const CLOCK_STEP_MS = 0;",
    test: "test/unit/io/lane-clock.test.ts",
    killedBy: "a number is made once in a step",
  },
  {
    bug: "a lane with a constant rate is content with an old moment",
    file: "src/dataplane/lane.ts",
    find: "isTimed: () => outbound.isTimed || inbound.isTimed ||",
    replace: "isTimed: () =>",
    test: "test/unit/dataplane/lane-moment.test.ts",
    killedBy: "one that sends by the clock does, and one that measures such a sender",
  },
  {
    bug: "captured packets have old moments",
    file: "src/dataplane/lane.ts",
    find: "inbound.isTimed || io.tap !== undefined,",
    replace: "inbound.isTimed,",
    test: "test/unit/dataplane/lane-moment.test.ts",
    killedBy: "a capture wants it as long as it lasts",
  },
  {
    bug: "a lane's code waits for its optimisation although it carries much",
    file: "src/io/compilation.ts",
    find: "const isBusy = now - before >= BUSY_RUNS;",
    replace: "const isBusy = now - before >= 1e9 * BUSY_RUNS;",
    test: "test/unit/io/compilation.test.ts",
    killedBy: "sooner where lanes carry much: 500 runs in a second",
  },
  {
    bug: "code that waited for its optimisation goes on waiting when it need not any more",
    file: "src/io/compilation.ts",
    find: "const LOOK_OCTETS = 32 * 1024;",
    replace: "const LOOK_OCTETS = 1_000_000;",
    test: "test/unit/io/compilation.test.ts",
    killedBy: "not while tunnels come up, and then at once what has run much",
  },
];
