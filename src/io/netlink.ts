/** The host's links, addresses and routes, and word of their changes, from the kernel over rtnetlink. */
import { createRtNetlink, type RtNetlinkSocket } from "netlink/dist/rt/rt.js";
import type * as rt from "netlink/dist/rt/structs.js";
import type { InterfaceAddress } from "../base/address-range.ts";
import { formatIpAddress, type IpAddress, IpAddress as toIpAddress } from "../base/ip-address.ts";
import { IoError } from "./io-error.ts";

export interface HostLink {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
  readonly isUp: boolean;
}

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
const REQUEST_TIMEOUT_MS = 5_000;
/** Received notifications that may wait; beyond them the kernel reports an overrun, and we look afresh. */
const RECEIVE_BUFFER_OCTETS = 1024 * 1024;
const SEND_BUFFER_OCTETS = 64 * 1024;
const AF_INET = 2;
const AF_INET6 = 10;
const GROUPS = [
  "LINK",
  "IPV4_IFADDR",
  "IPV6_IFADDR",
  "IPV4_ROUTE",
  "IPV6_ROUTE",
  "IPV4_RULE",
  "IPV6_RULE",
] as const;
const SCOPE_LINK = 253;
const NLM_F_CREATE = 0x400;

/**
 * @param onChange - something changed, was lost in an overrun, or could not be read: look afresh. Our own routes and
 *   rules are told of too, since others may have removed them
 */
export function watchNetwork(onChange: () => void): NetworkWatch {
  const requests = open();
  const events = open();
  const oneByOne = createQueue();
  let timer: NodeJS.Timeout | undefined;
  const changed = () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      onChange();
    }, SETTLE_MS);
  };
  events.socket.ref();
  for (const group of GROUPS) events.addMembership(group);
  events.on("message", changed);
  events.on("invalid", changed);
  // An overrun (ENOBUFS) loses notifications, never the state itself: looking afresh makes up for all of them.
  events.socket.on("error", changed);
  requests.socket.on("error", changed);

  return {
    async snapshot() {
      const links = await oneByOne("read the links", () =>
        requests.getLinks({}, {}, { timeout: REQUEST_TIMEOUT_MS }),
      );
      const addresses = await oneByOne("read the addresses", () =>
        requests.getAddresses({}, {}, { timeout: REQUEST_TIMEOUT_MS }),
      );
      return { links: links.map(readLink), addresses: addresses.flatMap(readAddress) };
    },
    routeTo: (address, mark) => oneByOne("look up a route", () => routeTo(requests, address, mark)),
    follow: (packet) => oneByOne("look up a route", () => follow(requests, packet)),
    async setLinkUp(index, mtu, queueLength) {
      await oneByOne(`bring up link ${index} with MTU ${mtu}`, () =>
        requests.setLink(
          { index, change: { up: true }, flags: { up: true } },
          { mtu, ...(queueLength === undefined ? {} : { txqlen: queueLength }) },
          { timeout: REQUEST_TIMEOUT_MS },
        ),
      );
    },
    async addAddress(index, address) {
      await oneByOne(`give link ${index} the address ${textOf(address)}`, () =>
        requests.newAddress(...addressRequest(index, address), {
          timeout: REQUEST_TIMEOUT_MS,
          flags: NLM_F_CREATE,
        }),
      );
    },
    async removeAddress(index, address) {
      await oneByOne(`take the address ${textOf(address)} from link ${index}`, () =>
        requests.delAddress(...addressRequest(index, address), { timeout: REQUEST_TIMEOUT_MS }),
      );
    },
    close() {
      clearTimeout(timer);
      events.socket.close();
      requests.socket.close();
    },
  };
}

function textOf({ address, bits }: InterfaceAddress): string {
  return `${formatIpAddress(address)}/${bits}`;
}

function addressRequest(
  index: number,
  { address, bits }: InterfaceAddress,
): [{ family: number; prefixlen: number; index: number }, { local?: Buffer; address: Buffer }] {
  const octets = Buffer.from(address);
  return [
    { family: address.length === 4 ? AF_INET : AF_INET6, prefixlen: bits, index },
    address.length === 4 ? { local: octets, address: octets } : { address: octets },
  ];
}

function open(): RtNetlinkSocket {
  try {
    return createRtNetlink({
      recvBufferSize: RECEIVE_BUFFER_OCTETS,
      sendBufferSize: SEND_BUFFER_OCTETS,
    });
  } catch (error) {
    throw new IoError(
      "IO_NETLINK_FAILED",
      `the kernel's network state cannot be read: ${wordsOf(error)}; a sandbox has to allow AF_NETLINK sockets`,
      error,
    );
  }
}

/** The package matches no two dumps to their requests, so a socket carries one request at a time. */
function createQueue(): <Result>(what: string, work: () => Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve();
  return (what, work) => {
    const result = last.then(work).catch((error: unknown) => {
      throw new IoError("IO_NETLINK_FAILED", `cannot ${what}: ${wordsOf(error)}`, error);
    });
    last = result.catch(() => undefined);
    return result;
  };
}

async function routeTo(
  socket: RtNetlinkSocket,
  address: IpAddress,
  mark: number,
): Promise<HostRoute | undefined> {
  const found = await lookUp(socket, address, mark, false);
  if (found?.prefsrc === undefined || found.oif === undefined) return undefined;
  // What a lookup gives may have been learnt from anybody's ICMP; the route itself holds what the operator set.
  const hasMtu = numberOf(found.metrics?.mtu) !== 0;
  const mtu = hasMtu ? numberOf((await lookUp(socket, address, mark, true))?.metrics?.mtu) : 0;
  return {
    source: toIpAddress(new Uint8Array(found.prefsrc)),
    link: found.oif,
    ...(mtu === 0 ? {} : { mtu }),
  };
}

/** @param isStored - the route as it is in its table, instead of what a packet would meet */
async function lookUp(
  socket: RtNetlinkSocket,
  address: IpAddress,
  mark: number,
  isStored: boolean,
): Promise<rt.RouteMessage["attrs"] | undefined> {
  const markOctets = Buffer.from(new Uint32Array([mark]).buffer);
  try {
    const answers = await socket.getRoute(
      {
        family: address.length === 4 ? AF_INET : AF_INET6,
        dstLen: address.length * 8,
        ...(isStored ? { flags: { fibMatch: true } } : {}),
      },
      { dst: Buffer.from(address), mark: markOctets },
      { timeout: REQUEST_TIMEOUT_MS },
    );
    return answers[0]?.attrs;
  } catch {
    return undefined;
  }
}

async function follow(
  socket: RtNetlinkSocket,
  { source, destination, arrivesOn }: FollowedPacket,
): Promise<PacketRoute> {
  const bits = destination.length * 8;
  try {
    const [answer] = await socket.getRoute(
      { family: destination.length === 4 ? AF_INET : AF_INET6, dstLen: bits, srcLen: bits },
      {
        dst: Buffer.from(destination),
        src: Buffer.from(source),
        ...(arrivesOn === undefined ? {} : { iif: arrivesOn }),
      },
      { timeout: REQUEST_TIMEOUT_MS },
    );
    const type = answer?.data.type;
    if (type === "LOCAL") return { kind: "local" };
    if (answer?.attrs.oif === undefined || type !== "UNICAST")
      return { kind: "refused", code: REFUSING[String(type)] ?? "ENETUNREACH" };
    const { oif, gateway } = answer.attrs;
    const via = gateway === undefined ? {} : { gateway: toIpAddress(new Uint8Array(gateway)) };
    return { kind: "link", link: oif, ...via };
  } catch (error) {
    const [, code] = /rejected: (E[A-Z]+)/.exec(wordsOf(error)) ?? [];
    if (code === undefined) throw error;
    return { kind: "refused", code };
  }
}

/** Routes that are there to refuse, as the system's error for them (IPv6 tells of them as of any other). */
const REFUSING: Readonly<Record<string, string>> = {
  BLACKHOLE: "EINVAL",
  UNREACHABLE: "EHOSTUNREACH",
  PROHIBIT: "EACCES",
};

/** A uint32 attribute in the machine's byte order; 0 when it is absent. */
function numberOf(octets: Buffer | undefined): number {
  return octets?.length === 4 ? new Uint32Array(new Uint8Array(octets).buffer)[0]! : 0;
}

function readLink({ data, attrs }: rt.LinkMessage): HostLink {
  return {
    index: data.index ?? 0,
    name: attrs.ifname ?? "",
    mtu: attrs.mtu ?? 0,
    isUp: data.flags?.up === true,
  };
}

function readAddress({ data, attrs }: rt.AddressMessage): HostAddress[] {
  const octets = attrs.local ?? attrs.address;
  if (octets === undefined || (octets.length !== 4 && octets.length !== 16)) return [];
  const flags = { ...data.flags, ...attrs.flags };
  return [
    {
      address: toIpAddress(new Uint8Array(octets)),
      bits: data.prefixlen ?? octets.length * 8,
      link: data.index ?? 0,
      isUsable: flags.tentative !== true && flags.dadfailed !== true && (data.scope ?? 0) < SCOPE_LINK,
    },
  ];
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
