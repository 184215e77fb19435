/** Sets of prefixes that answer without looking at each of them. */
import { type AddressRange, type Prefix, prefixRange } from "../base/address-range.ts";
import { toHex } from "../base/bytes.ts";
import { compareIpAddress, type IpAddress, nextIpAddress } from "../base/ip-address.ts";

export interface PrefixSet {
  /** Whether a prefix lies within one of the set that is wider. */
  holdsWider(prefix: Prefix): boolean;
}

export function prefixSet(prefixes: readonly Prefix[]): PrefixSet {
  const keys = new Set(prefixes.map(prefixKey));
  const lengths = [...new Set(prefixes.map(({ bits }) => bits))];
  return {
    holdsWider: ({ address, bits }) =>
      lengths.some((wider) => wider < bits && keys.has(prefixKey({ address, bits: wider }))),
  };
}

/** The family is told by the length of the address. */
function prefixKey(prefix: Prefix): string {
  return `${toHex(prefixRange(prefix).start)}/${prefix.bits}`;
}

/** Whether an address lies in one of the ranges. */
export function rangeSet(ranges: readonly AddressRange[]): (address: IpAddress) => boolean {
  const merged = new Map<number, { readonly start: IpAddress; end: IpAddress }[]>();
  const sorted = [...ranges].sort(
    (a, b) => a.start.length - b.start.length || compareIpAddress(a.start, b.start),
  );
  for (const { start, end } of sorted) {
    const ofFamily = merged.get(start.length) ?? [];
    merged.set(start.length, ofFamily);
    const last = ofFamily.at(-1);
    const past = last && nextIpAddress(last.end);
    if (last === undefined || (past !== undefined && compareIpAddress(start, past) > 0))
      ofFamily.push({ start, end });
    else if (compareIpAddress(end, last.end) > 0) last.end = end;
  }
  return (address) => {
    const ofFamily = merged.get(address.length) ?? [];
    let low = 0;
    let high = ofFamily.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (compareIpAddress(ofFamily[middle]!.start, address) <= 0) low = middle + 1;
      else high = middle;
    }
    return low > 0 && compareIpAddress(address, ofFamily[low - 1]!.end) <= 0;
  };
}
