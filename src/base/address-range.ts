/** Contiguous ranges of IP addresses and the prefixes that make them up (RFC 4301 section 4.4.1.1). */
import {
  compareIpAddress,
  familyOf,
  formatIpAddress,
  IpAddress,
  type IpFamily,
  nextIpAddress,
  parseIpAddress,
} from "./ip-address.ts";

/** Both ends are included, are of one family, and `start` is not above `end`. */
export interface AddressRange {
  readonly start: IpAddress;
  readonly end: IpAddress;
}

export interface Prefix {
  readonly address: IpAddress;
  /** Leading bits that are fixed, 0..32 or 0..128. */
  readonly bits: number;
}

/** A host's address and the network that it lies in. */
export interface InterfaceAddress {
  readonly address: IpAddress;
  /** Leading bits of the network, 1..32 or 1..128. */
  readonly bits: number;
}

export function anyAddress(family: IpFamily): AddressRange {
  const length = family === 4 ? 4 : 16;
  return { start: IpAddress(new Uint8Array(length)), end: IpAddress(new Uint8Array(length).fill(0xff)) };
}

/** Reads `10.1.0.0/16` or a single address; `undefined` when it is neither or has bits set below the prefix. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf("/");
  const address = parseIpAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const most = address.length * 8;
  if (slash < 0) return { address, bits: most };
  const bitsText = text.slice(slash + 1);
  if (!/^(0|[1-9][0-9]{0,2})$/.test(bitsText) || Number(bitsText) > most) return undefined;
  const prefix = { address, bits: Number(bitsText) };
  return compareIpAddress(prefixRange(prefix).start, address) === 0 ? prefix : undefined;
}

export function prefixRange({ address, bits }: Prefix): AddressRange {
  const start = new Uint8Array(address);
  const end = new Uint8Array(address);
  for (let i = 0; i < address.length; i++) {
    const fixed = Math.max(0, Math.min(8, bits - 8 * i));
    const mask = (0xff << (8 - fixed)) & 0xff;
    start[i] = start[i]! & mask;
    end[i] = end[i]! | (~mask & 0xff);
  }
  return { start: IpAddress(start), end: IpAddress(end) };
}

/** The fewest prefixes that cover the range exactly, in order. */
export function rangeToPrefixes(range: AddressRange): readonly Prefix[] {
  const prefixes: Prefix[] = [];
  let start: IpAddress | undefined = range.start;
  while (start !== undefined && compareIpAddress(start, range.end) <= 0) {
    let bits = start.length * 8;
    while (bits > 0) {
      const wider: AddressRange = prefixRange({ address: start, bits: bits - 1 });
      if (compareIpAddress(wider.start, start) !== 0 || compareIpAddress(wider.end, range.end) > 0) break;
      bits--;
    }
    prefixes.push({ address: start, bits });
    start = nextIpAddress(prefixRange({ address: start, bits }).end);
  }
  return prefixes;
}

export function contains(range: AddressRange, address: IpAddress): boolean {
  return (
    familyOf(range.start) === familyOf(address) &&
    compareIpAddress(range.start, address) <= 0 &&
    compareIpAddress(address, range.end) <= 0
  );
}

export function containsRange(outer: AddressRange, inner: AddressRange): boolean {
  return contains(outer, inner.start) && contains(outer, inner.end);
}

/** What both ranges hold, or `undefined` when nothing. */
export function intersectRange(a: AddressRange, b: AddressRange): AddressRange | undefined {
  if (familyOf(a.start) !== familyOf(b.start)) return undefined;
  const start = compareIpAddress(a.start, b.start) >= 0 ? a.start : b.start;
  const end = compareIpAddress(a.end, b.end) <= 0 ? a.end : b.end;
  return compareIpAddress(start, end) <= 0 ? { start, end } : undefined;
}

/** `10.1.0.0/16`, a single address, or `10.1.0.1-10.1.0.9` where no one prefix fits. */
export function formatAddressRange(range: AddressRange): string {
  const prefixes = rangeToPrefixes(range);
  if (prefixes.length > 1) return `${formatIpAddress(range.start)}-${formatIpAddress(range.end)}`;
  return formatPrefix(prefixes[0]!);
}

export function formatPrefix({ address, bits }: Prefix): string {
  return bits === address.length * 8 ? formatIpAddress(address) : `${formatIpAddress(address)}/${bits}`;
}

export function isSingle({ start, end }: AddressRange): boolean {
  return start.every((octet, i) => octet === end[i]);
}
