/** What the kernel queued about a socket's packets (IP_RECVERR): read here, for it may come from anybody. */
import { IpAddress } from "../base/ip-address.ts";
import type { UnreachableReason, UnreachableReport } from "../base/unreachable-report.ts";
import type { PathReport } from "../esp/path-report.ts";
import { unreachableReason } from "../wire/ip/unreachable-reason.ts";
import { type Fd, loadAddon } from "./native.ts";
import { ioError } from "./native-error.ts";

/** Octet offsets in a record, as native/error_queue.h has them. */
const FAMILY = 0;
const ORIGIN = 1;
const TYPE = 2;
const CODE = 3;
const INFO = 4;
const ERRNO = 8;
const REMOTE_PORT = 12;
const QUOTED_LENGTH = 14;
const REMOTE = 16;
const OFFENDER = 32;
const QUOTED = 48;
const STRIDE = 96;

/** SO_EE_ORIGIN of linux/errqueue.h. */
const ORIGIN_LOCAL = 1;
const ORIGIN_ICMP = 2;
const ORIGIN_ICMP6 = 3;
const EMSGSIZE = 90;
/** Fragmentation needed (RFC 792), packet too big (RFC 4443 section 3.2). */
const UNREACHABLE = 3;
const FRAGMENTATION_NEEDED = 4;
const PACKET_TOO_BIG = 2;

const RECORDS = 16;
/** Reports of one call: a queue that refills as fast as it is read must not hold the caller. */
const REPORTS_MAX = 256;

export interface ErrorQueueReader {
  /**
   * Empties a socket's error queue, as far as one call goes.
   * @param onTooBig - gets each report that a packet was too big for its path
   * @param onUnreachable - gets each report that one did not arrive for another reason; `quoted` with what it begins with
   * @returns how many reports of any kind there were
   * @throws {IoError}
   */
  drain(
    fd: Fd,
    onTooBig: (report: PathReport) => void,
    onUnreachable: (report: UnreachableReport) => void,
  ): number;
}

export function createErrorQueueReader(): ErrorQueueReader {
  const addon = loadAddon();
  const records = new Uint8Array(RECORDS * STRIDE);
  const words = new DataView(records.buffer);
  const isLittle = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
  const u16 = (at: number) => words.getUint16(at, isLittle);
  const u32 = (at: number) => words.getUint32(at, isLittle);

  function read(
    at: number,
    onTooBig: (report: PathReport) => void,
    onUnreachable: (report: UnreachableReport) => void,
  ): void {
    const origin = originOf(records, at, u32(at + ERRNO));
    const reason = reasonOf(records, at);
    if (origin === undefined && reason === undefined) return;
    const octets = records[at + FAMILY] === 4 ? 4 : 16;
    const address = (from: number) => IpAddress(records.slice(at + from, at + from + octets));
    const remote = { address: address(REMOTE), port: u16(at + REMOTE_PORT) };
    const quoted = records.slice(
      at + QUOTED,
      at + QUOTED + Math.min(u16(at + QUOTED_LENGTH), STRIDE - QUOTED),
    );
    const reporter = origin === "host" ? {} : { reporter: address(OFFENDER) };
    if (reason !== undefined) onUnreachable({ reason, remote, ...reporter, quoted });
    else if (origin !== undefined) onTooBig({ origin, remote, ...reporter, mtu: u32(at + INFO), quoted });
  }

  return {
    drain(fd, onTooBig, onUnreachable) {
      let total = 0;
      while (total < REPORTS_MAX) {
        const drained = addon.drainErrorQueue(fd, records);
        if (drained < 0) throw ioError("read a socket's error queue", "recvmsg", drained);
        for (let i = 0; i < drained; i++) read(i * STRIDE, onTooBig, onUnreachable);
        total += drained;
        if (drained < RECORDS) break;
      }
      return total;
    },
  };
}

/** `undefined` for reports about anything else than size. */
function originOf(record: Uint8Array, at: number, errno: number): PathReport["origin"] | undefined {
  const type = record[at + TYPE];
  switch (record[at + ORIGIN]) {
    case ORIGIN_LOCAL:
      return errno === EMSGSIZE ? "host" : undefined;
    case ORIGIN_ICMP:
      return type === UNREACHABLE && record[at + CODE] === FRAGMENTATION_NEEDED ? "icmp" : undefined;
    case ORIGIN_ICMP6:
      return type === PACKET_TOO_BIG ? "icmp" : undefined;
    default:
      return undefined;
  }
}

/** Of reports that this host was sent, or sends itself where nobody answers ARP. */
function reasonOf(record: Uint8Array, at: number): UnreachableReason | undefined {
  const [origin, type, code] = [record[at + ORIGIN], record[at + TYPE]!, record[at + CODE]!];
  if (origin === ORIGIN_ICMP) return unreachableReason(4, type, code);
  return origin === ORIGIN_ICMP6 ? unreachableReason(6, type, code) : undefined;
}
