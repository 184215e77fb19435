/** ICMP errors to the senders of packets that a lane does not pass on (RFC 1122 section 3.2.2, RFC 4443 section 2.4, RFC 4301 section 8.2). */
import type { Instant } from "../base/instant.ts";
import {
  type CellBatch,
  createPacketBatch,
  PACKET_NOT_SENT,
  PACKET_OK,
  type PacketBatch,
} from "../base/packet-batch.ts";
import { ICMP_ERROR_LENGTH_MAX, IcmpError, mayReportError, writeIcmpError } from "../wire/ip/icmp-error.ts";
import type { PacketFields } from "../wire/ip/ip-packet.ts";
import { Drop } from "./drop-reason.ts";
import type { LaneContext } from "./lane-context.ts";
import type { TunIndex } from "./packet-io.ts";
import { TokenBucket } from "./token-bucket.ts";

/** ICMP errors of one lane. */
const ICMP_ERRORS_PER_SECOND = 100;
export const ICMP_ERRORS_BURST = 50;
/** Errors that one turn may make. */
const BATCH_CAPACITY = 32;
/** A link of IPv6 carries at least this (RFC 8200 section 5); less is never announced. */
const IPV6_MTU_MIN = 1280;

export class IcmpErrors {
  readonly #context: LaneContext;
  readonly #batch: CellBatch;
  readonly #device = new Uint8Array(BATCH_CAPACITY);
  readonly #bucket = new TokenBucket(ICMP_ERRORS_PER_SECOND, ICMP_ERRORS_BURST);

  constructor(context: LaneContext) {
    this.#context = context;
    this.#batch = createPacketBatch(BATCH_CAPACITY, ICMP_ERROR_LENGTH_MAX);
  }

  /** Packet `i` may not be sent: policy forbids it. */
  prohibited(from: PacketBatch, i: number, fields: PacketFields, device: TunIndex, now: Instant): void {
    this.#add(from, i, fields, device, now, IcmpError.PROHIBITED, 0);
  }

  /** Packet `i` is longer than `mtu` octets [SPD-10]. */
  tooBig(
    from: PacketBatch,
    i: number,
    fields: PacketFields,
    device: TunIndex,
    now: Instant,
    mtu: number,
  ): void {
    const announced = fields.family === 4 ? mtu : Math.max(mtu, IPV6_MTU_MIN);
    this.#add(from, i, fields, device, now, IcmpError.TOO_BIG, announced);
  }

  /** Hands the errors of this turn to the devices that their packets came from. */
  flush(): void {
    const batch = this.#batch;
    if (batch.count === 0) return;
    for (let device = 0; device < this.#context.io.tunCount; device++) {
      let isNeeded = false;
      for (let i = 0; i < batch.count; i++) {
        const isHere = this.#device[i] === device;
        batch.status[i] = isHere ? PACKET_OK : PACKET_NOT_SENT;
        isNeeded ||= isHere;
      }
      if (!isNeeded) continue;
      this.#context.io.writeTun(device, batch);
      for (let i = 0; i < batch.count; i++)
        if (this.#device[i] === device && batch.status[i] !== PACKET_OK) this.#context.count(Drop.tunRefused);
    }
    batch.count = 0;
  }

  #add(
    from: PacketBatch,
    i: number,
    fields: PacketFields,
    device: TunIndex,
    now: Instant,
    error: IcmpError,
    mtu: number,
  ): void {
    if (!mayReportError(fields)) return;
    const batch = this.#batch;
    if (batch.count === BATCH_CAPACITY || !this.#bucket.take(now)) {
      this.#context.count(Drop.icmpRateLimited);
      return;
    }
    const cell = batch.count++;
    const at = cell * batch.stride + batch.headroom;
    this.#device[cell] = device;
    batch.offset[cell] = at;
    batch.length[cell] = writeIcmpError(error, mtu, batch.bytes, at, from.bytes, from.offset[i]!, fields);
  }
}
