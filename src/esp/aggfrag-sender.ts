/** The stream of AGGFRAG payloads of one outbound SA: inner packets in, payloads of a given size out (RFC 9347 section 2.2). */
import { OctetCopy } from "../base/octet-copy.ts";
import { AGGFRAG_HEADER_LENGTH, writeAggfragHeader } from "../wire/esp/aggfrag.ts";

/** A first piece has at least a whole IPv6 header, so that its receiver knows the length from the start. */
const FIRST_PIECE_MIN = 40;
const PACKET_LENGTH_MAX = 0xffff;

/**
 * A bounded queue of inner packets, each of which is a data block, and what of its front was sent. The front stays until
 * its last octet has left, so that another SA can send it whole after a rekey [TFS-05].
 */
export class AggfragSender {
  readonly #ring: Uint8Array;
  readonly #lengths: Uint16Array;
  readonly #copyIn = new OctetCopy();
  readonly #copyOut = new OctetCopy();
  /** Octet of the ring where the front packet starts. */
  #head = 0;
  #octets = 0;
  #firstPacket = 0;
  #packets = 0;
  /** Octets of the front packet that have left. */
  #frontSent = 0;

  /** @param octetsMax - of all packets that wait; @param packetsMax - their number */
  constructor(octetsMax: number, packetsMax: number) {
    this.#ring = new Uint8Array(octetsMax);
    this.#lengths = new Uint16Array(packetsMax);
  }

  /** Octets that wait to be sent. */
  get waiting(): number {
    return this.#octets - this.#frontSent;
  }

  get packets(): number {
    return this.#packets;
  }

  /** Copies an inner packet into the queue; false when there is no room for it. */
  enqueue(bytes: Uint8Array, at: number, length: number): boolean {
    const ring = this.#ring;
    if (length < 1 || length > PACKET_LENGTH_MAX || this.#packets === this.#lengths.length) return false;
    if (length > ring.length - this.#octets) return false;
    const to = (this.#head + this.#octets) % ring.length;
    const beforeEnd = Math.min(length, ring.length - to);
    this.#copyIn.run(bytes, at, ring, to, beforeEnd);
    this.#copyIn.run(bytes, at + beforeEnd, ring, 0, length - beforeEnd);
    this.#lengths[(this.#firstPacket + this.#packets) % this.#lengths.length] = length;
    this.#packets++;
    this.#octets += length;
    return true;
  }

  /**
   * Writes one payload: as many packets and pieces as fit, in order.
   * @param size - most octets of the payload, header included; more than the header
   * @param isFixed - exactly `size` octets: what is left is a pad block [TFS-03]
   * @param mayFragment - false: whole packets only; one that does not fit `size` has to go by {@link dropFront} [TFS-07]
   * @param headerLength - of the sub-type; whoever asks for a longer one writes what it says
   * @returns octets written
   */
  fill(
    bytes: Uint8Array,
    at: number,
    size: number,
    isFixed: boolean,
    mayFragment: boolean,
    headerLength: number = AGGFRAG_HEADER_LENGTH,
  ): number {
    const end = at + size;
    let to = at + headerLength;
    const blockOffset = this.#frontSent === 0 ? 0 : this.frontLength - this.#frontSent;
    writeAggfragHeader(bytes, at, blockOffset, headerLength);
    while (this.#packets > 0 && to < end) {
      const left = this.frontLength - this.#frontSent;
      const room = end - to;
      if (left > room && this.#frontSent === 0 && !(mayFragment && room >= FIRST_PIECE_MIN)) break;
      const count = Math.min(left, room);
      this.#copyFront(bytes, to, count);
      to += count;
      this.#frontSent += count;
      if (count === left) this.dropFront();
    }
    if (!isFixed) return to - at;
    bytes.fill(0, to, end);
    return size;
  }

  /** Octets of the front packet; 0 when none waits. */
  get frontLength(): number {
    return this.#packets === 0 ? 0 : this.#lengths[this.#firstPacket]!;
  }

  /** Whether pieces of the front packet have left, and others not. */
  get isAmidPacket(): boolean {
    return this.#frontSent > 0;
  }

  /** Forgets the front packet. */
  dropFront(): void {
    const length = this.frontLength;
    if (length === 0) return;
    this.#head = (this.#head + length) % this.#ring.length;
    this.#octets -= length;
    this.#firstPacket = (this.#firstPacket + 1) % this.#lengths.length;
    this.#packets--;
    this.#frontSent = 0;
  }

  /**
   * Moves the packets to the successor of the SA; one that was sent in part goes whole, since pieces never cross SAs [TFS-05].
   * @returns packets that the successor had no room for
   */
  moveTo(successor: AggfragSender): number {
    const scratch = new Uint8Array(PACKET_LENGTH_MAX);
    let lost = 0;
    this.#frontSent = 0;
    while (this.#packets > 0) {
      this.#copyFront(scratch, 0, this.frontLength);
      if (!successor.enqueue(scratch, 0, this.frontLength)) lost++;
      this.dropFront();
    }
    return lost;
  }

  /** Copies octets of the front packet from the first unsent one on. */
  #copyFront(bytes: Uint8Array, at: number, count: number): void {
    const ring = this.#ring;
    const from = (this.#head + this.#frontSent) % ring.length;
    const beforeEnd = Math.min(count, ring.length - from);
    this.#copyOut.run(ring, from, bytes, at, beforeEnd);
    this.#copyOut.run(ring, 0, bytes, at + beforeEnd, count - beforeEnd);
  }
}
