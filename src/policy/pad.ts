/** Lookups in the peer authorization database (RFC 4301 section 4.4.3): which connections a peer may be. */
import { type AddressRange, contains } from "../base/address-range.ts";
import { equal, toHex } from "../base/bytes.ts";
import type { IpAddress } from "../base/ip-address.ts";
import { IdType } from "../wire/ike/registries.ts";
import { WireError } from "../wire/wire-error.ts";
import { type DistinguishedName, decodeName, matchesPattern } from "../wire/x509/distinguished-name.ts";
import type { Connection, Identification } from "./connection.ts";

/** The identity that stands for an outer address (RFC 7296 section 3.5). */
function addressIdentity(address: IpAddress): Identification {
  return { idType: address.length === 4 ? IdType.IPV4_ADDR : IdType.IPV6_ADDR, data: address };
}

const ASTERISK = 0x2a;

/**
 * Whether an expected identity stands for many (RFC 4301 section 4.4.3.1): `*.example.net` for all domains below,
 * `*@example.net` for all mailboxes of a domain, and a distinguished name with values `*`. There is no other place for `*`.
 */
export function isPattern({ idType, data }: Identification): boolean {
  switch (idType) {
    case IdType.FQDN:
      return data[0] === ASTERISK && data[1] === 0x2e;
    case IdType.RFC822_ADDR:
      return data[0] === ASTERISK && data[1] === 0x40;
    case IdType.DER_ASN1_DN:
      return nameOf(data)?.relativeNames.some((one) => one.length === 1 && one[0]!.text === "*") ?? false;
    default:
      return false;
  }
}

/**
 * Whether a peer's identity is the one expected. FQDNs and mail domains know no case (RFC 4301 section 4.4.3.1);
 * everything else is compared octet by octet. What a peer presents is never read as a pattern.
 */
export function matchIdentity(expected: Identification, presented: Identification): boolean {
  if (expected.idType !== presented.idType) return false;
  if (expected.idType !== IdType.DER_ASN1_DN && isPattern(expected)) return matchEnding(expected, presented);
  switch (expected.idType) {
    case IdType.FQDN:
      return isSameIgnoringCase(expected.data, presented.data);
    case IdType.RFC822_ADDR:
      return equal(lowerCaseDomain(expected.data), lowerCaseDomain(presented.data));
    case IdType.DER_ASN1_DN:
      return matchName(expected.data, presented.data);
    default:
      return equal(expected.data, presented.data);
  }
}

/** Whether two identities that were proven, or are ours, are the same one: what stands for many is a name like others here. */
export function isSameIdentity(a: Identification, b: Identification): boolean {
  if (a.idType === b.idType && equal(a.data, b.data)) return true;
  return !isPattern(a) && !isPattern(b) && matchIdentity(a, b);
}

/** A text that is the same for expected identities that {@link matchIdentity} takes for the same one. */
export function identityKey({ idType, data }: Identification): string {
  if (idType === IdType.FQDN) return `${idType}:${toHex(lowerCase(data, 0))}`;
  if (idType === IdType.RFC822_ADDR) return `${idType}:${toHex(lowerCaseDomain(data))}`;
  const name = idType === IdType.DER_ASN1_DN ? nameOf(data) : undefined;
  return `${idType}:${name?.key ?? toHex(data)}`;
}

/** Whether some identity is expected by both patterns. */
export function patternsOverlap(a: Identification, b: Identification): boolean {
  if (a.idType !== b.idType) return false;
  if (a.idType === IdType.DER_ASN1_DN) {
    const [one, other] = [nameOf(a.data), nameOf(b.data)];
    return one !== undefined && other !== undefined && namesOverlap(one, other);
  }
  const [longer, shorter] = a.data.length > b.data.length ? [a.data, b.data] : [b.data, a.data];
  const ending = shorter.subarray(1);
  return equal(lowerCase(longer.subarray(longer.length - ending.length), 0), lowerCase(ending, 0));
}

/** Part by part, each of which is a value of its own or `*`. */
function namesOverlap(a: DistinguishedName, b: DistinguishedName): boolean {
  const isAny = ({ relativeNames }: DistinguishedName, i: number) =>
    relativeNames[i]!.length === 1 && relativeNames[i]![0]!.text === "*";
  const isOfType = (name: DistinguishedName, i: number, type: string | undefined) =>
    name.relativeNames[i]!.length === 1 && name.relativeNames[i]![0]!.type === type;
  if (a.keys.length !== b.keys.length) return false;
  return a.keys.every((key, i) => {
    if (isAny(a, i)) return isOfType(b, i, a.relativeNames[i]![0]!.type);
    if (isAny(b, i)) return isOfType(a, i, b.relativeNames[i]![0]!.type);
    return key === b.keys[i];
  });
}

/** Names compare by RFC 5280 section 7.1, whatever kinds of strings they are made of; the value `*` expects any value. */
function matchName(expected: Uint8Array, presented: Uint8Array): boolean {
  if (equal(expected, presented)) return true;
  const [name, pattern] = [nameOf(presented), nameOf(expected)];
  return name !== undefined && pattern !== undefined && matchesPattern(name, pattern);
}

function nameOf(data: Uint8Array): DistinguishedName | undefined {
  try {
    return decodeName(data);
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

/** Behind the `*` stands all that both have to have; in front of it there is something, and no `*`. */
function matchEnding(expected: Identification, { data }: Identification): boolean {
  const ending = expected.data.subarray(1);
  const front = data.length - ending.length;
  if (front < 1 || data.includes(ASTERISK)) return false;
  return equal(lowerCase(data.subarray(front), 0), lowerCase(ending, 0));
}

/** Without copies: an initiator compares the names of all its IKE SAs. */
function isSameIgnoringCase(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((octet, i) => lowerOctet(octet) === lowerOctet(b[i]!));
}

function lowerCaseDomain(mail: Uint8Array): Uint8Array {
  return lowerCase(mail, mail.lastIndexOf(0x40) + 1);
}

function lowerCase(text: Uint8Array, from: number): Uint8Array {
  return text.map((octet, i) => (i >= from ? lowerOctet(octet) : octet));
}

function lowerOctet(octet: number): number {
  return octet >= 0x41 && octet <= 0x5a ? octet + 0x20 : octet;
}

/** Our identity on a connection, given the outer address that its IKE SA uses. */
export function localIdentity(connection: Connection, localAddress: IpAddress): Identification {
  return connection.local.id ?? addressIdentity(localAddress);
}

/** The identity that the peer has to prove; `any` accepts all that prove the key. */
export function expectedIdentity(connection: Connection, remoteAddress: IpAddress): Identification | "any" {
  return connection.remote.id ?? addressIdentity(remoteAddress);
}

/**
 * The connections that a peer at `remoteAddress` calling `localAddress` may be, the narrowest remote address first, then
 * in the order of the configuration (RFC 4301 section 4.4.3).
 */
export function connectionsFor(
  connections: readonly Connection[],
  localAddress: IpAddress,
  remoteAddress: IpAddress,
): readonly Connection[] {
  const found: { connection: Connection; bits: number }[] = [];
  for (const connection of connections) {
    const bits = openBitsFor(connection, localAddress, remoteAddress);
    if (bits !== undefined) found.push({ connection, bits });
  }
  return found.sort((a, b) => a.bits - b.bits).map((match) => match.connection);
}

/**
 * Bits that the narrowest range with a peer's address leaves open; more than any address has when every address is welcome.
 * @returns absent: a peer at `address` that calls `localAddress` is none of this connection
 */
export function openBitsFor(
  { local, remote }: Connection,
  localAddress: IpAddress,
  address: IpAddress,
): number | undefined {
  if (local.address !== undefined && !equal(local.address, localAddress)) return undefined;
  const { addresses, names, id } = remote;
  const matches = addresses.filter((range) => contains(range, address)).map(openBits);
  if (matches.length > 0) return Math.min(...matches);
  if (names === undefined) return addresses.length === 0 ? 129 : undefined;
  // It may be where its name does not say yet: whoever proves to be it is taken from anywhere.
  return typeof id === "object" ? 129 : undefined;
}

function openBits({ start, end }: AddressRange): number {
  for (let i = 0; i < start.length; i++) {
    const difference = start[i]! ^ end[i]!;
    if (difference !== 0) return (start.length - i) * 8 - Math.clz32(difference) + 24;
  }
  return 0;
}

/**
 * Of the connections that fit the addresses, those that say most exactly whom they expect: their secrets alone prove that
 * identity (RFC 4301 section 4.4.3: the first entry that matches decides). Several are left only where they say it equally.
 * @param presented - the identity that the peer claims
 * @param wanted - the identity that the peer wants us to have (IDr of an initiator); absent: any of ours
 */
export function connectionsForIdentities(
  candidates: readonly Connection[],
  localAddress: IpAddress,
  remoteAddress: IpAddress,
  presented: Identification,
  wanted: Identification | undefined,
): readonly Connection[] {
  const fitting = candidates.filter((connection) => {
    if (wanted !== undefined && !matchIdentity(localIdentity(connection, localAddress), wanted)) return false;
    const expected = expectedIdentity(connection, remoteAddress);
    return expected === "any" || matchIdentity(expected, presented);
  });
  const vagueness = (connection: Connection) => {
    const expected = expectedIdentity(connection, remoteAddress);
    return expected === "any" ? 2 : isPattern(expected) ? 1 : 0;
  };
  const least = fitting.reduce((most, one) => Math.min(most, vagueness(one)), 2);
  return fitting.filter((one) => vagueness(one) === least);
}
