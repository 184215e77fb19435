/** Children of AH: what they may be combined with (RFC 4302). */
import type { ProposalSuite } from "../policy/proposal-suite.ts";
import type { Findings } from "./findings.ts";
import type { ChildInput } from "./schema.ts";
import type { Path } from "./yaml-text.ts";

type Encapsulation = "auto" | "udp" | "esp";

/** UDP encapsulation would let a NAT change the outer addresses, which AH protects: neither side may ask for it [AH-15]. */
export const AH_ENCAPSULATION =
  "AH protects the outer addresses, which UDP encapsulation lets a NAT change; set encapsulation: esp";

/** One protocol to a child: RFC 4301 section 4.1 has no bundles of SAs. */
export function checkNegotiatedAh({ ah, esp, tfc, iptfs }: ChildInput, path: Path, findings: Findings): void {
  if (ah === undefined) return;
  const refuse = (key: string, message: string) =>
    findings.refuse("CONFIG_CONFLICT", [...path, key], message);
  if (esp !== undefined)
    refuse(
      "ah",
      "does not go with esp: a child is of one protocol; for both around the same packets use esp, which authenticates too",
    );
  for (const [key, given] of [
    ["tfc", tfc],
    ["iptfs", iptfs],
  ] as const)
    if (given !== undefined) refuse(key, "is ESP's alone; AH hides nothing");
}

/** How the SAs of a connection are encapsulated; a child of AH leaves no choice. */
export function encapsulationFor(
  given: Encapsulation | undefined,
  children: readonly { readonly proposals: readonly ProposalSuite[] }[],
  path: Path,
  findings: Findings,
): Encapsulation {
  const hasAh = children.some(({ proposals }) => proposals.some(({ protocol }) => protocol === "ah"));
  if (!hasAh || given === "esp") return given ?? "auto";
  if (given !== undefined) findings.refuse("CONFIG_CONFLICT", [...path, "encapsulation"], AH_ENCAPSULATION);
  return "esp";
}
