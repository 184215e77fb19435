/** Whose traffic it is, over all SAs that carry it at the same time or one after the other. */
import { formatEndpoint } from "../base/udp-endpoint.ts";
import type { SaPairState } from "../dataplane/data-plane.ts";

/**
 * The same for an SA and those that replace it. Peers of one connection share its policies, so the peer's address belongs to
 * it: a peer that moves begins anew, on another path.
 */
export function trafficKey({ policy, remote }: Pick<SaPairState, "policy" | "remote">): string {
  return `${policy} ${formatEndpoint(remote)}`;
}
