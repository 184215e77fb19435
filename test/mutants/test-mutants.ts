/** Plants each bug in a copy of the tree and requires that the named test fails because of it. */
import { afterAll, expect, test } from "vitest";
import type { Mutant } from "./mutants.ts";
import { MutatedTree } from "./mutated-tree.ts";

export function testMutants(mutants: readonly Mutant[]): void {
  const tree = new MutatedTree(mutants);
  afterAll(() => tree.close());

  test("there are mutants", () => {
    expect(mutants.length).toBeGreaterThanOrEqual(12);
  });

  for (const mutant of mutants)
    test(`${mutant.bug} is killed by "${mutant.killedBy}"`, () => tree.expectKilled(mutant));
}
