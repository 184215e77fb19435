/** Addresses, prefixes, selectors, marks and device names as the configuration writes them. */
import {
  type AddressRange,
  anyAddress,
  formatPrefix,
  type InterfaceAddress,
  type Prefix,
  parsePrefix,
  prefixRange,
} from "../base/address-range.ts";
import { compareIpAddress, type IpAddress, parseIpAddress } from "../base/ip-address.ts";
import { parsePorts, parseProtocol, parseSelector } from "../policy/selector-text.ts";
import { ANY_PORT, ANY_PROTOCOL, addressSelector, type TrafficSelector } from "../policy/traffic-selector.ts";
import { Refusal, shown, text } from "./leaf.ts";
import { printable } from "./yaml-text.ts";

/** A peer's address: numbers, a name to resolve, or anybody. */
export type RemoteAddress =
  | { readonly kind: "range"; readonly range: AddressRange }
  | { readonly kind: "name"; readonly name: string }
  | { readonly kind: "any" };

const DOMAIN_NAME =
  /^(?=.{1,253}$)(?!.*\.[0-9]+$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z_](?:[a-z0-9-]{0,61}[a-z0-9])?\.?$/i;

export function address(value: unknown): IpAddress {
  const given = text(value, "an IP address").trim();
  const parsed = parseIpAddress(given);
  if (parsed !== undefined) return parsed;
  const advice = given.includes("/")
    ? "leave the prefix length out"
    : given.includes("%")
      ? "zones (%eth0) are not supported"
      : "write one such as 192.0.2.1 or 2001:db8::1";
  throw new Refusal("CONFIG_BAD_VALUE", `"${printable(given)}" is no IP address; ${advice}`);
}

/** Reads `10.1.0.0/16`; an address alone is the prefix that holds it only. */
export function prefix(value: unknown): Prefix {
  const given = text(value, "a prefix such as 10.1.0.0/16").trim();
  const parsed = parsePrefix(given);
  if (parsed === undefined)
    throw new Refusal("CONFIG_BAD_VALUE", `"${printable(given)}" is no prefix; ${prefixAdvice(given)}`);
  return parsed;
}

/** What is most likely meant by a text that is no prefix. */
function prefixAdvice(given: string): string {
  const [addressText, bitsText, ...more] = given.split("/");
  const base = parseIpAddress(addressText!);
  if (base === undefined || bitsText === undefined || more.length > 0)
    return "write one such as 10.1.0.0/16 or 2001:db8:1::/48";
  const bits = Number(bitsText);
  if (/^\d{1,3}$/.test(bitsText) && bits <= base.length * 8)
    return `it has bits set behind the prefix; did you mean ${formatPrefix({ address: prefixRange({ address: base, bits }).start, bits })}?`;
  return `the prefix length is 0 to ${base.length * 8}`;
}

export function remoteAddress(value: unknown): RemoteAddress {
  const given = text(value, "the peer's address: IP, prefix, DNS name or any").trim();
  if (given === "any" || given === "%any" || given === "0.0.0.0/0,::/0") return { kind: "any" };
  const parsed = parsePrefix(given);
  if (parsed !== undefined) return { kind: "range", range: prefixRange(parsed) };
  if (given.includes("/"))
    throw new Refusal("CONFIG_BAD_VALUE", `"${printable(given)}" is no prefix; ${prefixAdvice(given)}`);
  if (DOMAIN_NAME.test(given)) return { kind: "name", name: given };
  throw new Refusal(
    "CONFIG_BAD_VALUE",
    `"${printable(given)}" is no address of a peer; write an IP address, a prefix, a DNS name or any`,
  );
}

const SELECTOR_EXAMPLE = "a prefix such as 10.1.0.0/16";

/** Reads `10.1.0.0/16[tcp/443]`, or a mapping of prefix, protocol and port. */
export function selector(value: unknown): TrafficSelector {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return selectorMapping(value);
  const given = text(value, SELECTOR_EXAMPLE).trim();
  if (given === "assigned" || given === "dynamic")
    throw new Refusal(
      "CONFIG_NOT_SUPPORTED",
      `${given} (an address that the peer assigns) is not supported yet; write the prefix`,
    );
  const parsed = parseSelector(given);
  if (parsed !== undefined) return parsed;
  throw new Refusal("CONFIG_SELECTOR", `"${printable(given)}" is no selector; ${selectorAdvice(given)}`);
}

function selectorAdvice(given: string): string {
  const bracket = given.indexOf("[");
  const addressText = bracket < 0 ? given : given.slice(0, bracket);
  if (addressText.includes("/") && parsePrefix(addressText) === undefined) return prefixAdvice(addressText);
  if (given.includes(",")) return "make it a list: [10.1.0.0/16, 10.3.0.0/16]";
  if (bracket >= 0)
    return "write the protocol and ports as in 10.1.0.0/16[tcp/443], [udp/1024-65535] or [icmp]";
  if (parseIpAddress(addressText) === undefined && addressText.includes("-"))
    return "in a range the first address is not above the last, and both are of one family";
  return "write a prefix such as 10.1.0.0/16 or 2001:db8:1::/48";
}

const SELECTOR_KEYS = ["prefix", "protocol", "port"];

function selectorMapping(value: object): TrafficSelector {
  const given = value as Readonly<Record<string, unknown>>;
  for (const key of Object.keys(given))
    if (!SELECTOR_KEYS.includes(key))
      throw new Refusal(
        "CONFIG_UNKNOWN_KEY",
        `a selector has no key "${printable(key)}"; its keys are ${SELECTOR_KEYS.join(", ")}`,
      );
  const addresses = prefixRange(prefix(given["prefix"]));
  const protocol = selectorProtocol(given["protocol"]);
  const port = given["port"];
  if (port === undefined) return { ...addressSelector(addresses), protocol };
  const ports =
    typeof port === "number" || typeof port === "string" ? parsePorts(protocol, String(port)) : undefined;
  if (ports === undefined)
    throw new Refusal(
      "CONFIG_SELECTOR",
      `${shown(port)} is no port; write 443, 1024-65535 or opaque (with ICMP: a type such as 8, or type/code such as 3/4)`,
    );
  if (protocol === ANY_PROTOCOL && ports !== ANY_PORT)
    throw new Refusal("CONFIG_SELECTOR", "a port needs a protocol beside it, for instance protocol: tcp");
  return { addresses, protocol, ports };
}

function selectorProtocol(value: unknown): number {
  if (value === undefined) return ANY_PROTOCOL;
  const protocol =
    typeof value === "number" || typeof value === "string" ? parseProtocol(String(value)) : undefined;
  if (protocol !== undefined) return protocol;
  throw new Refusal(
    "CONFIG_SELECTOR",
    `${shown(value)} is no protocol; write tcp, udp, icmp, icmpv6 or a number from 0 to 255`,
  );
}

/** Selectors that every packet of both families matches. */
export const ANY_SELECTORS: readonly TrafficSelector[] = [
  addressSelector(anyAddress(4)),
  addressSelector(anyAddress(6)),
];

/** Longest name of a network device, the final zero octet of the system's own aside. */
const DEVICE_NAME_LENGTH_MAX = 15;

export function deviceName(value: unknown): string {
  const given = text(value, "the name of a network device");
  if (given.length <= DEVICE_NAME_LENGTH_MAX && /^[A-Za-z0-9_][A-Za-z0-9_.-]*$/.test(given)) return given;
  throw new Refusal(
    "CONFIG_BAD_VALUE",
    `"${printable(given)}" is no device name; use up to ${DEVICE_NAME_LENGTH_MAX} letters, digits, "_", "-" or "."`,
  );
}

/** Reads `169.254.21.6/30`, an address of our own and the network it lies in; without a length it is alone there. */
export function interfaceAddress(value: unknown): InterfaceAddress {
  const given = text(value, INTERFACE_ADDRESS_EXAMPLE).trim();
  const [addressText, bitsText, ...more] = given.split("/");
  const own = parseIpAddress(addressText!);
  const most = (own?.length ?? 0) * 8;
  const bits = bitsText === undefined ? most : /^\d{1,3}$/.test(bitsText) ? Number(bitsText) : most + 1;
  if (own === undefined || more.length > 0 || bits < 1 || bits > most)
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `"${printable(given)}" is no address; give ${INTERFACE_ADDRESS_EXAMPLE}`,
    );
  const network = prefixRange({ address: own, bits });
  if (bits < most - 1 && compareIpAddress(own, network.start) === 0)
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `${printable(given)} is the network itself; give our own address in it, such as 169.254.21.6/30`,
    );
  return { address: own, bits };
}

const INTERFACE_ADDRESS_EXAMPLE =
  "an address of the TUN device and the length of its network, such as 169.254.21.6/30";

/** Reads `0x54470000/0xffff0000`. */
export function mark(value: unknown): { value: number; mask: number } {
  const given = text(value, 'a mark and its mask such as "0x54470000/0xffff0000"').trim();
  const match = /^(0x[0-9a-f]{1,8}|\d{1,10})(?:\/(0x[0-9a-f]{1,8}|\d{1,10}))?$/i.exec(given);
  const found =
    match === null ? undefined : { value: Number(match[1]), mask: Number(match[2] ?? 0xffffffff) };
  if (found === undefined || found.value > 0xffffffff || found.mask > 0xffffffff)
    throw new Refusal("CONFIG_BAD_VALUE", `"${printable(given)}" is no mark; write 0x54470000/0xffff0000`);
  if (found.value === 0 || (found.value & ~found.mask) !== 0)
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `the mark ${printable(given)} is zero or has bits outside its mask; packets of the gateway could not be told from others`,
    );
  return found;
}
