/** What of the traffic of a connection was dropped last, out of what the lanes remember. */
import { contains } from "../base/address-range.ts";
import type { Instant } from "../base/instant.ts";
import type { IpAddress } from "../base/ip-address.ts";
import { Spi } from "../base/spi.ts";
import type { ConnectionStatus } from "../control/schema.ts";
import type { DropTrace } from "../dataplane/drop-record.ts";
import type { ConnectionState } from "../ike/connection-state.ts";
import { outerPacketText, packetText } from "../observe/packet-words.ts";
import type { SelectorPair } from "../policy/traffic-selector.ts";
import { secondsBetween } from "./status-traffic.ts";

const SHOWN_MAX = 20;

/** @param networks - of its children, as configured */
export function recentDrops(
  { children }: Pick<ConnectionState, "children">,
  networks: readonly SelectorPair[],
  drops: readonly DropTrace[],
  now: Instant,
): NonNullable<ConnectionStatus["recentDrops"]> {
  const spis = new Set<number>(
    children.flatMap(({ sa, siblings = [], parts = [], old }) =>
      [...(sa === undefined ? [] : [sa]), ...siblings, ...parts, ...old].map(({ inboundSpi }) => inboundSpi),
    ),
  );
  const isOurs = (drop: DropTrace) =>
    (drop.spi !== undefined && spis.has(drop.spi)) ||
    (drop.kind === "outbound" && networks.some((pair) => isWithin(drop.source, drop.destination, pair)));
  return drops
    .filter(isOurs)
    .sort((a, b) => b.lastAt - a.lastAt)
    .slice(0, SHOWN_MAX)
    .map((drop) => ({
      packet: drop.kind === "datagram" ? outerPacketText(drop, Spi(drop.spi ?? 0)) : packetText(drop),
      direction: drop.kind,
      reason: drop.reason,
      packets: drop.packets,
      secondsAgo: secondsBetween(drop.lastAt, now),
    }));
}

function isWithin(source: IpAddress, destination: IpAddress, { local, remote }: SelectorPair): boolean {
  return (
    local.some(({ addresses }) => contains(addresses, source)) &&
    remote.some(({ addresses }) => contains(addresses, destination))
  );
}
