/** Frames whose columns are written become ESP packets and leave: the same way for whatever the lane sends. */
import { clearFrames, type FrameBatch } from "../base/frame-batch.ts";
import {
  PACKET_NOT_SENT,
  PACKET_OK,
  PACKET_SEQUENCE_EXHAUSTED,
  PACKET_TOO_BIG,
  type PacketBatch,
} from "../base/packet-batch.ts";
import { readUint64 } from "../policy/sa-record.ts";
import { Slot } from "../policy/sa-table.ts";
import { slotOffset } from "../policy/sad.ts";
import { Drop } from "./drop-reason.ts";
import { type LaneContext, SKIP_SLOT } from "./lane-context.ts";
import { WholePackets } from "./whole-packets.ts";

/** With any setting of DF. */
const ANY_DF = 2;
const WITH_DF = 0;
const WITHOUT_DF = 1;

export class SealAndSend {
  readonly #context: LaneContext;
  readonly #packets: PacketBatch;
  /** Made for the first packet that brings its own IP header. */
  #whole: WholePackets | undefined;
  /** Bits of the sockets that frames leave by, with DF and without. */
  #withDf = 0;
  #withoutDf = 0;

  /** @param packets - memory for sealed packets, used anew by every call */
  constructor(context: LaneContext, packets: PacketBatch) {
    this.#context = context;
    this.#packets = packets;
  }

  /** Seals and sends every frame that has a slot, counts what was refused, and forgets the frames. */
  run(frames: FrameBatch): void {
    if (this.#sortBySocket(frames)) {
      frames.cursor[0] = 0;
      frames.cursor[1] = 0;
      this.#whole?.begin();
      do {
        this.#context.engine.seal(frames, this.#packets);
        if (this.#packets.count === 0) break;
        this.#sendAll(frames);
      } while (frames.cursor[0]! < frames.count);
      for (let i = 0; i < frames.count; i++) if (frames.slot[i] !== SKIP_SLOT) this.#settle(frames, i);
    }
    clearFrames(frames);
  }

  /** False when there is nothing to send. */
  #sortBySocket(frames: FrameBatch): boolean {
    const { io } = this.#context;
    this.#withDf = 0;
    this.#withoutDf = 0;
    for (let i = 0; i < frames.count; i++) {
      if (frames.slot[i] === SKIP_SLOT) continue;
      const socket = frames.socket[i]!;
      const isWhole = io.sockets[socket]!.role === "whole";
      if (io.sendFragmentable === undefined && !isWhole) frames.fragmentable[i] = 0;
      // Whole packets say themselves whether they have DF.
      if (frames.fragmentable[i] === 1 && !isWhole) this.#withoutDf |= 1 << socket;
      else this.#withDf |= 1 << socket;
    }
    return (this.#withDf | this.#withoutDf) !== 0;
  }

  #sendAll(frames: FrameBatch): void {
    const all = this.#withDf | this.#withoutDf;
    const isOneSocket = (all & (all - 1)) === 0;
    const isOneKind = isOneSocket && (this.#withDf === 0 || this.#withoutDf === 0);
    if (!isOneKind) emptyUnsealed(this.#packets);
    for (let socket = 0; all >>> socket !== 0; socket++) {
      if (((this.#withDf >>> socket) & 1) !== 0) this.#send(frames, socket, WITH_DF, isOneKind);
      if (((this.#withoutDf >>> socket) & 1) !== 0) this.#send(frames, socket, WITHOUT_DF, isOneKind);
    }
  }

  /** Sends the packets of one socket and one setting of DF; the others are left out by their status. */
  #send(frames: FrameBatch, socket: number, fragmentable: number, isAll: boolean): void {
    const packets = this.#packets;
    const { io } = this.#context;
    const isWhole = io.sockets[socket]!.role === "whole";
    const kind = isAll || isWhole ? ANY_DF : fragmentable;
    if (!isAll)
      for (let k = 0; k < packets.count; k++)
        packets.status[k] =
          packets.length[k]! > 0 && isSentBy(frames, packets.frame[k]!, socket, kind)
            ? PACKET_OK
            : PACKET_NOT_SENT;
    if (isWhole) {
      this.#whole ??= new WholePackets(this.#context);
      this.#whole.send(frames, packets, socket);
    } else if (fragmentable === WITHOUT_DF) io.sendFragmentable?.(socket, packets);
    else io.send(socket, packets);
    for (let k = 0; k < packets.count; k++) {
      if (packets.status[k] === PACKET_OK || !isSentBy(frames, packets.frame[k]!, socket, kind)) continue;
      const reason = packets.status[k] === PACKET_TOO_BIG ? Drop.sendTooBig : Drop.sendFailed;
      this.#context.dropFrame(reason, frames, packets.frame[k]!, 1);
    }
  }

  /** Counts what the engine refused, and asks for a rekey while there are sequence numbers left [ESP-03]. */
  #settle(frames: FrameBatch, i: number): void {
    const context = this.#context;
    const slot = frames.slot[i]!;
    const refused = frames.segments[i]! - frames.sealed[i]!;
    if (frames.status[i] === PACKET_OK && refused === 0) {
      const isLastOfSlot = i + 1 === frames.count || frames.slot[i + 1] !== slot;
      if (isLastOfSlot && this.#isSoftSequence(slotOffset(context.table, slot)))
        context.raise("softLimit", slot, "sequenceNumbers");
    } else if (frames.status[i] === PACKET_SEQUENCE_EXHAUSTED) {
      context.dropFrame(Drop.sequenceExhausted, frames, i, refused);
      context.raise("hardLimit", slot, "sequenceNumbers");
    } else context.dropFrame(Drop.sealFailed, frames, i, refused);
  }

  #isSoftSequence(base: number): boolean {
    const { table } = this.#context;
    return readUint64(table, base + Slot.SEQUENCE) >= table.f64[(base + Slot.SOFT_SEQUENCE) >> 3]!;
  }
}

/** Where the status says which socket sends a packet, the length says that there is none to send. */
function emptyUnsealed({ count, status, length }: PacketBatch): void {
  for (let k = 0; k < count; k++) if (status[k] !== PACKET_OK) length[k] = 0;
}

function isSentBy(frames: FrameBatch, i: number, socket: number, fragmentable: number): boolean {
  return frames.socket[i] === socket && (fragmentable === ANY_DF || frames.fragmentable[i] === fragmentable);
}
