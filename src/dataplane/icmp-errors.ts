/** ICMP errors to the senders of packets that a lane does not pass on (RFC 1122 section 3.2.2, RFC 4443 section 2.4, RFC 4301 section 8.2). */
import type { Instant } from "../base/instant.ts";
import { createPacketBatch, PACKET_NOT_SENT, PACKET_OK, type PacketBatch } from "../base/packet-batch.ts";
import { addToSum, finishSum, internetChecksum, pseudoHeaderSum } from "../wire/ip/checksum.ts";
import { ICMP_HEADER_LENGTH, Icmpv4Type, Icmpv6Type, mayAnswerWithError } from "../wire/ip/icmp.ts";
import type { PacketFields } from "../wire/ip/ip-packet.ts";
import { IPV4_DESTINATION, IPV4_HEADER_LENGTH, IPV4_SOURCE, writeIpv4Header } from "../wire/ip/ipv4.ts";
import { IPV6_DESTINATION, IPV6_HEADER_LENGTH, IPV6_SOURCE, writeIpv6Header } from "../wire/ip/ipv6.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { Drop } from "./drop-reason.ts";
import type { LaneContext } from "./lane-context.ts";
import type { TunIndex } from "./packet-io.ts";
import { TokenBucket } from "./token-bucket.ts";

/** ICMP errors of one lane. */
const ICMP_ERRORS_PER_SECOND = 100;
export const ICMP_ERRORS_BURST = 50;
/** Errors that one turn may make. */
const BATCH_CAPACITY = 32;
/** RFC 1812 section 4.3.2.3. */
const IPV4_ERROR_LENGTH_MAX = 576;
/** RFC 4443 section 2.4 (c): the minimum MTU of IPv6. */
const IPV6_ERROR_LENGTH_MAX = 1280;
const IPV6_MTU_MIN = 1280;
/** RFC 1812 section 4.3.2.5: precedence of internetwork control. */
const TOS_NETWORK_CONTROL = 0xc0;
const HOP_LIMIT = 64;
const IPV4_CODE_FRAGMENTATION_NEEDED = 4;
const IPV4_CODE_PROHIBITED = 13;
const IPV6_CODE_PROHIBITED = 1;

/**
 * The errors come from the address that the packet was sent to: it lies behind the TUN device, so the host takes it from
 * there, which it would not with an address of its own.
 */
export class IcmpErrors {
  readonly #context: LaneContext;
  readonly #batch: PacketBatch;
  readonly #device = new Uint8Array(BATCH_CAPACITY);
  readonly #bucket = new TokenBucket(ICMP_ERRORS_PER_SECOND, ICMP_ERRORS_BURST);

  constructor(context: LaneContext) {
    this.#context = context;
    this.#batch = createPacketBatch(BATCH_CAPACITY, IPV6_ERROR_LENGTH_MAX);
  }

  /** Packet `i` may not be sent: policy forbids it. */
  prohibited(from: PacketBatch, i: number, fields: PacketFields, device: TunIndex, now: Instant): void {
    if (fields.family === 4)
      this.#add(from, i, fields, device, now, Icmpv4Type.DESTINATION_UNREACHABLE, IPV4_CODE_PROHIBITED, 0);
    else this.#add(from, i, fields, device, now, Icmpv6Type.DESTINATION_UNREACHABLE, IPV6_CODE_PROHIBITED, 0);
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
    if (fields.family === 4)
      this.#add(
        from,
        i,
        fields,
        device,
        now,
        Icmpv4Type.DESTINATION_UNREACHABLE,
        IPV4_CODE_FRAGMENTATION_NEEDED,
        mtu,
      );
    else this.#add(from, i, fields, device, now, Icmpv6Type.PACKET_TOO_BIG, 0, Math.max(mtu, IPV6_MTU_MIN));
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
    type: number,
    code: number,
    mtu: number,
  ): void {
    if (!mayBeAnswered(fields)) return;
    const batch = this.#batch;
    if (batch.count === BATCH_CAPACITY || !this.#bucket.take(now)) {
      this.#context.count(Drop.icmpRateLimited);
      return;
    }
    const cell = batch.count++;
    const at = cell * batch.stride + batch.headroom;
    this.#device[cell] = device;
    batch.offset[cell] = at;
    batch.length[cell] =
      fields.family === 4
        ? writeIpv4Error(batch.bytes, at, from.bytes, from.offset[i]!, fields.totalLength, type, code, mtu)
        : writeIpv6Error(batch.bytes, at, from.bytes, from.offset[i]!, fields.totalLength, type, code, mtu);
  }
}

/** RFC 1122 section 3.2.2 and RFC 4443 section 2.4 (e): no error about errors, later fragments, or from and to groups. */
function mayBeAnswered(fields: PacketFields): boolean {
  if (fields.fragmentOffset !== 0) return false;
  const isIcmp = fields.protocol === (fields.family === 4 ? IpProtocol.ICMP : IpProtocol.ICMPV6);
  if (isIcmp && (!fields.hasPorts || !mayAnswerWithError(fields.family, fields.sourcePort >>> 8)))
    return false;
  return isHost(fields.family, fields.source) && isHost(fields.family, fields.destination);
}

function isHost(family: number, words: Uint32Array): boolean {
  const first = words[0]!;
  if (family === 4) return first < 0xe0000000 && first >>> 24 !== 0 && first >>> 24 !== 127;
  const isLoopbackOrNone = first === 0 && words[1] === 0 && words[2] === 0 && words[3]! <= 1;
  return first >>> 24 !== 0xff && !isLoopbackOrNone;
}

function writeIpv4Error(
  bytes: Uint8Array,
  at: number,
  original: Uint8Array,
  from: number,
  originalLength: number,
  type: number,
  code: number,
  mtu: number,
): number {
  const icmp = at + IPV4_HEADER_LENGTH;
  const quoted = Math.min(originalLength, IPV4_ERROR_LENGTH_MAX - IPV4_HEADER_LENGTH - ICMP_HEADER_LENGTH);
  writeIcmpHeader(bytes, icmp, type, code);
  bytes[icmp + 6] = mtu >>> 8;
  bytes[icmp + 7] = mtu;
  copy(bytes, icmp + ICMP_HEADER_LENGTH, original, from, quoted);
  copy(bytes, at + IPV4_SOURCE, original, from + IPV4_DESTINATION, 4);
  copy(bytes, at + IPV4_DESTINATION, original, from + IPV4_SOURCE, 4);
  const length = IPV4_HEADER_LENGTH + ICMP_HEADER_LENGTH + quoted;
  writeIpv4Header(bytes, at, length, IpProtocol.ICMP, TOS_NETWORK_CONTROL, HOP_LIMIT);
  putChecksum(bytes, icmp, internetChecksum(bytes, icmp, ICMP_HEADER_LENGTH + quoted));
  return length;
}

function writeIpv6Error(
  bytes: Uint8Array,
  at: number,
  original: Uint8Array,
  from: number,
  originalLength: number,
  type: number,
  code: number,
  mtu: number,
): number {
  const icmp = at + IPV6_HEADER_LENGTH;
  const quoted = Math.min(originalLength, IPV6_ERROR_LENGTH_MAX - IPV6_HEADER_LENGTH - ICMP_HEADER_LENGTH);
  const payload = ICMP_HEADER_LENGTH + quoted;
  writeIcmpHeader(bytes, icmp, type, code);
  bytes[icmp + 6] = mtu >>> 8;
  bytes[icmp + 7] = mtu;
  copy(bytes, icmp + ICMP_HEADER_LENGTH, original, from, quoted);
  copy(bytes, at + IPV6_SOURCE, original, from + IPV6_DESTINATION, 16);
  copy(bytes, at + IPV6_DESTINATION, original, from + IPV6_SOURCE, 16);
  writeIpv6Header(bytes, at, payload, IpProtocol.ICMPV6, TOS_NETWORK_CONTROL, HOP_LIMIT);
  const pseudo = pseudoHeaderSum(bytes, at + IPV6_SOURCE, 16, IpProtocol.ICMPV6, payload);
  putChecksum(bytes, icmp, finishSum(addToSum(pseudo, bytes, icmp, payload)));
  return IPV6_HEADER_LENGTH + payload;
}

function writeIcmpHeader(bytes: Uint8Array, at: number, type: number, code: number): void {
  bytes[at] = type;
  bytes[at + 1] = code;
  for (let octet = 2; octet < ICMP_HEADER_LENGTH; octet++) bytes[at + octet] = 0;
}

function putChecksum(bytes: Uint8Array, icmp: number, checksum: number): void {
  bytes[icmp + 2] = checksum >>> 8;
  bytes[icmp + 3] = checksum;
}

function copy(to: Uint8Array, at: number, from: Uint8Array, start: number, length: number): void {
  for (let i = 0; i < length; i++) to[at + i] = from[start + i]!;
}
