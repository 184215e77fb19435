/** Links, addresses and routes as rtnetlink tells of them and is asked for them (RFC 3549 sections 2.3.3 and 3.1.1). */
import { concat } from "../../base/bytes.ts";
import { IpAddress, familyOf as ipFamilyOf } from "../../base/ip-address.ts";
import { WireError } from "../wire-error.ts";
import { decodeAttributes, encodeAttributes, HostOrder, u32Octets } from "./netlink-message.ts";

const LINK_LENGTH = 16;
const ADDRESS_LENGTH = 8;
const ROUTE_LENGTH = 12;

const FAMILY_IPV4 = 2;
const FAMILY_IPV6 = 10;

const LINK_UP = 0x1;
const ADDRESS_DAD_FAILED = 0x08;
const ADDRESS_TENTATIVE = 0x40;
/** Of a question: the route itself rather than what a packet would meet (RTM_F_FIB_MATCH). */
const ROUTE_STORED = 0x2000;

const LinkAttribute = { NAME: 3, MTU: 4, QUEUE_LENGTH: 13 } as const;
const AddressAttribute = { ADDRESS: 1, LOCAL: 2, FLAGS: 8 } as const;
const RouteAttribute = {
  DESTINATION: 1,
  SOURCE: 2,
  INPUT_LINK: 3,
  OUTPUT_LINK: 4,
  GATEWAY: 5,
  PREFERRED_SOURCE: 7,
  METRICS: 8,
  MARK: 16,
} as const;
const METRIC_MTU = 2;

/** What becomes of packets on a route (rtm_type). */
export const RouteType = { UNICAST: 1, LOCAL: 2, BLACKHOLE: 6, UNREACHABLE: 7, PROHIBIT: 8 } as const;

export interface LinkMessage {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
  readonly isUp: boolean;
}

export interface AddressMessage {
  readonly link: number;
  /** Leading bits of the network that the address lies in. */
  readonly bits: number;
  /** Absent where a link has none, and of other families. */
  readonly address?: IpAddress;
  /** 0: valid everywhere; 253: on the link; 254: on this host. */
  readonly scope: number;
  /** Duplicate address detection runs, or has failed (RFC 4862 section 5.4). */
  readonly isTentative: boolean;
}

export interface RouteMessage {
  readonly type: number;
  readonly link?: number;
  readonly gateway?: IpAddress;
  readonly preferredSource?: IpAddress;
  /** Set on the route itself. */
  readonly mtu?: number;
}

export interface RouteQuestion {
  readonly destination: IpAddress;
  readonly source?: IpAddress;
  /** The link that the packet arrives on; absent: this host makes it. */
  readonly inputLink?: number;
  readonly mark?: number;
  readonly isStored?: boolean;
}

/** A request to tell all links, or all addresses, begins with a structure of zeros. */
export const ALL_LINKS = new Uint8Array(LINK_LENGTH);
export const ALL_ADDRESSES = new Uint8Array(ADDRESS_LENGTH);

/** A SET_LINK that brings a link up. @param queueLength - absent: as it is */
export function encodeLinkUp(index: number, mtu: number, queueLength?: number): Uint8Array {
  const head = new Uint8Array(LINK_LENGTH);
  const words = new HostOrder(head);
  words.setU32(4, index);
  words.setU32(8, LINK_UP);
  words.setU32(12, LINK_UP);
  const attributes = new Map([[LinkAttribute.MTU as number, u32Octets(mtu)]]);
  if (queueLength !== undefined) attributes.set(LinkAttribute.QUEUE_LENGTH, u32Octets(queueLength));
  return concat(head, encodeAttributes(attributes));
}

/** A NEW_ADDRESS or a DELETE_ADDRESS. */
export function encodeAddress(link: number, address: IpAddress, bits: number): Uint8Array {
  const head = new Uint8Array(ADDRESS_LENGTH);
  head[0] = familyOf(address);
  head[1] = bits;
  new HostOrder(head).setU32(4, link);
  const attributes = new Map<number, Uint8Array>([[AddressAttribute.ADDRESS, address]]);
  // IPv4 tells a link's own address from the one at its other end.
  if (address.length === 4) attributes.set(AddressAttribute.LOCAL, address);
  return concat(head, encodeAttributes(attributes));
}

/** A GET_ROUTE for one packet. */
export function encodeRouteQuestion(question: RouteQuestion): Uint8Array {
  const { destination, source, inputLink, mark, isStored } = question;
  const head = new Uint8Array(ROUTE_LENGTH);
  head[0] = familyOf(destination);
  head[1] = destination.length * 8;
  head[2] = (source?.length ?? 0) * 8;
  if (isStored === true) new HostOrder(head).setU32(8, ROUTE_STORED);
  const attributes = new Map<number, Uint8Array>([[RouteAttribute.DESTINATION, destination]]);
  if (source !== undefined) attributes.set(RouteAttribute.SOURCE, source);
  if (inputLink !== undefined) attributes.set(RouteAttribute.INPUT_LINK, u32Octets(inputLink));
  if (mark !== undefined) attributes.set(RouteAttribute.MARK, u32Octets(mark));
  return concat(head, encodeAttributes(attributes));
}

/** @throws {WireError} */
export function decodeLink(body: Uint8Array): LinkMessage {
  const { words, attributes } = split(body, LINK_LENGTH);
  const name = attributes.get(LinkAttribute.NAME) ?? new Uint8Array(0);
  return {
    index: words.i32(4),
    name: new TextDecoder().decode(name).replace(/\0.*$/s, ""),
    mtu: u32Of(attributes.get(LinkAttribute.MTU)) ?? 0,
    isUp: (words.u32(8) & LINK_UP) !== 0,
  };
}

/** @throws {WireError} */
export function decodeAddress(body: Uint8Array): AddressMessage {
  const { words, attributes } = split(body, ADDRESS_LENGTH);
  const address = addressOf(
    attributes.get(AddressAttribute.LOCAL) ?? attributes.get(AddressAttribute.ADDRESS),
  );
  // The structure has room for eight of them.
  const flags = u32Of(attributes.get(AddressAttribute.FLAGS)) ?? body[2]!;
  return {
    link: words.u32(4),
    bits: body[1]!,
    scope: body[3]!,
    isTentative: (flags & (ADDRESS_TENTATIVE | ADDRESS_DAD_FAILED)) !== 0,
    ...(address === undefined ? {} : { address }),
  };
}

/** @throws {WireError} */
export function decodeRoute(body: Uint8Array): RouteMessage {
  const { attributes } = split(body, ROUTE_LENGTH);
  const link = u32Of(attributes.get(RouteAttribute.OUTPUT_LINK));
  const gateway = addressOf(attributes.get(RouteAttribute.GATEWAY));
  const preferredSource = addressOf(attributes.get(RouteAttribute.PREFERRED_SOURCE));
  const metrics = decodeAttributes(attributes.get(RouteAttribute.METRICS) ?? new Uint8Array(0));
  const mtu = u32Of(metrics.get(METRIC_MTU)) ?? 0;
  return {
    type: body[7]!,
    ...(link === undefined ? {} : { link }),
    ...(gateway === undefined ? {} : { gateway }),
    ...(preferredSource === undefined ? {} : { preferredSource }),
    ...(mtu === 0 ? {} : { mtu }),
  };
}

function familyOf(address: IpAddress): number {
  return ipFamilyOf(address) === 4 ? FAMILY_IPV4 : FAMILY_IPV6;
}

function split(body: Uint8Array, headLength: number) {
  if (body.length < headLength) throw new WireError("WIRE_TRUNCATED", 0, "netlink: a structure is cut off");
  return { words: new HostOrder(body), attributes: decodeAttributes(body.subarray(headLength)) };
}

function u32Of(octets: Uint8Array | undefined): number | undefined {
  return octets?.length === 4 ? new HostOrder(octets).u32(0) : undefined;
}

/** A copy, since the octets of a message are the next one's as well. */
function addressOf(octets: Uint8Array | undefined): IpAddress | undefined {
  return octets?.length === 4 || octets?.length === 16 ? IpAddress(octets.slice()) : undefined;
}
