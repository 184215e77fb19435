/** What an SA pair leaves of its path for inner packets. */
import { familyOf } from "../base/ip-address.ts";
import type { SaPairState } from "../dataplane/data-plane.ts";
import { type EffectiveMtu, effectiveAhMtu, effectiveMtu } from "../esp/effective-mtu.ts";
import { suiteSizes } from "../policy/sa-record.ts";

/** All in octets; `isConfigured`: it is the operator's `mtu`, and the path would take more. */
export function innerMtu(pair: SaPairState): EffectiveMtu & { readonly isConfigured: boolean } {
  const family = familyOf(pair.remote.address);
  const sizes = suiteSizes(pair.suite);
  const size =
    pair.suite.protocol === "ah"
      ? effectiveAhMtu(pair.pathMtu, family, sizes.icvLength, pair.mode)
      : effectiveMtu(pair.pathMtu, family, pair.encapsulation, sizes, pair.mode);
  const isConfigured = pair.innerMtuMax > 0 && pair.innerMtuMax < size.inner;
  return { ...size, inner: isConfigured ? pair.innerMtuMax : size.inner, isConfigured };
}
