/** The secrets that a configuration holds in octets, to be wiped when it is no longer used; private keys are not among them. */
import type { Configuration } from "../config/configuration.ts";

export function secretsOf({ connections, manual }: Configuration): readonly Uint8Array[] {
  return [
    ...connections.flatMap(({ connection: { local, remote, ppk } }) => [
      ...[local.auth, remote.auth].flatMap((auth) => (auth.kind === "psk" ? [auth.secret] : [])),
      ...(ppk?.keys ?? []).map(({ secret }) => secret),
    ]),
    ...manual.flatMap(({ outbound, inbound }) =>
      [outbound, inbound].flatMap(({ keys: { encr, integ } }) => [encr, integ]),
    ),
  ];
}
