/** Another configuration for a running machine: what did not change goes on, the rest ends and begins anew. */
import { contains } from "../base/address-range.ts";
import { toHex, wipe } from "../base/bytes.ts";
import { sha256 } from "../crypto/hash.ts";
import { indexCallers } from "../policy/caller-index.ts";
import type {
  ChildConfiguration,
  Connection,
  OwnAuthentication,
  PeerAuthentication,
} from "../policy/connection.ts";
import { keepNumbers } from "../policy/peer-numbers.ts";
import { closeConnection } from "./command.ts";
import { clearFailures, type Keeper } from "./keep-state.ts";
import { markDeleting } from "./sa/child-lifecycle.ts";
import type { IkeSa } from "./sa/ike-sa.ts";
import { encodePlain } from "./sa/plain-value.ts";
import { establishedOf, ikeSasOf, keeperOf, type Machine, type Turn } from "./turn.ts";

export function replaceConnections(turn: Turn, connections: readonly Connection[]): void {
  const { machine } = turn;
  const before = machine.connections;
  const running = [...before.values()];
  const numbered = keepNumbers(
    connections.map((connection) => ({ connection })),
    running,
  ).map(({ connection }) => connection);
  machine.connections = new Map(numbered.map((connection) => [connection.name, connection]));
  machine.callers = indexCallers(numbered);
  for (const [name, old] of before) {
    const fresh = machine.connections.get(name);
    if (fresh === undefined) {
      closeConnection(turn, name, "configurationChanged");
    } else if (!isSame(essence(old), essence(fresh)) || hasMovedAway(turn, fresh)) {
      closeConnection(turn, name, "configurationChanged");
      clearFailures(keeperOf(machine, name));
    } else {
      // Other addresses, for instance, are tried at once.
      if (!isSame(old, fresh)) clearFailures(keeperOf(machine, name));
      changeChildren(turn, old, fresh);
    }
  }
  forgetKeepers(turn, before);
}

/** Of names that have become those of something else: a connection, or the peers of one together. */
function forgetKeepers({ machine: { connections, keepers } }: Turn, before: Machine["connections"]): void {
  const shared = new Set([...connections.values()].map(({ oneOf }) => oneOf?.connection));
  for (const name of [...keepers.keys()])
    if (before.has(name) !== connections.has(name) || !(connections.has(name) || shared.has(name)))
      keepers.delete(name);
}

/** Two connections of one name whose texts are the same go on as one; secrets are in it, but cannot be read back. */
export function connectionFingerprint(connection: Connection): string {
  return remembered(CONNECTIONS, connection, () => fingerprint(essence(connection)));
}

/** As {@link connectionFingerprint}, of a child and, unless many connections share its policy, of its connection. */
export function policyFingerprint(connection: Connection, child: ChildConfiguration): string {
  const children = remembered(POLICIES, connection, () => new WeakMap<ChildConfiguration, string>());
  return remembered(children, child, () => {
    const own = connection.oneOf?.networks === "shared" ? undefined : essence(connection);
    return fingerprint([own, childEssence(child)]);
  });
}

/** They are asked for whenever one of thousands of peers comes, and values of the configuration do not change. */
const CONNECTIONS = new WeakMap<Connection, string>();
const POLICIES = new WeakMap<Connection, WeakMap<ChildConfiguration, string>>();

function remembered<Key extends object, Value>(
  known: WeakMap<Key, Value>,
  key: Key,
  make: () => Value,
): Value {
  const before = known.get(key);
  if (before !== undefined) return before;
  const value = make();
  known.set(key, value);
  return value;
}

/** @param value - plain; the order of the keys of its records does not count */
export function fingerprint(value: unknown): string {
  const bytes = encodePlain(sorted(value));
  const text = toHex(sha256(bytes));
  wipe(bytes);
  return text;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  const entries = Object.entries(value).filter(([, one]) => one !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, one]) => [key, sorted(one)]));
}

/** What an IKE SA depends on besides the peer's address; the rest of a connection takes effect without ending it. */
function essence({ local, remote, encapsulation, ike, ppk, oneOf }: Connection): unknown {
  return [
    ppk,
    oneOf?.networks,
    local.address,
    local.id,
    keyEssence(local.auth),
    remote.port,
    remote.id,
    keyEssence(remote.auth),
    encapsulation,
    ike.proposals,
  ];
}

/** Renewed certificates and keys of ours count from the next authentication on; other secrets, and keys of peers, at once. */
function keyEssence(auth: OwnAuthentication | PeerAuthentication): unknown {
  if (auth.kind === "psk") return auth;
  return "keys" in auth ? [auth.kind, auth.keys] : auth.kind;
}

/** Whether an IKE SA's peer is where the connection no longer looks for it. What DNS says ends no IKE SA that is there. */
function hasMovedAway(turn: Turn, { name, remote }: Connection): boolean {
  if (remote.addresses.length === 0 || remote.names !== undefined) return false;
  return ikeSasOf(turn.machine, name).some(
    (sa) => !hasSaidSo(sa) && !remote.addresses.some((range) => contains(range, sa.remote.address)),
  );
}

/** Its peer told us of the addresses where it may be found (RFC 4555). */
function hasSaidSo(sa: IkeSa): boolean {
  return sa.state === "established" && sa.mobike?.isInitiator === true;
}

function changeChildren(turn: Turn, old: Connection, fresh: Connection): void {
  const keeper = keeperOf(turn.machine, fresh.name);
  for (const child of old.children) {
    const now = fresh.children.find(({ name }) => name === child.name);
    if (now !== undefined && isSame(childEssence(child), childEssence(now))) continue;
    forgetChild(keeper, child);
    for (const sa of establishedOf(turn.machine, fresh.name)) {
      sa.splits = sa.splits.filter((split) => split.child !== child.name);
      for (const one of sa.children)
        if (one.name === child.name && one.state === "installed")
          markDeleting(turn, one, "configurationChanged");
    }
  }
}

/** With what is remembered of its single SAs. */
function forgetChild({ children }: Keeper, { name }: ChildConfiguration): void {
  for (const key of [...children.keys()])
    if (key === name || key.startsWith(`${name} `)) children.delete(key);
}

function childEssence(child: ChildConfiguration): unknown {
  const { selectors, proposals, lifetime, handling, dscpClasses, hasNoLaneSas, saPer } = child;
  return [selectors, proposals, lifetime, handling, dscpClasses, hasNoLaneSas, saPer];
}

/** Whether two plain values hold the same. */
function isSame(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  const keysOfA = Object.keys(a);
  if (keysOfA.length !== Object.keys(b).length) return false;
  return keysOfA.every((key) => isSame(Reflect.get(a, key), Reflect.get(b, key)));
}
