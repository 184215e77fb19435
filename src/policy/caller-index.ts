/** Which connections of thousands a caller may be, without a look at each (RFC 4301 section 4.4.3). */
import { isSingle } from "../base/address-range.ts";
import { formatIpAddress, type IpAddress } from "../base/ip-address.ts";
import type { Connection } from "./connection.ts";
import { connectionsFor } from "./pad.ts";

interface Numbered {
  readonly connection: Connection;
  /** Place in the configuration. */
  readonly place: number;
}

export interface CallerIndex {
  /** Connections that name an address singly, by its text. */
  readonly byAddress: ReadonlyMap<string, readonly Numbered[]>;
  /** Those that peers of further addresses may be: ranges, names, any. */
  readonly open: readonly Numbered[];
}

export function indexCallers(connections: Iterable<Connection>): CallerIndex {
  const byAddress = new Map<string, Numbered[]>();
  const open: Numbered[] = [];
  let place = 0;
  for (const connection of connections) {
    const { addresses, names } = connection.remote;
    const entry = { connection, place: place++ };
    const single = addresses.filter(isSingle).map(({ start }) => formatIpAddress(start));
    for (const address of new Set(single)) {
      const known = byAddress.get(address);
      if (known === undefined) byAddress.set(address, [entry]);
      else known.push(entry);
    }
    if (names !== undefined || single.length === 0 || single.length < addresses.length) open.push(entry);
  }
  return { byAddress, open };
}

/** How many connections name this address singly. */
export function countNaming({ byAddress }: CallerIndex, address: IpAddress): number {
  return byAddress.get(formatIpAddress(address))?.length ?? 0;
}

/** As {@link connectionsFor} over all connections. */
export function callersFor(
  { byAddress, open }: CallerIndex,
  localAddress: IpAddress,
  remoteAddress: IpAddress,
): readonly Connection[] {
  const named = byAddress.get(formatIpAddress(remoteAddress)) ?? [];
  const all = [...new Set([...named, ...open])].sort((a, b) => a.place - b.place);
  return connectionsFor(
    all.map(({ connection }) => connection),
    localAddress,
    remoteAddress,
  );
}
