/** A lane: both directions of its share of the traffic, one turn at a time (RFC 4301 section 5). */
import { createFrameBatch, FRAME_OCTETS_MAX } from "../base/frame-batch.ts";
import { earlier, type Instant } from "../base/instant.ts";
import type { IpAddress } from "../base/ip-address.ts";
import { createArenaBatch, createReceiveBatch } from "../base/packet-batch.ts";
import { Header } from "../policy/sa-table.ts";
import type { CompiledSpd } from "../policy/spd.ts";
import type { CopyOctets } from "./hand-over.ts";
import { IcmpErrors } from "./icmp-errors.ts";
import { Inbound } from "./inbound.ts";
import { LaneContext } from "./lane-context.ts";
import type { LaneOptions } from "./lane-options.ts";
import { Outbound } from "./outbound.ts";
import { Oversize } from "./oversize.ts";
import { OwnAddresses } from "./own-addresses.ts";
import { PacedSas } from "./paced-sas.ts";
import type { TunIndex } from "./packet-io.ts";
import { Protection } from "./protection.ts";
import { SealAndSend } from "./seal-and-send.ts";
import { type CaptureFilter, Tap, TappedPacketIo } from "./tap.ts";

export interface Lane {
  /** Replaces the policy of a TUN device from the next turn on. Without one everything is dropped [SPD-01]. */
  setSpd(tun: TunIndex, spd: CompiledSpd): void;
  /**
   * The gateway's outer addresses, besides those that SAs have: IKE and ESP packets with one of them as source that come
   * out of a TUN device are dropped, so that a tunnel cannot carry itself.
   */
  setOuterAddresses(addresses: readonly IpAddress[]): void;
  /** Addresses of configured peers, whose IKE messages have a share of their own. */
  setPeers(addresses: readonly IpAddress[]): void;
  /** Copies what passes into memory of a {@link CaptureRing} from now on; `undefined`: no longer. */
  setCapture(capture: LaneCapture | undefined): void;
  /**
   * Reads, decides and writes once in both directions. No packet's content makes it throw.
   * @returns packets and datagrams handled; zero: wait until a descriptor is readable, a command came, or {@link nextTimeout}
   */
  turn(now: Instant): number;
  /**
   * Whether whoever turns the lane may sleep; false when another lane has given it something. Before the next turn
   * {@link stayAwake} has to be called: until then other lanes wake it for each packet.
   */
  fallAsleep(): boolean;
  stayAwake(): void;
  /** When a turn is due even if nothing arrives. */
  nextTimeout(): Instant | undefined;
  /**
   * Whether the next turn wants the very moment: something is sent by the clock, round trips are measured, or a capture
   * notes it. Otherwise one that is a few milliseconds old will do.
   */
  isTimed(): boolean;
  /** Counters by drop reason, see `Drop`. */
  readonly drops: Float64Array;
}

export interface LaneCapture {
  readonly memory: SharedArrayBuffer;
  readonly filter: CaptureFilter;
  readonly copy: CopyOctets;
}

/** Frames that a device may give in one turn. */
const FRAMES = 256;
/** A read of a device begins while it is sure to fit. */
const FRAMES_OCTETS = 7 * FRAME_OCTETS_MAX;
/** What is made or held leaves in pieces of this size. */
const MADE_FRAMES = 64;
const MADE_OCTETS = 2 * FRAME_OCTETS_MAX;
/** Packets that are sealed before they are sent; more frames are sealed in several rounds. */
const PACKETS = 1024;
const PACKETS_OCTETS = 8 * FRAME_OCTETS_MAX;
/** Reads of a socket in one turn, each of a datagram or of a run of them. */
const RECEIVE_READS = 16;

/** @throws {RangeError} when the table or the io do not fit the lane */
export function createLane(options: LaneOptions): Lane {
  if (options.index >= options.table.size.lanes)
    throw new RangeError(`the SA table knows ${options.table.size.lanes} lanes, not number ${options.index}`);
  if (options.io.tunCount > DEVICES_MAX || options.io.sockets.length > DEVICES_MAX)
    throw new RangeError(`a lane takes ${DEVICES_MAX} TUN devices and as many sockets`);
  const io = new TappedPacketIo(options.io);
  const context = new LaneContext({ ...options, io });
  const icmp = new IcmpErrors(context);
  const own = new OwnAddresses(options.table);
  const sealAndSend = new SealAndSend(context, createArenaBatch(PACKETS, PACKETS_OCTETS));
  const paced = new PacedSas(context, createFrameBatch(MADE_FRAMES, MADE_OCTETS), sealAndSend);
  const protection = new Protection(context, sealAndSend, new Oversize(icmp, sealAndSend), paced);
  const outbound = new Outbound({
    context,
    frames: createFrameBatch(options.frames ?? FRAMES, FRAMES_OCTETS),
    made: createFrameBatch(MADE_FRAMES, MADE_OCTETS),
    protection,
    sealAndSend,
    paced,
    icmp,
    own,
  });
  const received = createReceiveBatch(options.receiveReads ?? RECEIVE_READS);
  const inbound = new Inbound(context, received, (now) => void outbound.turn(now));
  const epoch = Header.LANE_EPOCHS / 4 + options.index;
  let generation = -1;
  return {
    drops: context.drops,
    setSpd: (device, spd) => context.setSpd(device, spd),
    setOuterAddresses: (addresses) => own.set(addresses),
    setPeers: (addresses) => inbound.setPeers(addresses),
    setCapture: (capture) => {
      io.tap = capture && new Tap(context, capture.memory, capture.filter, capture.copy);
      context.tap = io.tap;
    },
    turn(now) {
      const { u32 } = options.table;
      io.tap?.begin(now);
      Atomics.add(u32, epoch, 1);
      context.dropRecord.begin(now);
      const current = Atomics.load(u32, Header.GENERATION / 4);
      if (current !== generation) {
        generation = current;
        context.isChanged = true;
        own.refresh();
      }
      const handled = inbound.turn(now) + outbound.turn(now);
      icmp.flush();
      context.isChanged = false;
      io.tap?.publish();
      Atomics.add(u32, epoch, 1);
      return handled;
    },
    fallAsleep: () => options.handOver?.fallAsleep() ?? true,
    stayAwake: () => options.handOver?.stayAwake(),
    isTimed: () => outbound.isTimed || inbound.isTimed || io.tap !== undefined,
    nextTimeout: () => earlier(outbound.nextTimeout(), inbound.nextTimeout()),
  };
}

/** A lane keeps sets of devices and of sockets in the bits of a number. */
const DEVICES_MAX = 31;
