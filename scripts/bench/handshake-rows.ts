/** Which programs the bench of handshakes brings together, and which of them somebody wants measured alone. */
import { strongSwan, tungate } from "./handshake-programs.ts";
import type { Kind, Pair } from "./handshake-round.ts";

/** As `--only` has it: `tungate-strongswan` is Tungate that calls strongSwan. */
export function rowName({ initiator, responder }: Pair): string {
  return `${initiator.name}-${responder.name}`.toLowerCase();
}

/** Each role of each program meets strongSwan, so that nothing but the program differs; strongSwan 5 knows no ML-KEM. */
export function pairsOf(kind: Kind): readonly Pair[] {
  if (kind === "hybrid") return [{ initiator: tungate, responder: tungate }];
  return [
    { initiator: tungate, responder: strongSwan },
    { initiator: strongSwan, responder: tungate },
    { initiator: strongSwan, responder: strongSwan },
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
