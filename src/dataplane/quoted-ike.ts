/** Tells what ICMP quotes of an IKE message from what it quotes of ESP. */
import { NON_ESP_MARKER_LENGTH } from "../wire/esp/udp-encapsulation.ts";
import type { SocketRole } from "./packet-io.ts";

/**
 * The IKE message without its marker [NAT-04], as far as it is quoted; empty where only the UDP header is.
 * @param role - of the socket that the datagram left by
 * @returns `undefined` for what is no IKE message
 */
export function quotedIke(role: SocketRole, quoted: Uint8Array): Uint8Array | undefined {
  if (role === "ike") return quoted;
  if (role !== "nat") return undefined;
  const isMarked = quoted.subarray(0, NON_ESP_MARKER_LENGTH).every((octet) => octet === 0);
  return isMarked ? quoted.subarray(NON_ESP_MARKER_LENGTH) : undefined;
}
