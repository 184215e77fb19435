/** Who may have a half-open IKE SA, and who must show a cookie first (RFC 7296 section 2.6, RFC 8019 section 4). */

import { toHex } from "../base/bytes.ts";
import { formatIpAddress, type IpAddress } from "../base/ip-address.ts";
import { countNaming } from "../policy/caller-index.ts";
import {
  CONNECTIONS_COUNTED_PER_ADDRESS_MAX,
  COOKIE_THRESHOLD,
  COOKIE_THRESHOLD_PER_ADDRESS,
  HALF_OPEN_PER_PREFIX_MAX,
  HALF_OPEN_PER_SITE_MAX,
  HALF_OPEN_RESERVED_PER_ADDRESS,
  HALF_OPEN_STRANGERS_MAX,
} from "./limits.ts";
import type { DropReason } from "./notice.ts";
import type { HalfOpenIkeSa } from "./sa/ike-sa.ts";
import { type Machine, notice, type Turn } from "./turn.ts";

/**
 * Prefixes of strangers that are counted, by octets, and how many half-open IKE SAs each may have: IPv4 /24; of IPv6 /64 and
 * /48, between which providers give networks to sites (RFC 8019 section 4.2).
 */
const PREFIXES = {
  4: [{ octets: 3, most: HALF_OPEN_PER_PREFIX_MAX }],
  16: [
    { octets: 8, most: HALF_OPEN_PER_PREFIX_MAX },
    { octets: 6, most: HALF_OPEN_PER_SITE_MAX },
  ],
} as const;

export type Admission =
  | { readonly kind: "admitted"; readonly slot: HalfOpenIkeSa["slot"] }
  | { readonly kind: "cookie" }
  | { readonly kind: "refused"; readonly reason: DropReason };

/**
 * Whether a request from this address may make a half-open IKE SA. Addresses that a connection names singly have places of
 * their own, which no flood of strangers can take [ERR-06].
 * @param hasCookie - the request brought a cookie of ours, so the address is real
 */
export function admit(machine: Machine, address: IpAddress, hasCookie: boolean): Admission {
  const key = formatIpAddress(address);
  const connections = Math.min(countNaming(machine.callers, address), CONNECTIONS_COUNTED_PER_ADDRESS_MAX);
  if (connections > 0) {
    const count = machine.halfOpen.get(key) ?? 0;
    if (count >= COOKIE_THRESHOLD_PER_ADDRESS * connections && !hasCookie) return { kind: "cookie" };
    if (count >= HALF_OPEN_RESERVED_PER_ADDRESS * connections)
      return { kind: "refused", reason: "tooManyHalfOpen" };
    return { kind: "admitted", slot: { isReserved: true, keys: [key] } };
  }
  if (machine.halfOpenStrangers >= COOKIE_THRESHOLD && !hasCookie) return { kind: "cookie" };
  if (machine.halfOpenStrangers >= HALF_OPEN_STRANGERS_MAX)
    return { kind: "refused", reason: "tooManyHalfOpen" };
  const keys: string[] = [];
  for (const { octets, most } of PREFIXES[address.length === 4 ? 4 : 16]) {
    const prefix = `${address.length}/${toHex(address.subarray(0, octets))}`;
    if ((machine.halfOpen.get(prefix) ?? 0) >= most)
      return hasCookie ? { kind: "refused", reason: "tooManyFromPrefix" } : { kind: "cookie" };
    keys.push(prefix);
  }
  return { kind: "admitted", slot: { isReserved: false, keys } };
}

/** Takes the place. */
export function occupy(machine: Machine, slot: HalfOpenIkeSa["slot"]): void {
  for (const key of slot.keys) machine.halfOpen.set(key, (machine.halfOpen.get(key) ?? 0) + 1);
  if (!slot.isReserved) machine.halfOpenStrangers++;
}

/** Says when strangers begin to be asked for cookies, and when that is over [INIT-06]. */
export function watchCookies(turn: Turn): void {
  const { machine } = turn;
  const isOn = machine.halfOpenStrangers >= COOKIE_THRESHOLD;
  if (isOn === machine.areCookiesOn) return;
  machine.areCookiesOn = isOn;
  notice(turn, isOn ? { code: "cookiesOn", halfOpen: machine.halfOpenStrangers } : { code: "cookiesOff" });
}
