/** Outer packets as they are on the wire, around what a socket gives or takes, for a capture. */
import type { IpAddress } from "../../base/ip-address.ts";
import type { UdpEndpoint } from "../../base/udp-endpoint.ts";
import { IPV4_DESTINATION, IPV4_HEADER_LENGTH, IPV4_SOURCE, writeIpv4Header } from "../ip/ipv4.ts";
import { IPV6_DESTINATION, IPV6_HEADER_LENGTH, IPV6_SOURCE, writeIpv6Header } from "../ip/ipv6.ts";
import { IpProtocol } from "../ip/protocol.ts";
import { UDP_HEADER_LENGTH, writeUdpHeader } from "../ip/udp.ts";

/** Of a header that nobody has seen. */
const HOP_LIMIT = 64;

export interface OuterContent {
  readonly source: UdpEndpoint;
  readonly destination: UdpEndpoint;
  /** UDP, ESP or AH. */
  readonly protocol: number;
  readonly tos: number;
  /** What is behind the headers, as far as it was kept. */
  readonly octets: Uint8Array;
  /** Octets of it before it was cut. */
  readonly length: number;
}

/**
 * The packet with headers made for it: DF set, hop limit 64, and where the payload is whole the right UDP checksum.
 * @returns the octets, and how many there were before the payload was cut
 */
export function outerPacket(content: OuterContent): {
  readonly octets: Uint8Array;
  readonly length: number;
} {
  const { source, destination, protocol, tos, octets, length } = content;
  const isV4 = source.address.length === 4;
  const ip = isV4 ? IPV4_HEADER_LENGTH : IPV6_HEADER_LENGTH;
  const udp = protocol === IpProtocol.UDP ? UDP_HEADER_LENGTH : 0;
  const packet = new Uint8Array(ip + udp + octets.length);
  packet.set(octets, ip + udp);
  putAddresses(packet, isV4, source.address, destination.address);
  if (isV4) writeIpv4Header(packet, 0, ip + udp + length, protocol, tos, HOP_LIMIT);
  else writeIpv6Header(packet, 0, udp + length, protocol, tos, HOP_LIMIT);
  if (udp > 0) writeUdp(packet, ip, content);
  return { octets: packet, length: ip + udp + length };
}

function putAddresses(packet: Uint8Array, isV4: boolean, source: IpAddress, destination: IpAddress): void {
  packet.set(source, isV4 ? IPV4_SOURCE : IPV6_SOURCE);
  packet.set(destination, isV4 ? IPV4_DESTINATION : IPV6_DESTINATION);
}

function writeUdp(
  packet: Uint8Array,
  at: number,
  { source, destination, octets, length }: OuterContent,
): void {
  const ports = { source: source.port, destination: destination.port };
  const addressLength = source.address.length;
  const addresses = addressLength === 4 ? IPV4_SOURCE : IPV6_SOURCE;
  writeUdpHeader(packet, at, ports, UDP_HEADER_LENGTH + octets.length, addresses, addressLength);
  if (octets.length === length) return;
  const view = new DataView(packet.buffer);
  view.setUint16(at + 4, UDP_HEADER_LENGTH + length);
  // Of octets that are not here there is no sum.
  view.setUint16(at + 6, 0);
}
