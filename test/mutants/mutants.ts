/** Bugs worth fearing, each a change of one place, and the test that must notice it. */
export interface Mutant {
  readonly bug: string;
  readonly file: string;
  /** Text that occurs once in the file. */
  readonly find: string;
  readonly replace: string;
  readonly test: string;
  /** Part of the test's name. */
  readonly killedBy: string;
}

export const MUTANTS: readonly Mutant[] = [];
