/** What the receiver's system does with fragments of outer packets before a socket sees them (RFC 791 section 3.2, RFC 8200 section 4.5). */
import { concat } from "../../../src/base/bytes.ts";
import { addToSum, finishSum, pseudoHeaderSum } from "../../../src/wire/ip/checksum.ts";
import { createPacketFields, parseIpPacket } from "../../../src/wire/ip/ip-packet.ts";

interface Piece {
  readonly start: number;
  readonly bytes: Uint8Array;
}

interface Waiting {
  /** Headers of the first fragment, without the fragment header, as a whole packet has them. */
  header?: Uint8Array;
  pieces: Piece[];
  total?: number;
}

export class OuterReassembly {
  readonly #waiting = new Map<string, Waiting>();

  /** @returns the packet itself when it is no fragment, the one that the fragment completes, or `undefined` */
  take(packet: Uint8Array): Uint8Array | undefined {
    const fields = createPacketFields();
    if (!parseIpPacket(packet, 0, packet.length, fields) || !fields.isFragment) return packet;
    const isV4 = fields.family === 4;
    const { fragmentDataOffset, fragmentNamedAt, fragmentId } = fields.extensionHeaders;
    const id = isV4 ? fields.fragmentId : fragmentId;
    const key = [fields.source, fields.destination, id, isV4 ? fields.protocol : 0].join();
    const waiting = this.#waiting.get(key) ?? { pieces: [] };
    this.#waiting.set(key, waiting);
    const start = fields.fragmentOffset;
    waiting.pieces.push({ start, bytes: packet.slice(packet.length - fields.fragmentLength) });
    if (start === 0) {
      waiting.header = packet.slice(0, isV4 ? fields.headerLength : fragmentDataOffset - 8);
      if (!isV4) waiting.header[fragmentNamedAt] = fields.fragmentProtocol;
    }
    if (!fields.moreFragments) waiting.total = start + fields.fragmentLength;
    const whole = assemble(waiting);
    if (whole !== undefined) this.#waiting.delete(key);
    return whole;
  }
}

function assemble({ header, pieces, total }: Waiting): Uint8Array | undefined {
  if (header === undefined || total === undefined) return undefined;
  const sorted = [...pieces].sort((a, b) => a.start - b.start);
  let end = 0;
  for (const { start, bytes } of sorted) {
    if (start < end) throw new Error("outer fragments overlap");
    if (start > end) return undefined;
    end += bytes.length;
  }
  const whole = concat(header, ...sorted.map(({ bytes }) => bytes));
  const view = new DataView(whole.buffer);
  if (header[0]! >> 4 === 4) {
    view.setUint16(2, whole.length);
    view.setUint16(6, 0);
    view.setUint16(10, 0);
    view.setUint16(10, finishSum(addToSum(0, whole, 0, header.length)));
  } else view.setUint16(4, whole.length - 40);
  return whole;
}

/** The payload of a UDP packet over IPv6 without further headers, whose length and checksum must be right. */
export function udpPayload(packet: Uint8Array): { ports: [number, number]; payload: Uint8Array } {
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  const length = view.getUint16(44);
  const sum = addToSum(pseudoHeaderSum(packet, 8, 16, 17, length), packet, 40, length);
  if (length !== packet.length - 40 || view.getUint16(46) === 0 || finishSum(sum) !== 0)
    throw new Error("a wrong UDP header");
  return { ports: [view.getUint16(40), view.getUint16(42)], payload: packet.slice(48) };
}
