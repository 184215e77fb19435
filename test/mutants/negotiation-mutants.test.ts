/** Bugs in exchanges, keys, and the lives of SAs. */
import { AUTHENTICATION_MUTANTS } from "./authentication-mutants.ts";
import { CHILD_MUTANTS } from "./child-mutants.ts";
import { KEY_EXCHANGE_MUTANTS } from "./key-exchange-mutants.ts";
import { LIFECYCLE_MUTANTS } from "./lifecycle-mutants.ts";
import { MANY_PEERS_MUTANTS } from "./many-peers-mutants.ts";
import { testMutants } from "./test-mutants.ts";

testMutants([
  ...AUTHENTICATION_MUTANTS,
  ...CHILD_MUTANTS,
  ...KEY_EXCHANGE_MUTANTS,
  ...LIFECYCLE_MUTANTS,
  ...MANY_PEERS_MUTANTS,
]);
