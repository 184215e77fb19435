/** The SA pair of a manual child, as commands for the data plane (RFC 4301 section 4.5.1). */
import type { IpAddress } from "../base/ip-address.ts";
import type { DataPlaneCommand } from "../policy/data-plane.ts";
import { EXTENDED_SEQUENCE_MAX, SEQUENCE_MAX } from "../policy/sa-record.ts";
import type { GatewayManualChild } from "./gateway-configuration.ts";

/** Outbound numbers that may be used [ESP-02]; for CBC with HMAC, where a repeated number harms no key, all of them. */
export interface ManualNumbers {
  readonly first: number;
  readonly last: number;
}

/**
 * Numbers that are left out when an SA takes another one's place with the same keys or the same SPI: lanes may still be sending with
 * the one before, and its last number is not known yet.
 */
export const SUCCESSION_SKIP = 2 ** 20;

/** The last sequence number that a manual SA may ever use: its counter must not wrap [ESP-03]. */
export function lastSequenceNumber(isExtended: boolean): number {
  return isExtended ? EXTENDED_SEQUENCE_MAX : SEQUENCE_MAX;
}

/** @param natPort - our UDP port for encapsulated ESP */
export function manualSaCommands(
  child: GatewayManualChild,
  localAddress: IpAddress,
  natPort: number,
  numbers: ManualNumbers,
): readonly DataPlaneCommand[] {
  const isUdp = child.encapsulation === "udp";
  const common = {
    policy: child.policy,
    encapsulation: child.encapsulation,
    local: { address: localAddress, port: isUdp ? natPort : 0 },
    remote: { address: child.remoteAddress, port: isUdp ? child.remotePort : 0 },
    selectors: child.selectors,
    lifetime: {},
    handling: child.handling,
  } as const;
  return [
    { kind: "addInboundSa", sa: { ...common, ...child.inbound } },
    {
      kind: "addOutboundSa",
      sa: {
        ...common,
        ...child.outbound,
        inboundSpi: child.inbound.spi,
        firstSequenceNumber: numbers.first,
        lastSequenceNumber: numbers.last,
      },
    },
  ];
}
