/** How large an inner packet may be so that its ESP packet fits the way to the peer (RFC 4301 section 8.2, [SPD-10]). */

import type { Encapsulation, SaHandling } from "../policy/data-plane.ts";
import type { SuiteSizes } from "../policy/sa-record.ts";
import { ahHeaderLength } from "../wire/ah/ah-header.ts";
import { AGGFRAG_HEADER_LENGTH } from "../wire/esp/aggfrag.ts";

const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const UDP_HEADER = 8;
/** SPI and sequence number. */
const ESP_HEADER = 8;
/** Pad length and next header. */
const ESP_TRAILER = 2;

/** Where the octets go: `inner` = `outer` - `encapsulation` - `esp`. */
export interface EffectiveMtu {
  readonly outer: number;
  /** IP header without options, and the UDP header if there is one. */
  readonly encapsulation: number;
  /** Header, IV, trailer, ICV, and what alignment leaves unused. */
  readonly esp: number;
  readonly inner: number;
}

/** @param mode - in transport mode the header of what is carried is the outer one */
export function effectiveMtu(
  outer: number,
  family: 4 | 6,
  encapsulation: Encapsulation,
  sizes: SuiteSizes,
  mode: "tunnel" | "transport" = "tunnel",
): EffectiveMtu {
  const headers = outerHeaders(family, encapsulation === "udp");
  const payload = innerMtu(outer, headers, sizes.ivLength, sizes.icvLength, sizes.blockSize);
  const inner = mode === "tunnel" || payload === 0 ? payload : payload + outerHeaders(family, false);
  return { outer, encapsulation: headers, esp: outer - headers - inner, inner };
}

/**
 * Octets of the largest inner packet that an SA takes. In pieces it takes any; it is then what the path's own links take,
 * which is what hosts have for their networks as a rule, so that none of them has to cut anything [TFS-15].
 */
export function carriedMtu(
  outer: number,
  family: 4 | 6,
  encapsulation: Encapsulation,
  sizes: SuiteSizes,
  { aggfrag, mode }: Pick<SaHandling, "aggfrag" | "mode">,
): number {
  if (aggfrag === undefined) return effectiveMtu(outer, family, encapsulation, sizes, mode).inner;
  if (aggfrag.mayFragment) return outer;
  const size = aggfrag.packetSize === "mtu" ? outer : Math.min(aggfrag.packetSize, outer);
  return effectiveMtu(size, family, encapsulation, sizes).inner - AGGFRAG_HEADER_LENGTH;
}

/** The longest packet that fits `outer` octets with AH, and in tunnel mode with an IP header in front. */
export function ahInnerMtu(
  outer: number,
  family: 4 | 6,
  icvLength: number,
  mode: "tunnel" | "transport" = "tunnel",
): number {
  const header = mode === "tunnel" ? outerHeaders(family, false) : 0;
  return Math.max(0, outer - header - ahHeaderLength(icvLength, family));
}

/** Octets that IP and UDP put in front of an ESP packet. */
export function outerHeaders(family: number, isUdp: boolean): number {
  return (family === 4 ? IPV4_HEADER : IPV6_HEADER) + (isUdp ? UDP_HEADER : 0);
}

/** The longest payload whose ESP packet is at most `outer` octets long with `headers` in front; 0 when none fits. */
export function innerMtu(
  outer: number,
  headers: number,
  ivLength: number,
  icvLength: number,
  blockSize: number,
): number {
  const room = outer - headers - ESP_HEADER - ivLength - icvLength;
  const inner = room - (room % blockSize) - ESP_TRAILER;
  return Math.max(inner, 0);
}

/** Octets of a payload with padding and trailer: a multiple of the block size [ESP-09]. */
export function paddedLength(payloadLength: number, blockSize: number): number {
  const unpadded = payloadLength + ESP_TRAILER;
  const over = unpadded % blockSize;
  return over === 0 ? unpadded : unpadded + blockSize - over;
}
