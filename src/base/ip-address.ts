/** IPv4 and IPv6 addresses as octets, and their text forms (RFC 4291 section 2.2, RFC 5952). */
import type { Branded } from "./brand.ts";
import { compare } from "./bytes.ts";

/** 4 octets (IPv4) or 16 octets (IPv6), network order. */
export type IpAddress = Branded<Uint8Array, "IpAddress">;
export type IpFamily = 4 | 6;

/** @throws {RangeError} unless `octets` has 4 or 16 octets */
export function IpAddress(octets: Uint8Array): IpAddress {
  if (octets.length !== 4 && octets.length !== 16) throw new RangeError("an IP address has 4 or 16 octets");
  return octets as IpAddress;
}

export function familyOf(address: IpAddress): IpFamily {
  return address.length === 4 ? 4 : 6;
}

/** Reads dotted decimal or RFC 4291 text, without zone; `undefined` when it is neither. */
export function parseIpAddress(text: string): IpAddress | undefined {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): IpAddress | undefined {
  const parts = text.split(".");
  if (parts.length !== 4) return undefined;
  const octets = new Uint8Array(4);
  for (let i = 0; i < 4; i++) {
    const part = parts[i]!;
    if (!/^(0|[1-9][0-9]{0,2})$/.test(part)) return undefined;
    const value = Number(part);
    if (value > 255) return undefined;
    octets[i] = value;
  }
  return octets as IpAddress;
}

function parseIpv6(text: string): IpAddress | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const head = groupsOf(halves[0]!, halves.length === 1);
  const tail = halves.length === 2 ? groupsOf(halves[1]!, true) : [];
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const octets = new Uint8Array(16);
  groups.forEach((group, i) => {
    octets[2 * i] = group >> 8;
    octets[2 * i + 1] = group & 0xff;
  });
  return octets as IpAddress;
}

function groupsOf(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === "") return [];
  const groups: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    if (mayEndInIpv4 && i === parts.length - 1 && part.includes(".")) {
      const v4 = parseIpv4(part);
      if (v4 === undefined) return undefined;
      groups.push((v4[0]! << 8) | v4[1]!, (v4[2]! << 8) | v4[3]!);
    } else {
      if (!/^[0-9a-fA-F]{1,4}$/.test(part)) return undefined;
      groups.push(Number.parseInt(part, 16));
    }
  }
  return groups;
}

/** Dotted decimal, or the canonical text of RFC 5952. */
export function formatIpAddress(address: Uint8Array): string {
  if (address.length === 4) return address.join(".");
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push((address[i]! << 8) | address[i + 1]!);
  const { start, length } = longestZeroRun(groups);
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  if (length < 2) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  for (let i = 0; i < groups.length; i++) {
    let length = 0;
    while (groups[i + length] === 0) length++;
    if (length > best.length) best = { start: i, length };
    i += length;
  }
  return best;
}

/** Orders addresses of one family; IPv4 before IPv6. */
export function compareIpAddress(a: IpAddress, b: IpAddress): number {
  return a.length === b.length ? compare(a, b) : a.length - b.length;
}

/** The address above, or `undefined` past the last of the family. */
export function nextIpAddress(address: IpAddress): IpAddress | undefined {
  const next = new Uint8Array(address);
  for (let i = next.length - 1; i >= 0; i--) {
    next[i] = (next[i]! + 1) & 0xff;
    if (next[i] !== 0) return next as IpAddress;
  }
  return undefined;
}
