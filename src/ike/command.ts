/** What operators and the data plane ask of the machine: up, down, rekey, shutdown, acquire, limits, a peer that moved. */
import { isSingle } from "../base/address-range.ts";
import { type ChildConfiguration, type Connection, policyOf } from "../policy/connection.ts";
import type { DataPlaneEvent, PacketSelectors, PolicyName } from "../policy/data-plane.ts";
import { containsSelector } from "../policy/traffic-selector.ts";
import { followEsp } from "./exchange/mobike.ts";
import { isServed } from "./keep.ts";
import { childKeeper, clearFailures } from "./keep-state.ts";
import type { IkeCommand, Target } from "./machine.ts";
import { isLeftOut } from "./missing-children.ts";
import type { IkeDownReason } from "./notice.ts";
import { endChild, markDeleting } from "./sa/child-lifecycle.ts";
import type { ChildSa } from "./sa/child-sa.ts";
import type { EstablishedIkeSa, IkeSa } from "./sa/ike-sa.ts";
import { forget, leave, releaseAcquire, releaseAcquires } from "./sa/lifecycle.ts";
import {
  about,
  carrierOf,
  establishedOf,
  ikeSasOf,
  keeperOf,
  type Machine,
  notice,
  ofDisplayName,
  servesOnePeer,
  type Turn,
  touch,
  touchConnection,
} from "./turn.ts";

/** Carries out what an operator wants; unknown names are passed over. */
export function handleCommand(turn: Turn, command: IkeCommand): void {
  if (command.kind === "shutdown") {
    shutDown(turn);
    return;
  }
  const { target } = command;
  const { connections, instance } = ofDisplayName(turn.machine, target.connection);
  if (turn.machine.isShutDown) return;
  for (const connection of connections) {
    if (command.kind === "rekey") rekey(turn, connection, target, instance);
    else if (instance > 0 && command.kind === "down") takePeerDown(turn, connection, target, instance);
    else if (command.kind === "down") takeDown(turn, connection, target);
    else if (instance === 0 && canCall(connection, connections)) bringUp(turn, connection, target);
    touchConnection(turn.machine, connection.name);
  }
}

/** Who asks for all peers means those that can be called. */
function canCall({ remote, oneOf }: Connection, meant: readonly Connection[]): boolean {
  if (oneOf === undefined || meant.length === 1) return true;
  return remote.names !== undefined || remote.addresses.some(isSingle);
}

/** Wanted from now on, and tried at once; a connection brings all its children. */
function bringUp({ machine }: Turn, { name, children }: Connection, { child }: Target): void {
  const keeper = keeperOf(machine, name);
  keeper.isDown = false;
  keeper.isWanted = true;
  keeper.nextTryAt = undefined;
  for (const configuration of children) {
    if (child !== undefined && configuration.name !== child) continue;
    const state = childKeeper(keeper, configuration.name);
    state.isDown = false;
    state.isWanted = true;
    state.nextTryAt = undefined;
  }
}

/** Unwanted from now on, whatever `keep` says, until `up`. */
function takeDown(turn: Turn, { name, children }: Connection, { child }: Target): void {
  const keeper = keeperOf(turn.machine, name);
  if (child === undefined) {
    keeper.isDown = true;
    keeper.isWanted = false;
    clearFailures(keeper);
    closeConnection(turn, name, "command");
    for (const configuration of children) childKeeper(keeper, configuration.name).isWanted = false;
    releaseAcquires(turn, name);
    return;
  }
  const state = childKeeper(keeper, child);
  state.isDown = true;
  state.isWanted = false;
  clearFailures(state);
  releaseAcquire(turn, name, child);
  for (const { sa, childSa } of childrenNamed(turn.machine, name, child)) takeChildDown(turn, sa, childSa);
}

/** One of many peers: what is there ends; it may call again. */
function takePeerDown(turn: Turn, { name }: Connection, { child }: Target, instance: number): void {
  for (const sa of establishedOf(turn.machine, name)) {
    if (sa.instance !== instance) continue;
    if (child === undefined) leave(turn, sa, "command", { deletedBy: "us" });
    else for (const one of sa.children) if (one.name === child) takeChildDown(turn, sa, one);
  }
}

function takeChildDown(turn: Turn, sa: EstablishedIkeSa, child: ChildSa): void {
  if (child.state !== "installed") return;
  child.leaving = "command";
  markDeleting(turn, child, "command");
  sa.lastSentAt = turn.now;
}

/** Ends every IKE SA of a connection, those in the making too. */
export function closeConnection(turn: Turn, connection: string, reason: IkeDownReason): void {
  for (const sa of ikeSasOf(turn.machine, connection))
    if (sa.state === "established") leave(turn, sa, reason, { deletedBy: "us" });
  closeUnfinished(turn, connection);
}

/** Ends those in the making. */
export function closeUnfinished(turn: Turn, connection: string): void {
  for (const sa of ikeSasOf(turn.machine, connection))
    if (sa.state !== "established" && sa.state !== "leaving") forget(turn, sa);
  for (const sa of [...turn.machine.sas.values()])
    if (sa.state === "halfOpen" && sa.candidates.includes(connection)) forget(turn, sa);
}

function close(turn: Turn, sa: IkeSa, reason: IkeDownReason): void {
  if (sa.state === "established") leave(turn, sa, reason, { deletedBy: "us" });
  else if (sa.state !== "leaving") forget(turn, sa);
}

/** @param instance - number of the peer; 0: all of them */
function rekey(turn: Turn, { name }: Connection, { child }: Target, instance: number): void {
  const { now, machine } = turn;
  const isMeant = (sa: EstablishedIkeSa) => instance === 0 || sa.instance === instance;
  if (child === undefined) {
    for (const sa of establishedOf(machine, name).filter(isMeant)) {
      sa.rekeyAt = now;
      sa.rekeyNotBefore = undefined;
    }
    return;
  }
  for (const { sa, childSa } of childrenNamed(machine, name, child)) {
    if (!isMeant(sa)) continue;
    childSa.rekeyAt = now;
    childSa.notBefore = undefined;
  }
}

function childrenNamed(
  machine: Machine,
  connection: string,
  child: string,
): readonly { readonly sa: EstablishedIkeSa; readonly childSa: ChildSa }[] {
  const found: { sa: EstablishedIkeSa; childSa: ChildSa }[] = [];
  for (const sa of establishedOf(machine, connection))
    for (const childSa of sa.children) if (childSa.name === child) found.push({ sa, childSa });
  return found;
}

/** Deletes for everything that stands; nothing new begins any more. */
function shutDown(turn: Turn): void {
  turn.machine.isShutDown = true;
  for (const sa of [...turn.machine.sas.values()]) close(turn, sa, "shutdown");
  for (const connection of turn.machine.connections.keys()) releaseAcquires(turn, connection);
}

export function handleDataPlaneEvent(turn: Turn, event: DataPlaneEvent): void {
  if (event.kind === "acquire") {
    acquire(turn, event.policy, event.packet);
    return;
  }
  const sa = carrierOf(turn.machine, event.inboundSpi);
  const child = sa?.children.find(({ inboundSpi }) => inboundSpi === event.inboundSpi);
  if (sa === undefined || child === undefined) return;
  const spis = { inboundSpi: child.inboundSpi, outboundSpi: child.outboundSpi };
  if (event.kind === "softLimit") {
    notice(turn, { code: "softLimit", ...about(sa, child.name), spis, limit: event.reason });
    child.rekeyAt = turn.now;
  } else if (event.kind === "hardLimit") endChild(turn, sa, child, "hardLimit");
  else followEsp(turn, sa, event);
  touch(turn.machine, sa);
}

/** A packet wants an SA; the answer is an SA or `acquireFailed`. */
function acquire(turn: Turn, policy: PolicyName, packet: PacketSelectors): void {
  const { machine } = turn;
  const meant = childrenOf(machine, policy);
  const isThere = meant.some(({ connection, child }) =>
    hasSaFor(machine, connection.name, child.name, packet),
  );
  const [only] = meant;
  // Of several peers with the same networks nobody can tell which one the packet is for.
  if (only !== undefined && meant.length === 1)
    acquireChild(turn, only.connection, only.child, packet, isThere);
  else if (!isThere) turn.actions.push({ kind: "dataPlane", command: { kind: "acquireFailed", policy } });
}

interface ChildOfConnection {
  readonly connection: Connection;
  readonly child: ChildConfiguration;
}

/** One, unless the policy is that of several peers. */
function childrenOf({ connections }: Machine, policy: PolicyName): readonly ChildOfConnection[] {
  // Neither name has a slash in it.
  const [name = "", childName = ""] = policy.split("/");
  const itself = connections.get(name);
  const meant = itself === undefined ? [...connections.values()] : [itself];
  return meant
    .filter((connection) => policyOf(connection, childName) === policy)
    .flatMap((connection) => {
      const child = connection.children.find((one) => one.name === childName);
      return child === undefined ? [] : [{ connection, child }];
    });
}

/** @param isThere - the SA came while the acquire was on its way */
function acquireChild(
  turn: Turn,
  connection: Connection,
  child: ChildConfiguration,
  packet: PacketSelectors,
  isThere: boolean,
): void {
  const { machine, now } = turn;
  touchConnection(machine, connection.name);
  const keeper = keeperOf(machine, connection.name);
  const state = childKeeper(keeper, child.name);
  state.hasAcquire = true;
  const isUnwanted = keeper.isDown || state.isDown || machine.isShutDown || child.keep === "respond";
  if (isUnwanted || isLeftOut(keeper, child, packet, now) || (!isThere && isForOthers(turn, connection))) {
    releaseAcquire(turn, connection.name, child.name);
    return;
  }
  if (isThere) {
    state.hasAcquire = false;
    return;
  }
  state.isWanted = true;
  state.packet = packet;
}

/** Several peers of the connection are here, so that nobody else is called, and none of them is asked for the SA. */
function isForOthers({ machine, now }: Turn, connection: Connection): boolean {
  if (servesOnePeer(connection) || !isServed(machine, connection.name, now)) return false;
  return keeperOf(machine, connection.name).instances.size > 1;
}

function hasSaFor(machine: Machine, connection: string, child: string, packet: PacketSelectors): boolean {
  return childrenNamed(machine, connection, child).some(
    ({ childSa: { state, selectors } }) =>
      state === "installed" &&
      selectors.local.some((one) => containsSelector(one, packet.local)) &&
      selectors.remote.some((one) => containsSelector(one, packet.remote)),
  );
}
