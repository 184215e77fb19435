/** Bugs of what is taken over from the process before; their tests need the addon, as it is. */
import type { Mutant } from "./mutants.ts";

export const TAKE_OVER_MUTANTS: readonly Mutant[] = [
  {
    bug: "a start that is refused leaves the sockets of the process before closed",
    file: "src/daemon/fitting.ts",
    find: "if (!isOver && !areSocketsSame) restoreSockets(taken, store, log);",
    replace: "",
    test: "test/unit/daemon/fitting.test.ts",
    killedBy: "after a refusal they are bound and kept again",
  },
  {
    bug: "keys of SAs that end with another number of lanes stay in memory",
    file: "src/daemon/fitting.ts",
    find: "  wipeKept(keys.fd);\n",
    replace: "",
    test: "test/unit/daemon/fitting.test.ts",
    killedBy: "keys and IKE SAs go when all is open",
  },
  {
    bug: "a process uses the sequence numbers that another one still uses",
    file: "src/daemon/take-over.ts",
    find: "if (!tables.every(claimMemory))",
    replace: "if (tables.length > 9 && !tables.every(claimMemory))",
    test: "test/unit/daemon/take-over.test.ts",
    killedBy: "a table that another process still uses is left alone",
  },
  {
    bug: "of two states of the lanes any one counts",
    file: "src/daemon/take-over.ts",
    find: "if (newest === undefined || state.generation > newest.generation) newest = state;",
    replace: "if (newest === undefined) newest = state;",
    test: "test/unit/daemon/take-over.test.ts",
    killedBy: "the later one counts",
  },
  {
    bug: "IKE SAs are taken over twice",
    file: "src/daemon/take-over.ts",
    find: "  for (const fd of fds) wipeKept(fd);\n  if (fds.length > 0)",
    replace: "  if (fds.length > 9)",
    test: "test/unit/daemon/take-over.test.ts",
    killedBy: "IKE SAs are read once",
  },
];
