/** Proposals that are done as they say, and that their operator is warned of. */
import { suiteWarnings } from "../policy/proposal-keyword.ts";
import type { ProposalSuite } from "../policy/proposal-suite.ts";
import type { Findings } from "./findings.ts";
import type { Path } from "./yaml-text.ts";

export function warnOfSha1(isAllowed: boolean | undefined, path: Path, findings: Findings): void {
  if (isAllowed === true)
    findings.warn(
      "CONFIG_PROPOSAL_WEAK",
      [...path, "ike", "sha1_signatures"],
      "SHA-1 is broken for signatures; only for an RSA peer that knows neither RFC 7427 nor ECDSA",
    );
}

/** Warns once of each transform that nothing but the operator's word speaks for [ESP-25]. */
export function warnOfProposals(proposals: readonly ProposalSuite[], path: Path, findings: Findings): void {
  for (const warning of new Set(proposals.flatMap(suiteWarnings)))
    findings.warn("CONFIG_PROPOSAL_WEAK", path, warning);
}
