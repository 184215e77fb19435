/** Several IKE SAs with one peer: INITIAL_CONTACT, uniqueness, and both ends having started at once (RFC 7296 section 2.4). */
import { compare } from "../../base/bytes.ts";
import { after, DurationMs, type Instant } from "../../base/instant.ts";
import type { Connection, Identification } from "../../policy/connection.ts";
import { isSameIdentity } from "../../policy/pad.ts";
import { REAUTH_EARLIEST, REPLACED_PATIENCE, SIMULTANEOUS_SPAN } from "../limits.ts";
import type { EstablishedIkeSa } from "../sa/ike-sa.ts";
import { forget, leave } from "../sa/lifecycle.ts";
import { isSamePeer } from "../sa/same-peer.ts";
import { supersede } from "../sa/supersession.ts";
import { establishedOf, ikeSasOf, type Turn } from "../turn.ts";
import { sendLiveness } from "./informational.ts";

/**
 * Ends what a new IKE SA makes superfluous among those with the same pair of identities [CHILD-22].
 * @param initialContact - the peer said that it knows of no other, in an exchange that it began at this moment
 */
export function settleDuplicates(
  turn: Turn,
  fresh: EstablishedIkeSa,
  initialContact: Instant | undefined,
): void {
  const unique = turn.machine.connections.get(fresh.connection)?.ike.unique ?? "replace";
  abandonEarlierTries(turn, fresh);
  if (unique === "never") return;
  for (const old of establishedOf(turn.machine, fresh.connection)) {
    if (old.id === fresh.id || old.id === fresh.elder || !isSamePeer(old, fresh)) continue;
    // The peer had the old one when it began, and has it no more: it must have restarted.
    const isForgotten = initialContact !== undefined && old.authenticatedAt <= initialContact;
    if (isForgotten) leave(turn, old, "replaced", { deletedBy: "nobody" });
    else if (areSimultaneous(old, fresh)) closeRedundant(turn, old, fresh);
    else if (unique !== "keep") replace(turn, old, fresh);
  }
}

/** A peer that authenticates itself anew closes the old one itself, once it has its children on the new one. */
function replace(turn: Turn, old: EstablishedIkeSa, fresh: EstablishedIkeSa): void {
  if (fresh.isOriginalInitiator) supersede(turn, old, fresh, "replaced", "us");
  else old.redundantUntil ??= after(turn.now, REPLACED_PATIENCE);
}

/**
 * Whether `unique: reject` stands against another IKE SA of a peer that says nothing of a first contact. The one that is there
 * is asked for a sign of life, so that it does not stand in the way for long when it is dead.
 */
export function refusesSecond(
  turn: Turn,
  { name, ike }: Connection,
  own: Identification,
  peer: Identification,
): boolean {
  if (ike.unique !== "reject") return false;
  const others = establishedOf(turn.machine, name).filter(
    (sa) =>
      isSameIdentity(sa.peerIdentity, peer) &&
      isSameIdentity(sa.localIdentity, own) &&
      !isRenewalDue(turn, ike, sa),
  );
  for (const sa of others)
    if (sa.window.outstanding === undefined && sa.job === undefined) sendLiveness(turn, sa);
  return others.length > 0;
}

/** The peer was told to authenticate itself anew, and the time has come: then it does so beside this one [LIFE-03]. */
function isRenewalDue({ now }: Turn, { reauth }: Connection["ike"], sa: EstablishedIkeSa): boolean {
  if (reauth === undefined || sa.authentication.by !== "peer") return false;
  return now >= after(sa.authenticatedAt, DurationMs(reauth * REAUTH_EARLIEST));
}

/** The peer was faster: a request of ours that is not answered yet is of no use. */
function abandonEarlierTries(turn: Turn, fresh: EstablishedIkeSa): void {
  if (fresh.isOriginalInitiator) return;
  if (fresh.instance > 0) return;
  for (const sa of ikeSasOf(turn.machine, fresh.connection)) if (sa.state === "initiating") forget(turn, sa);
}

/** Each end began one, within a short time. */
function areSimultaneous(old: EstablishedIkeSa, fresh: EstablishedIkeSa): boolean {
  return (
    old.authentication.by !== fresh.authentication.by &&
    fresh.establishedAt <= after(old.authenticatedAt, SIMULTANEOUS_SPAN)
  );
}

/** As with redundant rekeys, the one with the lowest nonce is closed by whoever began it; both ends see the same nonces. */
function closeRedundant(turn: Turn, a: EstablishedIkeSa, b: EstablishedIkeSa): void {
  const redundant = compare(a.lowestNonce, b.lowestNonce) < 0 ? a : b;
  if (redundant.isOriginalInitiator) leave(turn, redundant, "replaced", { deletedBy: "us" });
  else redundant.redundantUntil = after(turn.now, REPLACED_PATIENCE);
}
