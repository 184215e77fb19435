/**
 * Whether a report that a packet of ours was too big is believed (RFC 4301 section 8.2.1, RFC 1191 section 3, RFC 8201 section 4).
 * Anybody can forge one: only who has seen our ESP packets knows SPI and sequence number.
 */
import type { IpAddress } from "../base/ip-address.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";

/** A packet of ours did not fit a path, as the kernel hands it up. */
export interface PathReport {
  /**
   * `icmp`: a router says so; `host`: it did not even fit the way out of this host; `stall`: a TCP flow inside sends a
   * segment of full size over and over, which nobody says anything about.
   */
  readonly origin: "icmp" | "host" | "stall";
  /** Where the packet was bound for; port 0 for raw ESP. */
  readonly remote: UdpEndpoint;
  /** The router that sent it, or whoever pretends to be one. */
  readonly reporter?: IpAddress;
  /** Octets of the largest IP packet that fits; 0 when the report does not say it. */
  readonly mtu: number;
  /** What it quotes of our packet behind the IP header, and the UDP header where there is one; may be empty. */
  readonly quoted: Uint8Array;
}

/** Outer packets of this size every host has to take (RFC 791 section 3.2), every link to carry (RFC 8200 section 5). */
export const PATH_MTU_MIN = { 4: 576, 6: 1280 } as const;

/** An honest report is about one of the last packets: so many may have been sent since. */
const SEQUENCE_DISTANCE_MAX = 1 << 20;
const SPI_AND_SEQUENCE = 8;

/** The ESP header that a report quotes; `undefined` when it shows none: IKE, a keepalive, or too little. */
export function quotedEsp({
  quoted,
}: PathReport): { readonly spi: number; readonly sequence: number } | undefined {
  if (quoted.length < SPI_AND_SEQUENCE) return undefined;
  const view = new DataView(quoted.buffer, quoted.byteOffset, SPI_AND_SEQUENCE);
  const spi = view.getUint32(0);
  return spi === 0 ? undefined : { spi, sequence: view.getUint32(4) };
}

export type ReportRefusal = "badSequence" | "absurdMtu" | "notSmaller";

/**
 * @param sequence - low half of the sequence number that the report quotes
 * @param lastSequence - number of the SA's last packet, 0 before the first
 * @param current - octets that the path is held to carry now
 * @returns why the report is not believed; `undefined` when it is [SPD-10]
 */
export function refuseReport(
  report: PathReport,
  sequence: number,
  lastSequence: number,
  current: number,
): ReportRefusal | undefined {
  const distance = ((lastSequence % 0x1_0000_0000) - sequence) >>> 0;
  if (distance >= Math.min(lastSequence, SEQUENCE_DISTANCE_MAX)) return "badSequence";
  const family = report.remote.address.length === 4 ? 4 : 6;
  if (report.mtu < PATH_MTU_MIN[family]) return "absurdMtu";
  return report.mtu >= current ? "notSmaller" : undefined;
}
