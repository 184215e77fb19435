/** Two peers of one connection that ask for the same networks: both get their SAs, and only one of them gets the packets (RFC 4301 section 4.4.2). */
import { pairsOverlap } from "../../policy/traffic-selector.ts";
import { about, displayName, establishedOf, notice, type Turn } from "../turn.ts";
import type { ChildSa } from "./child-sa.ts";
import type { EstablishedIkeSa } from "./ike-sa.ts";

/** Says it, once for a new child, with one of the peers that were there before. */
export function noteSharedNetworks(turn: Turn, sa: EstablishedIkeSa, { name, selectors }: ChildSa): void {
  if (sa.instance === 0) return;
  for (const other of establishedOf(turn.machine, sa.connection)) {
    if (other.instance === sa.instance) continue;
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
