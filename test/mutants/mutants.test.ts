/** Plants each bug of mutants.ts in a copy of the tree and requires that the named test fails because of it. */
import { afterAll, expect, test } from "vitest";
import { AUTHENTICATION_MUTANTS } from "./authentication-mutants.ts";
import { CHILD_MUTANTS } from "./child-mutants.ts";
import { CONTROL_MUTANTS } from "./control-mutants.ts";
import { DOCTOR_MUTANTS } from "./doctor-mutants.ts";
import { KEY_EXCHANGE_MUTANTS } from "./key-exchange-mutants.ts";
import { LIFECYCLE_MUTANTS } from "./lifecycle-mutants.ts";
import { MANY_PEERS_MUTANTS } from "./many-peers-mutants.ts";
import { MUTANTS } from "./mutants.ts";
import { MutatedTree } from "./mutated-tree.ts";
import { OPTION_MUTANTS } from "./option-mutants.ts";
import { PKI_MUTANTS } from "./pki-mutants.ts";
import { RESTART_MUTANTS } from "./restart-mutants.ts";
import { TRANSPORT_MUTANTS } from "./transport-mutants.ts";

/** A file per subject. */
const ALL = [
  ...MUTANTS,
  ...AUTHENTICATION_MUTANTS,
  ...CHILD_MUTANTS,
  ...CONTROL_MUTANTS,
  ...DOCTOR_MUTANTS,
  ...KEY_EXCHANGE_MUTANTS,
  ...LIFECYCLE_MUTANTS,
  ...MANY_PEERS_MUTANTS,
  ...OPTION_MUTANTS,
  ...PKI_MUTANTS,
  ...RESTART_MUTANTS,
  ...TRANSPORT_MUTANTS,
];

const tree = new MutatedTree(ALL);
afterAll(() => tree.close());

test("there are mutants", () => {
  expect(ALL.length).toBeGreaterThanOrEqual(12);
});

for (const mutant of ALL)
  test(`${mutant.bug} is killed by "${mutant.killedBy}"`, () => tree.expectKilled(mutant));
