/** The addon as a lane's way to the system: TUN queues and sockets by descriptor, in batches. */
import type { LaneSocket, PacketIo, SocketRole } from "../dataplane/packet-io.ts";
import { type Fd, loadAddon, READ_MORE } from "./native.ts";
import { nativeBatch } from "./native-batch.ts";
import { ioError } from "./native-error.ts";
import type { NativeSaTable } from "./native-memory.ts";

/** A socket that the main thread opened, as it reaches a lane: structured-cloneable. */
export interface NativeLaneSocket extends LaneSocket {
  readonly fd: Fd;
}

export interface NativePacketIoOptions {
  readonly table: NativeSaTable;
  /** One queue of each TUN device. */
  readonly tuns: readonly Fd[];
  readonly sockets: readonly NativeLaneSocket[];
  /**
   * Per TUN device, then per socket: 0 is not read from at all. A read that finds it empty writes 0, and whoever waits
   * writes something else when there is something to read. Absent: every read asks the system.
   */
  readonly mayHaveMore?: Uint8Array;
  /** Sends runs of equally long datagrams at once (UDP_SEGMENT), until a device refuses; on unless told. */
  readonly sendsRuns?: boolean;
  /** Hands consecutive segments and datagrams to the host as one superpacket, until a device refuses; on unless told. */
  readonly coalesces?: boolean;
}

/** What the addon dropped or could not do, in the order of its counters. */
export interface PacketIoCounters {
  /** Datagrams longer than a read has room for. */
  readonly oversized: number;
  /** Packets from a TUN device with a virtio-net header that makes no sense. */
  readonly badVnetHeader: number;
  /** Reads that failed for another reason than that nothing was there. */
  readonly readErrors: number;
  /** Datagrams without a usable source: no address of our family, or shorter than their IP header. */
  readonly badDatagrams: number;
  readonly tunWriteErrors: number;
  readonly sendErrors: number;
  readonly sendTooBig: number;
  /** Sends that were tried again because an earlier packet's ICMP error was reported on them. */
  readonly sendRetries: number;
  /** `errno` of the last send that failed; 0 before the first. */
  readonly lastSendErrno: number;
  readonly lastReadErrno: number;
  /** Superpackets of the host, which are cut into segments, and those that were made of segments for it. */
  readonly superpacketsRead: number;
  readonly superpacketsWritten: number;
  /** Runs of several datagrams that passed the kernel as one. */
  readonly datagramRunsReceived: number;
  readonly datagramRunsSent: number;
  /** Devices that took packets one by one but refused them together; they get them one by one from then on. */
  readonly offloadRefusals: number;
  /** Those among them that refused to send runs. */
  readonly sendRunRefusals: number;
  /** Superpackets of the host with more segments than one may have. */
  readonly tinySegments: number;
  /** Those of `offloadRefusals` that refused UDP superpackets of ours, as kernels before 6.2 do. */
  readonly udpRunRefusals: number;
}
const COUNTERS = 18;
export const PACKET_IO_COUNTERS_OCTETS = COUNTERS * Float64Array.BYTES_PER_ELEMENT;

/**
 * Writes to a device between two reads of it, at most. The host handles what is written before the write returns, so that
 * its answers wait in the device's queue, which is short: where hundreds of flows are answered at once it would overflow.
 */
const TUN_WRITES_MAX = 32;
const WRITES_ALL = 0xffffffff;

export interface NativePacketIo extends PacketIo {
  counters(): PacketIoCounters;
  /** Writes them where {@link packetIoCounters} reads them, in whatever thread. */
  writeCounters(into: Float64Array): void;
  close(): void;
}

/** @param values - written by {@link NativePacketIo.writeCounters} */
export function packetIoCounters(values: Readonly<Float64Array>): PacketIoCounters {
  return {
    oversized: values[0]!,
    badVnetHeader: values[1]!,
    readErrors: values[2]!,
    badDatagrams: values[3]!,
    tunWriteErrors: values[4]!,
    sendErrors: values[5]!,
    sendTooBig: values[6]!,
    sendRetries: values[7]!,
    lastSendErrno: values[8]!,
    lastReadErrno: values[9]!,
    superpacketsRead: values[10]!,
    superpacketsWritten: values[11]!,
    datagramRunsReceived: values[12]!,
    datagramRunsSent: values[13]!,
    offloadRefusals: values[14]!,
    sendRunRefusals: values[15]!,
    tinySegments: values[16]!,
    udpRunRefusals: values[17]!,
  };
}

function isRaw(role: SocketRole): boolean {
  return role === "esp" || role === "ah" || role === "whole";
}

/** Made in the lane's thread, over that thread's own mapping of the table. */
export function createNativePacketIo(options: NativePacketIoOptions): NativePacketIo {
  const { table, tuns, sockets } = options;
  const addon = loadAddon();
  const io = addon.createPacketIo(table.handle, options.sendsRuns ?? true, options.coalesces ?? true);
  if (io < 0) throw ioError("make a lane's packet transfers", "createPacketIo", io);
  const values = new Float64Array(COUNTERS);
  const isWaitedFor = options.mayHaveMore !== undefined;
  const mayHaveMore = options.mayHaveMore ?? new Uint8Array(tuns.length + sockets.length).fill(1);
  return {
    tunCount: tuns.length,
    sockets,
    readTun(tun, into) {
      into.count = 0;
      if (mayHaveMore[tun] === 0) return;
      const read = addon.readTun(io, tuns[tun]!, nativeBatch(into));
      into.count = read & (READ_MORE - 1);
      if (isWaitedFor) mayHaveMore[tun] = read >= READ_MORE ? 1 : 0;
    },
    writeTun(tun, from) {
      if (from.count > 0) addon.writeTun(io, tuns[tun]!, nativeBatch(from), from.count, 0, WRITES_ALL);
    },
    writeTunSome(tun, from, first) {
      if (first >= from.count) return from.count;
      const next = addon.writeTun(io, tuns[tun]!, nativeBatch(from), from.count, first, TUN_WRITES_MAX);
      // The host has answered in the meantime, and nobody has waited for that.
      if (next < from.count) mayHaveMore[tun] = 1;
      return next;
    },
    receive(socket, into) {
      into.count = 0;
      if (mayHaveMore[tuns.length + socket] === 0) return;
      const { fd, family, role, localPort } = sockets[socket]!;
      const read = addon.receive(io, fd, family, isRaw(role), localPort, nativeBatch(into));
      into.count = read & (READ_MORE - 1);
      if (isWaitedFor) mayHaveMore[tuns.length + socket] = read >= READ_MORE ? 1 : 0;
    },
    send(socket, from) {
      const { fd, family, role, localPort } = sockets[socket]!;
      if (from.count > 0) addon.send(io, fd, family, isRaw(role), localPort, nativeBatch(from), from.count);
    },
    sendFragmentable(socket, from) {
      const { fd, family, role, localPort } = sockets[socket]!;
      if (from.count > 0)
        addon.sendFragmentable(io, fd, family, isRaw(role), localPort, nativeBatch(from), from.count);
    },
    writeCounters: (into) => addon.packetIoCounters(io, into),
    counters() {
      addon.packetIoCounters(io, values);
      return packetIoCounters(values);
    },
    close: () => addon.closePacketIo(io),
  };
}
