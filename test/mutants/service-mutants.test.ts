/** Bugs in options, certificates, transports, control and what surrounds the gateway. */
import { CONTROL_MUTANTS } from "./control-mutants.ts";
import { DOCTOR_MUTANTS } from "./doctor-mutants.ts";
import { OPTION_MUTANTS } from "./option-mutants.ts";
import { PKI_MUTANTS } from "./pki-mutants.ts";
import { RESTART_MUTANTS } from "./restart-mutants.ts";
import { testMutants } from "./test-mutants.ts";
import { TRANSPORT_MUTANTS } from "./transport-mutants.ts";

testMutants([
  ...CONTROL_MUTANTS,
  ...DOCTOR_MUTANTS,
  ...OPTION_MUTANTS,
  ...PKI_MUTANTS,
  ...RESTART_MUTANTS,
  ...TRANSPORT_MUTANTS,
]);
