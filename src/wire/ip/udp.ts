/** The UDP header (RFC 768). */
import { addToSum, finishSum, pseudoHeaderSum } from "./checksum.ts";
import { IpProtocol } from "./protocol.ts";

export const UDP_HEADER_LENGTH = 8;

const CHECKSUM = 6;

/**
 * Writes the header at `at`, in front of a payload that is in place, with the checksum that IPv6 asks for (RFC 8200 section 8.1).
 * @param addresses - where the source address starts, with the destination behind it
 * @param addressLength - 4 or 16
 * @param length - octets of header and payload
 */
export function writeUdpHeader(
  bytes: Uint8Array,
  at: number,
  ports: { readonly source: number; readonly destination: number },
  length: number,
  addresses: number,
  addressLength: number,
): void {
  putU16(bytes, at, ports.source);
  putU16(bytes, at + 2, ports.destination);
  putU16(bytes, at + 4, length);
  putU16(bytes, at + CHECKSUM, 0);
  const pseudo = pseudoHeaderSum(bytes, addresses, addressLength, IpProtocol.UDP, length);
  const checksum = finishSum(addToSum(pseudo, bytes, at, length));
  // Zero would say that there is none.
  putU16(bytes, at + CHECKSUM, checksum === 0 ? 0xffff : checksum);
}

function putU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}
