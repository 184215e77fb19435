/** IP packets for tests, whole and with right checksums. */
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { addToSum, finishSum, internetChecksum, pseudoHeaderSum } from "../../../src/wire/ip/checksum.ts";
import { writeIpv4Checksum } from "../../../src/wire/ip/ipv4.ts";
import { writeIpv6Header } from "../../../src/wire/ip/ipv6.ts";

export interface PacketOptions {
  readonly source: string;
  readonly destination: string;
  readonly protocol?: number;
  /** Ports, or ICMP type and code. */
  readonly ports?: readonly [number, number];
  readonly payload?: Uint8Array;
  readonly tos?: number;
  readonly hopLimit?: number;
  readonly dontFragment?: boolean;
  /** In octets, with more fragments following. */
  readonly fragmentOffset?: number;
  readonly moreFragments?: boolean;
  readonly id?: number;
}

const ICMP = 1;
const ICMPV6 = 58;

export function address(text: string): Uint8Array {
  return parseIpAddress(text)!;
}

/** An IPv4 or IPv6 packet by its addresses; UDP unless told. */
export function packet(options: PacketOptions): Uint8Array {
  return options.source.includes(":") ? ipv6Packet(options) : ipv4Packet(options);
}

function upperLayer({ protocol = 17, ports = [1000, 2000], payload = new Uint8Array(32) }: PacketOptions) {
  if (protocol === ICMP || protocol === ICMPV6) return Uint8Array.of(...ports, 0, 0, 0, 1, 0, 1, ...payload);
  const length = 8 + payload.length;
  const header = [ports[0] >> 8, ports[0], ports[1] >> 8, ports[1], length >> 8, length, 0, 0];
  return Uint8Array.of(...header, ...payload);
}

function ipv4Packet(options: PacketOptions): Uint8Array {
  const { protocol = 17, tos = 0, hopLimit = 64, dontFragment = true, id = 7 } = options;
  const upper = options.fragmentOffset ? (options.payload ?? new Uint8Array(32)) : upperLayer(options);
  const bytes = new Uint8Array(20 + upper.length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x45, tos]);
  view.setUint16(2, bytes.length);
  view.setUint16(4, id);
  const flags = (dontFragment ? 0x4000 : 0) | (options.moreFragments ? 0x2000 : 0);
  view.setUint16(6, flags | ((options.fragmentOffset ?? 0) / 8));
  bytes.set([hopLimit, protocol], 8);
  bytes.set(address(options.source), 12);
  bytes.set(address(options.destination), 16);
  bytes.set(upper, 20);
  writeIpv4Checksum(bytes, 0);
  if (protocol === ICMP && !options.fragmentOffset)
    view.setUint16(22, internetChecksum(bytes, 20, upper.length));
  return bytes;
}

function ipv6Packet(options: PacketOptions): Uint8Array {
  const { protocol = 17, tos = 0, hopLimit = 64 } = options;
  const upper = upperLayer(options);
  const bytes = new Uint8Array(40 + upper.length);
  bytes.set(address(options.source), 8);
  bytes.set(address(options.destination), 24);
  bytes.set(upper, 40);
  writeIpv6Header(bytes, 0, upper.length, protocol, tos, hopLimit);
  if (protocol === ICMPV6) {
    const sum = addToSum(pseudoHeaderSum(bytes, 8, 16, protocol, upper.length), bytes, 40, upper.length);
    new DataView(bytes.buffer).setUint16(42, finishSum(sum));
  }
  return bytes;
}

/** An ICMP or ICMPv6 error that quotes the start of a packet. */
export function icmpError(
  source: string,
  destination: string,
  type: number,
  code: number,
  quoted: Uint8Array,
): Uint8Array {
  const protocol = source.includes(":") ? ICMPV6 : ICMP;
  return packet({ source, destination, protocol, ports: [type, code], payload: quoted });
}
