/** Where in the packet filter something happens, so that an operator finds it. */
import type { Fate } from "./evaluate.ts";

/** `inet filter input, rule 13`, or `the policy of inet filter input`. */
export function whereOf({ chain, rule }: Fate): string {
  return rule === undefined ? `the policy of ${chain}` : `${chain}, ${rule}`;
}
