/** What a process before this one left: its IKE SAs go on, and where they are lost their child SAs tell whom to call. */
import type { Spi } from "../base/spi.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import { type Connection, policyOf } from "../policy/connection.ts";
import type { PolicyName } from "../policy/data-plane.ts";
import { matchIdentity } from "../policy/pad.ts";
import { closeConnection } from "./command.ts";
import { connectionFingerprint, policyFingerprint } from "./fingerprint.ts";
import { childKeeper } from "./keep-state.ts";
import { markDeleting } from "./sa/child-lifecycle.ts";
import type { EstablishedIkeSa } from "./sa/ike-sa.ts";
import { IkeSaId } from "./sa/ike-sa-id.ts";
import { StateError } from "./sa/plain-value.ts";
import { decodeIkeSa, resumeIkeSa } from "./sa/state-codec.ts";
import { keepDown } from "./taken-down.ts";
import {
  addIkeSa,
  childConfiguration,
  establishedOf,
  keeperOf,
  type Machine,
  peerKey,
  type Turn,
} from "./turn.ts";

export interface Predecessor {
  /** Its IKE SAs, and what was taken down, as `exportState` gave them; none after a crash. */
  readonly ikeSas: readonly Uint8Array[];
  /** What its connections and policies were, by name, as {@link fingerprintsOf} said. */
  readonly fingerprints: Fingerprints;
  /** Its child SAs, which are in the data plane. */
  readonly pairs: readonly { readonly policy: PolicyName; readonly inboundSpi: Spi }[];
  /** Whether we are still to be found there. */
  readonly isOurs: (local: UdpEndpoint) => boolean;
}

export interface Fingerprints {
  readonly connections: ReadonlyMap<string, string>;
  readonly policies: ReadonlyMap<PolicyName, string>;
}

/** Whether an IKE SA of the connection was authenticated under settings that are no longer in force. */
export function isOutdated(machine: Machine, connection: string): boolean {
  return establishedOf(machine, connection).some(({ authentication }) => authentication.isOutdated);
}

/**
 * What an SA depends on in the configuration, as texts of which nothing can be read back.
 * @param outdated - connections whose SAs rest on something else: what is left of them is not to pass for theirs
 */
export function fingerprintsOf(
  connections: readonly Connection[],
  outdated: (connection: string) => boolean = () => false,
): Fingerprints {
  const settled = connections.filter(({ name }) => !outdated(name));
  return {
    connections: new Map(settled.map((one) => [one.name, connectionFingerprint(one)])),
    policies: new Map(
      settled.flatMap((one) =>
        one.children.map((child) => [policyOf(one, child.name), policyFingerprint(one, child)] as const),
      ),
    ),
  };
}

/** Takes up what fits the configuration; what has changed since ends as with a reload. */
export function takeOver(turn: Turn, before: Predecessor): void {
  const { machine } = turn;
  for (const bytes of before.ikeSas) keepDown(machine, bytes);
  const resumed = before.ikeSas.flatMap((bytes) => resume(machine, bytes, before.isOurs) ?? []);
  for (const name of new Set(resumed.map(({ connection }) => connection))) {
    const connection = machine.connections.get(name)!;
    // What was about to be authenticated anew still is, and ends soon if it is not.
    if (isOutdated(machine, name)) continue;
    if (before.fingerprints.connections.get(name) !== connectionFingerprint(connection))
      closeConnection(turn, name, "configurationChanged");
    else endChangedChildren(turn, connection, before.fingerprints);
  }
  const lost = before.pairs.filter(({ inboundSpi }) => !claims(machine, inboundSpi));
  expectCalls(turn, new Set(lost.map(({ policy }) => policy)));
}

function endChangedChildren(turn: Turn, connection: Connection, { policies }: Fingerprints): void {
  for (const sa of establishedOf(turn.machine, connection.name))
    for (const child of sa.children) {
      const now = childConfiguration(turn.machine, connection.name, child.name);
      const isSame = now !== undefined && policies.get(child.policy) === policyFingerprint(connection, now);
      if (!isSame && child.state === "installed") markDeleting(turn, child, "configurationChanged");
    }
}

/**
 * Their peers have an IKE SA that we know nothing of any more. What traffic wanted is called as if it did so now; and nobody is
 * told that there was nothing before, so that the old child SAs carry until the new ones do.
 */
function expectCalls({ machine }: Turn, policies: ReadonlySet<PolicyName>): void {
  for (const connection of machine.connections.values())
    for (const child of connection.children) {
      if (!policies.has(policyOf(connection, child.name))) continue;
      const keeper = keeperOf(machine, connection.name);
      keeper.mayBeKnown = true;
      if (child.keep === "on-demand") childKeeper(keeper, child.name).isWanted = true;
      machine.touched.connections.add(connection.name);
    }
}

/** Whether an IKE SA has this child SA, or lets it receive what is still under way. */
export function claims({ sas, carriers }: Machine, inboundSpi: Spi): boolean {
  if (carriers.has(inboundSpi)) return true;
  for (const sa of sas.values())
    if (sa.state === "established" && sa.lingering.some((one) => one.inboundSpi === inboundSpi)) return true;
  return false;
}

/** Takes up what fits the configuration; the rest ends unsaid, and its peer will notice. */
export function resume(
  machine: Machine,
  bytes: Uint8Array,
  isOurs: Predecessor["isOurs"],
): EstablishedIkeSa | undefined {
  const stored = readIkeSa(bytes);
  const connection = stored && machine.connections.get(stored.connection);
  if (stored === undefined || connection === undefined || !mayStandFor(connection, stored)) return undefined;
  if (!isOurs(stored.local)) return undefined;
  const sa = { ...stored, id: IkeSaId(machine.nextIkeSaId++) };
  addIkeSa(machine, sa);
  const { idType, data } = sa.peerIdentity;
  if (sa.instance > 0) keeperOf(machine, sa.connection).instances.set(peerKey({ idType, data }), sa.instance);
  return sa;
}

/** That of another version is none. */
function readIkeSa(bytes: Uint8Array): EstablishedIkeSa | undefined {
  try {
    return resumeIkeSa(decodeIkeSa(bytes));
  } catch (error) {
    if (error instanceof StateError) return undefined;
    throw error;
  }
}

/** The number of a peer may have become another one's. */
function mayStandFor({ oneOf, remote: { id } }: Connection, { peerIdentity }: EstablishedIkeSa): boolean {
  return oneOf === undefined || typeof id !== "object" || matchIdentity(id, peerIdentity);
}
