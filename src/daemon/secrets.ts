/** Wipes the secrets that a configuration holds in octets, once it is no longer used; private keys are not among them. */
import { wipe } from "../base/bytes.ts";
import type { Configuration } from "../config/configuration.ts";

export function wipeSecrets({ connections, manual }: Configuration): void {
  for (const { connection } of connections) {
    const { local, remote, ppk } = connection;
    for (const { auth } of [local, remote]) if (auth.kind === "psk") wipe(auth.secret);
    for (const { secret } of ppk?.keys ?? []) wipe(secret);
  }
  for (const { outbound, inbound } of manual)
    wipe(outbound.keys.encr, outbound.keys.integ, inbound.keys.encr, inbound.keys.integ);
}
