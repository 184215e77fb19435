/** The gateway's outer sockets: IKE, NAT traversal and raw ESP on each address that it listens on. */
import { equal } from "../base/bytes.ts";
import { familyOf, formatIpAddress, type IpAddress, type IpFamily } from "../base/ip-address.ts";
import { formatEndpoint, type UdpEndpoint } from "../base/udp-endpoint.ts";
import type { UnreachableReason } from "../base/unreachable-report.ts";
import { natSteering, rawFilter } from "../dataplane/lane-steering.ts";
import type { LaneSocket } from "../dataplane/packet-io.ts";
import { systemCode } from "../io/io-error.ts";
import type { Fd } from "../io/native.ts";
import type { SystemCallFailure } from "../io/native-error.ts";
import type { NativeLaneSocket } from "../io/native-packet-io.ts";
import {
  attachFilter,
  attachSteering,
  closeFd,
  openRawSocket,
  openUdpSocket,
  sendDatagram,
  type UdpSocket,
  type UdpSocketOptions,
  udpOffloads,
} from "../io/native-socket.ts";
import { fragmentsOfDatagram, needsFragments } from "../io/outer-fragments.ts";
import { createSystemRandom } from "../io/random.ts";
import { refusalReason } from "../io/send-refusal.ts";

const random = createSystemRandom();

export interface OuterSocketsOptions {
  /** Empty: all addresses of the host. */
  readonly listen: readonly IpAddress[];
  readonly ports: { readonly ike: number; readonly nat: number };
  readonly mark: number;
  readonly lanes: number;
  /** UDP alone: this process may open nothing else. */
  readonly isConfined: boolean;
  /** Some SA is of AH. */
  readonly receivesAh: boolean;
  /** The kernel may merge what one peer sends (UDP_GRO). */
  readonly mergesReceived: boolean;
}

export interface OuterSocket extends LaneSocket {
  /** One per lane, or one for all of them. */
  readonly fds: readonly Fd[];
  /** Absent: bound to all addresses. */
  readonly address?: IpAddress;
}

/** A UDP datagram of the main thread's. */
export interface OutgoingDatagram {
  readonly local: UdpEndpoint;
  readonly remote: UdpEndpoint;
  readonly bytes: Uint8Array;
  /** Nobody on the way may fragment it. */
  readonly dontFragment?: true;
  /** Over IPv6: in fragments that every path carries, if it is longer. */
  readonly inFragments?: true;
}

/** Why a datagram did not leave. */
export interface SendFailure {
  readonly text: string;
  /** Where this host has no way for it, or forbids it. */
  readonly reason?: UnreachableReason;
}

export interface OuterSockets {
  readonly all: readonly OuterSocket[];
  /** What lanes read and write: by lane, alike in number and order. */
  readonly lanes: readonly (readonly NativeLaneSocket[])[];
  /** What the kernel can do with runs of datagrams, on every socket. */
  readonly offloads: { readonly canSend: boolean; readonly merges: boolean };
  /** @returns why the datagram could not be sent; `undefined` when the system took it */
  send(datagram: OutgoingDatagram): SendFailure | undefined;
  close(): void;
}

/** @throws {IoError} with all that was opened closed again */
export function openOuterSockets(options: OuterSocketsOptions): OuterSockets {
  return outerSockets(openThem(options), options.lanes);
}

/** @param sockets - open, as {@link OuterSockets.all} */
export function outerSockets(sockets: readonly OuterSocket[], lanes: number): OuterSockets {
  return {
    all: sockets,
    lanes: Array.from({ length: lanes }, (_, lane) => sockets.map((socket) => laneSocket(socket, lane))),
    offloads: offloadsOf(sockets),
    send: (datagram) => send(sockets, datagram),
    close() {
      for (const { fds } of sockets) for (const fd of fds) closeFd(fd);
    },
  };
}

function openThem(options: OuterSocketsOptions): readonly OuterSocket[] {
  const sockets: OuterSocket[] = [];
  const opened: Fd[] = [];
  const close = () => {
    for (const fd of opened.splice(0)) closeFd(fd);
  };
  try {
    const opening = { ...options, sockets, opened };
    if (options.listen.length === 0) {
      openAll(opening, 4);
      openWhereSupported(opening);
    }
    for (const address of options.listen) openAll(opening, familyOf(address), address);
  } catch (error) {
    close();
    throw error;
  }
  return sockets;
}

/** What it is that sockets are opened for, as a text to compare. */
export function askedOfSockets({
  listen,
  ports,
  mark,
  lanes,
  receivesAh,
  mergesReceived,
  isConfined,
}: OuterSocketsOptions): string {
  const addresses = listen.map(formatIpAddress).sort();
  const flags = [receivesAh, mergesReceived, isConfined];
  return JSON.stringify([addresses, ports.ike, ports.nat, mark, lanes, ...flags]);
}

function offloadsOf(sockets: readonly OuterSocket[]): OuterSockets["offloads"] {
  const found = sockets
    .filter(isUdp)
    .flatMap(({ fds, family, localPort }) => fds.map((fd) => udpOffloads({ fd, family, localPort })));
  return { canSend: found.every(({ canSend }) => canSend), merges: found.every(({ merges }) => merges) };
}

function laneSocket({ fds, family, role, localPort }: OuterSocket, lane: number): NativeLaneSocket {
  const own = role === "whole" ? undefined : fds[lane];
  if (own !== undefined) return { fd: own, family, role, localPort };
  return { fd: fds[0]!, family, role, localPort, sendsOnly: true };
}

interface Opening extends OuterSocketsOptions {
  readonly sockets: OuterSocket[];
  /** To be closed. */
  readonly opened: Fd[];
}

/** A host without IPv6 is no error as long as the configuration does not ask for it. */
function openWhereSupported(opening: Opening): void {
  try {
    openAll(opening, 6);
  } catch (error) {
    const cause = error instanceof Error ? systemCode(error.cause) : undefined;
    if (cause !== "EAFNOSUPPORT" && cause !== "EADDRNOTAVAIL") throw error;
  }
}

function openAll(opening: Opening, family: IpFamily, address?: IpAddress): void {
  const { ports, mark, mergesReceived, lanes, sockets, opened } = opening;
  const where = { family, mark, ...(address === undefined ? {} : { address }) };
  const kept = { family, ...(address === undefined ? {} : { address }) };
  const open = (fd: Fd) => {
    opened.push(fd);
    return fd;
  };
  // IKE is lane 0's: strangers speak it, and all of it goes to the main thread.
  const ike = openUdpSocket({ ...where, port: ports.ike, mergesReceived });
  sockets.push({ fds: [open(ike.fd)], role: "ike", localPort: ike.localPort, ...kept });
  const nat = openGroup({ ...where, port: ports.nat, mergesReceived }, lanes, open);
  sockets.push({ fds: nat, role: "nat", localPort: ports.nat, ...kept });
  if (opening.isConfined) return;
  for (const role of opening.receivesAh ? (["esp", "ah"] as const) : (["esp"] as const)) {
    const fds = Array.from({ length: lanes }, (_, lane) => {
      const fd = open(openRawSocket(where, role).fd);
      if (lanes > 1) attachFilter(fd, rawFilter(family, lane, lanes, role));
      return fd;
    });
    sockets.push({ fds, role, localPort: 0, ...kept });
  }
  // Transport mode and AH: packets whose IP header is made here. Nothing is ever received.
  sockets.push({ fds: [open(openRawSocket(where, "whole").fd)], role: "whole", localPort: 0, ...kept });
}

/** One socket per lane on the same port; the kernel brings each datagram to the lane of its SPI. */
function openGroup(options: UdpSocketOptions, lanes: number, open: (fd: Fd) => Fd): Fd[] {
  if (lanes === 1) return [open(openUdpSocket(options).fd)];
  // Sockets that share a port would also share it with those of another gateway of the same user.
  closeFd(openUdpSocket(options).fd);
  const fds = Array.from({ length: lanes }, () => open(openUdpSocket({ ...options, reusePort: true }).fd));
  attachSteering(fds[0]!, natSteering(lanes));
  return fds;
}

function isUdp({ role }: OuterSocket): boolean {
  return role === "ike" || role === "nat";
}

function send(sockets: readonly OuterSocket[], datagram: OutgoingDatagram): SendFailure | undefined {
  const { local, remote, bytes, dontFragment = false, inFragments } = datagram;
  const family = familyOf(remote.address);
  const hasSource = familyOf(local.address) === family;
  const ofFamily = sockets.filter((socket) => socket.family === family);
  if (inFragments === true && family === 6 && hasSource && needsFragments(bytes)) {
    const whole = ofFamily.filter(({ role }) => role === "whole");
    if (whole.length > 0) return sendFragments(bestOf(whole, local.address)!, datagram);
  }
  const fitting = ofFamily.filter((socket) => isUdp(socket) && socket.localPort === local.port);
  const socket = bestOf(fitting, local.address);
  if (socket === undefined) return { text: `no socket of ours has ${formatEndpoint(local)}` };
  const own = hasSource ? local.address : undefined;
  return sendFailure(sendDatagram(first(socket), remote, bytes, { local: own, dontFragment }));
}

/** The socket of that address, or of all addresses, or any. */
function bestOf(sockets: readonly OuterSocket[], local: IpAddress): OuterSocket | undefined {
  return (
    sockets.find(({ address }) => address !== undefined && equal(address, local)) ??
    sockets.find(({ address }) => address === undefined) ??
    sockets[0]
  );
}

function first({ fds, family, localPort }: OuterSocket): UdpSocket {
  return { fd: fds[0]!, family, localPort };
}

/** The first fragment that the system refuses is the last that is tried. */
function sendFragments(
  socket: OuterSocket,
  { local, remote, bytes }: OutgoingDatagram,
): SendFailure | undefined {
  const to = { address: remote.address, port: 0 };
  for (const fragment of fragmentsOfDatagram(local, remote, bytes, identification())) {
    const failure = sendDatagram(first(socket), to, fragment, { dontFragment: true });
    if (failure !== undefined) return sendFailure(failure);
  }
  return undefined;
}

function identification(): number {
  return new DataView(random.publicBytes(4).buffer).getUint32(0);
}

function sendFailure(failure: SystemCallFailure | undefined): SendFailure | undefined {
  if (failure === undefined) return undefined;
  const reason = refusalReason(failure);
  return {
    text: `${failure.syscall} gave ${failure.code}`,
    ...(reason === undefined ? {} : { reason }),
  };
}
