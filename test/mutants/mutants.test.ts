/** Bugs in the packet path, its lanes, and what the protocol says. */
import { LANE_MUTANTS } from "./lane-mutants.ts";
import { MUTANTS } from "./mutants.ts";
import { testMutants } from "./test-mutants.ts";

testMutants([...MUTANTS, ...LANE_MUTANTS]);
