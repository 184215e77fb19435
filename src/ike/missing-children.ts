/** Which SAs of its children an established IKE SA ought to have and has not, with the time of the next try (RFC 7296 section 2.9). */
import { after, Instant, later } from "../base/instant.ts";
import type { ChildConfiguration } from "../policy/connection.ts";
import type { PacketSelectors } from "../policy/data-plane.ts";
import { isChildWanted, isTakenDown, type Keeper } from "./keep-state.ts";
import { PAIR_PATIENCE } from "./limits.ts";
import {
  holdsPacket,
  isPerPacket,
  pairOfPacket,
  pairsOf,
  saPerOf,
  untouchedPairs,
} from "./negotiation/selector-pairs.ts";
import { keeperName, missingSiblings } from "./negotiation/siblings.ts";
import { betweenHosts } from "./negotiation/transport-mode.ts";
import type { EstablishedIkeSa } from "./sa/ike-sa.ts";
import { childrenToTakeOver } from "./sa/same-peer.ts";
import { establishedOf, keeperOf, type Machine, servesOnePeer } from "./turn.ts";

export interface MissingChild {
  readonly at: Instant;
  readonly child: ChildConfiguration;
  /** Number among the SAs that stand beside each other for the same traffic. */
  readonly sibling: number;
  /** Number of the pair of selectors; 0: the child as it is configured. */
  readonly pair: number;
}

const NOW = Instant(0);

export function missingChildren(machine: Machine, sa: EstablishedIkeSa): readonly MissingChild[] {
  const connection = machine.connections.get(sa.connection);
  if (connection === undefined) return [];
  const keeper = keeperOf(machine, sa.connection);
  // Of many peers nobody can tell which one a child is wanted from: they bring their own.
  if (!servesOnePeer(connection) && keeper.instances.size > 1) return [];
  // Of several with one peer the newest has the children.
  if (servesOnePeer(connection) && newestOf(machine, sa) !== sa.id) return [];
  const inherited = childrenToTakeOver({ machine }, sa);
  const missing: MissingChild[] = [];
  for (const child of connection.children) {
    missing.push(...missingBeside(machine, sa, keeper, child));
    const isWanted = isChildWanted(keeper, child) || inherited.includes(child.name);
    if (isWanted) missing.push(...missingParts(sa, keeper, child));
  }
  return missing;
}

function newestOf(machine: Machine, { connection }: EstablishedIkeSa) {
  return establishedOf(machine, connection).findLast(({ redundantUntil }) => redundantUntil === undefined)
    ?.id;
}

/** Whether the peer has refused the pair of selectors that a packet lies in, and is not to be asked again yet. */
export function isLeftOut(keeper: Keeper, child: ChildConfiguration, packet: PacketSelectors, now: Instant) {
  const pair = pairOfPacket(pairsOf(child.selectors), packet);
  const at = pair === 0 ? undefined : keeper.children.get(keeperName(child.name, 0, pair))?.nextTryAt;
  return at !== undefined && at > now;
}

/** SAs for classes of DSCP values or for lanes, once the first SA is there. Whoever only responds leaves them to the peer. */
function missingBeside(
  machine: Machine,
  sa: EstablishedIkeSa,
  keeper: Keeper,
  child: ChildConfiguration,
): readonly MissingChild[] {
  if (
    child.keep === "respond" ||
    isTakenDown(keeper, child) ||
    isTakenDown(keeper.children.get(child.name), child)
  )
    return [];
  return missingSiblings(machine, sa, child).map((sibling) => {
    const state = keeper.children.get(keeperName(child.name, sibling));
    return { at: state?.nextTryAt ?? NOW, child, sibling, pair: 0 };
  });
}

/**
 * The child as a whole while it has no SA; then what the peer left out of it: pairs of selectors that no SA has a part in,
 * and the packet that raised an acquire, wherever it lies.
 */
function missingParts(
  sa: EstablishedIkeSa,
  keeper: Keeper,
  child: ChildConfiguration,
): readonly MissingChild[] {
  const standing = sa.children.filter((one) => one.name === child.name && one.state !== "deleting");
  const packet = keeper.children.get(child.name)?.packet;
  const waiting = standing.some(({ selectors }) => packet !== undefined && holdsPacket(selectors, packet))
    ? undefined
    : packet;
  const ask = (pair: number): MissingChild => {
    const at = keeper.children.get(keeperName(child.name, 0, pair))?.nextTryAt ?? NOW;
    return { at, child, sibling: 0, pair };
  };
  const saPer = saPerOf(sa, child);
  if (isPerPacket(saPer)) return waiting === undefined ? [] : [ask(0)];
  if (saPer === "all" && standing.length === 0) return [ask(0)];
  const pairs = pairsOf((betweenHosts(child, sa) ?? child).selectors);
  const untouched = untouchedPairs(pairs, standing);
  if (waiting !== undefined) {
    const pair = pairOfPacket(pairs, waiting);
    if (saPer === "pair") return pair === 0 ? [] : [ask(pair)];
    return [ask(untouched.includes(pair) ? pair : 0)];
  }
  // The peer may be about to bring them.
  const patient = standing
    .filter(({ byPeer }) => byPeer)
    .map(({ createdAt }) => after(createdAt, PAIR_PATIENCE))
    .reduce(later, NOW);
  return untouched.map(ask).map((missing) => ({ ...missing, at: later(missing.at, patient) }));
}
