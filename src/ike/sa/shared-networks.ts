/** Two peers of one connection that ask for the same networks: both get their SAs, and only one of them gets the packets (RFC 4301 section 4.4.2). */
import { pairsOverlap } from "../../policy/traffic-selector.ts";
import { about, displayName, establishedOf, notice, type Turn } from "../turn.ts";
import type { ChildSa } from "./child-sa.ts";
import type { EstablishedIkeSa } from "./ike-sa.ts";

/** Says it, once for a new child, with one of the peers that were there before. */
export function noteSharedNetworks(turn: Turn, sa: EstablishedIkeSa, { name, selectors }: ChildSa): void {
  for (const other of others(turn, sa)) {
    if (other.connection === sa.connection && other.instance === sa.instance) continue;
    const child = other.children.find(
      (one) => one.name === name && one.state === "installed" && pairsOverlap(one.selectors, selectors),
    );
    if (child === undefined) continue;
    notice(turn, {
      code: "networksShared",
      ...about(sa, name),
      identity: sa.peerIdentity,
      selectors,
      other: displayName(other.connection, other.instance),
      otherIdentity: other.peerIdentity,
    });
    return;
  }
}

/** IKE SAs that may be of other peers with the same policy. */
function others(
  { machine }: Turn,
  { connection: name, instance }: EstablishedIkeSa,
): readonly EstablishedIkeSa[] {
  const oneOf = machine.connections.get(name)?.oneOf;
  if (oneOf?.networks !== "shared") return instance === 0 ? [] : establishedOf(machine, name);
  return [...machine.connections.values()]
    .filter((one) => one.oneOf?.connection === oneOf.connection)
    .flatMap((one) => establishedOf(machine, one.name));
}
