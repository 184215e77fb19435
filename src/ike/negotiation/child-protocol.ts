/** ESP or AH: which of the two a child SA is of, in SA, Delete and Notify payloads (RFC 7296 sections 1.4.1, 3.3.1 and 3.11). */
import type { Spi } from "../../base/spi.ts";
import type { EspSuite } from "../../policy/data-plane.ts";
import type { ProposalSuite } from "../../policy/proposal-suite.ts";
import { encodeChildSpi } from "../../wire/ike/child-spi.ts";
import type { DeletePayload } from "../../wire/ike/payload.ts";
import { ProtocolId } from "../../wire/ike/registries.ts";

/** What proposals of a suite and SAs made of it are named by; absent is ESP. */
export function childProtocolId({ protocol }: Pick<ProposalSuite | EspSuite, "protocol">): number {
  return protocol === "ah" ? ProtocolId.AH : ProtocolId.ESP;
}

/** The word for notices; all suites of a child are of one protocol. */
export function childProtocol(suites: readonly ProposalSuite[]): "esp" | "ah" {
  return suites[0]?.protocol ?? "esp";
}

/** An SA that we receive with, as a Delete names it. */
export interface NamedSa {
  readonly inboundSpi: Spi;
  readonly protocolId: number;
}

/** One payload for each protocol that there is something of [CHILD-15] [AH-14]. */
export function deletePayloads(sas: readonly NamedSa[]): readonly DeletePayload[] {
  return [ProtocolId.ESP, ProtocolId.AH].flatMap((protocolId) => {
    const spis = sas.filter((sa) => sa.protocolId === protocolId).map((sa) => encodeChildSpi(sa.inboundSpi));
    return spis.length === 0 ? [] : [{ kind: "D", protocolId, spis } as const];
  });
}
