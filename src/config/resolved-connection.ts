/** A connection whose peer is known by name, once the name has been looked up. */
import type { IpAddress } from "../base/ip-address.ts";
import type { Connection } from "../policy/connection.ts";
import type { ConfiguredConnection } from "./configuration.ts";

/**
 * The connection with the addresses that its names stand for behind those of the file.
 * @param lookup - the addresses of a name, best first; none while it is not known
 * @returns `undefined` while nothing is known: an empty list of addresses would let everybody in
 */
export function resolvedConnection(
  { connection, remoteNames }: ConfiguredConnection,
  lookup: (name: string) => readonly IpAddress[],
): Connection | undefined {
  if (remoteNames.length === 0) return connection;
  const resolved = remoteNames.flatMap(lookup).map((address) => ({ start: address, end: address }));
  const addresses = [...connection.remote.addresses, ...resolved];
  if (addresses.length === 0) return undefined;
  return { ...connection, remote: { ...connection.remote, addresses } };
}
