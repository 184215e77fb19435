/** Sealed packets behind the IP header of what they carry, for sockets that take whole packets (RFC 4303 section 3.1.1). */
import type { FrameBatch } from "../base/frame-batch.ts";
import { createPacketBatch, PACKET_OK, PACKET_TOO_BIG, type PacketBatch } from "../base/packet-batch.ts";
import { ipv4Identification, setIpv4Length } from "../wire/ip/ipv4.ts";
import { IPV6_HEADER_LENGTH, setIpv6PayloadLength } from "../wire/ip/ipv6.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { findSecurityPlace } from "../wire/ip/security-place.ts";
import type { PacketIo, SocketIndex } from "./packet-io.ts";

/** Packets that are put together for one call of the system. */
const CAPACITY = 64;
/** The longest that a path with jumbo frames takes, and what comes with it. */
export const WHOLE_PACKET_MAX = 9216;

export class WholePackets {
  readonly #io: PacketIo;
  readonly #cells = createPacketBatch(CAPACITY, WHOLE_PACKET_MAX);
  /** Packet of the sealed batch that each cell was made of. */
  readonly #sealed = new Uint32Array(CAPACITY);
  readonly #place = { offset: 0, nextHeaderAt: 0 };
  /** Frame that was last, and how many of its packets were before. */
  #frame = -1;
  #segment = 0;

  constructor(io: PacketIo) {
    this.#io = io;
  }

  /** A new batch of frames begins. */
  begin(): void {
    this.#frame = -1;
  }

  /** Sends packets of `frames` with status PACKET_OK by `socket`, and sets their status. */
  send(frames: FrameBatch, packets: PacketBatch, socket: SocketIndex): void {
    const cells = this.#cells;
    cells.count = 0;
    for (let k = 0; k < packets.count; k++) {
      const frame = packets.frame[k]!;
      this.#segment = frame === this.#frame ? this.#segment + 1 : 0;
      this.#frame = frame;
      if (packets.status[k] !== PACKET_OK) continue;
      if (frames.strip[frame]! + packets.length[k]! > WHOLE_PACKET_MAX) {
        packets.status[k] = PACKET_TOO_BIG;
        continue;
      }
      this.#compose(frames, frame, packets, k);
      if (cells.count === cells.capacity) this.#flush(packets, socket);
    }
    this.#flush(packets, socket);
  }

  #flush(packets: PacketBatch, socket: SocketIndex): void {
    const cells = this.#cells;
    if (cells.count > 0) this.#io.send(socket, cells);
    for (let i = 0; i < cells.count; i++) packets.status[this.#sealed[i]!] = cells.status[i]!;
    cells.count = 0;
  }

  /** The frame's own header in front of packet `k`, which names ESP behind it and has the packet's own length. */
  #compose(frames: FrameBatch, frame: number, packets: PacketBatch, k: number): void {
    const cells = this.#cells;
    const i = cells.count++;
    const headerLength = frames.strip[frame]!;
    const header = frames.offset[frame]!;
    const length = packets.length[k]!;
    const at = i * cells.stride;
    cells.bytes.set(frames.bytes.subarray(header, header + headerLength), at);
    cells.bytes.set(
      packets.bytes.subarray(packets.offset[k]!, packets.offset[k]! + length),
      at + headerLength,
    );
    cells.offset[i] = at;
    cells.length[i] = headerLength + length;
    cells.endpoint[i] = packets.endpoint[k]!;
    cells.tos[i] = packets.tos[k]!;
    cells.status[i] = PACKET_OK;
    this.#sealed[i] = k;
    findSecurityPlace(frames.bytes, header, header + frames.length[frame]!, this.#place);
    cells.bytes[at + this.#place.nextHeaderAt] = IpProtocol.ESP;
    if (cells.bytes[at]! >>> 4 === 4) {
      const id = ipv4Identification(frames.bytes, header);
      setIpv4Length(cells.bytes, at, headerLength + length, (id + this.#segment) & 0xffff);
    } else setIpv6PayloadLength(cells.bytes, at, headerLength - IPV6_HEADER_LENGTH + length);
  }
}
