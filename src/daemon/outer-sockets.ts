/** The gateway's outer sockets: IKE, NAT traversal and raw ESP on each address that it listens on. */
import { equal } from "../base/bytes.ts";
import { familyOf, type IpAddress, type IpFamily } from "../base/ip-address.ts";
import { formatEndpoint, type UdpEndpoint } from "../base/udp-endpoint.ts";
import { systemCode } from "../io/io-error.ts";
import type { NativeLaneSocket } from "../io/native-packet-io.ts";
import { closeFd, openRawSocket, openUdpSocket, sendDatagram, udpOffloads } from "../io/native-socket.ts";

export interface OuterSocketsOptions {
  /** Empty: all addresses of the host. */
  readonly listen: readonly IpAddress[];
  readonly ports: { readonly ike: number; readonly nat: number };
  readonly mark: number;
  /** The kernel may merge what one peer sends (UDP_GRO). */
  readonly mergesReceived: boolean;
}

interface OuterSocket extends NativeLaneSocket {
  /** Absent: bound to all addresses. */
  readonly address?: IpAddress;
}

export interface OuterSockets {
  /** What lanes read and write. */
  readonly lane: readonly NativeLaneSocket[];
  /** What the kernel can do with runs of datagrams, on every socket. */
  readonly offloads: { readonly canSend: boolean; readonly merges: boolean };
  /** @returns why the datagram could not be sent, in words; `undefined` when the system took it */
  send(local: UdpEndpoint, remote: UdpEndpoint, bytes: Uint8Array): string | undefined;
  close(): void;
}

/** @throws {IoError} with all that was opened closed again */
export function openOuterSockets(options: OuterSocketsOptions): OuterSockets {
  const sockets: OuterSocket[] = [];
  const close = () => {
    for (const { fd } of sockets.splice(0)) closeFd(fd);
  };
  try {
    if (options.listen.length === 0) {
      openAll(sockets, options, 4);
      openWhereSupported(sockets, options);
    }
    for (const address of options.listen) openAll(sockets, options, familyOf(address), address);
  } catch (error) {
    close();
    throw error;
  }
  return {
    lane: sockets.map(({ fd, family, role, localPort }) => ({ fd, family, role, localPort })),
    offloads: offloadsOf(sockets),
    send: (local, remote, bytes) => send(sockets, local, remote, bytes),
    close,
  };
}

function offloadsOf(sockets: readonly OuterSocket[]): OuterSockets["offloads"] {
  const found = sockets.filter(({ role }) => role !== "esp").map(udpOffloads);
  return { canSend: found.every(({ canSend }) => canSend), merges: found.every(({ merges }) => merges) };
}

/** A host without IPv6 is no error as long as the configuration does not ask for it. */
function openWhereSupported(sockets: OuterSocket[], options: OuterSocketsOptions): void {
  try {
    openAll(sockets, options, 6);
  } catch (error) {
    const cause = error instanceof Error ? systemCode(error.cause) : undefined;
    if (cause !== "EAFNOSUPPORT" && cause !== "EADDRNOTAVAIL") throw error;
  }
}

function openAll(
  sockets: OuterSocket[],
  { ports, mark, mergesReceived }: OuterSocketsOptions,
  family: IpFamily,
  address?: IpAddress,
): void {
  const where = { family, mark, ...(address === undefined ? {} : { address }) };
  const kept = address === undefined ? {} : { address };
  for (const role of ["ike", "nat"] as const) {
    const { fd, localPort } = openUdpSocket({ ...where, port: ports[role], mergesReceived });
    sockets.push({ fd, family, role, localPort, ...kept });
  }
  const { fd } = openRawSocket(where);
  sockets.push({ fd, family, role: "esp", localPort: 0, ...kept });
}

function send(
  sockets: readonly OuterSocket[],
  local: UdpEndpoint,
  remote: UdpEndpoint,
  bytes: Uint8Array,
): string | undefined {
  const family = familyOf(remote.address);
  const fitting = sockets.filter(
    (socket) => socket.role !== "esp" && socket.family === family && socket.localPort === local.port,
  );
  const socket =
    fitting.find(({ address }) => address !== undefined && equal(address, local.address)) ??
    fitting.find(({ address }) => address === undefined) ??
    fitting[0];
  if (socket === undefined) return `no socket of ours has ${formatEndpoint(local)}`;
  const source = familyOf(local.address) === family ? local.address : undefined;
  const failure = sendDatagram(socket, remote, bytes, source);
  return failure === undefined ? undefined : `${failure.syscall} gave ${failure.code}`;
}
