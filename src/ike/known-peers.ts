/** Established IKE SAs by our identity and the peer's address: for each call it is asked whether the peer knows us already. */
import { formatIpAddress } from "../base/ip-address.ts";
import { identityKey, isSameIdentity } from "../policy/pad.ts";
import type { EstablishedIkeSa, IkeSa } from "./sa/ike-sa.ts";
import type { IkeSaId } from "./sa/ike-sa-id.ts";

export type KnownPeers = Map<string, Set<IkeSaId>>;

type Ends = Pick<EstablishedIkeSa, "localIdentity" | "remote">;

function keyOf({ localIdentity, remote }: Ends): string {
  return `${formatIpAddress(remote.address)} ${identityKey(localIdentity)}`;
}

export function addKnown(known: KnownPeers, sa: EstablishedIkeSa): void {
  const key = keyOf(sa);
  known.set(key, (known.get(key) ?? new Set()).add(sa.id));
}

/** Before its address changes, too. */
export function dropKnown(known: KnownPeers, sa: EstablishedIkeSa): void {
  const key = keyOf(sa);
  const ids = known.get(key);
  ids?.delete(sa.id);
  if (ids?.size === 0) known.delete(key);
}

/** An IKE SA of ours with this peer under this identity stands, whichever connection it serves [CHILD-22]. */
export function isKnown(known: KnownPeers, sas: ReadonlyMap<IkeSaId, IkeSa>, ends: Ends): boolean {
  for (const id of known.get(keyOf(ends)) ?? []) {
    const sa = sas.get(id);
    if (sa?.state === "established" && isSameIdentity(sa.localIdentity, ends.localIdentity)) return true;
  }
  return false;
}
