/** Bugs in transports, control and what surrounds the gateway. */
import { CONTROL_MUTANTS } from "./control-mutants.ts";
import { DOCTOR_MUTANTS } from "./doctor-mutants.ts";
import { RESTART_MUTANTS } from "./restart-mutants.ts";
import { testMutants } from "./test-mutants.ts";
import { TRANSPORT_MUTANTS } from "./transport-mutants.ts";

testMutants([...CONTROL_MUTANTS, ...DOCTOR_MUTANTS, ...RESTART_MUTANTS, ...TRANSPORT_MUTANTS]);
