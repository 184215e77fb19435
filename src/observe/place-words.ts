/** Addresses of peers and places of the configuration inside sentences. */
import { formatIpAddress } from "../base/ip-address.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import type { Concerning } from "../ike/notice.ts";
import type { ConfigurationPlace } from "../policy/connection.ts";

const USUAL_PORTS = [500, 4500];

/** ` (tungate.yaml:31)`, or nothing. */
export function atPlace(place: ConfigurationPlace | undefined): string {
  if (place === undefined) return "";
  return ` (${place.file.slice(place.file.lastIndexOf("/") + 1)}:${place.line})`;
}

/** `198.51.100.77`; the port where it is none of the usual ones; `the peer` when it is not known. */
export function peerText(remote: UdpEndpoint | undefined): string {
  if (remote === undefined) return "the peer";
  const address = formatIpAddress(remote.address);
  return USUAL_PORTS.includes(remote.port) ? address : `${address} (port ${remote.port})`;
}

/** Name in the configuration: without the number of an instance. */
export function configuredName(connection: string): string {
  return connection.replace(/#\d+$/, "");
}

/** `connections.paris.psk` */
export function keyOf({ connection }: Concerning, key: string): string {
  return connection === undefined ? key : `connections.${configuredName(connection)}.${key}`;
}
