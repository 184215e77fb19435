/** Addresses that are not of the public Internet (IANA special-purpose registries, RFC 6890). */
import { contains, parsePrefix, prefixRange } from "./address-range.ts";
import { IpAddress } from "./ip-address.ts";

const SPECIAL = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "224.0.0.0/3",
  "::/96",
  "64:ff9b:1::/48",
  "2001::/32",
  "5f00::/16",
  "fc00::/7",
  "fe80::/9",
  "ff00::/8",
].map((text) => prefixRange(parsePrefix(text)!));

/** IPv6 prefixes with an IPv4 address inside, and where: mapped, translated (RFC 2765, RFC 6052), 6to4. */
const EMBEDDING = [
  { range: prefixRange(parsePrefix("::ffff:0:0/96")!), at: 12 },
  { range: prefixRange(parsePrefix("::ffff:0:0:0/96")!), at: 12 },
  { range: prefixRange(parsePrefix("64:ff9b::/96")!), at: 12 },
  { range: prefixRange(parsePrefix("2002::/16")!), at: 2 },
];

/** Loopback, link-local, private, multicast and what else stays inside a host or a site; also in IPv6's disguises. */
export function isSpecialAddress(address: IpAddress): boolean {
  if (SPECIAL.some((range) => contains(range, address))) return true;
  const disguise = EMBEDDING.find(({ range }) => contains(range, address));
  if (disguise === undefined) return false;
  return isSpecialAddress(IpAddress(address.slice(disguise.at, disguise.at + 4)));
}
