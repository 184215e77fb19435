/** Sockets to the kernel's rtnetlink over the addon: one that asks, and one that hears of changes. */
import {
  decodeNetlinkMessages,
  encodeNetlinkMessage,
  NetlinkFlag,
  NetlinkType,
  netlinkStatus,
} from "../wire/netlink/netlink-message.ts";
import { IoError } from "./io-error.ts";
import { type Fd, loadAddon } from "./native.ts";
import { ioError, type SystemCallFailure, systemCallFailure } from "./native-error.ts";

export interface NetlinkRequest {
  readonly type: number;
  /** Beside REQUEST and ACK. */
  readonly flags?: number;
  readonly body: Uint8Array;
}

/** The kernel's answer to a request. */
export class NetlinkRefusal extends IoError {
  declare readonly cause: SystemCallFailure;

  constructor(what: string, failure: SystemCallFailure) {
    super("IO_NETLINK_FAILED", `cannot ${what}: the kernel answers ${failure.code}`, failure);
  }
}

export interface NetlinkAsker {
  /**
   * Asks, and decodes what the kernel tells; it has answered when the system call returns.
   * @param what - as a clause, for the error: `read the links`
   * @param decode - gets views that hold until it returns
   * @throws {NetlinkRefusal} the kernel's answer is an error
   * @throws {IoError} `IO_NETLINK_FAILED`: it cannot be asked
   */
  ask<Answer>(what: string, request: NetlinkRequest, decode: (body: Uint8Array) => Answer): Answer[];
  close(): void;
}

/** More than the kernel puts into one datagram. */
const DATAGRAM_OCTETS = 128 * 1024;

export function openNetlinkAsker(): NetlinkAsker {
  const fd = open(0);
  const datagram = new Uint8Array(DATAGRAM_OCTETS);
  let sequence = 0;
  return {
    ask(what, { type, flags = 0, body }, decode) {
      const own = { type, flags: NetlinkFlag.REQUEST | NetlinkFlag.ACK | flags, sequence: ++sequence, body };
      checked(what, "sendmsg", loadAddon().sendNetlink(fd, encodeNetlinkMessage(own)));
      const answers: ReturnType<typeof decode>[] = [];
      for (;;) {
        const length = checked(what, "recvmsg", loadAddon().receiveNetlink(fd, datagram));
        for (const message of decodeNetlinkMessages(datagram.subarray(0, length))) {
          // Left of a request that failed on its way.
          if (message.sequence !== sequence) continue;
          if (message.type === NetlinkType.ERROR || message.type === NetlinkType.DONE) {
            const status = netlinkStatus(message);
            if (status < 0) throw new NetlinkRefusal(what, systemCallFailure("rtnetlink", status));
            return answers;
          }
          answers.push(decode(message.body));
        }
      }
    },
    close: () => void loadAddon().closeFd(fd),
  };
}

const FOLLOW = "follow the host's network";

export interface NetlinkEars {
  /** Forgets what was told until now, and listens for the next. */
  listen(): void;
  close(): void;
}

/**
 * @param groups - numbers of multicast groups (RTNLGRP_...), up to 32
 * @param onChange - called once after each `listen`, as soon as something has changed, or too much for the kernel to
 *   remember
 */
export function openNetlinkEars(groups: readonly number[], onChange: () => void): NetlinkEars {
  const addon = loadAddon();
  const fd = open(groups.reduce((bits, group) => bits | (1 << (group - 1)), 0) >>> 0);
  const readiness = addon.createReadiness(fd, onChange);
  if (readiness < 0) addon.closeFd(fd);
  checked(FOLLOW, "fcntl", readiness);
  return {
    listen() {
      addon.drainNetlink(fd);
      checked(FOLLOW, "epoll_ctl", addon.armReadiness(readiness));
    },
    close() {
      addon.closeReadiness(readiness);
      addon.closeFd(fd);
    },
  };
}

function open(groups: number): Fd {
  const fd = loadAddon().openNetlink(groups);
  if (fd >= 0) return fd;
  const forbidden = ["IO_NETLINK_FAILED", "a sandbox has to allow AF_NETLINK sockets"] as const;
  throw ioError("read the kernel's network state", "netlink", fd, {
    EAFNOSUPPORT: forbidden,
    EPERM: forbidden,
    EACCES: forbidden,
  });
}

function checked(what: string, syscall: string, result: number): number {
  if (result >= 0) return result;
  const failure = systemCallFailure(syscall, result);
  throw new IoError("IO_NETLINK_FAILED", `cannot ${what}: ${syscall} gave ${failure.code}`, failure);
}
