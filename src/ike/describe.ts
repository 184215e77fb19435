/** What the machine shows of itself: one state per connection, and per peer of a connection that serves many. */
import { isSingle } from "../base/address-range.ts";
import { earlier, type Instant } from "../base/instant.ts";
import { type ChildConfiguration, type Connection, policyOf } from "../policy/connection.ts";
import { pairsOverlap, type SelectorPair, withinSelectors } from "../policy/traffic-selector.ts";
import type {
  ChildSaState,
  ChildState,
  ConnectionState,
  IkeSaState,
  LeftOut,
  SiblingState,
  WaitsFor,
} from "./connection-state.ts";
import {
  type ChildKeeper,
  childKeeper,
  isChildWanted,
  isConnectionWanted,
  type Keeper,
  type Retry,
} from "./keep-state.ts";
import { isPerPacket, pairsOf, untouchedPairs } from "./negotiation/selector-pairs.ts";
import { dscpsOfSibling, keeperName, laneOfSibling } from "./negotiation/siblings.ts";
import { lastHeardAt } from "./own-work.ts";
import type { ChildSa } from "./sa/child-sa.ts";
import type { EstablishedIkeSa, IkeSa } from "./sa/ike-sa.ts";
import { displayName, establishedOf, ikeSasOf, keeperOf, type Machine, ofDisplayName } from "./turn.ts";
import { unreachableOf } from "./unreachable.ts";

/** @param only - the connection to show, or one peer of it (`NAME#2`); absent: all of them */
export function describeMachine(machine: Machine, now: Instant, only?: string): readonly ConnectionState[] {
  const { connections, instance } =
    only === undefined
      ? { connections: [...machine.connections.values()], instance: 0 }
      : ofDisplayName(machine, only);
  const seen = new Set<string>();
  const states = connections.flatMap((one) => {
    const shared = one.oneOf?.connection ?? one.name;
    const states = describeConnection(machine, one, now);
    const refused = seen.has(shared) ? undefined : refusedUnknown(machine, one);
    seen.add(shared);
    return refused === undefined
      ? states
      : states.map((state, i) => (i === 0 ? { ...state, ...refused } : state));
  });
  return instance === 0 ? states : states.filter((state) => state.name === only);
}

/** Who was none of the peers that `remote.ids` names is told of with the first of them. */
function refusedUnknown(
  { keepers }: Machine,
  { oneOf }: Connection,
): Pick<ConnectionState, "lastRefused"> | undefined {
  const lastRefused = oneOf && keepers.get(oneOf.connection)?.lastRefused;
  return lastRefused === undefined ? undefined : { lastRefused };
}

function describeConnection(
  machine: Machine,
  connection: Connection,
  now: Instant,
): readonly ConnectionState[] {
  const established = establishedOf(machine, connection.name).filter((sa) => sa.redundantUntil === undefined);
  const newest = new Map(established.map((sa) => [sa.instance, sa]));
  if (newest.size === 0) return [describeOne(machine, connection, undefined, now)];
  return [...newest.values()].map((sa, i) => describeOne(machine, connection, sa, now, i === 0));
}

function describeOne(
  machine: Machine,
  connection: Connection,
  sa: EstablishedIkeSa | undefined,
  now: Instant,
  isFirst = true,
): ConnectionState {
  const keeper = keeperOf(machine, connection.name);
  const trying = ikeSasOf(machine, connection.name).find(
    ({ state }) => state === "initiating" || state === "authenticating",
  );
  const state = stateOf(machine, connection, keeper, sa, trying, now);
  const remote = sa?.remote ?? trying?.remote ?? nextRemote(connection, keeper);
  const { nextTryAt, lastFailure, lastRefused } = keeper;
  const unreachable = unreachableOf(sa) ?? unreachableOf(trying);
  return {
    connection: connection.name,
    name: displayName(connection.name, sa?.instance ?? 0),
    keep: connection.keep,
    state,
    ...(remote === undefined ? {} : { remote }),
    ...(sa === undefined ? {} : { ikeSa: describeIkeSa(machine, sa) }),
    ...waits(waitOfConnection(connection, keeper, state)),
    failures: keeper.failures,
    ...(unreachable === undefined ? {} : { unreachable }),
    ...(state === "waiting" && nextTryAt !== undefined ? { nextTryAt } : {}),
    ...(lastFailure === undefined ? {} : { lastFailure }),
    ...(lastRefused === undefined || !isFirst ? {} : { lastRefused }),
    children: connection.children.map((child) => describeChild(machine, connection, child, sa, trying, now)),
  };
}

function stateOf(
  machine: Machine,
  connection: Connection,
  keeper: Keeper,
  sa: EstablishedIkeSa | undefined,
  trying: IkeSa | undefined,
  now: Instant,
): ConnectionState["state"] {
  if (sa !== undefined) return "up";
  if (trying !== undefined) return "connecting";
  if (machine.isShutDown || !isConnectionWanted(keeper, connection)) return "down";
  return keeper.nextTryAt !== undefined && keeper.nextTryAt > now ? "waiting" : "connecting";
}

function nextRemote({ remote }: Connection, { addressIndex }: Keeper) {
  const callable = remote.addresses.filter(isSingle).map(({ start }) => start);
  const address = callable[addressIndex % Math.max(callable.length, 1)];
  return address === undefined ? undefined : { address, port: remote.port };
}

function describeIkeSa(machine: Machine, sa: EstablishedIkeSa): IkeSaState {
  const { initiatorSpi, responderSpi, isOriginalInitiator, local, remote, localIdentity, peerIdentity, nat } =
    sa;
  return {
    initiatorSpi,
    responderSpi,
    isOriginalInitiator,
    suite: sa.protection.suite,
    local,
    remote,
    localIdentity,
    peerIdentity,
    proofs: sa.proofs,
    nat,
    ...(sa.mobike === undefined ? {} : { peerAddresses: sa.mobike.peerAddresses }),
    ...(sa.moved === undefined ? {} : { moved: sa.moved }),
    upSince: sa.authenticatedAt,
    rekeyAt: sa.rekeyAt,
    lastHeardAt: lastHeardAt(machine, sa),
    lastIkeHeardAt: sa.lastHeardAt,
    ...(sa.window.outstanding === undefined ? {} : { unansweredSince: sa.window.outstanding.sentAt }),
  };
}

function describeChild(
  machine: Machine,
  connection: Connection,
  child: ChildConfiguration,
  sa: EstablishedIkeSa | undefined,
  trying: IkeSa | undefined,
  now: Instant,
): ChildState {
  const keeper = keeperOf(machine, connection.name);
  const own = childKeeper(keeper, child.name);
  const all = sa?.children.filter(({ name }) => name === child.name) ?? [];
  const siblings = all
    .filter((one) => one.sibling > 0 && one.state === "installed")
    .sort((a, b) => a.sibling - b.sibling);
  const others = all.filter((one) => !siblings.includes(one));
  const carrying = carryingOf(others, child);
  const current = carrying[0] ?? siblings.at(-1) ?? others.findLast(({ state }) => state === "replaced");
  const parts = carrying.slice(1);
  const leftOut = leftOutOf(keeper, child, carrying, now);
  const isWanted = !machine.isShutDown && isChildWanted(keeper, child);
  const { nextTryAt, lastFailure } = carrying.length > 0 ? own : retryOf(keeper, child);
  const isWaiting = nextTryAt !== undefined && nextTryAt > now;
  const idle: ChildState["state"] =
    isWaiting || (sa === undefined && trying === undefined) ? "waiting" : "connecting";
  const state = current !== undefined ? "up" : isWanted ? idle : "down";
  return {
    name: child.name,
    policy: policyOf(connection, child.name),
    keep: child.keep,
    state,
    ...(current === undefined || sa === undefined ? {} : { sa: describeChildSa(current, sa) }),
    ...(parts.length === 0 || sa === undefined
      ? {}
      : { parts: parts.map((one) => describeChildSa(one, sa)) }),
    ...(leftOut.length === 0 ? {} : { leftOut }),
    ...(siblings.length === 0 || sa === undefined
      ? {}
      : { siblings: siblings.map((one) => describeSibling(machine, child, one, sa)) }),
    old: others
      .filter((one) => one !== current && !parts.includes(one))
      .map(({ inboundSpi, outboundSpi }) => ({ inboundSpi, outboundSpi })),
    ...waits(waitOfChild(keeper, child, own, state, sa !== undefined)),
    ...(state === "waiting" && nextTryAt !== undefined ? { nextTryAt } : {}),
    ...(lastFailure === undefined ? {} : { lastFailure }),
  };
}

/** What a child without SA waits for: the soonest try of it or of one of its pairs, and what failed last. */
function retryOf(
  { children }: Keeper,
  { name, selectors }: ChildConfiguration,
): Pick<Retry, "nextTryAt" | "lastFailure"> {
  const own = children.get(name);
  const numbers = pairsOf(selectors).map((_, i) => i + 1);
  const parts = numbers
    .map((number) => children.get(keeperName(name, 0, number)))
    .filter((one) => one?.lastFailure !== undefined);
  return {
    nextTryAt: parts.reduce((at, one) => earlier(at, one?.nextTryAt), own?.nextTryAt),
    lastFailure: own?.lastFailure ?? parts[0]?.lastFailure,
  };
}

/** The SAs that carry something which no newer one does, in the order of the child's selectors. */
function carryingOf(others: readonly ChildSa[], { selectors }: ChildConfiguration): readonly ChildSa[] {
  const installed = others.filter(({ state }) => state === "installed");
  const carrying = installed.filter(
    (one, i) => !installed.slice(i + 1).some((newer) => coversTraffic(newer.selectors, one.selectors)),
  );
  if (carrying.length < 2) return carrying;
  const pairs = pairsOf(selectors);
  const place = (one: ChildSa) => pairs.findIndex((pair) => pairsOverlap(pair, one.selectors));
  return carrying.sort((a, b) => place(a) - place(b));
}

function coversTraffic(outer: SelectorPair, inner: SelectorPair): boolean {
  return withinSelectors(inner.local, outer.local) && withinSelectors(inner.remote, outer.remote);
}

/** Of a child that has some SA; where SAs are made for packets alone, nothing is left out. */
function leftOutOf(
  keeper: Keeper,
  child: ChildConfiguration,
  carrying: readonly ChildSa[],
  now: Instant,
): readonly LeftOut[] {
  if (carrying.length === 0 || (child.saPer !== undefined && isPerPacket(child.saPer))) return [];
  const pairs = pairsOf(child.selectors);
  return untouchedPairs(pairs, carrying).map((number) => {
    const state = keeper.children.get(keeperName(child.name, 0, number));
    const { nextTryAt, lastFailure } = state ?? {};
    return {
      selectors: pairs[number - 1]!,
      ...(nextTryAt !== undefined && nextTryAt > now ? { nextTryAt } : {}),
      ...(lastFailure === undefined ? {} : { lastFailure }),
    };
  });
}

function waits(waitsFor: WaitsFor | undefined): { readonly waitsFor?: WaitsFor } {
  return waitsFor === undefined ? {} : { waitsFor };
}

function waitOfConnection(
  { keep }: Connection,
  { isDown, lastFailure }: Keeper,
  state: ConnectionState["state"],
): WaitsFor | undefined {
  if (state === "waiting")
    return lastFailure?.code === "noAddressToCall" && lastFailure.names !== undefined ? "name" : "retry";
  return state === "down" ? idleWait(isDown, keep) : undefined;
}

function waitOfChild(
  keeper: Keeper,
  { keep }: ChildConfiguration,
  { isDown }: ChildKeeper,
  state: ChildState["state"],
  hasIkeSa: boolean,
): WaitsFor | undefined {
  if (state === "waiting") return hasIkeSa ? "retry" : "ikeSa";
  return state === "down" ? idleWait(keeper.isDown || isDown, keep) : undefined;
}

/** What nobody wants at present. */
function idleWait(isDown: boolean, keep: Connection["keep"]): WaitsFor {
  if (isDown) return "operator";
  return keep === "respond" ? "peer" : "packet";
}

function describeSibling(
  machine: Machine,
  configuration: ChildConfiguration,
  child: ChildSa,
  sa: EstablishedIkeSa,
): SiblingState {
  const dscps = dscpsOfSibling(configuration, child.sibling);
  const lane = laneOfSibling(machine, configuration, child.sibling);
  return {
    ...describeChildSa(child, sa),
    ...(dscps === undefined ? {} : { dscps }),
    ...(lane === undefined ? {} : { lane }),
  };
}

function describeChildSa(child: ChildSa, { local, remote }: EstablishedIkeSa): ChildSaState {
  const { inboundSpi, outboundSpi, suite, ke, selectors, encapsulation, createdAt, rekeyAt, expiresAt } =
    child;
  return {
    inboundSpi,
    outboundSpi,
    suite,
    ke,
    ...(child.additionalKe === undefined ? {} : { additionalKe: child.additionalKe }),
    selectors,
    encapsulation,
    local,
    remote,
    upSince: createdAt,
    rekeyAt,
    expiresAt,
  };
}
