/** The configuration and the secrets that it names: as `tungate check` says, permissions of the files among it. */
import { formatConfigProblem } from "../../config/config-error.ts";
import type { Facts } from "../facts.ts";
import { type Finding, ok, problem, warning } from "../finding.ts";

export function checkConfiguration({
  file,
  configuration,
  problems,
}: Pick<Facts, "file" | "configuration" | "problems">): readonly Finding[] {
  if (configuration === undefined)
    return problems.map((one) =>
      problem(formatConfigProblem(one), "correct it; tungate check says whether it is right"),
    );
  const warnings = configuration.warnings
    // Certificates have a check of their own.
    .filter(({ code }) => code !== "CONFIG_CERTIFICATE")
    .map((one) => warning(formatConfigProblem(one), "docs/configuration.md says more about the key"));
  return warnings.length > 0 ? warnings : [ok(`${file} can be used`)];
}
