/** Bugs in options and certificates. */
import { OPTION_MUTANTS } from "./option-mutants.ts";
import { PKI_MUTANTS } from "./pki-mutants.ts";
import { testMutants } from "./test-mutants.ts";

testMutants([...OPTION_MUTANTS, ...PKI_MUTANTS]);
