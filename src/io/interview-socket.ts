/** Carries an interview with a peer over a UDP socket of its own, beside whatever else runs on this host. */
import { createSocket, type Socket } from "node:dgram";
import { familyOf, formatIpAddress, type IpAddress, parseIpAddress } from "../base/ip-address.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import type { UnreachableReport } from "../base/unreachable-report.ts";
import {
  type Interview,
  type InterviewEvent,
  Interviewer,
  type OutgoingQuestion,
} from "../ike/probe/interviewer.ts";
import { bootClock } from "./clock.ts";
import { createErrorQueueReader } from "./error-queue.ts";
import { IoError } from "./io-error.ts";
import { openUdpSocket, sendDatagram, type UdpSocket } from "./native-socket.ts";
import { watchNetwork } from "./netlink.ts";
import { createSystemRandom } from "./random.ts";
import { refusalReason } from "./send-refusal.ts";

export interface InterviewSocketOptions<Result> {
  readonly interview: Interview<Result>;
  /** Port of IKE; that of NAT traversal besides. */
  readonly remote: UdpEndpoint;
  readonly natPort: number;
  /** Absent: as the host's routes say. */
  readonly from?: IpAddress;
  /** SO_MARK of the gateway's outer packets, where this user may set it. */
  readonly mark?: number;
}

export interface HeldInterview<Result> {
  readonly value: Result;
  readonly local: UdpEndpoint;
  readonly questions: number;
  readonly cookies: number;
  readonly isLeftAlone: boolean;
}

const BUFFER_OCTETS = 256 * 1024;
/** The error queue makes no event of its own in Node. */
const ERRORS_EVERY_MS = 100;
/** Errors of a socket that come one after the other without an end. */
const SOCKET_ERRORS_MAX = 1_000;

/** @throws {IoError} where no socket can be opened, or this host has no route to the peer */
export async function holdInterview<Result>(
  options: InterviewSocketOptions<Result>,
): Promise<HeldInterview<Result>> {
  const { remote, mark = 0 } = options;
  const address = options.from ?? (await sourceFor(remote.address, mark));
  const opened = open(address, mark);
  const local = { address, port: opened.localPort };
  const interviewer = new Interviewer({ ...options, local, random: createSystemRandom() });
  const socket = createSocket({ type: familyOf(address) === 4 ? "udp4" : "udp6" });
  const value = await carry(interviewer, socket, opened);
  const { questions, cookies, isLeftAlone } = interviewer.counts;
  return { value, local, questions, cookies, isLeftAlone };
}

async function sourceFor(remote: IpAddress, mark: number): Promise<IpAddress> {
  const watch = watchNetwork(() => undefined);
  try {
    const route = await watch.routeTo(remote, mark);
    if (route !== undefined) return route.source;
    throw new IoError("IO_NO_ROUTE", `this host has no route to ${formatIpAddress(remote)}`);
  } finally {
    watch.close();
  }
}

/** The mark needs CAP_NET_ADMIN; without it the host's routes hold, as for any other program. */
function open(address: IpAddress, mark: number): UdpSocket {
  const options = { family: familyOf(address), address, port: 0, mergesReceived: false } as const;
  const more = { ...options, bufferOctets: BUFFER_OCTETS };
  try {
    return openUdpSocket({ ...more, mark });
  } catch (error) {
    if (mark === 0 || !(error instanceof IoError) || error.code !== "IO_NOT_PERMITTED") throw error;
    return openUdpSocket(more);
  }
}

function carry<Result>(interviewer: Interviewer<Result>, socket: Socket, opened: UdpSocket): Promise<Result> {
  return new Promise((resolve, reject) => {
    const errors = createErrorQueueReader();
    let timer: NodeJS.Timeout | undefined;
    let failures = 0;
    let isOver = false;
    let isBound = false;
    const end = (outcome: () => void) => {
      isOver = true;
      clearTimeout(timer);
      clearInterval(looking);
      socket.removeAllListeners("message");
      socket.close();
      outcome();
    };
    const feed = (event: InterviewEvent) => {
      if (isOver) return;
      interviewer.handle(event, bootClock.now(), send);
      const { result } = interviewer;
      if (result !== undefined) return end(() => resolve(result.value));
      clearTimeout(timer);
      const at = interviewer.nextTimeout();
      if (at !== undefined)
        timer = setTimeout(() => feed({ kind: "timeout" }), Math.max(0, Math.ceil(at - bootClock.now())));
    };
    const report = (unreachable: UnreachableReport) => feed({ kind: "unreachable", report: unreachable });
    const send = ({ remote, bytes, dontFragment }: OutgoingQuestion) => {
      const failure = sendDatagram(opened, remote, bytes, { dontFragment });
      const reason = failure === undefined ? undefined : refusalReason(failure);
      if (reason !== undefined) queueMicrotask(() => report({ reason, remote, quoted: new Uint8Array(0) }));
    };
    const drain = () => {
      if (!isOver) errors.drain(opened.fd, () => undefined, report);
    };
    const looking = setInterval(drain, ERRORS_EVERY_MS);
    socket.on("message", (bytes, { address, port }) => {
      const octets = parseIpAddress(address.split("%")[0]!);
      if (octets !== undefined)
        feed({ kind: "datagram", remote: { address: octets, port }, bytes: new Uint8Array(bytes) });
    });
    // What ICMP says comes as an error of the socket first; its words lie in the error queue.
    socket.on("error", (error) => {
      if (isOver) return;
      if (!isBound || ++failures > SOCKET_ERRORS_MAX) end(() => reject(error));
      else drain();
    });
    socket.bind({ fd: opened.fd }, () => {
      isBound = true;
      feed({ kind: "start" });
    });
  });
}
