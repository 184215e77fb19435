/** One UDP datagram over IPv6 in fragments that every path carries: the system makes none of what its own link takes whole. */
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import {
  IPV6_DESTINATION,
  IPV6_HEADER_LENGTH,
  IPV6_NEXT_HEADER,
  IPV6_SOURCE,
  writeIpv6Header,
} from "../wire/ip/ipv6.ts";
import { ipv6FragmentPayload, writeIpv6Fragment } from "../wire/ip/ipv6-fragment.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { UDP_HEADER_LENGTH, writeUdpHeader } from "../wire/ip/udp.ts";

/** RFC 8200 section 5. */
const MTU = 1280;
const HOP_LIMIT = 64;
const PLACE = { offset: IPV6_HEADER_LENGTH, nextHeaderAt: IPV6_NEXT_HEADER };

/** Whether the datagram is longer than every path carries whole. */
export function needsFragments(payload: Uint8Array): boolean {
  return IPV6_HEADER_LENGTH + UDP_HEADER_LENGTH + payload.length > MTU;
}

/**
 * The packets, IP header included, for a socket that takes whole ones.
 * @param local - an IPv6 address, as `remote`
 * @param identification - uint32, hard to guess (RFC 7739)
 */
export function fragmentsOfDatagram(
  local: UdpEndpoint,
  remote: UdpEndpoint,
  payload: Uint8Array,
  identification: number,
): readonly Uint8Array[] {
  const length = UDP_HEADER_LENGTH + payload.length;
  const packet = new Uint8Array(IPV6_HEADER_LENGTH + length);
  packet.set(local.address, IPV6_SOURCE);
  packet.set(remote.address, IPV6_DESTINATION);
  writeIpv6Header(packet, 0, length, IpProtocol.UDP, 0, HOP_LIMIT);
  packet.set(payload, IPV6_HEADER_LENGTH + UDP_HEADER_LENGTH);
  const ports = { source: local.port, destination: remote.port };
  writeUdpHeader(packet, IPV6_HEADER_LENGTH, ports, length, IPV6_SOURCE, 16);
  const step = ipv6FragmentPayload(MTU, PLACE);
  return Array.from({ length: Math.ceil(length / step) }, (_, i) => {
    const start = i * step;
    const octets = Math.min(step, length - start);
    const fragment = new Uint8Array(MTU);
    const isLast = start + octets === length;
    const made = writeIpv6Fragment(fragment, 0, packet, 0, PLACE, identification, start, octets, isLast);
    return fragment.subarray(0, made);
  });
}
