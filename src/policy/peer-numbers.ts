/** The numbers of peers that `remote.ids` names: `NAME#N` is the same peer for as long as the gateway runs. */
import type { Connection } from "./connection.ts";
import { identityKey } from "./pad.ts";

/** What a connection is known by whatever its number: its name, or the identity among the peers that are named with it. */
export function connectionKey({ name, oneOf, remote: { id } }: Connection): string {
  return oneOf === undefined || typeof id !== "object" ? name : `${oneOf.connection}#${identityKey(id)}`;
}

/** The highest number that a peer of each connection has had; `before` is what this said of earlier configurations. */
export function numbersGiven(
  connections: readonly Connection[],
  before: ReadonlyMap<string, number> = new Map(),
): ReadonlyMap<string, number> {
  const highest = new Map(before);
  for (const { name, oneOf } of connections)
    if (oneOf !== undefined)
      highest.set(oneOf.connection, Math.max(highest.get(oneOf.connection) ?? 0, numberOf(name)));
  return highest;
}

/**
 * Another configuration with the names of the running one: a peer that was there keeps its number, whatever came or went before
 * it in the list; a number that another one had is not given to it.
 * @param given - by {@link numbersGiven}: numbers of peers that are gone by now
 */
export function keepNumbers<Configured extends { readonly connection: Connection }>(
  fresh: readonly Configured[],
  running: readonly Connection[],
  given: ReadonlyMap<string, number> = new Map(),
): readonly Configured[] {
  const known = new Map(running.map((one) => [connectionKey(one), one.name]));
  const all = [...running, ...fresh.map(({ connection }) => connection)];
  const highest = new Map(numbersGiven(all, given));
  const before = new Set(running.map(({ name }) => name));
  return fresh.map((configured) => {
    const { connection } = configured;
    const { name, oneOf } = connection;
    if (oneOf === undefined) return configured;
    const own = known.get(connectionKey(connection));
    const isFree = !before.has(name) && numberOf(name) > (given.get(oneOf.connection) ?? 0);
    if (own === name || (own === undefined && isFree)) return configured;
    const number = (highest.get(oneOf.connection) ?? 0) + 1;
    if (own === undefined) highest.set(oneOf.connection, number);
    return { ...configured, connection: { ...connection, name: own ?? `${oneOf.connection}#${number}` } };
  });
}

function numberOf(name: string): number {
  return Number(name.slice(name.indexOf("#") + 1));
}
