/** Which lane an inbound SPI names: we choose SPIs ourselves, so that whoever sees a packet first can tell. */

/** Bits of an SPI that name its lane. */
export function laneBits(lanes: number): number {
  return 2 ** Math.ceil(Math.log2(lanes)) - 1;
}

/** The lane that owns both directions of the SA pair with this inbound SPI, 0..lanes-1. */
export function laneOfSpi(spi: number, lanes: number): number {
  return ((spi & laneBits(lanes)) >>> 0) % lanes;
}
