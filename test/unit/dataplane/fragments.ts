/** Fragments of whole packets, as a host makes them (RFC 791 section 3.2, RFC 8200 section 4.5). */
import { concat } from "../../../src/base/bytes.ts";
import { writeIpv4Checksum } from "../../../src/wire/ip/ipv4.ts";
import { fragmentHeader } from "../wire/ip/packets.ts";

/** The part of a packet's payload from octet `start` up to `end`, in a packet of its own. */
export function fragmentOf(packet: Uint8Array, id: number, start: number, end: number): Uint8Array {
  const isV4 = packet[0]! >> 4 === 4;
  const header = isV4 ? (packet[0]! & 15) * 4 : 40;
  const payload = packet.subarray(header);
  const data = payload.subarray(start, end);
  const more = end < payload.length;
  if (isV4) {
    const bytes = concat(packet.subarray(0, header), data);
    const view = new DataView(bytes.buffer);
    view.setUint16(2, bytes.length);
    view.setUint16(4, id);
    view.setUint16(6, (more ? 0x2000 : 0) | (start / 8));
    writeIpv4Checksum(bytes, 0);
    return bytes;
  }
  const extra = fragmentHeader(packet[6]!, start, more);
  new DataView(extra.buffer).setUint32(4, id);
  const bytes = concat(packet.subarray(0, header), extra, data);
  bytes[6] = 44;
  new DataView(bytes.buffer).setUint16(4, 8 + data.length);
  return bytes;
}

/** All fragments in order; `size` is a multiple of 8. */
export function fragmentsOf(packet: Uint8Array, id: number, size: number): Uint8Array[] {
  const length = packet.length - (packet[0]! >> 4 === 4 ? (packet[0]! & 15) * 4 : 40);
  return Array.from({ length: Math.ceil(length / size) }, (_, i) =>
    fragmentOf(packet, id, i * size, Math.min(length, (i + 1) * size)),
  );
}
