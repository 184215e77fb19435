/** DNS names of peers. */
import type { Facts } from "../facts.ts";
import { type Finding, notChecked, ok, orOk, problem } from "../finding.ts";

export function checkNames({
  names,
  namesLeftOut,
  configuration,
}: Pick<Facts, "names" | "namesLeftOut" | "configuration">): readonly Finding[] {
  if (configuration === undefined) return [notChecked("the configuration cannot be used")];
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
  const rest = namesLeftOut === 0 ? [] : [notChecked(`${namesLeftOut} more names were not looked up`)];
  return [
    ...orOk(
      findings,
      `${names.length === 1 ? "the name" : `${names.length} names`} of peers can be resolved`,
    ),
    ...rest,
  ];
}
