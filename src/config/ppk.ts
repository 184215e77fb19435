/** Postquantum preshared keys in the configuration (RFC 8784). */
import { utf8 } from "../base/bytes.ts";
import type { Connection } from "../policy/connection.ts";
import type { Findings } from "./findings.ts";
import { Refusal } from "./leaf.ts";
import { type Path, printable } from "./yaml-text.ts";

/** A PPK of less than 256 bits falls to a quantum computer's search (RFC 8784 section 6). */
const PPK_OCTETS_ADVISED = 32;
/** Octets of an id; with its kind in front it has to fit one notify. */
const PPK_ID_OCTETS_MAX = 255;

interface PpkInput {
  readonly id: Uint8Array;
  readonly secret: Uint8Array;
  readonly required?: boolean | undefined;
}

export function ppkId(value: unknown): Uint8Array {
  if (typeof value === "number" || typeof value === "boolean")
    throw new Refusal("CONFIG_QUOTE_IT", `an id is text; quote it: "${String(value)}"`);
  if (typeof value !== "string" || value === "")
    throw new Refusal("CONFIG_MISSING_KEY", "needs the name that both ends have for this key");
  const octets = utf8(value);
  if (octets.length <= PPK_ID_OCTETS_MAX) return octets;
  throw new Refusal(
    "CONFIG_BAD_VALUE",
    `"${printable(value)}" has more than ${PPK_ID_OCTETS_MAX} octets; give the key a shorter name`,
  );
}

/** The keys of a connection: without one that both ends have the connection does not come up, unless all say required: false. */
export function ppkOf(
  inputs: readonly PpkInput[] | undefined,
  path: Path,
  findings: Findings,
): Pick<Connection, "ppk"> {
  const keys = (inputs ?? []).map(({ id, secret }) => ({ id, secret }));
  const [first, ...others] = keys;
  if (inputs === undefined || first === undefined) return {};
  const at = [...path, "ppk"];
  const names = new Set(keys.map(({ id }) => id.join()));
  if (names.size < keys.length)
    findings.refuse("CONFIG_CONFLICT", at, "has two keys of one id; give each an id of its own");
  if (keys.some(({ secret }) => secret.length < PPK_OCTETS_ADVISED))
    findings.warn(
      "CONFIG_SECRET_WEAK",
      at,
      `the key is shorter than ${PPK_OCTETS_ADVISED} octets, so that a quantum computer might guess it; tungate psk makes a strong one`,
    );
  return { ppk: { keys: [first, ...others], isRequired: inputs.some(({ required }) => required !== false) } };
}
