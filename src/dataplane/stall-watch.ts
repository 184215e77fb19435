/** Full-size TCP segments that are sent again and again: their path may carry less than it is held to (RFC 8899 section 3). */
import { uint32At } from "../base/bytes.ts";
import type { PacketFields } from "../wire/ip/ip-packet.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";

/** Flows that are watched at a time, by a hash: one may hide another. */
const FLOWS = 256;
/** Repetitions closer together are no timeouts (RFC 6298 section 2.4 allows less than its second, and so do systems). */
const REPEAT_MS_MIN = 150;
/** As many timeouts of one segment as chance seldom brings. */
const REPEATS = 2;
/** The lane tells of one stall in this time. */
const TELL_INTERVAL_MS = 1000;
const SEQUENCE = 4;
const TCP_HEADER = 20;
const MULTIPLIER = 0x9e3779b1;

/** What a lane remembers of plain frames that are longer than what every path carries. */
export class StallWatch {
  /** By flow: the sequence number of the last such segment. */
  readonly #sequence = new Uint32Array(FLOWS);
  readonly #flow = new Uint32Array(FLOWS);
  readonly #repeats = new Uint8Array(FLOWS);
  readonly #at = new Float64Array(FLOWS).fill(Number.NEGATIVE_INFINITY);
  readonly #told = Float64Array.of(Number.NEGATIVE_INFINITY);

  /**
   * @param fields - a packet at `bytes[at]` that is as long as its SA's path allows, or nearly
   * @returns whether its flow seems to stand still, which is told once in a while
   */
  isStalled(bytes: Uint8Array, at: number, fields: PacketFields, now: number): boolean {
    if (fields.protocol !== IpProtocol.TCP || fields.isFragment) return false;
    if (fields.totalLength - fields.headerLength <= TCP_HEADER) return false;
    const flow = flowOf(fields);
    const place = flow & (FLOWS - 1);
    const sequence = uint32At(bytes, at + fields.headerLength + SEQUENCE);
    if (this.#flow[place] !== flow || this.#sequence[place] !== sequence) {
      this.#flow[place] = flow;
      this.#sequence[place] = sequence;
      this.#repeats[place] = 0;
      this.#at[place] = now;
      return false;
    }
    if (now - this.#at[place]! < REPEAT_MS_MIN) return false;
    this.#at[place] = now;
    const repeats = Math.min(this.#repeats[place]! + 1, 0xff);
    this.#repeats[place] = repeats;
    if (repeats < REPEATS || now - this.#told[0]! < TELL_INTERVAL_MS) return false;
    this.#told[0] = now;
    return true;
  }
}

/** Never 0, which an unused place has. */
function flowOf({ source, destination, sourcePort, destinationPort }: PacketFields): number {
  let mixed = Math.imul((sourcePort << 16) | destinationPort, MULTIPLIER);
  for (let word = 0; word < 4; word++) {
    mixed = Math.imul(mixed ^ source[word]!, MULTIPLIER) ^ (mixed >>> 15);
    mixed = Math.imul(mixed ^ destination[word]!, MULTIPLIER) ^ (mixed >>> 13);
  }
  return (mixed ^ (mixed >>> 16)) >>> 0 || 1;
}
