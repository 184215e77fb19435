/** Opens TUN devices and the outer sockets; the main thread does this and lends the descriptors to lanes. */
import { formatIpAddress, type IpAddress, type IpFamily } from "../base/ip-address.ts";
import { formatEndpoint, type UdpEndpoint } from "../base/udp-endpoint.ts";
import { type Fd, loadAddon } from "./native.ts";
import { ioError, type SystemCallFailure, systemCallFailure } from "./native-error.ts";

export interface TunDevice {
  readonly name: string;
  /** One descriptor per queue. */
  readonly queues: readonly Fd[];
  /** What of it the kernel granted, for every queue. */
  readonly superpackets: Superpackets;
}

/** Whether the host leaves the segmentation of TCP and of UDP (Linux 6.2 and later) to us. */
export interface Superpackets {
  readonly tcp: boolean;
  readonly udp: boolean;
}
/** Bits of it, as native/tun.cc has them. */
const TAKES_TCP = 1;
const TAKES_UDP = 2;

/**
 * Opens queues of a TUN device: one that exists, made for us by others, or a new one where we may make it.
 * @param queues - at least 1; more than one needs a device made with `multi_queue`
 * @param superpackets - lets the host leave segmentation to us, which is several times faster
 * @throws {IoError}
 */
export function openTun(
  name: string,
  queues: number,
  superpackets: Superpackets = { tcp: true, udp: true },
): TunDevice {
  const wanted = (superpackets.tcp ? TAKES_TCP : 0) | (superpackets.udp ? TAKES_UDP : 0);
  const opened = loadAddon().openTun(name, queues, wanted);
  if (typeof opened !== "number") {
    const granted = { tcp: (opened.takes & TAKES_TCP) !== 0, udp: (opened.takes & TAKES_UDP) !== 0 };
    return { name: opened.name, queues: opened.queues, superpackets: granted };
  }
  throw ioError(`open the TUN device ${name}`, "/dev/net/tun", opened, {
    ENOENT: [
      "IO_TUN_UNAVAILABLE",
      "there is no /dev/net/tun: load the tun module (modprobe tun), or pass the device into the container",
    ],
    ENODEV: ["IO_TUN_UNAVAILABLE", "the kernel has no TUN driver: load the tun module (modprobe tun)"],
    ENXIO: ["IO_TUN_UNAVAILABLE", "the kernel has no TUN driver: load the tun module (modprobe tun)"],
    EACCES: ["IO_NOT_PERMITTED", "this user may not open /dev/net/tun: give it read and write access"],
    EPERM: [
      "IO_NOT_PERMITTED",
      "run with CAP_NET_ADMIN, or let root make the device for this user (scripts/tungate-routes prepare --user NAME)",
    ],
    EBUSY: ["IO_TUN_UNAVAILABLE", "another process holds it: stop that, or choose another tun name"],
    EINVAL: [
      "IO_TUN_UNAVAILABLE",
      "an interface of this name is no TUN device, or has one queue where gateway.lanes asks for several: delete it, choose another name, or set lanes to 1",
    ],
    E2BIG: ["IO_TUN_UNAVAILABLE", "the device has no free queue"],
  });
}

/** The device behind a queue that somebody opened; `undefined` when the descriptor is no queue, or its device is gone. */
export function describeTun(fd: Fd): { readonly name: string; readonly isFramed: boolean } | undefined {
  const found = loadAddon().describeTun(fd);
  return typeof found === "number" ? undefined : found;
}

/** Makes queues of one device, opened by others, ours. @throws {IoError} */
export function adoptTun(name: string, queues: readonly Fd[], superpackets: Superpackets): TunDevice {
  const wanted = (superpackets.tcp ? TAKES_TCP : 0) | (superpackets.udp ? TAKES_UDP : 0);
  let granted = wanted;
  for (const fd of queues) {
    const result = loadAddon().adoptTun(fd, wanted);
    if (result < 0) throw ioError(`take the TUN device ${name}`, "TUNSETVNETHDRSZ", result);
    granted &= result;
  }
  const takes = { tcp: (granted & TAKES_TCP) !== 0, udp: (granted & TAKES_UDP) !== 0 };
  return { name, queues, superpackets: takes };
}

/**
 * Whether outer packets may be fragmented on their way (IP_MTU_DISCOVER): `probe` sets DF and trusts no cached path MTU,
 * `allow` clears DF and fragments locally.
 */
type Fragmentation = "probe" | "allow";

export interface SocketOptions {
  readonly family: IpFamily;
  /** Absent: all addresses of the family. */
  readonly address?: IpAddress;
  /** SO_MARK, so that outer packets are routed past our own rules; 0 or absent: none. Needs CAP_NET_ADMIN. */
  readonly mark?: number;
  readonly fragmentation?: Fragmentation;
  /** Several sockets share the port (one per lane). */
  readonly reusePort?: boolean;
  /** Wish for the kernel's queues in each direction; 4 MiB unless told. */
  readonly bufferOctets?: number;
}

export interface UdpSocketOptions extends SocketOptions {
  /** 0 takes a free one. */
  readonly port: number;
  /** Lets the kernel merge datagrams of one sender (UDP_GRO): only for sockets that lanes read; on unless told. */
  readonly mergesReceived?: boolean;
}

export interface UdpSocket {
  readonly fd: Fd;
  readonly family: IpFamily;
  readonly localPort: number;
}

export interface RawSocket {
  readonly fd: Fd;
  readonly family: IpFamily;
}

const SOCKET_BUFFER_OCTETS = 4 * 1024 * 1024;

/** Bits of `flags`, and values of `mtuDiscovery`, as native/socket_options.h has them. */
const FLAG_REUSE_PORT = 1;
const FLAG_MERGE_RECEIVED = 2;
/** Bits of the result of udpOffloads, as native/udp.cc has them. */
const UDP_SENDS_RUNS = 1;
const UDP_RECEIVES_RUNS = 2;
const MTU_DISCOVERY = { probe: 1, allow: 0 } as const;
const NO_ADDRESS = new Uint8Array(0);

/** @throws {IoError} */
export function openUdpSocket(options: UdpSocketOptions): UdpSocket {
  const addon = loadAddon();
  const fd = addon.openUdp(
    options.family,
    options.address ?? NO_ADDRESS,
    options.port,
    options.mark ?? 0,
    (options.reusePort === true ? FLAG_REUSE_PORT : 0) |
      (options.mergesReceived === false ? 0 : FLAG_MERGE_RECEIVED),
    MTU_DISCOVERY[options.fragmentation ?? "probe"],
    options.bufferOctets ?? SOCKET_BUFFER_OCTETS,
  );
  if (fd < 0) throw socketError(options, options.port, fd);
  const localPort = addon.localPort(fd);
  if (localPort < 0) {
    addon.closeFd(fd);
    throw ioError("learn a socket's port", "getsockname", localPort);
  }
  return { fd, family: options.family, localPort };
}

/** The port that a UDP socket is bound to; `undefined` when the descriptor is no such socket. */
export function udpPort(fd: Fd): number | undefined {
  const port = loadAddon().localPort(fd);
  return port < 0 ? undefined : port;
}

/** What the kernel does with runs of datagrams: `canSend` (UDP_SEGMENT), `merges` what this socket receives (UDP_GRO). */
export function udpOffloads(socket: UdpSocket): { readonly canSend: boolean; readonly merges: boolean } {
  const bits = loadAddon().udpOffloads(socket.fd);
  return { canSend: (bits & UDP_SENDS_RUNS) !== 0, merges: (bits & UDP_RECEIVES_RUNS) !== 0 };
}

/**
 * IP protocols of raw sockets: ESP, AH, and `whole`, which sends packets with the IP headers that they come with and receives
 * nothing.
 */
const RAW_PROTOCOL = { esp: 50, ah: 51, whole: 255 } as const;

/** A socket for an IP protocol. @throws {IoError} */
export function openRawSocket(
  options: SocketOptions,
  protocol: keyof typeof RAW_PROTOCOL = "esp",
): RawSocket {
  const fd = loadAddon().openRaw(
    options.family,
    options.address ?? NO_ADDRESS,
    options.mark ?? 0,
    0,
    MTU_DISCOVERY[options.fragmentation ?? "probe"],
    options.bufferOctets ?? SOCKET_BUFFER_OCTETS,
    RAW_PROTOCOL[protocol],
  );
  if (fd < 0) throw socketError(options, undefined, fd);
  return { fd, family: options.family };
}

function socketError({ family, address }: SocketOptions, port: number | undefined, result: number): Error {
  const where = address === undefined ? `IPv${family}` : formatIpAddress(address);
  const what = port === undefined ? `open a raw ESP socket on ${where}` : `open UDP port ${port} on ${where}`;
  return ioError(what, "bind", result, {
    EADDRINUSE: [
      "IO_PORT_IN_USE",
      `another program has the port: find it with "ss -ulpn sport = :${port ?? 0}" (often strongSwan or Libreswan) and stop it, or change gateway.ports`,
    ],
    EADDRNOTAVAIL: [
      "IO_ADDRESS_NOT_OURS",
      "this host has no such address: correct gateway.listen, or give the address to an interface first",
    ],
    EACCES: ["IO_NOT_PERMITTED", "ports below 1024 need CAP_NET_BIND_SERVICE"],
    EPERM: ["IO_NOT_PERMITTED", "raw sockets need CAP_NET_RAW and marks need CAP_NET_ADMIN (or CAP_NET_RAW)"],
    EAFNOSUPPORT: ["IO_SYSTEM_CALL_FAILED", `the kernel has no IPv${family}: restrict gateway.listen`],
  });
}

/** How one datagram is sent; nothing of it need be said. */
export interface DatagramSending {
  /** The address it leaves from; absent: the kernel chooses. */
  readonly local?: IpAddress | undefined;
  readonly tos?: number;
  /** Nobody may fragment it: a path that does not carry it whole does not carry it. */
  readonly dontFragment?: boolean;
}

/**
 * Sends one datagram, for instance an IKE message. Unless told otherwise, one that not every path carries goes without DF
 * (IPv4), or in fragments that every path carries (IPv6).
 * @returns what the system refused, or `undefined` when it was taken
 */
export function sendDatagram(
  socket: UdpSocket,
  remote: UdpEndpoint,
  payload: Uint8Array,
  { local, tos, dontFragment }: DatagramSending = {},
): SystemCallFailure | undefined {
  const result = loadAddon().sendDatagram(
    socket.fd,
    socket.family,
    payload,
    remote.address,
    remote.port,
    local ?? NO_ADDRESS,
    tos ?? 0,
    dontFragment ?? false,
  );
  return result < 0 ? systemCallFailure(`sendmsg to ${formatEndpoint(remote)}`, result) : undefined;
}

/**
 * Lets the kernel choose with a program which of the sockets that share a port gets a datagram; the result is a number
 * in the order in which they were bound. @throws {IoError}
 */
export function attachSteering(fd: Fd, program: Uint32Array): void {
  attach(fd, program, true);
}

/** Lets a socket receive only what a program says. @throws {IoError} */
export function attachFilter(fd: Fd, program: Uint32Array): void {
  attach(fd, program, false);
}

function attach(fd: Fd, program: Uint32Array, choosesSocket: boolean): void {
  const result = loadAddon().attachProgram(fd, program, choosesSocket);
  if (result < 0) throw ioError("give packets to the lane of their SPI", "setsockopt", result);
}

/** Closes a descriptor of ours; one that is closed already is an error. @throws {IoError} */
export function closeFd(fd: Fd): void {
  const result = loadAddon().closeFd(fd);
  if (result < 0) throw ioError(`close descriptor ${fd}`, "close", result);
}
