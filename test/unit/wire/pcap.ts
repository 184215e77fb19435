/** Reads the frames of pcap and pcapng files and takes the link layer off; no more than the captures of the tests need. */
import { readFileSync } from "node:fs";
import { formatIpAddress } from "../../../src/base/ip-address.ts";
import { createPacketFields, parseIpPacket } from "../../../src/wire/ip/ip-packet.ts";
import { IpProtocol } from "../../../src/wire/ip/protocol.ts";

interface Frame {
  readonly link: number;
  readonly bytes: Uint8Array;
}

/** One datagram of a capture: the UDP payload, or what follows the IP header. */
export interface Datagram {
  /** 1-based, as packet analysers count. */
  readonly frame: number;
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
}

const UDP_HEADER_LENGTH = 8;
const LINK_NULL = 0;
const LINK_ETHERNET = 1;
const LINK_RAW = 101;
const LINK_IPV4 = 228;
const PCAP_LITTLE_ENDIAN = 0xd4c3b2a1;
const PCAPNG_SECTION = 0x0a0d0d0a;
const PCAPNG_INTERFACE = 1;
const PCAPNG_ENHANCED_PACKET = 6;
const PCAPNG_SIMPLE_PACKET = 3;

/** The IP packets of a file by frame; `undefined` where a frame holds none. */
export function readPackets(path: string): readonly (Uint8Array | undefined)[] {
  return readFrames(path).map(ipPacketOf);
}

/** The datagrams of a file; frames that hold no whole IP packet are left out. */
export function readDatagrams(path: string): readonly Datagram[] {
  return readPackets(path).flatMap((packet, index) => {
    const datagram = packet === undefined ? undefined : datagramOf(packet, index + 1);
    return datagram === undefined ? [] : [datagram];
  });
}

function datagramOf(packet: Uint8Array, frame: number): Datagram | undefined {
  const fields = createPacketFields();
  if (!parseIpPacket(packet, 0, packet.length, fields)) return undefined;
  const isUdp = fields.protocol === IpProtocol.UDP && fields.hasPorts;
  const start = fields.headerLength + (isUdp ? UDP_HEADER_LENGTH : 0);
  const udpLength = (packet[fields.headerLength + 4]! << 8) | packet[fields.headerLength + 5]!;
  const end = isUdp ? fields.headerLength + udpLength : fields.totalLength;
  const [from, length] = fields.family === 4 ? [12, 4] : [8, 16];
  return {
    frame,
    source: formatIpAddress(packet.subarray(from, from + length)),
    destination: formatIpAddress(packet.subarray(from + length, from + 2 * length)),
    protocol: fields.protocol,
    sourcePort: fields.sourcePort,
    destinationPort: fields.destinationPort,
    payload: packet.subarray(start, Math.max(start, end)),
  };
}

function ipPacketOf({ link, bytes }: Frame): Uint8Array | undefined {
  if (link === LINK_RAW || link === LINK_IPV4) return bytes;
  if (link === LINK_NULL) return bytes.subarray(4);
  if (link !== LINK_ETHERNET) return undefined;
  const etherType = (bytes[12]! << 8) | bytes[13]!;
  return etherType === 0x0800 || etherType === 0x86dd ? bytes.subarray(14) : undefined;
}

function readFrames(path: string): readonly Frame[] {
  const file = new Uint8Array(readFileSync(path));
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const magic = view.getUint32(0);
  if (magic === PCAP_LITTLE_ENDIAN) return readPcap(file, view);
  if (magic === PCAPNG_SECTION) return readPcapng(file, view);
  throw new Error(`${path} is no little-endian pcap or pcapng file`);
}

function readPcap(file: Uint8Array, view: DataView): readonly Frame[] {
  const link = view.getUint32(20, true) & 0x0fffffff;
  const frames: Frame[] = [];
  for (let at = 24; at + 16 <= file.length; ) {
    const length = view.getUint32(at + 8, true);
    frames.push({ link, bytes: file.subarray(at + 16, at + 16 + length) });
    at += 16 + length;
  }
  return frames;
}

function readPcapng(file: Uint8Array, view: DataView): readonly Frame[] {
  const links: number[] = [];
  const frames: Frame[] = [];
  for (let at = 0; at + 12 <= file.length; ) {
    const type = view.getUint32(at, true);
    const length = view.getUint32(at + 4, true);
    if (type === PCAPNG_INTERFACE) links.push(view.getUint16(at + 8, true));
    if (type === PCAPNG_ENHANCED_PACKET) {
      const link = links[view.getUint32(at + 8, true)]!;
      frames.push({ link, bytes: file.subarray(at + 28, at + 28 + view.getUint32(at + 20, true)) });
    }
    if (type === PCAPNG_SIMPLE_PACKET) {
      frames.push({ link: links[0]!, bytes: file.subarray(at + 12, at + length - 4) });
    }
    at += Math.max(length, 12);
  }
  return frames;
}
