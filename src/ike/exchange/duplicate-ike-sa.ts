/** One IKE SA per peer: INITIAL_CONTACT, and both ends having started at once (RFC 7296 section 2.4). */
import { compare } from "../../base/bytes.ts";
import { after, type Instant } from "../../base/instant.ts";
import { matchIdentity } from "../../policy/pad.ts";
import { REPLACED_PATIENCE, SIMULTANEOUS_SPAN } from "../limits.ts";
import type { EstablishedIkeSa } from "../sa/ike-sa.ts";
import { forget, leave } from "../sa/lifecycle.ts";
import { establishedOf, ikeSasOf, type Turn } from "../turn.ts";

/**
 * Ends what a new IKE SA makes superfluous among those with the same pair of identities [CHILD-22].
 * @param initialContact - the peer said that it knows of no other, in an exchange that it began at this moment
 */
export function settleDuplicates(
  turn: Turn,
  fresh: EstablishedIkeSa,
  initialContact: Instant | undefined,
): void {
  abandonEarlierTries(turn, fresh);
  for (const old of establishedOf(turn.machine, fresh.connection)) {
    if (old.id === fresh.id || !isSamePeer(old, fresh)) continue;
    // The peer had the old one when it began, and has it no more: it must have restarted.
    const isForgotten = initialContact !== undefined && old.authenticatedAt <= initialContact;
    if (!isForgotten && areSimultaneous(old, fresh)) closeRedundant(turn, old, fresh);
    else leave(turn, old, "replaced", { deletedBy: initialContact === undefined ? "us" : "nobody" });
  }
}

/** The peer was faster: a request of ours that is not answered yet is of no use. */
function abandonEarlierTries(turn: Turn, fresh: EstablishedIkeSa): void {
  if (fresh.isOriginalInitiator) return;
  if (fresh.instance > 0) return;
  for (const sa of ikeSasOf(turn.machine, fresh.connection)) if (sa.state === "initiating") forget(turn, sa);
}

function isSamePeer(a: EstablishedIkeSa, b: EstablishedIkeSa): boolean {
  return matchIdentity(a.peerIdentity, b.peerIdentity) && matchIdentity(a.localIdentity, b.localIdentity);
}

/** Each end began one, within a short time. */
function areSimultaneous(old: EstablishedIkeSa, fresh: EstablishedIkeSa): boolean {
  return (
    old.isOriginalInitiator !== fresh.isOriginalInitiator &&
    fresh.establishedAt <= after(old.authenticatedAt, SIMULTANEOUS_SPAN)
  );
}

/** As with redundant rekeys, the one with the lowest nonce is closed by whoever began it; both ends see the same nonces. */
function closeRedundant(turn: Turn, a: EstablishedIkeSa, b: EstablishedIkeSa): void {
  const redundant = compare(a.lowestNonce, b.lowestNonce) < 0 ? a : b;
  if (redundant.isOriginalInitiator) leave(turn, redundant, "replaced", { deletedBy: "us" });
  else redundant.redundantUntil = after(turn.now, REPLACED_PATIENCE);
}
