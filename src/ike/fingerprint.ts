/** What SAs depend on, as short texts: another process holds them against those of its own configuration. */
import { toHex, wipe } from "../base/bytes.ts";
import { sha256 } from "../crypto/hash.ts";
import type { ChildConfiguration, Connection } from "../policy/connection.ts";
import { childSettings, ikeSaSettings } from "./changes.ts";
import { encodePlain } from "./sa/plain-value.ts";

/** Two connections of one name whose texts are the same go on as one; secrets are in it, but cannot be read back. */
export function connectionFingerprint(connection: Connection): string {
  return remembered(CONNECTIONS, connection, () => fingerprint(ikeSaSettings(connection)));
}

/** As {@link connectionFingerprint}, of a child and, unless many connections share its policy, of its connection. */
export function policyFingerprint(connection: Connection, child: ChildConfiguration): string {
  const children = remembered(POLICIES, connection, () => new WeakMap<ChildConfiguration, string>());
  return remembered(children, child, () => {
    const own = connection.oneOf?.networks === "shared" ? undefined : ikeSaSettings(connection);
    return fingerprint([own, childSettings(child)]);
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
