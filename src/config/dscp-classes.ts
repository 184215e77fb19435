/** DSCP values that have SAs of their own (RFC 4301 section 4.1): by number, or by the names that the field gives them. */
import * as z from "zod";
import type { Findings } from "./findings.ts";
import { integer, leaf, listOf, Refusal } from "./leaf.ts";
import type { Path } from "./yaml-text.ts";

/** SAs beside the one for everything else: each costs both ends memory and rekeys. */
const CLASSES_MAX = 8;
const DSCP_MOST = 63;
/** RFC 2474, 3246, 5865 and 8622. */
const NAMES: Readonly<Record<string, number>> = { df: 0, le: 1, ef: 46, va: 44 };

export const dscpClassesSchema = z.optional(
  listOf(
    listOf(leaf(dscp), "a DSCP such as 46 or ef", DSCP_MOST + 1),
    "DSCP values such as [af11, af12]",
    CLASSES_MAX,
  ),
);

function dscp(value: unknown): number {
  if (typeof value !== "string") return integer(value, "a DSCP", 0, DSCP_MOST);
  const name = value.trim().toLowerCase();
  const known = NAMES[name] ?? classSelector(name) ?? assuredForwarding(name);
  if (known !== undefined) return known;
  throw new Refusal(
    "CONFIG_BAD_VALUE",
    "has to be a DSCP: 0 to 63, ef, va, le, df, cs0 to cs7, or af11 to af43",
  );
}

/** RFC 2474 section 4.2.2. */
function classSelector(name: string): number | undefined {
  return /^cs[0-7]$/.test(name) ? 8 * Number(name[2]) : undefined;
}

/** RFC 2597 section 6. */
function assuredForwarding(name: string): number | undefined {
  return /^af[1-4][1-3]$/.test(name) ? 8 * Number(name[2]) + 2 * Number(name[3]) : undefined;
}

/** Reports values that two SAs would have. */
export function dscpClassesOf(
  classes: readonly (readonly number[])[] | undefined,
  path: Path,
  findings: Findings,
): { readonly dscpClasses?: readonly (readonly number[])[] } {
  if (classes === undefined) return {};
  const seen = new Set<number>();
  for (const value of classes.flat()) {
    if (seen.has(value))
      findings.refuse(
        "CONFIG_CONFLICT",
        [...path, "dscp_sas"],
        `names DSCP ${value} twice; a packet leaves through one SA`,
      );
    seen.add(value);
  }
  return { dscpClasses: classes };
}
