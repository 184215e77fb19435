/** Bugs in the protocol, its keys and the packet path. */
import { AUTHENTICATION_MUTANTS } from "./authentication-mutants.ts";
import { CHILD_MUTANTS } from "./child-mutants.ts";
import { KEY_EXCHANGE_MUTANTS } from "./key-exchange-mutants.ts";
import { LANE_MUTANTS } from "./lane-mutants.ts";
import { LIFECYCLE_MUTANTS } from "./lifecycle-mutants.ts";
import { MANY_PEERS_MUTANTS } from "./many-peers-mutants.ts";
import { MUTANTS } from "./mutants.ts";
import { testMutants } from "./test-mutants.ts";

testMutants([
  ...MUTANTS,
  ...AUTHENTICATION_MUTANTS,
  ...CHILD_MUTANTS,
  ...KEY_EXCHANGE_MUTANTS,
  ...LANE_MUTANTS,
  ...LIFECYCLE_MUTANTS,
  ...MANY_PEERS_MUTANTS,
]);
