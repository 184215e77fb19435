/** Which programs the bench of handshakes brings together, and which of them somebody wants measured alone. */
import { strongSwan, tungate } from "./handshake-programs.ts";
import type { Kind, Pair } from "./handshake-round.ts";

/** As `--only` has it: `tungate-strongswan` is Tungate that calls strongSwan. */
export function rowName({ initiator, responder }: Pair): string {
  return `${initiator.name}-${responder.name}`.toLowerCase();
}

/**
 * Initiators call strongSwan, responders are called by Tungate, so that nothing but the program differs. Who calls has to be fast, or
 * what a gateway does by the clock counts as handshakes: strongSwan is not with hundreds of certificates of its own, for it asks the key of each for
 * its fingerprint several times in a handshake, and makes some of them anew each time. No peer has as many, so where strongSwan calls all
 * peers have one certificate. strongSwan 5 knows no ML-KEM.
 */
export function pairsOf(kind: Kind): readonly Pair[] {
  const among = { initiator: tungate, responder: tungate };
  if (kind === "hybrid") return [among];
  return [
    { initiator: tungate, responder: strongSwan },
    { initiator: strongSwan, responder: strongSwan, isOneIdentity: kind !== "psk" },
    among,
  ];
}

/** Many tunnels at once, of one program at both ends. */
export const CROWDS: readonly Pair[] = [tungate, strongSwan].map((one) => ({
  initiator: one,
  responder: one,
}));

/** @returns the first name in `only` that is none of these rows; absent: there is none such */
export function unknownRow(only: readonly string[], rows: readonly Pair[]): string | undefined {
  const names = new Set(rows.map(rowName));
  return only.find((name) => !names.has(name));
}
