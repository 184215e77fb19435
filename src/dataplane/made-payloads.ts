/** Payloads that the gateway makes itself, given the columns of their SA and sent like any other frame. */
import { appendFrame, type FrameBatch } from "../base/frame-batch.ts";
import { PACKET_OK } from "../base/packet-batch.ts";
import { innerMtu, outerHeaders, paddedLength } from "../esp/effective-mtu.ts";
import { countPackets, mayCarry, reachedHard, reachedSoft } from "../esp/lifetime.ts";
import { endpointOffset } from "../policy/endpoint-record.ts";
import { AggfragCongestionMode, DSCP_COPY, EndpointRecord, Slot } from "../policy/sa-table.ts";
import { slotOffset } from "../policy/sad.ts";
import { Drop } from "./drop-reason.ts";
import { type LaneContext, NO_SOCKET, SKIP_SLOT } from "./lane-context.ts";
import type { SealAndSend } from "./seal-and-send.ts";

/** As in the SA's slot: Don't Fragment is cleared. */
const DF_CLEAR = 2;
/** Routers may mark it [TFS-19]. */
const ECT_0 = 2;

export class MadePayloads {
  readonly #context: LaneContext;
  readonly #sealAndSend: SealAndSend;
  /** Where payloads are written. */
  readonly frames: FrameBatch;

  constructor(context: LaneContext, frames: FrameBatch, sealAndSend: SealAndSend) {
    this.#context = context;
    this.frames = frames;
    this.#sealAndSend = sealAndSend;
  }

  /**
   * Octets of the longest payload whose outer packet has at most `outerSize` octets.
   * @param outerSize - 0: what the path takes, which is the most in any case
   */
  capacity(slot: number, outerSize: number): number {
    const { table } = this.#context;
    const { u32, bytes } = table;
    const base = slotOffset(table, slot);
    const endpointAt = endpointOffset(table, Atomics.load(u32, (base + Slot.ENDPOINT) >> 2));
    const headers = outerHeaders(
      bytes[endpointAt + EndpointRecord.FAMILY]!,
      bytes[endpointAt + EndpointRecord.ENCAPSULATION] === 1,
    );
    const pathMtu = u32[(base + Slot.PATH_MTU) >> 2]!;
    return innerMtu(
      outerSize === 0 ? pathMtu : Math.min(outerSize, pathMtu),
      headers,
      u32[(base + Slot.IV_LENGTH) >> 2]!,
      u32[(base + Slot.ICV_LENGTH) >> 2]!,
      u32[(base + Slot.BLOCK_SIZE) >> 2]!,
    );
  }

  /** Room for one payload: the frame's index, whose octets the caller writes, all of them. Never more than fits the memory. */
  append(length: number): number {
    const i = appendFrame(this.frames, length);
    if (i >= 0) return i;
    this.flush();
    return appendFrame(this.frames, length);
  }

  /**
   * Gives frame `i` to the SA of `slot`; counts it for the SA's limits like every packet.
   * @returns false when the SA may not carry it: it is dropped and counted
   */
  protect(i: number, slot: number, nextHeader: number, now: number): boolean {
    const context = this.#context;
    const { table } = context;
    const { frames } = this;
    const base = slotOffset(table, slot);
    frames.slot[i] = SKIP_SLOT;
    const endpoint = Atomics.load(table.u32, (base + Slot.ENDPOINT) >> 2);
    const socket = context.socketFor(endpointOffset(table, endpoint));
    if (socket === NO_SOCKET) return this.#drop(Drop.noSocket);
    const octets = paddedLength(frames.length[i]!, table.u32[(base + Slot.BLOCK_SIZE) >> 2]!);
    if (!mayCarry(table, base, octets)) {
      context.raise("hardLimit", slot, reachedHard(table, base));
      return this.#drop(Drop.saExpired);
    }
    const dscp = table.u32[(base + Slot.DSCP) >> 2]!;
    const isMarkable = table.u32[(base + Slot.AGGFRAG_CONGESTION) >> 2] === AggfragCongestionMode.ECN;
    frames.slot[i] = slot;
    frames.endpoint[i] = endpoint;
    frames.socket[i] = socket;
    // There is no one inner packet to copy from [TFS-09] [TFS-14].
    frames.tos[i] = (dscp === DSCP_COPY ? 0 : dscp << 2) | (isMarkable ? ECT_0 : 0);
    frames.fragmentable[i] = table.u32[(base + Slot.DF) >> 2] === DF_CLEAR ? 1 : 0;
    frames.nextHeader[i] = nextHeader;
    frames.strip[i] = 0;
    frames.padTo[i] = 0;
    frames.status[i] = PACKET_OK;
    if (countPackets(table, base, octets, now)) context.raise("softLimit", slot, reachedSoft(table, base));
    return true;
  }

  /** Seals and sends what was appended. */
  flush(): void {
    if (this.frames.count > 0) this.#sealAndSend.run(this.frames);
  }

  #drop(reason: number): false {
    this.#context.count(reason);
    return false;
  }
}
