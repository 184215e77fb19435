/** Proposals that are done as they say, and that their operator is warned of. */
import { suiteWarnings } from "../policy/proposal-keyword.ts";
import type { ProposalSuite } from "../policy/proposal-suite.ts";
import type { Findings } from "./findings.ts";
import type { Path } from "./yaml-text.ts";

/** Warns once of each transform that nothing but the operator's word speaks for [ESP-25]. */
export function warnOfProposals(proposals: readonly ProposalSuite[], path: Path, findings: Findings): void {
  for (const warning of new Set(proposals.flatMap(suiteWarnings)))
    findings.warn("CONFIG_PROPOSAL_WEAK", path, warning);
}
