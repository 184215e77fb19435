/** Identities as the configuration writes them: `gw.example.net`, `ip:192.0.2.1`, `keyid:0xc0ffee` (RFC 7296 section 3.5). */
import { fromHex, utf8 } from "../base/bytes.ts";
import { parseIpAddress } from "../base/ip-address.ts";
import type { Identification } from "../policy/connection.ts";
import { isPattern } from "../policy/pad.ts";
import { IdType } from "../wire/ike/registries.ts";
import { encodeDistinguishedName } from "./distinguished-name.ts";
import { Refusal, text } from "./leaf.ts";
import { printable } from "./yaml-text.ts";

const PREFIXED = /^([a-z0-9_]+):(.*)$/i;
/** Octets of an identity, at most. */
const IDENTITY_OCTETS_MAX = 512;

/** The peer's: may stand for many, `*.example.net`, `*@example.net`, `dn:O=Example, CN=*`. */
export function peerIdentity(value: unknown): Identification {
  const given = text(value, "an identity such as gw.example.net").trim();
  const read = readIdentity(given);
  const hasStar = read.idType !== IdType.DER_ASN1_DN && read.idType !== IdType.KEY_ID && given.includes("*");
  if (hasStar && (!isPattern(read) || given.indexOf("*") !== given.lastIndexOf("*")))
    throw bad(
      given,
      "a * stands for all that comes before .DOMAIN or @DOMAIN, as in *.example.net, and nowhere else",
    );
  return read;
}

/** Our own: one. */
export function identity(value: unknown): Identification {
  const given = text(value, "an identity such as gw.example.net").trim();
  const read = readIdentity(given);
  if (
    isPattern(read) ||
    (given.includes("*") && read.idType !== IdType.KEY_ID && read.idType !== IdType.DER_ASN1_DN)
  )
    throw bad(given, "we have one identity; a * can only stand in remote.id");
  return read;
}

/** Without a type in front an address, a mail address or a domain name is recognized. */
function readIdentity(given: string): Identification {
  const address = parseIpAddress(given);
  if (address !== undefined) return addressIdentity(address);
  const match = PREFIXED.exec(given);
  if (match !== null && !given.startsWith("@"))
    return typed(match[1]!.toLowerCase(), match[2]!.trim(), given);
  if (given.startsWith("@"))
    throw bad(
      given,
      `write ${printable(given.slice(1))}, or fqdn:${printable(given.slice(1))}, without the @`,
    );
  if (given.includes("=")) return typed("dn", given, given);
  if (given.includes("%")) throw bad(given, "write any to accept every identity that has the key");
  return given.includes("@") ? typed("email", given, given) : typed("fqdn", given, given);
}

function typed(type: string, rest: string, given: string): Identification {
  if (rest === "") throw bad(given, `put the identity behind ${type}:`);
  switch (type) {
    case "ip":
    case "ipv4":
    case "ipv6": {
      const address = parseIpAddress(rest);
      if (address === undefined) throw bad(given, "behind ip: stands an IPv4 or IPv6 address");
      return addressIdentity(address);
    }
    case "fqdn":
      if (!/^[\x21-\x7e]+$/.test(rest)) throw bad(given, "a domain name is ASCII without blanks");
      return bounded(IdType.FQDN, utf8(rest), given);
    case "email":
      if (!/^[^\s@]+@[^\s@]+$/.test(rest)) throw bad(given, "behind email: stands NAME@DOMAIN");
      return bounded(IdType.RFC822_ADDR, utf8(rest), given);
    case "keyid":
      return bounded(IdType.KEY_ID, keyId(rest, given), given);
    case "dn":
    case "asn1dn":
      return bounded(IdType.DER_ASN1_DN, encodeDistinguishedName(rest), given);
    default:
      throw bad(given, "the types are ip: fqdn: email: dn: keyid:");
  }
}

function addressIdentity(address: Uint8Array): Identification {
  return { idType: address.length === 4 ? IdType.IPV4_ADDR : IdType.IPV6_ADDR, data: address };
}

function keyId(rest: string, given: string): Uint8Array {
  if (!rest.toLowerCase().startsWith("0x")) return utf8(rest);
  try {
    return fromHex(rest.slice(2));
  } catch {
    throw bad(given, "behind keyid:0x stand whole octets in hexadecimal");
  }
}

function bounded(idType: number, data: Uint8Array, given: string): Identification {
  if (data.length === 0 || data.length > IDENTITY_OCTETS_MAX)
    throw bad(given, `an identity has 1 to ${IDENTITY_OCTETS_MAX} octets`);
  return { idType, data };
}

function bad(given: string, advice: string): Refusal {
  return new Refusal("CONFIG_BAD_VALUE", `"${printable(given)}" is no identity; ${advice}`);
}
