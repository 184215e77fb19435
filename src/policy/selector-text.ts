/** Traffic selectors as operators write and read them: `10.1.0.0/16[tcp/443]` (RFC 4301 section 4.4.1.1). */
import { type AddressRange, formatAddressRange, parsePrefix, prefixRange } from "../base/address-range.ts";
import { compareIpAddress, parseIpAddress } from "../base/ip-address.ts";
import {
  ANY_PORT,
  ANY_PROTOCOL,
  isAnyPort,
  isOpaquePort,
  OPAQUE_PORT,
  type PortRange,
  type SelectorPair,
  type TrafficSelector,
} from "./traffic-selector.ts";

/** IANA protocol numbers that have a name here; any other is written as its number. */
const PROTOCOLS: Readonly<Record<string, number>> = {
  icmp: 1,
  igmp: 2,
  tcp: 6,
  udp: 17,
  dccp: 33,
  gre: 47,
  esp: 50,
  ah: 51,
  icmpv6: 58,
  ospf: 89,
  vrrp: 112,
  sctp: 132,
  udplite: 136,
};
const ICMP = 1;
const ICMPV6 = 58;

/** `tcp`, or the number. */
export function formatProtocol(protocol: number): string {
  return Object.keys(PROTOCOLS).find((name) => PROTOCOLS[name] === protocol) ?? `${protocol}`;
}

/** Reads `tcp`, `ipv6-icmp` or `0`..`255`. */
export function parseProtocol(text: string): number | undefined {
  const name = text.toLowerCase() === "ipv6-icmp" ? "icmpv6" : text.toLowerCase();
  if (name === "any") return ANY_PROTOCOL;
  if (Object.hasOwn(PROTOCOLS, name)) return PROTOCOLS[name];
  return parseNumber(text, 255);
}

/** `10.1.0.0/16`, `10.1.0.0/16[tcp/443]`, `10.1.0.0/16[udp/1024-65535]`, `10.1.0.0/16[icmp/3/4]`, `10.1.0.0/16[tcp/opaque]`. */
export function formatSelector({ addresses, protocol, ports }: TrafficSelector): string {
  const text = formatAddressRange(addresses);
  if (protocol === ANY_PROTOCOL && isAnyPort(ports)) return text;
  const name = protocol === ANY_PROTOCOL ? "any" : formatProtocol(protocol);
  return isAnyPort(ports) ? `${text}[${name}]` : `${text}[${name}/${formatPorts(protocol, ports)}]`;
}

export function formatSelectors(selectors: readonly TrafficSelector[]): string {
  return selectors.map(formatSelector).join(", ");
}

/** `10.1.0.0/16 <-> 10.2.0.0/16` */
export function formatSelectorPair({ local, remote }: SelectorPair): string {
  return `${formatSelectors(local)} <-> ${formatSelectors(remote)}`;
}

/** `443`, `1024-65535`, `opaque`; with ICMP `8` for a type with any code, `3/4` for type and code. */
function formatPorts(protocol: number, ports: PortRange): string {
  if (isOpaquePort(ports)) return "opaque";
  if (protocol !== ICMP && protocol !== ICMPV6)
    return ports.start === ports.end ? `${ports.start}` : `${ports.start}-${ports.end}`;
  const isWholeTypes = ports.start % 256 === 0 && ports.end % 256 === 255;
  const part = (value: number) => (isWholeTypes ? `${value >> 8}` : `${value >> 8}/${value & 0xff}`);
  return part(ports.start) === part(ports.end)
    ? part(ports.start)
    : `${part(ports.start)}-${part(ports.end)}`;
}

/** Reads what {@link formatPorts} writes. */
export function parsePorts(protocol: number, text: string): PortRange | undefined {
  if (text.toLowerCase() === "opaque") return OPAQUE_PORT;
  if (text.toLowerCase() === "any") return ANY_PORT;
  const parts = text.split("-");
  if (parts.length > 2) return undefined;
  const read = protocol === ICMP || protocol === ICMPV6 ? parseTypeAndCode : parsePort;
  const first = read(parts[0]!);
  const last = parts.length === 2 ? read(parts[1]!) : first;
  if (first === undefined || last === undefined || first.start > last.end) return undefined;
  return { start: first.start, end: last.end };
}

function parsePort(text: string): PortRange | undefined {
  const port = parseNumber(text, 65535);
  return port === undefined ? undefined : { start: port, end: port };
}

function parseTypeAndCode(text: string): PortRange | undefined {
  const [typeText, codeText, ...more] = text.split("/");
  const type = parseNumber(typeText!, 255);
  if (type === undefined || more.length > 0) return undefined;
  if (codeText === undefined) return { start: type * 256, end: type * 256 + 255 };
  const code = parseNumber(codeText, 255);
  return code === undefined ? undefined : { start: type * 256 + code, end: type * 256 + code };
}

function parseNumber(text: string, most: number): number | undefined {
  return /^(0|[1-9][0-9]{0,4})$/.test(text) && Number(text) <= most ? Number(text) : undefined;
}

/** Reads a prefix, an address or `first-last`, with `[protocol]` or `[protocol/ports]` behind it; `undefined` when it is none. */
export function parseSelector(text: string): TrafficSelector | undefined {
  const match = /^([^[\]]+)(?:\[([^[\]/]+)(?:\/([^[\]]+))?\])?$/.exec(text);
  if (match === null) return undefined;
  const [, addressText, protocolText, portText] = match;
  const addresses = parseAddresses(addressText!);
  const protocol = protocolText === undefined ? ANY_PROTOCOL : parseProtocol(protocolText);
  if (addresses === undefined || protocol === undefined) return undefined;
  const ports = portText === undefined ? ANY_PORT : parsePorts(protocol, portText);
  return ports === undefined ? undefined : { addresses, protocol, ports };
}

function parseAddresses(text: string): AddressRange | undefined {
  const prefix = parsePrefix(text);
  if (prefix !== undefined) return prefixRange(prefix);
  const [startText, endText, ...more] = text.split("-");
  if (endText === undefined || more.length > 0) return undefined;
  const start = parseIpAddress(startText!);
  const end = parseIpAddress(endText);
  if (start === undefined || end === undefined || start.length !== end.length) return undefined;
  return compareIpAddress(start, end) <= 0 ? { start, end } : undefined;
}
