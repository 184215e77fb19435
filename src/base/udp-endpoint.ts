/** One end of a UDP conversation. */
import { compareIpAddress, formatIpAddress, type IpAddress } from "./ip-address.ts";

export interface UdpEndpoint {
  readonly address: IpAddress;
  readonly port: number;
}

export function sameEndpoint(a: UdpEndpoint, b: UdpEndpoint): boolean {
  return a.port === b.port && compareIpAddress(a.address, b.address) === 0;
}

/** `192.0.2.1:4500` or `[2001:db8::1]:4500`; also usable as a map key. */
export function formatEndpoint({ address, port }: UdpEndpoint): string {
  const text = formatIpAddress(address);
  return address.length === 4 ? `${text}:${port}` : `[${text}]:${port}`;
}
