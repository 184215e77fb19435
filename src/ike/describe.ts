/** What the machine shows of itself: one state per connection, and per peer of a connection that serves many. */
import type { Instant } from "../base/instant.ts";
import type { ChildConfiguration, Connection } from "../policy/connection.ts";
import type {
  ChildSaState,
  ChildState,
  ConnectionState,
  IkeSaState,
  SiblingState,
} from "./connection-state.ts";
import { childKeeper, isChildWanted, isConnectionWanted, type Keeper } from "./keep-state.ts";
import { dscpsOfSibling, laneOfSibling } from "./negotiation/siblings.ts";
import { lastHeardAt } from "./own-work.ts";
import type { ChildSa } from "./sa/child-sa.ts";
import type { EstablishedIkeSa, IkeSa } from "./sa/ike-sa.ts";
import { displayName, establishedOf, ikeSasOf, isSingle, keeperOf, type Machine } from "./turn.ts";

export function describeMachine(machine: Machine, now: Instant): readonly ConnectionState[] {
  return [...machine.connections.values()].flatMap((connection) =>
    describeConnection(machine, connection, now),
  );
}

function describeConnection(
  machine: Machine,
  connection: Connection,
  now: Instant,
): readonly ConnectionState[] {
  const established = establishedOf(machine, connection.name).filter((sa) => sa.redundantUntil === undefined);
  const newest = new Map(established.map((sa) => [sa.instance, sa]));
  if (newest.size === 0) return [describeOne(machine, connection, undefined, now)];
  return [...newest.values()].map((sa) => describeOne(machine, connection, sa, now));
}

function describeOne(
  machine: Machine,
  connection: Connection,
  sa: EstablishedIkeSa | undefined,
  now: Instant,
): ConnectionState {
  const keeper = keeperOf(machine, connection.name);
  const trying = ikeSasOf(machine, connection.name).find(
    ({ state }) => state === "initiating" || state === "authenticating",
  );
  const state = stateOf(machine, connection, keeper, sa, trying, now);
  const remote = sa?.remote ?? trying?.remote ?? nextRemote(connection, keeper);
  const { nextTryAt, lastFailure } = keeper;
  return {
    connection: connection.name,
    name: displayName(connection.name, sa?.instance ?? 0),
    keep: connection.keep,
    state,
    ...(remote === undefined ? {} : { remote }),
    ...(sa === undefined ? {} : { ikeSa: describeIkeSa(machine, sa) }),
    failures: keeper.failures,
    ...(state === "waiting" && nextTryAt !== undefined ? { nextTryAt } : {}),
    ...(lastFailure === undefined ? {} : { lastFailure }),
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
    nat,
    upSince: sa.authenticatedAt,
    rekeyAt: sa.rekeyAt,
    lastHeardAt: lastHeardAt(machine, sa),
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
  const current =
    others.findLast(({ state }) => state === "installed") ??
    siblings.at(-1) ??
    others.findLast(({ state }) => state === "replaced");
  const isWanted = !machine.isShutDown && isChildWanted(keeper, child);
  const isWaiting = own.nextTryAt !== undefined && own.nextTryAt > now;
  const idle: ChildState["state"] =
    isWaiting || (sa === undefined && trying === undefined) ? "waiting" : "connecting";
  const state = current !== undefined ? "up" : isWanted ? idle : "down";
  const { nextTryAt, lastFailure } = own;
  return {
    name: child.name,
    policy: `${connection.name}/${child.name}`,
    keep: child.keep,
    state,
    ...(current === undefined || sa === undefined ? {} : { sa: describeChildSa(current, sa) }),
    ...(siblings.length === 0 || sa === undefined
      ? {}
      : { siblings: siblings.map((one) => describeSibling(machine, child, one, sa)) }),
    old: others
      .filter((one) => one !== current)
      .map(({ inboundSpi, outboundSpi }) => ({ inboundSpi, outboundSpi })),
    ...(state === "waiting" && nextTryAt !== undefined ? { nextTryAt } : {}),
    ...(lastFailure === undefined ? {} : { lastFailure }),
  };
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
    selectors,
    encapsulation,
    local,
    remote,
    upSince: createdAt,
    rekeyAt,
    expiresAt,
  };
}
