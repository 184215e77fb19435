/** Where a peer may be: what `remote.address` or an entry of `remote.ids` gives, and whether it goes with our own addresses. */
import { type AddressRange, formatAddressRange, isSingle } from "../base/address-range.ts";
import { compareIpAddress, familyOf, formatIpAddress, type IpAddress } from "../base/ip-address.ts";
import type { Findings } from "./findings.ts";
import { isUnicast } from "./gateway.ts";
import type { RemoteAddress } from "./network.ts";
import type { Path } from "./yaml-text.ts";

export interface PeerAddresses {
  /** What is given as numbers; empty means any, or names alone. */
  readonly ranges: readonly AddressRange[];
  readonly names: readonly string[];
  /** There is a single address, or a name. */
  readonly isCallable: boolean;
  /** The peer may call from several addresses. */
  readonly isOpen: boolean;
}

/** @param path - of the addresses; @param listen - ours, empty for all */
export function readAddresses(
  given: readonly RemoteAddress[],
  path: Path,
  listen: readonly IpAddress[],
  findings: Findings,
): PeerAddresses {
  if (given.length > 1 && given.some(({ kind }) => kind === "any"))
    findings.refuse(
      "CONFIG_CONFLICT",
      path,
      "any already holds the other addresses; leave one or the other out",
    );
  const ranges = given.flatMap((one) => (one.kind === "range" ? [one.range] : []));
  const names = given.flatMap((one) => (one.kind === "name" ? [one.name] : []));
  for (const [i, one] of given.entries())
    if (one.kind === "range" && isSingle(one.range) && !isUnicast(one.range.start))
      findings.refuse(
        "CONFIG_BAD_VALUE",
        [...path, i],
        `${formatAddressRange(one.range)} is no address of one machine; write any to answer everybody`,
      );
  for (const range of listen.length === 0 ? [] : ranges)
    if (!listen.some((own) => familyOf(own) === familyOf(range.start)))
      findings.refuse(
        "CONFIG_CONFLICT",
        path,
        `${formatAddressRange(range)} is IPv${familyOf(range.start)}, and gateway.listen has no such address to reach it from; add one there`,
      );
  return {
    ranges,
    names,
    isCallable: names.length > 0 || ranges.some(isSingle),
    isOpen: given.some(({ kind }) => kind === "any") || ranges.some((range) => !isSingle(range)),
  };
}

/** `local.address`, which has to be ours and of a family with the peer. */
export function checkOwnAddress(
  own: IpAddress | undefined,
  path: Path,
  listen: readonly IpAddress[],
  ranges: readonly AddressRange[],
  findings: Findings,
): void {
  if (own === undefined) return;
  if (!isUnicast(own))
    findings.refuse(
      "CONFIG_BAD_VALUE",
      path,
      "is no address of one machine; leave it out to use the one that fits",
    );
  else if (listen.length > 0 && !listen.some((one) => compareIpAddress(one, own) === 0))
    findings.refuse(
      "CONFIG_CONFLICT",
      path,
      `gateway.listen does not have ${formatIpAddress(own)}; add it there`,
    );
  const families = ranges.map((range) => familyOf(range.start));
  if (families.length > 0 && !families.includes(familyOf(own)))
    findings.refuse(
      "CONFIG_CONFLICT",
      path,
      `is IPv${familyOf(own)}, and remote.address is not; both have to be of one family`,
    );
}
