/** Which connections of thousands a caller may be, without a look at each (RFC 4301 section 4.4.3). */

import { type AddressRange, isSingle } from "../base/address-range.ts";
import { compareIpAddress, formatIpAddress, type IpAddress } from "../base/ip-address.ts";
import type { Connection } from "./connection.ts";
import { openBitsFor } from "./pad.ts";

/** Connections one after another that take calls alike: with the same addresses, `keep` and proposals. Never empty. */
export type Crowd = readonly Connection[];

interface Numbered {
  readonly crowd: Crowd;
  /** Place of the first in the configuration. */
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
  // The last crowds of both kinds. What is of the other kind never ties with them, so it may stand between their members.
  const last: Record<"open" | "named", Connection[]> = { open: [], named: [] };
  let place = 0;
  for (const connection of connections) {
    const { addresses, names } = connection.remote;
    const single = new Set(addresses.filter(isSingle).map(({ start }) => formatIpAddress(start)));
    const isOpen = names !== undefined || addresses.length === 0 || !addresses.every(isSingle);
    const kind = isOpen ? "open" : "named";
    const entry = { crowd: [connection], place: place++ };
    const [first] = last[kind];
    if (first !== undefined && areAlike(first, connection)) {
      last[kind].push(connection);
      continue;
    }
    last[kind] = entry.crowd;
    // It is of both kinds.
    if (isOpen && single.size > 0) last.open = last.named = [];
    for (const address of single) {
      const known = byAddress.get(address);
      if (known === undefined) byAddress.set(address, [entry]);
      else known.push(entry);
    }
    if (isOpen) open.push(entry);
  }
  return { byAddress, open };
}

/** By what a stranger chooses between them before it says who it is; names are looked at one by one. */
function areAlike(a: Connection, b: Connection): boolean {
  if (a.remote.names !== undefined || b.remote.names !== undefined) return false;
  if (a.ike.proposals !== b.ike.proposals || a.keep !== b.keep) return false;
  return isSameAddress(a.local.address, b.local.address) && areSame(a.remote.addresses, b.remote.addresses);
}

function isSameAddress(a: IpAddress | undefined, b: IpAddress | undefined): boolean {
  return a === undefined || b === undefined ? a === b : compareIpAddress(a, b) === 0;
}

function areSame(a: readonly AddressRange[], b: readonly AddressRange[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ start, end }, i) => isSameAddress(start, b[i]!.start) && isSameAddress(end, b[i]!.end))
  );
}

/** How many connections name this address singly. */
export function countNaming({ byAddress }: CallerIndex, address: IpAddress): number {
  let count = 0;
  for (const { crowd } of byAddress.get(formatIpAddress(address)) ?? []) count += crowd.length;
  return count;
}

/** As {@link connectionsFor} over all connections, those that are alike together. */
export function crowdsFor(
  { byAddress, open }: CallerIndex,
  localAddress: IpAddress,
  remoteAddress: IpAddress,
): readonly Crowd[] {
  const named = byAddress.get(formatIpAddress(remoteAddress)) ?? [];
  const found: (Numbered & { readonly bits: number })[] = [];
  for (const { crowd, place } of new Set([...named, ...open])) {
    const bits = openBitsFor(crowd[0]!, localAddress, remoteAddress);
    if (bits !== undefined) found.push({ crowd, place, bits });
  }
  return found.sort((a, b) => a.bits - b.bits || a.place - b.place).map(({ crowd }) => crowd);
}
