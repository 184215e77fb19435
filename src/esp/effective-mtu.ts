/** How large an inner packet may be so that its ESP packet fits the way to the peer (RFC 4301 section 8.2, [SPD-10]). */

import type { Encapsulation, SaHandling } from "../policy/data-plane.ts";
import type { SuiteSizes } from "../policy/sa-record.ts";
import { ahHeaderLength } from "../wire/ah/ah-header.ts";
import { AGGFRAG_CC_HEADER_LENGTH, AGGFRAG_HEADER_LENGTH } from "../wire/esp/aggfrag.ts";

const IPV4_HEADER = 20;
const IPV6_HEADER = 40;
const UDP_HEADER = 8;
/** SPI and sequence number. */
const ESP_HEADER = 8;
/** Pad length and next header. */
const ESP_TRAILER = 2;

/** Where the octets go: `inner` = `outer` - `encapsulation` - `security`. */
export interface EffectiveMtu {
  readonly outer: number;
  /** IP header without options, unless it is that of what is carried (transport mode), and the UDP header if there is one. */
  readonly encapsulation: number;
  /** ESP: header, IV, trailer, ICV, and what alignment leaves unused. AH: header and ICV. */
  readonly security: number;
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
  const own = mode === "tunnel" ? 0 : outerHeaders(family, false);
  const payload = innerMtu(outer, headers, sizes.ivLength, sizes.icvLength, sizes.blockSize);
  const inner = payload === 0 ? 0 : payload + own;
  return { outer, encapsulation: headers - own, security: outer - headers + own - inner, inner };
}

/** Likewise with AH, which UDP never carries. */
export function effectiveAhMtu(
  outer: number,
  family: 4 | 6,
  icvLength: number,
  mode: "tunnel" | "transport" = "tunnel",
): EffectiveMtu {
  const encapsulation = mode === "tunnel" ? outerHeaders(family, false) : 0;
  const security = ahHeaderLength(icvLength, family);
  return { outer, encapsulation, security, inner: Math.max(0, outer - encapsulation - security) };
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
  const header = aggfrag.congestion === "off" ? AGGFRAG_HEADER_LENGTH : AGGFRAG_CC_HEADER_LENGTH;
  return effectiveMtu(size, family, encapsulation, sizes).inner - header;
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
