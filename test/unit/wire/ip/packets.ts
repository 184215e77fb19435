/** IP packets for tests, put together without the code under test. */
import { concat } from "../../../../src/base/bytes.ts";
import { parseIpAddress } from "../../../../src/base/ip-address.ts";

function u16(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value);
}

function address(text: string): Uint8Array {
  const octets = parseIpAddress(text);
  if (octets === undefined) throw new Error(`${text} is no address`);
  return octets;
}

/** One's complement sum of whole 16-bit words, written the slow and obvious way. */
export function onesComplementSum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += bytes[i]! * 256 + (bytes[i + 1] ?? 0);
    if (sum > 0xffff) sum -= 0xffff;
  }
  return sum;
}

export interface Ipv4Options {
  readonly source?: string;
  readonly destination?: string;
  readonly protocol?: number;
  readonly tos?: number;
  readonly ttl?: number;
  readonly dontFragment?: boolean;
  readonly moreFragments?: boolean;
  /** In octets, a multiple of 8. */
  readonly fragmentOffset?: number;
  /** A multiple of 4 octets. */
  readonly options?: Uint8Array;
}

export function ipv4Packet(options: Ipv4Options, payload: Uint8Array): Uint8Array {
  const extra = options.options ?? new Uint8Array(0);
  const headerLength = 20 + extra.length;
  const flags =
    (options.dontFragment ? 0x4000 : 0) |
    (options.moreFragments ? 0x2000 : 0) |
    ((options.fragmentOffset ?? 0) / 8);
  const header = concat(
    Uint8Array.of(0x40 | (headerLength / 4), options.tos ?? 0),
    u16(headerLength + payload.length),
    u16(0x1234),
    u16(flags),
    Uint8Array.of(options.ttl ?? 64, options.protocol ?? 17, 0, 0),
    address(options.source ?? "10.1.0.1"),
    address(options.destination ?? "10.2.0.1"),
    extra,
  );
  header.set(u16(~onesComplementSum(header)), 10);
  return concat(header, payload);
}

export interface Ipv6Options {
  readonly source?: string;
  readonly destination?: string;
  readonly nextHeader?: number;
  readonly trafficClass?: number;
  readonly hopLimit?: number;
}

export function ipv6Packet(options: Ipv6Options, payload: Uint8Array): Uint8Array {
  const trafficClass = options.trafficClass ?? 0;
  return concat(
    Uint8Array.of(0x60 | (trafficClass >>> 4), (trafficClass << 4) | 0x0a, 0xbc, 0xde),
    u16(payload.length),
    Uint8Array.of(options.nextHeader ?? 17, options.hopLimit ?? 64),
    address(options.source ?? "2001:db8:1::1"),
    address(options.destination ?? "2001:db8:2::1"),
    payload,
  );
}

/** An extension header of 8 octets or a multiple; the octets behind its first two are zero. */
export function extensionHeader(nextHeader: number, length = 8): Uint8Array {
  const header = new Uint8Array(length);
  header[0] = nextHeader;
  header[1] = length / 8 - 1;
  return header;
}

export function fragmentHeader(nextHeader: number, offset: number, more: boolean): Uint8Array {
  return concat(Uint8Array.of(nextHeader, 0), u16(offset | (more ? 1 : 0)), new Uint8Array(4));
}

/** Ports, then 16 octets: enough of TCP, UDP, SCTP, DCCP and UDP-Lite. */
export function ports(source: number, destination: number): Uint8Array {
  return concat(u16(source), u16(destination), new Uint8Array(16));
}

/** Type, code and 6 octets, then what follows. */
export function icmp(type: number, code: number, rest: Uint8Array = new Uint8Array(0)): Uint8Array {
  return concat(Uint8Array.of(type, code), new Uint8Array(6), rest);
}
