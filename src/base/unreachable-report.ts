/** That a datagram of ours did not arrive, as ICMP or this host's kernel says (RFC 792, RFC 4443 section 3.1). Anybody can forge the former. */
import type { IpAddress } from "./ip-address.ts";
import type { UdpEndpoint } from "./udp-endpoint.ts";

/**
 * `port`: nobody listens there; `host`, `net`: there is no way to it; `prohibited`: somebody forbids it; `noRoute`,
 * `blocked`: the kernel of this host has no route, or its firewall lets nothing out.
 */
export type UnreachableReason = "port" | "host" | "net" | "prohibited" | "noRoute" | "blocked";

export interface UnreachableReport {
  readonly reason: UnreachableReason;
  /** Where the datagram was bound for. */
  readonly remote: UdpEndpoint;
  /** Who sent the ICMP message, or whom it names; absent when this host refused the datagram itself. */
  readonly reporter?: IpAddress;
  /** How the datagram began, behind the UDP header and the non-ESP marker; may be empty. */
  readonly quoted: Uint8Array;
}
