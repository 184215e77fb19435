/** Settings of how long things live: reauthentication, uniqueness, childless IKE SAs, children that nobody uses. */
import type { DurationMs } from "../base/instant.ts";
import type { Childless, Connection, Keep, Uniqueness } from "../policy/connection.ts";
import type { Findings } from "./findings.ts";
import type { Path } from "./yaml-text.ts";

interface IkeInput {
  readonly reauth?: DurationMs | undefined;
  readonly unique?: Uniqueness | undefined;
  readonly childless?: Childless | undefined;
}

/** What is not written stays away: what it means then is IKE's to say. */
export function lifecycleOf(
  given: IkeInput | undefined,
): Pick<Connection["ike"], "reauth" | "unique" | "childless"> {
  const { reauth, unique, childless } = given ?? {};
  return {
    ...(reauth === undefined ? {} : { reauth }),
    ...(unique === undefined ? {} : { unique }),
    ...(childless === undefined ? {} : { childless }),
  };
}

/** A child that is kept up would come back at once. */
export function inactivityOf(
  { inactivity }: { readonly inactivity?: DurationMs | undefined },
  keep: Keep,
  path: Path,
  findings: Findings,
): { readonly inactivity?: DurationMs } {
  if (inactivity === undefined) return {};
  if (keep === "up")
    findings.refuse(
      "CONFIG_CONFLICT",
      [...path, "inactivity"],
      "does not go with keep: up, which would bring the child back at once; write keep: on-demand, or respond",
    );
  return { inactivity };
}
