/** The outer addresses and ports of SAs as records of the table. */
import { IpAddress } from "../base/ip-address.ts";
import { formatEndpoint, type UdpEndpoint } from "../base/udp-endpoint.ts";
import type { Encapsulation } from "./data-plane.ts";
import { EndpointRecord, type SaTable } from "./sa-table.ts";

/** Ports are 0 with raw ESP. */
export interface OuterPath {
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  readonly encapsulation: Encapsulation;
}

export function endpointOffset(table: SaTable, endpoint: number): number {
  return table.regions.endpoints + endpoint * EndpointRecord.STRIDE;
}

/** The same text for the same path. */
export function formatOuterPath({ local, remote, encapsulation }: OuterPath): string {
  return `${encapsulation} ${formatEndpoint(local)} ${formatEndpoint(remote)}`;
}

/** Raw ESP has no ports, whatever IKE's are. */
export function outerPath(local: UdpEndpoint, remote: UdpEndpoint, encapsulation: Encapsulation): OuterPath {
  if (encapsulation === "udp") return { local, remote, encapsulation };
  return {
    local: { address: local.address, port: 0 },
    remote: { address: remote.address, port: 0 },
    encapsulation,
  };
}

export function writeEndpointRecord(table: SaTable, endpoint: number, path: OuterPath): void {
  const at = endpointOffset(table, endpoint);
  table.bytes.fill(0, at, at + EndpointRecord.STRIDE);
  table.bytes.set(path.remote.address, at + EndpointRecord.REMOTE_ADDRESS);
  table.bytes.set(path.local.address, at + EndpointRecord.LOCAL_ADDRESS);
  const ports = portsOf(table, at);
  ports[0] = path.remote.port;
  ports[1] = path.local.port;
  table.bytes[at + EndpointRecord.FAMILY] = path.remote.address.length === 4 ? 4 : 6;
  table.bytes[at + EndpointRecord.ENCAPSULATION] = path.encapsulation === "udp" ? 1 : 0;
}

export function readEndpointRecord(table: SaTable, endpoint: number): OuterPath {
  const at = endpointOffset(table, endpoint);
  const length = table.bytes[at + EndpointRecord.FAMILY] === 4 ? 4 : 16;
  const address = (from: number) => IpAddress(table.bytes.slice(at + from, at + from + length));
  const ports = portsOf(table, at);
  return {
    remote: { address: address(EndpointRecord.REMOTE_ADDRESS), port: ports[0]! },
    local: { address: address(EndpointRecord.LOCAL_ADDRESS), port: ports[1]! },
    encapsulation: table.bytes[at + EndpointRecord.ENCAPSULATION] === 1 ? "udp" : "esp",
  };
}

/** Of what we send: from our port to the peer's. */
export function endpointPorts(table: SaTable, endpoint: number): { source: number; destination: number } {
  const [destination, source] = portsOf(table, endpointOffset(table, endpoint));
  return { source: source!, destination: destination! };
}

/** Remote port, then local port. */
function portsOf(table: SaTable, at: number): Uint16Array {
  return new Uint16Array(table.bytes.buffer, at + EndpointRecord.REMOTE_PORT, 2);
}
