/** DNS names of peers. */
import type { Facts } from "../facts.ts";
import { ok, orOk, problem } from "../finding.ts";

export function checkNames({ names }: Pick<Facts, "names">) {
  if (names.length === 0) return [ok("no peer is named by DNS")];
  const findings = names.flatMap(({ name, failure }) =>
    failure === undefined
      ? []
      : [
          problem(
            `${name} cannot be resolved: ${failure}`,
            "look at /etc/resolv.conf and at the name; it is asked of name servers, not of /etc/hosts",
          ),
        ],
  );
  return orOk(findings, `${names.length === 1 ? "the name" : "all names"} of peers can be resolved`);
}
