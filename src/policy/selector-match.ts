/** Which fields of a packet a selector pair does not match: the same decision as a lane's, slower, with reasons (RFC 4301 section 4.4.1). */
import { contains } from "../base/address-range.ts";
import type { IpAddress } from "../base/ip-address.ts";
import {
  ANY_PROTOCOL,
  isAnyPort,
  isOpaquePort,
  type SelectorPair,
  type TrafficSelector,
} from "./traffic-selector.ts";

/** A packet from the gateway's side, as far as somebody who asks has said: what is absent may be anything. */
export interface PacketView {
  readonly local: IpAddress;
  readonly remote: IpAddress;
  readonly protocol?: number;
  /** For ICMP in both fields type * 256 + code. */
  readonly localPort?: number;
  readonly remotePort?: number;
}

export type SelectorField = "localAddress" | "remoteAddress" | "protocol" | "localPort" | "remotePort";

export interface SelectorMatch {
  /** Empty: it matches, if `isCertain` does not say otherwise. */
  readonly differs: readonly SelectorField[];
  /** False: it depends on what was left open. */
  readonly isCertain: boolean;
}

export function matchSelectors({ local, remote }: SelectorPair, packet: PacketView): SelectorMatch {
  const ours = matchSide(local, packet.local, packet.protocol, packet.localPort, "localAddress", "localPort");
  const theirs = matchSide(
    remote,
    packet.remote,
    packet.protocol,
    packet.remotePort,
    "remoteAddress",
    "remotePort",
  );
  return {
    differs: [...new Set([...ours.differs, ...theirs.differs])],
    isCertain: ours.isCertain && theirs.isCertain,
  };
}

/** The best of a side's selectors. */
function matchSide(
  side: readonly TrafficSelector[],
  address: IpAddress,
  protocol: number | undefined,
  port: number | undefined,
  addressField: SelectorField,
  portField: SelectorField,
): SelectorMatch {
  let best: SelectorMatch = { differs: [addressField, "protocol", portField], isCertain: true };
  for (const selector of side) {
    const differs: SelectorField[] = [];
    if (!contains(selector.addresses, address)) differs.push(addressField);
    const isProtocolOpen = selector.protocol !== ANY_PROTOCOL && protocol === undefined;
    if (selector.protocol !== ANY_PROTOCOL && protocol !== undefined && selector.protocol !== protocol)
      differs.push("protocol");
    const isPortOpen = !isAnyPort(selector.ports) && port === undefined;
    if (port !== undefined && !isAnyPort(selector.ports) && !holdsPort(selector, port))
      differs.push(portField);
    const isCertain = !isProtocolOpen && !isPortOpen;
    const isBetter =
      differs.length < best.differs.length ||
      (differs.length === best.differs.length && isCertain && !best.isCertain);
    if (isBetter) best = { differs, isCertain };
  }
  return best;
}

/** OPAQUE is for packets whose ports cannot be seen. */
function holdsPort({ ports }: TrafficSelector, port: number): boolean {
  return !isOpaquePort(ports) && ports.start <= port && port <= ports.end;
}
