/** Selectors and packet keys drawn so that they often touch. */
import fc from "fast-check";
import { IpAddress } from "../../../src/base/ip-address.ts";
import {
  createPacketKey,
  KEY_PORT_OPAQUE,
  Key,
  type PacketKey,
  writeAddressWords,
} from "../../../src/policy/selector-record.ts";
import {
  ANY_PORT,
  isAnyPort,
  isOpaquePort,
  OPAQUE_PORT,
  type SelectorPair,
  type TrafficSelector,
} from "../../../src/policy/traffic-selector.ts";

/** Few addresses, in both families, so that ranges overlap and end where others start. */
function addressOf(family: number, low: number): IpAddress {
  const octets = new Uint8Array(family === 4 ? 4 : 16);
  octets[0] = family === 4 ? 10 : 0xfd;
  octets[octets.length - 1] = low;
  return IpAddress(octets);
}

const portNumber = fc.constantFrom(0, 1, 79, 80, 81, 443, 65534, 65535);
const protocol = fc.constantFrom(0, 6, 17, 1);

export const selectorArbitrary: fc.Arbitrary<TrafficSelector> = fc
  .record({
    family: fc.constantFrom(4, 6),
    from: fc.integer({ min: 0, max: 12 }),
    count: fc.integer({ min: 0, max: 6 }),
    protocol,
    ports: fc.oneof(
      fc.constant(ANY_PORT),
      fc.constant(OPAQUE_PORT),
      fc.tuple(portNumber, portNumber).map(([a, b]) => ({ start: Math.min(a, b), end: Math.max(a, b) })),
    ),
  })
  .map(({ family, from, count, protocol: number, ports }) => ({
    addresses: { start: addressOf(family, from), end: addressOf(family, from + count) },
    protocol: number,
    ports,
  }));

export const pairArbitrary: fc.Arbitrary<SelectorPair> = fc.record({
  local: fc.array(selectorArbitrary, { minLength: 1, maxLength: 3 }),
  remote: fc.array(selectorArbitrary, { minLength: 1, maxLength: 3 }),
});

export interface Packet {
  readonly family: 4 | 6;
  readonly protocol: number;
  readonly local: IpAddress;
  readonly remote: IpAddress;
  /** Absent: not to be seen. */
  readonly localPort: number | undefined;
  readonly remotePort: number | undefined;
}

export const packetArbitrary: fc.Arbitrary<Packet> = fc
  .record({
    family: fc.constantFrom(4 as const, 6 as const),
    protocol: fc.constantFrom(6, 17, 1, 47),
    local: fc.integer({ min: 0, max: 20 }),
    remote: fc.integer({ min: 0, max: 20 }),
    ports: fc.option(fc.tuple(portNumber, portNumber), { nil: undefined }),
  })
  .map(({ family, protocol: number, local, remote, ports }) => ({
    family,
    protocol: number,
    local: addressOf(family, local),
    remote: addressOf(family, remote),
    localPort: ports?.[0],
    remotePort: ports?.[1],
  }));

export function keyOf(packet: Packet): PacketKey {
  const key = createPacketKey();
  key[Key.FAMILY] = packet.family;
  key[Key.PROTOCOL] = packet.protocol;
  key[Key.LOCAL_PORT] = packet.localPort ?? KEY_PORT_OPAQUE;
  key[Key.REMOTE_PORT] = packet.remotePort ?? KEY_PORT_OPAQUE;
  writeAddressWords(key, Key.LOCAL_ADDRESS, packet.local);
  writeAddressWords(key, Key.REMOTE_ADDRESS, packet.remote);
  return key;
}

/** What a selector means, said again in the plainest way. */
export function matches(
  { addresses, protocol: number, ports }: TrafficSelector,
  address: IpAddress,
  packetProtocol: number,
  port: number | undefined,
): boolean {
  const value = (octets: Uint8Array) => BigInt(`0x${Buffer.from(octets).toString("hex")}`);
  if (addresses.start.length !== address.length) return false;
  if (value(address) < value(addresses.start) || value(address) > value(addresses.end)) return false;
  if (number !== 0 && number !== packetProtocol) return false;
  if (isAnyPort(ports)) return true;
  if (port === undefined) return isOpaquePort(ports);
  return !isOpaquePort(ports) && ports.start <= port && port <= ports.end;
}

export function pairMatches(pair: SelectorPair, packet: Packet): boolean {
  return (
    pair.local.some((one) => matches(one, packet.local, packet.protocol, packet.localPort)) &&
    pair.remote.some((one) => matches(one, packet.remote, packet.protocol, packet.remotePort))
  );
}
