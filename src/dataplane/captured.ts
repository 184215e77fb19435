/** A record of a capture ring as a packet with its headers. */
import { type Instant, Instant as instant } from "../base/instant.ts";
import { IpAddress } from "../base/ip-address.ts";
import {
  META_FAMILY,
  META_LOCAL_ADDRESS,
  META_LOCAL_PORT,
  META_REMOTE_ADDRESS,
  META_REMOTE_PORT,
} from "../base/packet-batch.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import { outerPacket } from "../wire/capture/outer-packet.ts";
import type { Direction } from "../wire/capture/pcapng.ts";
import { classifyNatDatagram, NatDatagram } from "../wire/esp/udp-encapsulation.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";
import { CAPTURE_OUTBOUND, CaptureKind, CaptureRecord, type CaptureRing } from "./capture-ring.ts";
import { DROP_REASONS, type DropReason } from "./drop-reason.ts";

export interface Captured {
  /** Of the moment when its lane's turn began. */
  readonly at: Instant;
  readonly direction: Direction;
  /** An own copy, as far as it was kept. */
  readonly octets: Uint8Array;
  /** Octets before it was cut. */
  readonly length: number;
  readonly reason?: DropReason;
  /** Index of the TUN device; absent: an outer packet. */
  readonly device?: number;
  /** Of ESP and AH, and of inner packets that are dropped behind their SA. */
  readonly spi?: number;
  /** By its selectors, of inner packets. */
  readonly policy?: number;
  /** Of outer packets: where the peer is. */
  readonly peer?: IpAddress;
}

/** @param word - where the record begins */
export function readCaptured(ring: CaptureRing, word: number, natPort: number): Captured {
  const { u32, f64, bytes } = ring;
  const kind = u32[word + CaptureRecord.KIND]!;
  const direction = (kind & CAPTURE_OUTBOUND) === 0 ? "inbound" : "outbound";
  const reason = u32[word + CaptureRecord.REASON]!;
  const start = (word + CaptureRecord.OCTETS) * 4;
  const octets = bytes.slice(start, start + u32[word + CaptureRecord.CAPTURED]!);
  const length = u32[word + CaptureRecord.LENGTH]!;
  const common = {
    at: instant(f64[(word + CaptureRecord.AT) >> 1]!),
    direction,
    ...(reason === 0 ? {} : { reason: DROP_REASONS[reason - 1]! }),
  } as const;
  if ((kind & 0xff) === CaptureKind.INNER) {
    const spi = u32[word + CaptureRecord.SPI]!;
    const policy = u32[word + CaptureRecord.POLICY]!;
    return {
      ...common,
      octets,
      length,
      device: kind >>> 16,
      ...(spi === 0 ? {} : { spi }),
      ...(policy === 0 ? {} : { policy: policy - 1 }),
    };
  }
  return { ...common, ...outerOf(ring, word, kind & 0xff, direction, octets, length, natPort) };
}

function outerOf(
  ring: CaptureRing,
  word: number,
  kind: number,
  direction: Direction,
  octets: Uint8Array,
  length: number,
  natPort: number,
): Pick<Captured, "octets" | "length" | "spi" | "peer"> {
  const meta = (word + CaptureRecord.META) * 4;
  const local = endpointAt(ring.bytes, meta, META_LOCAL_ADDRESS, META_LOCAL_PORT);
  const remote = endpointAt(ring.bytes, meta, META_REMOTE_ADDRESS, META_REMOTE_PORT);
  const peer = remote.address;
  if (kind === CaptureKind.WHOLE) return { octets, length, peer };
  const [source, destination] = direction === "inbound" ? [remote, local] : [local, remote];
  const protocol =
    kind === CaptureKind.UDP ? IpProtocol.UDP : kind === CaptureKind.ESP ? IpProtocol.ESP : IpProtocol.AH;
  const tos = ring.u32[word + CaptureRecord.TOS]!;
  const spi = spiOf(kind, octets, local.port === natPort);
  return {
    ...outerPacket({ source, destination, protocol, tos, octets, length }),
    ...(spi === undefined ? {} : { spi }),
    peer,
  };
}

function spiOf(kind: number, octets: Uint8Array, isNatPort: boolean): number | undefined {
  const at = kind === CaptureKind.AH ? 4 : 0;
  if (octets.length < at + 4) return undefined;
  const isEsp =
    kind !== CaptureKind.UDP ||
    (isNatPort && classifyNatDatagram(octets, 0, octets.length) === NatDatagram.ESP);
  return isEsp ? new DataView(octets.buffer, octets.byteOffset).getUint32(at) : undefined;
}

function endpointAt(bytes: Uint8Array, meta: number, address: number, port: number): UdpEndpoint {
  const length = bytes[meta + META_FAMILY] === 4 ? 4 : 16;
  const ports = new Uint8Array(2);
  ports.set(bytes.subarray(meta + port, meta + port + 2));
  return {
    address: IpAddress(bytes.slice(meta + address, meta + address + length)),
    port: new Uint16Array(ports.buffer)[0]!,
  };
}
