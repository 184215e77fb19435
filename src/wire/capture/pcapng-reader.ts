/** Cuts a pcapng stream of this machine's byte order into blocks, as they arrive. */
import { concat } from "../../base/bytes.ts";
import { WireError } from "../wire-error.ts";
import { BlockType } from "./pcapng.ts";

/** Octets of a block, at most: a packet of a whole superpacket, and what stands beside it. */
const BLOCK_MAX = 1024 * 1024;
const BLOCK_MIN = 12;

export interface PcapngBlock {
  readonly type: number;
  /** The whole of it. */
  readonly octets: Uint8Array;
}

export class PcapngReader {
  #rest: Uint8Array = new Uint8Array(0);

  /**
   * The blocks that have become whole, in their order; views of `octets` where that is possible.
   * @throws {@link WireError} when this is no such stream
   */
  take(octets: Uint8Array): PcapngBlock[] {
    const bytes = this.#rest.length === 0 ? octets : concat(this.#rest, octets);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const blocks: PcapngBlock[] = [];
    let at = 0;
    while (bytes.length - at >= BLOCK_MIN) {
      const length = view.getUint32(at + 4, true);
      if (length < BLOCK_MIN || length % 4 !== 0 || length > BLOCK_MAX)
        throw new WireError("WIRE_BAD_LENGTH", at + 4, `a block of ${length} octets`);
      if (bytes.length - at < length) break;
      blocks.push({ type: view.getUint32(at, true), octets: bytes.subarray(at, at + length) });
      at += length;
    }
    this.#rest = bytes.slice(at);
    return blocks;
  }

  /** Nothing is left of a block that has begun. */
  get isAtEnd(): boolean {
    return this.#rest.length === 0;
  }
}

/** Packets that an interface lost, as its statistics say. @param octets - of a block of that type */
export function lostOf({ type, octets }: PcapngBlock): number {
  if (type !== BlockType.STATISTICS) return 0;
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  const end = octets.length - 4;
  for (let at = 20; at + 4 <= end; ) {
    const code = view.getUint16(at, true);
    const length = view.getUint16(at + 2, true);
    if (code === DROPPED && length === 8 && at + 12 <= end) return Number(view.getBigUint64(at + 4, true));
    at += 4 + Math.ceil(length / 4) * 4;
  }
  return 0;
}

const DROPPED = 5;

/** Of a Decryption Secrets Block: of which type its secrets are, and they themselves. */
export function secretsOf({ type, octets }: PcapngBlock): { type: number; secrets: Uint8Array } | undefined {
  if (type !== BlockType.SECRETS || octets.length < 20) return undefined;
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  const length = view.getUint32(12, true);
  return {
    type: view.getUint32(8, true),
    secrets: octets.subarray(16, Math.min(16 + length, octets.length - 4)),
  };
}
