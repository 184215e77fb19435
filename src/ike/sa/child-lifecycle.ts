/** Puts child SAs into the data plane, hands traffic over to successors, and takes them out again (RFC 7296 sections 1.4.1 and 2.8). */
import { wipe } from "../../base/bytes.ts";
import { after, DurationMs, Instant } from "../../base/instant.ts";
import type { Spi } from "../../base/spi.ts";
import type { ChildKeyPair } from "../../crypto/keymat.ts";
import type { ChildConfiguration, Rekey } from "../../policy/connection.ts";
import type {
  Encapsulation,
  EspKeys,
  EspSuite,
  InboundSa,
  OriginalAddresses,
  OutboundSa,
  SaLifetime,
} from "../../policy/data-plane.ts";
import {
  containsSelector,
  pairsOverlap,
  type SelectorPair,
  withinSelectors,
} from "../../policy/traffic-selector.ts";
import { type ChildKeeper, childKeeper, clearFailures, postpone } from "../keep-state.ts";
import {
  EXPIRY_FACTOR,
  EXPIRY_MARGIN_MIN,
  LINGER,
  LINGER_MAX,
  OUTBOUND_DEFERRAL_MAX,
  REPLACED_PATIENCE,
  STABLE_AFTER,
} from "../limits.ts";
import { childProtocolId } from "../negotiation/child-protocol.ts";
import { agreedHandling, type FlowVerdict } from "../negotiation/flow-confidentiality.ts";
import { holdsPacket, pairsOf } from "../negotiation/selector-pairs.ts";
import { dscpsOfSibling, keeperName, laneOfSibling } from "../negotiation/siblings.ts";
import { betweenHosts } from "../negotiation/transport-mode.ts";
import type { ChildDownReason, ExchangeRole, RekeyChanges } from "../notice.ts";
import {
  about,
  childConfiguration,
  command,
  keeperOf,
  nameOfIkeSa,
  notice,
  policyOfChild,
  type Turn,
} from "../turn.ts";
import type { ChildSa, Lingering } from "./child-sa.ts";
import type { EstablishedIkeSa } from "./ike-sa.ts";
import { noteSharedNetworks } from "./shared-networks.ts";

/** What both ends agreed on for a child SA. */
export interface AgreedChild {
  readonly configuration: ChildConfiguration;
  readonly inboundSpi: Spi;
  readonly outboundSpi: Spi;
  readonly suite: EspSuite;
  /** Key exchange method of its own; 0 when it has none. */
  readonly ke: number;
  /** Methods of those after it (RFC 9370). */
  readonly additionalKe?: readonly number[];
  readonly selectors: SelectorPair;
  /** Transport mode through a NAT: what the peer's packets are made with. */
  readonly original?: OriginalAddresses;
  readonly keys: ChildKeyPair;
  readonly flow: FlowVerdict;
  readonly sibling: number;
  readonly takesResources: boolean;
  /** Our part in the exchange that makes it. */
  readonly role: ExchangeRole;
  /** The child that it replaces. */
  readonly old: ChildSa | undefined;
  /** Made in IKE_AUTH, where a child has no key exchange of its own. */
  readonly isFirst?: true;
}

/** One whose keys are still to come. */
export type PlannedChild = Omit<AgreedChild, "keys">;

/** Rekey and hard limit in time, with jitter taken off (RFC 7296 section 2.8). */
export function lifetimeOf(turn: Turn, { time, jitter }: Rekey): { rekeyAt: Instant; expiresAt: Instant } {
  const early = time * jitter * turn.machine.random.fraction();
  const margin = Math.max(time * EXPIRY_FACTOR, EXPIRY_MARGIN_MIN);
  return {
    rekeyAt: after(turn.now, DurationMs(time - early)),
    expiresAt: after(turn.now, DurationMs(time + margin)),
  };
}

/** Soft limits in octets and packets: both ends count the same packets, and would start at the very same one. */
function limitsOf({ machine }: Turn, { lifetime, rekey }: ChildConfiguration): SaLifetime {
  const { softOctets, softPackets } = lifetime;
  if (softOctets === undefined && softPackets === undefined) return lifetime;
  const part = 1 - rekey.jitter * machine.random.fraction();
  const early = (limit: number) => Math.max(1, Math.floor(limit * part));
  return {
    ...lifetime,
    ...(softOctets === undefined ? {} : { softOctets: early(softOctets) }),
    ...(softPackets === undefined ? {} : { softPackets: early(softPackets) }),
  };
}

/** ESP in UDP when NAT detection says so and IKE itself is on the NAT port: they share ports [NAT-02] [NAT-05]. */
export function encapsulationOf(turn: Turn, sa: Pick<EstablishedIkeSa, "nat" | "local">): Encapsulation {
  const isTranslated =
    sa.nat.isSupported && (sa.nat.weAreBehind || sa.nat.peerIsBehind || sa.nat.isForced === true);
  return isTranslated && sa.local.port === turn.machine.ports.nat ? "udp" : "esp";
}

/** Installs the inbound half: it receives before anybody is told of it. The outbound half is returned for later. */
export function installInbound(
  turn: Turn,
  sa: EstablishedIkeSa,
  agreed: AgreedChild,
): { readonly child: ChildSa; readonly outbound: OutboundSa } {
  const { configuration } = agreed;
  const encapsulation = encapsulationOf(turn, sa);
  const policy = policyOfChild(turn.machine, sa.connection, configuration.name);
  const { local, remote } = sa;
  const limits = limitsOf(turn, configuration);
  const times = lifetimeOf(turn, configuration.rekey);
  const lifetime = { ...limits, expiresAt: times.expiresAt };
  const { flow } = agreed.flow;
  const handling = agreedHandling(configuration.handling, flow);
  const common = { policy, suite: agreed.suite, encapsulation, local, remote, lifetime, handling };
  const [ours, theirs] =
    agreed.role === "initiator"
      ? [agreed.keys.initiator, agreed.keys.responder]
      : [agreed.keys.responder, agreed.keys.initiator];
  const { selectors, inboundSpi, outboundSpi } = agreed;
  const { original } = agreed;
  const inbound: InboundSa = {
    ...common,
    selectors,
    keys: theirs,
    spi: inboundSpi,
    ...(original === undefined ? {} : { originalAddresses: original }),
  };
  const { sibling, takesResources } = agreed;
  const dscps = dscpsOfSibling(configuration, sibling);
  const resource = laneOfSibling(turn.machine, configuration, sibling);
  const outbound: OutboundSa = {
    ...common,
    selectors,
    keys: ours,
    spi: outboundSpi,
    inboundSpi,
    ...(dscps === undefined ? {} : { dscps }),
    ...(resource === undefined ? {} : { resource }),
  };
  command(turn, { kind: "addInboundSa", sa: inbound });
  spend(turn, theirs);
  const child: ChildSa = {
    name: configuration.name,
    policy,
    inboundSpi,
    outboundSpi,
    suite: agreed.suite,
    ke: agreed.ke,
    ...(agreed.additionalKe === undefined ? {} : { additionalKe: agreed.additionalKe }),
    selectors,
    encapsulation,
    flow,
    sibling,
    takesResources,
    byPeer: agreed.role === "responder",
    isFirst: agreed.isFirst === true,
    createdAt: turn.now,
    usedAt: agreed.old === undefined ? turn.now : lastUseOf(turn, agreed.old),
    ...times,
    state: "installed",
    leaving: undefined,
    replacedBy: undefined,
    deadline: undefined,
    notBefore: undefined,
    failures: 0,
    deferred: undefined,
  };
  sa.children.push(child);
  turn.machine.carriers.set(inboundSpi, sa.id);
  return { child, outbound };
}

function spend({ machine }: Turn, keys: EspKeys): void {
  machine.spentSecrets.push(keys.encr, keys.integ);
}

/** From here on traffic leaves through this SA. */
export function installOutbound(turn: Turn, outbound: OutboundSa): void {
  command(turn, { kind: "addOutboundSa", sa: outbound });
  spend(turn, outbound.keys);
}

/** As the responder of a rekey: send on the old SA until the peer is known to have the new one (RFC 7296 section 2.8). */
export function deferOutbound(
  turn: Turn,
  child: ChildSa,
  outbound: OutboundSa,
  longest: DurationMs = OUTBOUND_DEFERRAL_MAX,
): void {
  child.deferred = { sa: outbound, until: after(turn.now, longest) };
}

/** The last packet through a child SA or, where none came, the last through those that it replaced. */
export function lastUseOf({ machine }: Pick<Turn, "machine">, { inboundSpi, usedAt }: ChildSa): Instant {
  const usage = machine.usage.usage(inboundSpi);
  return Instant(Math.max(usedAt, usage?.lastInboundAt ?? usedAt, usage?.lastOutboundAt ?? usedAt));
}

/** Receives from now on only what is still under way [CHILD-11]. */
export function lingerOf(inboundSpi: Spi, now: Instant): Lingering {
  return { inboundSpi, until: after(now, LINGER), latest: after(now, LINGER_MAX) };
}

/** Takes out those that nothing comes for any more. */
export function endLingering(turn: Turn, sa: EstablishedIkeSa): void {
  if (sa.lingering.length === 0) return;
  const { machine, now } = turn;
  const rest: Lingering[] = [];
  for (const one of sa.lingering) {
    const { inboundSpi, latest } = one;
    const lastAt = now < one.until ? undefined : machine.usage.usage(inboundSpi)?.lastInboundAt;
    const until = lastAt === undefined ? one.until : Instant(Math.min(after(lastAt, LINGER), latest));
    if (now < until) rest.push({ inboundSpi, until, latest });
    else command(turn, { kind: "removePair", inboundSpi });
  }
  sa.lingering = rest;
}

export function activateOutbound(turn: Turn, child: ChildSa): void {
  if (child.deferred === undefined) return;
  installOutbound(turn, child.deferred.sa);
  child.deferred = undefined;
}

/** Drops an outbound half that never was installed. */
export function discardOutbound(child: ChildSa): void {
  if (child.deferred !== undefined) wipe(child.deferred.sa.keys.encr, child.deferred.sa.keys.integ);
  child.deferred = undefined;
}

/** Says that a child is there, and that its policy is served. */
export function announceChild(turn: Turn, sa: EstablishedIkeSa, child: ChildSa, agreed: AgreedChild): void {
  const { inboundSpi, outboundSpi, suite, rekeyAt, selectors, encapsulation } = child;
  const keeper = keeperOfSibling(turn, sa, child);
  // A packet that it leaves out still waits.
  if (keeper.packet === undefined || holdsPacket(selectors, keeper.packet)) clearRequest(keeper);
  keeper.lastFailure = undefined;
  if (child.sibling === 0) forgetPairFailures(turn, sa, child, agreed.configuration);
  const spis = { inboundSpi, outboundSpi };
  const common = {
    ...about(sa, child.name),
    ikeSa: nameOfIkeSa(sa),
    role: agreed.role,
    spis,
    suite,
    rekeyAt,
  };
  if (agreed.old !== undefined) {
    const old = { inboundSpi: agreed.old.inboundSpi, outboundSpi: agreed.old.outboundSpi };
    notice(turn, { code: "childSaRekeyed", ...common, old, changes: changesOf(agreed.old, child) });
    return;
  }
  // What serves many peers names the networks of them all.
  const isNarrowed = sa.instance === 0 && !holdsAll(selectors, agreed.configuration.selectors);
  notice(turn, { code: "childSaUp", ...common, selectors, encapsulation, isNarrowed });
  noteSharedNetworks(turn, sa, child);
  const { refusal } = agreed.flow;
  if (refusal !== undefined) notice(turn, { code: "aggfragOff", ...about(sa, child.name), refusal });
}

function keeperOfSibling({ machine }: Turn, sa: EstablishedIkeSa, { name, sibling }: ChildSa): ChildKeeper {
  return childKeeper(keeperOf(machine, sa.connection), keeperName(name, sibling));
}

function changesOf(old: ChildSa, child: ChildSa): RekeyChanges {
  const isSuite = (["encr", "encrKeyBits", "integ", "esn"] as const).every(
    (field) => old.suite[field] === child.suite[field],
  );
  const isWithin =
    withinSelectors(old.selectors.local, child.selectors.local) &&
    withinSelectors(old.selectors.remote, child.selectors.remote);
  return {
    ...(isSuite ? {} : { suite: { before: old.suite, after: child.suite } }),
    ...(old.ke === child.ke || old.isFirst ? {} : { ke: { before: old.ke, after: child.ke } }),
    ...(isWithin ? {} : { narrowed: { before: old.selectors, after: child.selectors } }),
  };
}

function forgetPairFailures(
  { machine }: Turn,
  { connection }: EstablishedIkeSa,
  { name, selectors }: ChildSa,
  configuration: ChildConfiguration,
): void {
  const { children } = keeperOf(machine, connection);
  for (const [i, pair] of pairsOf(configuration.selectors).entries()) {
    const keeper = children.get(keeperName(name, 0, i + 1));
    if (keeper !== undefined && pairsOverlap(pair, selectors)) keeper.lastFailure = undefined;
  }
}

function clearRequest(keeper: ChildKeeper): void {
  keeper.isWanted = false;
  keeper.hasAcquire = false;
  keeper.packet = undefined;
}

function holdsAll(agreed: SelectorPair, configured: SelectorPair): boolean {
  const every = (outer: SelectorPair["local"], inner: SelectorPair["local"]) =>
    inner.every((one) => outer.some((other) => containsSelector(other, one)));
  return every(agreed.local, configured.local) && every(agreed.remote, configured.remote);
}

/** A successor has taken over, and the other end is to delete this one; we do it when that does not happen. */
export function markReplaced(
  turn: Turn,
  child: ChildSa,
  successor: Spi | undefined,
  reason: ChildDownReason,
): void {
  child.state = "replaced";
  child.leaving = reason;
  child.replacedBy = successor;
  child.deadline = after(turn.now, REPLACED_PATIENCE);
}

/** We delete it: nothing leaves through it any more, and the Delete goes out when the window allows. */
export function markDeleting(turn: Turn, child: ChildSa, reason: ChildDownReason): void {
  child.state = "deleting";
  child.leaving ??= reason;
  discardOutbound(child);
  command(turn, { kind: "removeOutboundSa", inboundSpi: child.inboundSpi });
}

/**
 * Takes a child out. What was replaced goes on receiving for a moment, for packets that the Delete has overtaken.
 * @param reason - used when none was noted before
 */
export function removeChild(turn: Turn, sa: EstablishedIkeSa, child: ChildSa, reason: ChildDownReason): void {
  const index = sa.children.indexOf(child);
  if (index < 0) return;
  sa.children.splice(index, 1);
  turn.machine.carriers.delete(child.inboundSpi);
  discardOutbound(child);
  const why = child.leaving ?? reason;
  const { inboundSpi, outboundSpi } = child;
  if (why === "rekeyed") {
    command(turn, { kind: "removeOutboundSa", inboundSpi });
    sa.lingering.push(lingerOf(inboundSpi, turn.now));
    const successor = sa.children.find((one) => one.inboundSpi === child.replacedBy);
    if (successor !== undefined) activateOutbound(turn, successor);
    return;
  }
  command(turn, { kind: "removePair", inboundSpi });
  const spis = { inboundSpi, outboundSpi };
  if (why !== "redundant")
    notice(turn, {
      code: "childSaDown",
      ...about(sa, child.name),
      ikeSa: nameOfIkeSa(sa),
      spis,
      reason: why,
    });
}

/** Ends a child at once, both ways, and has the peer told [CHILD-24]. */
export function endChild(turn: Turn, sa: EstablishedIkeSa, child: ChildSa, reason: ChildDownReason): void {
  child.leaving = reason;
  removeChild(turn, sa, child, reason);
  const { inboundSpi, suite } = child;
  sa.orphans.push({ inboundSpi, isReserved: false, protocolId: childProtocolId(suite) });
}

/** The peer took away a child that we may want: again soon if it lived, later if it never lasted. */
export function noteChildLost(turn: Turn, sa: EstablishedIkeSa, child: ChildSa): void {
  const keeper = keeperOfSibling(turn, sa, child);
  // An SA beside others that the peer found idle (RFC 9611 section 3) is not pressed upon it.
  const isStable = child.sibling === 0 && turn.now >= after(child.createdAt, STABLE_AFTER);
  const keepers = child.sibling > 0 ? [keeper] : [keeper, ...keepersOfPairs(turn, sa, child)];
  for (const one of keepers)
    if (isStable) clearFailures(one);
    else postpone(one, undefined, turn.now, turn.machine.random);
}

/** Of the pairs that an SA has a part in, where a child has several: they are asked for one by one. */
function keepersOfPairs(
  { machine }: Turn,
  sa: EstablishedIkeSa,
  { name, selectors }: ChildSa,
): readonly ChildKeeper[] {
  const configuration = childConfiguration(machine, sa.connection, name);
  if (configuration === undefined) return [];
  const pairs = pairsOf((betweenHosts(configuration, sa) ?? configuration).selectors);
  const keeper = keeperOf(machine, sa.connection);
  return pairs.flatMap((pair, i) =>
    pairs.length > 1 && pairsOverlap(pair, selectors)
      ? [childKeeper(keeper, keeperName(name, 0, i + 1))]
      : [],
  );
}

/** Removes everything at once, when the IKE SA goes [CHILD-17]. */
export function removeAllChildren(turn: Turn, sa: EstablishedIkeSa, reason: ChildDownReason): void {
  for (const child of [...sa.children]) {
    if (child.leaving === "rekeyed") child.leaving = "redundant";
    removeChild(turn, sa, child, reason);
  }
  for (const { inboundSpi } of sa.lingering.splice(0)) command(turn, { kind: "removePair", inboundSpi });
}
