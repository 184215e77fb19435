/** The host's links, addresses and routes, and word of their changes, from the kernel over rtnetlink. */
import type { InterfaceAddress } from "../base/address-range.ts";
import { formatIpAddress, type IpAddress } from "../base/ip-address.ts";
import { NetlinkFlag, NetlinkType } from "../wire/netlink/netlink-message.ts";
import {
  type AddressMessage,
  ALL_ADDRESSES,
  ALL_LINKS,
  decodeAddress,
  decodeLink,
  decodeRoute,
  encodeAddress,
  encodeLinkUp,
  encodeRouteQuestion,
  type LinkMessage,
  type RouteMessage,
  type RouteQuestion,
  RouteType,
} from "../wire/netlink/route-messages.ts";
import {
  type NetlinkAsker,
  type NetlinkEars,
  NetlinkRefusal,
  type NetlinkRequest,
  openNetlinkAsker,
  openNetlinkEars,
} from "./native-netlink.ts";

export type HostLink = LinkMessage;

export interface HostAddress {
  readonly address: IpAddress;
  /** Leading bits of the network that the address lies in. */
  readonly bits: number;
  readonly link: number;
  /** False while duplicate address detection runs or has failed (RFC 4862 section 5.4), and for link-local ones. */
  readonly isUsable: boolean;
}

export interface HostNetwork {
  readonly links: readonly HostLink[];
  readonly addresses: readonly HostAddress[];
}

/** How the host reaches an address with packets that carry our mark. */
export interface HostRoute {
  readonly source: IpAddress;
  readonly link: number;
  /** Set on the route itself; absent: the link's. */
  readonly mtu?: number;
}

/** A packet that somebody asks about: as it arrives on a link, or as this host makes it. */
export interface FollowedPacket {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** Index of a link; absent: this host makes it. */
  readonly arrivesOn?: number;
}

/** What the kernel would do with a packet that bears no mark. */
export type PacketRoute =
  | { readonly kind: "link"; readonly link: number; readonly gateway?: IpAddress }
  /** It is for this host. */
  | { readonly kind: "local" }
  /** With the system's code: `EHOSTUNREACH`, `EXDEV` ... */
  | { readonly kind: "refused"; readonly code: string };

export interface NetworkWatch {
  /** Links and addresses as they are now. */
  snapshot(): Promise<HostNetwork>;
  /** `undefined` when there is no way. */
  routeTo(address: IpAddress, mark: number): Promise<HostRoute | undefined>;
  follow(packet: FollowedPacket): Promise<PacketRoute>;
  /** @param queueLength - packets that may wait in each of the link's queues; absent: as it is */
  setLinkUp(index: number, mtu: number, queueLength?: number): Promise<void>;
  /** Gives the link an address, of which its network is reached through it. */
  addAddress(index: number, address: InterfaceAddress): Promise<void>;
  removeAddress(index: number, address: InterfaceAddress): Promise<void>;
  close(): void;
}

/** Changes come in bursts: one call tells of all within this time. */
const SETTLE_MS = 100;
/** RTNLGRP_LINK; of IPv4 IFADDR, ROUTE, RULE; of IPv6 IFADDR, ROUTE, RULE; NETCONF of both (forwarding, rp_filter). */
const GROUPS = [1, 5, 7, 8, 9, 11, 19, 24, 25];
const SCOPE_LINK = 253;

/**
 * @param onChange - something changed: look afresh. Our own routes and rules are told of too, since others may have
 *   removed them
 */
export function watchNetwork(onChange: () => void): NetworkWatch {
  let timer: NodeJS.Timeout | undefined;
  // What is told is not read: looking afresh makes up for all of it, and for what the kernel lost in a flood.
  const ears = openNetlinkEars(GROUPS, () => {
    timer = setTimeout(() => {
      ears.listen();
      onChange();
    }, SETTLE_MS);
  });
  const kernel = openBeside(ears);
  return {
    async snapshot() {
      const dump = { flags: NetlinkFlag.DUMP };
      const links = { ...dump, type: NetlinkType.GET_LINK, body: ALL_LINKS };
      const addresses = { ...dump, type: NetlinkType.GET_ADDRESS, body: ALL_ADDRESSES };
      return {
        links: kernel.ask("read the links", links, decodeLink),
        addresses: kernel.ask("read the addresses", addresses, decodeAddress).flatMap(hostAddress),
      };
    },
    routeTo: async (address, mark) => routeTo(kernel, address, mark),
    follow: async (packet) => follow(kernel, packet),
    async setLinkUp(index, mtu, queueLength) {
      const body = encodeLinkUp(index, mtu, queueLength);
      tell(kernel, `bring up link ${index} with MTU ${mtu}`, { type: NetlinkType.SET_LINK, body });
    },
    async addAddress(index, { address, bits }) {
      const body = encodeAddress(index, address, bits);
      const request = { type: NetlinkType.NEW_ADDRESS, flags: NetlinkFlag.CREATE, body };
      tell(kernel, `give link ${index} the address ${formatIpAddress(address)}/${bits}`, request);
    },
    async removeAddress(index, { address, bits }) {
      const body = encodeAddress(index, address, bits);
      const request = { type: NetlinkType.DELETE_ADDRESS, body };
      tell(kernel, `take the address ${formatIpAddress(address)}/${bits} from link ${index}`, request);
    },
    close() {
      clearTimeout(timer);
      ears.close();
      kernel.close();
    },
  };
}

/** Listens before anything is asked, so that no change is missed. */
function openBeside(ears: NetlinkEars): NetlinkAsker {
  try {
    ears.listen();
    return openNetlinkAsker();
  } catch (error) {
    ears.close();
    throw error;
  }
}

function tell(kernel: NetlinkAsker, what: string, request: NetlinkRequest): void {
  kernel.ask(what, request, () => undefined);
}

function ask(kernel: NetlinkAsker, question: RouteQuestion): RouteMessage | undefined {
  const request = { type: NetlinkType.GET_ROUTE, body: encodeRouteQuestion(question) };
  return kernel.ask("look up a route", request, decodeRoute)[0];
}

function routeTo(kernel: NetlinkAsker, destination: IpAddress, mark: number): HostRoute | undefined {
  try {
    const found = ask(kernel, { destination, mark });
    if (found?.preferredSource === undefined || found.link === undefined) return undefined;
    // What a lookup gives may have been learnt from anybody's ICMP; the route itself holds what the operator set.
    const mtu = found.mtu === undefined ? undefined : ask(kernel, { destination, mark, isStored: true })?.mtu;
    return { source: found.preferredSource, link: found.link, ...(mtu === undefined ? {} : { mtu }) };
  } catch (error) {
    if (error instanceof NetlinkRefusal) return undefined;
    throw error;
  }
}

function follow(kernel: NetlinkAsker, { source, destination, arrivesOn }: FollowedPacket): PacketRoute {
  const inputLink = arrivesOn === undefined ? {} : { inputLink: arrivesOn };
  try {
    const found = ask(kernel, { source, destination, ...inputLink });
    if (found?.type === RouteType.LOCAL) return { kind: "local" };
    if (found?.link === undefined || found.type !== RouteType.UNICAST)
      return { kind: "refused", code: REFUSING.get(found?.type) ?? "ENETUNREACH" };
    const via = found.gateway === undefined ? {} : { gateway: found.gateway };
    return { kind: "link", link: found.link, ...via };
  } catch (error) {
    if (error instanceof NetlinkRefusal) return { kind: "refused", code: error.cause.code };
    throw error;
  }
}

/** Routes that are there to refuse, as the system's error for them (IPv6 tells of them as of any other). */
const REFUSING: ReadonlyMap<number | undefined, string> = new Map([
  [RouteType.BLACKHOLE, "EINVAL"],
  [RouteType.UNREACHABLE, "EHOSTUNREACH"],
  [RouteType.PROHIBIT, "EACCES"],
]);

function hostAddress({ address, bits, link, scope, isTentative }: AddressMessage): HostAddress[] {
  if (address === undefined) return [];
  return [{ address, bits, link, isUsable: !isTentative && scope < SCOPE_LINK }];
}
