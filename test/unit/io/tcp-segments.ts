/** TCP packets made and cut in TypeScript, as a model for what native code does with superpackets. */

export interface TcpFields {
  readonly family: 4 | 6;
  readonly sourcePort: number;
  readonly sequence: number;
  readonly payload: Uint8Array;
  readonly flags?: number;
  readonly id?: number;
  readonly tos?: number;
  readonly hops?: number;
  readonly df?: boolean;
  readonly window?: number;
  readonly acknowledgement?: number;
  /** A multiple of 4 octets. */
  readonly options?: Uint8Array;
}

export const FIN = 0x01;
export const PSH = 0x08;
export const ACK = 0x10;
export const CWR = 0x80;
export const VNET_HEADER = 10;
export const GSO_TCP4 = 1;
export const GSO_TCP6 = 4;
export const GSO_UDP = 5;

const ADDRESSES = {
  4: [10, 1, 0, 1, 10, 2, 0, 2],
  6: [0xfd, ...new Array<number>(14).fill(1), 1, 0xfd, ...new Array<number>(14).fill(2), 2],
} as const;

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function sumOf(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

export function ipHeaderOf(packet: Uint8Array): number {
  return packet[0]! >> 4 === 4 ? (packet[0]! & 15) * 4 : 40;
}

function isUdp(packet: Uint8Array): boolean {
  return packet[packet[0]! >> 4 === 4 ? 9 : 6] === 17;
}

export function headersOf(packet: Uint8Array): number {
  const ip = ipHeaderOf(packet);
  return ip + (isUdp(packet) ? 8 : (packet[ip + 12]! >> 4) * 4);
}

export function lengthOf(packet: Uint8Array): number {
  const view = viewOf(packet);
  return packet[0]! >> 4 === 4 ? view.getUint16(2) : 40 + view.getUint16(4);
}

function pseudoHeader(packet: Uint8Array): Uint8Array {
  const is4 = packet[0]! >> 4 === 4;
  const length = packet.length - ipHeaderOf(packet);
  const addresses = is4 ? packet.subarray(12, 20) : packet.subarray(8, 40);
  return Uint8Array.from([...addresses, 0, isUdp(packet) ? 17 : 6, length >> 8, length & 0xff]);
}

/** Writes lengths and checksums; with `partial` TCP's or UDP's field is left as a device gets it. */
export function finish(packet: Uint8Array, partial = false): Uint8Array {
  const view = viewOf(packet);
  const ip = ipHeaderOf(packet);
  if (packet[0]! >> 4 === 4) {
    view.setUint16(2, packet.length);
    view.setUint16(10, 0);
    view.setUint16(10, ~sumOf(packet.subarray(0, ip)) & 0xffff);
  } else {
    view.setUint16(4, packet.length - 40);
  }
  const field = ip + (isUdp(packet) ? 6 : 16);
  if (isUdp(packet)) view.setUint16(ip + 4, packet.length - ip);
  view.setUint16(field, 0);
  const pseudo = sumOf(pseudoHeader(packet));
  if (partial) {
    view.setUint16(field, pseudo);
  } else {
    const sum = pseudo + sumOf(packet.subarray(ip));
    const checksum = ~((sum & 0xffff) + (sum >>> 16)) & 0xffff;
    view.setUint16(field, isUdp(packet) && checksum === 0 ? 0xffff : checksum);
  }
  return packet;
}

export function tcpPacket(fields: TcpFields): Uint8Array {
  const options = fields.options ?? new Uint8Array(0);
  const ip = fields.family === 4 ? 20 : 40;
  const packet = new Uint8Array(ip + 20 + options.length + fields.payload.length);
  const view = viewOf(packet);
  const { tos = 0, hops = 64 } = fields;
  if (fields.family === 4) {
    packet.set([0x45, tos, 0, 0, 0, 0, fields.df === false ? 0 : 0x40, 0, hops, 6, 0, 0, ...ADDRESSES[4]]);
    view.setUint16(4, fields.id ?? 0);
  } else {
    packet.set([0x60 | (tos >> 4), (tos & 15) << 4, 0, 0, 0, 0, 6, hops, ...ADDRESSES[6]]);
  }
  view.setUint16(ip, fields.sourcePort);
  view.setUint16(ip + 2, 5001);
  view.setUint32(ip + 4, fields.sequence);
  view.setUint32(ip + 8, fields.acknowledgement ?? 77);
  packet[ip + 12] = ((20 + options.length) / 4) << 4;
  packet[ip + 13] = fields.flags ?? ACK;
  view.setUint16(ip + 14, fields.window ?? 500);
  packet.set(options, ip + 20);
  packet.set(fields.payload, ip + 20 + options.length);
  return finish(packet);
}

export interface UdpFields {
  readonly family: 4 | 6;
  readonly sourcePort: number;
  readonly payload: Uint8Array;
  readonly id?: number;
  readonly df?: boolean;
  readonly tos?: number;
  readonly hops?: number;
}

export function udpPacket({ payload, ...fields }: UdpFields): Uint8Array {
  const tcp = tcpPacket({ ...fields, sequence: 0, payload: new Uint8Array(0) });
  const ip = ipHeaderOf(tcp);
  const packet = Uint8Array.of(...tcp.subarray(0, ip + 4), 0, 0, 0, 0, ...payload);
  packet[ip === 20 ? 9 : 6] = 17;
  return finish(packet);
}

/** The packets that a NIC would make of a superpacket. */
export function segmentsOf(superpacket: Uint8Array, segment: number): Uint8Array[] {
  const headers = headersOf(superpacket);
  const ip = ipHeaderOf(superpacket);
  const segments: Uint8Array[] = [];
  for (let at = headers; at < superpacket.length; at += segment) {
    const payload = superpacket.subarray(at, Math.min(at + segment, superpacket.length));
    const packet = Uint8Array.from([...superpacket.subarray(0, headers), ...payload]);
    const view = viewOf(packet);
    if (ip === 20 || packet[0]! >> 4 === 4) view.setUint16(4, (view.getUint16(4) + segments.length) & 0xffff);
    if (!isUdp(packet)) {
      view.setUint32(ip + 4, (view.getUint32(ip + 4) + at - headers) >>> 0);
      if (segments.length > 0) packet[ip + 13]! &= ~CWR;
      if (at + segment < superpacket.length) packet[ip + 13]! &= ~(FIN | PSH);
    }
    segments.push(finish(packet));
  }
  return segments;
}

export interface VnetFields {
  readonly flags: number;
  readonly gsoType: number;
  readonly headerLength: number;
  readonly segment: number;
  readonly checksumStart: number;
  readonly checksumOffset: number;
}

export function withVnetHeader(packet: Uint8Array, fields: Partial<VnetFields>): Uint8Array {
  const framed = new Uint8Array(VNET_HEADER + packet.length);
  const view = viewOf(framed);
  view.setUint8(0, fields.flags ?? 0);
  view.setUint8(1, fields.gsoType ?? 0);
  view.setUint16(2, fields.headerLength ?? 0, true);
  view.setUint16(4, fields.segment ?? 0, true);
  view.setUint16(6, fields.checksumStart ?? 0, true);
  view.setUint16(8, fields.checksumOffset ?? 0, true);
  framed.set(packet, VNET_HEADER);
  return framed;
}

/** Takes the octets that were written to a device apart into packets with their headers. */
export function framesOf(written: Uint8Array): { readonly vnet: VnetFields; readonly packet: Uint8Array }[] {
  const frames: { vnet: VnetFields; packet: Uint8Array }[] = [];
  for (let at = 0; at < written.length; ) {
    const view = viewOf(written.subarray(at));
    const start = at + VNET_HEADER;
    const length = lengthOf(written.subarray(start));
    frames.push({
      vnet: {
        flags: view.getUint8(0),
        gsoType: view.getUint8(1),
        headerLength: view.getUint16(2, true),
        segment: view.getUint16(4, true),
        checksumStart: view.getUint16(6, true),
        checksumOffset: view.getUint16(8, true),
      },
      packet: written.slice(start, start + length),
    });
    at = start + length;
  }
  return frames;
}
