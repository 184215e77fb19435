/** The configuration with what only the running daemon knows: the addresses behind names. */
import type { IpAddress } from "../base/ip-address.ts";
import type { Configuration, ConfiguredConnection } from "../config/configuration.ts";
import type { GatewayConfiguration, GatewayConnection } from "../gateway/gateway-configuration.ts";

/** All names that have to be resolved. */
export function remoteNames(configuration: Configuration): readonly string[] {
  return [...new Set(configuration.connections.flatMap((one) => one.remoteNames))];
}

/**
 * What the gateway gets. The names go along, for an empty list of addresses would else mean any address, which the operator did
 * not say.
 */
export function gatewayConfiguration(
  configuration: Configuration,
  addressesOf: (name: string) => readonly IpAddress[],
): GatewayConfiguration {
  return {
    ...configuration,
    connections: configuration.connections.map((one) => withAddresses(one, addressesOf)),
  };
}

function withAddresses(
  configured: ConfiguredConnection,
  addressesOf: (name: string) => readonly IpAddress[],
): GatewayConnection {
  if (configured.remoteNames.length === 0) return configured;
  const { connection } = configured;
  const found = configured.remoteNames
    .flatMap(addressesOf)
    .map((address) => ({ start: address, end: address }));
  const addresses = [...connection.remote.addresses, ...found];
  return {
    ...configured,
    connection: { ...connection, remote: { ...connection.remote, addresses, names: configured.remoteNames } },
  };
}
