/** A packet in words: `tcp 10.1.0.5:40000 -> 10.2.0.9:443`. */
import { formatIpAddress, type IpAddress } from "../base/ip-address.ts";
import { formatSpi } from "../base/spi.ts";
import { formatProtocol } from "../policy/selector-text.ts";
import { IpProtocol } from "../wire/ip/protocol.ts";

export interface PacketFacts {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** Absent: whatever it is. */
  readonly protocol?: number;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

/** ICMP shows its type and code where others have ports. */
export function packetText({
  source,
  destination,
  protocol,
  sourcePort,
  destinationPort,
}: PacketFacts): string {
  const isIcmp = protocol === IpProtocol.ICMP || protocol === IpProtocol.ICMPV6;
  const name = protocol === undefined ? "" : `${formatProtocol(protocol)} `;
  if (isIcmp) {
    const type =
      destinationPort === undefined ? "" : ` type ${destinationPort >> 8} code ${destinationPort & 0xff}`;
    return `${name}${formatIpAddress(source)} -> ${formatIpAddress(destination)}${type}`;
  }
  return `${name}${endText(source, sourcePort)} -> ${endText(destination, destinationPort)}`;
}

/** An ESP or AH packet that was not opened. */
export function outerPacketText({ source, protocol }: PacketFacts, spi: number): string {
  return `${formatProtocol(protocol ?? IpProtocol.ESP)} with SPI ${formatSpi(spi)} from ${formatIpAddress(source)}`;
}

function endText(address: IpAddress, port: number | undefined): string {
  const text = formatIpAddress(address);
  if (port === undefined) return text;
  return text.includes(":") ? `[${text}]:${port}` : `${text}:${port}`;
}
