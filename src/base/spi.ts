/** Security Parameters Indexes of child SAs (RFC 4303 section 2.1) and of IKE SAs (RFC 7296 section 3.1). */
import type { Branded } from "./brand.ts";
import { toHex } from "./bytes.ts";

/** uint32, never 0..255 for an SA of ours or of a peer [ESP-01]. */
export type Spi = Branded<number, "Spi">;
/** The lowest value that RFC 4303 section 2.1 leaves for allocation. */
export const SPI_MIN = 256;

export function isAllocatableSpi(value: number): boolean {
  return Number.isInteger(value) && value >= SPI_MIN && value <= 0xffffffff;
}

/** @throws {RangeError} on a reserved value or one that is no uint32 */
export function Spi(value: number): Spi {
  if (!isAllocatableSpi(value)) throw new RangeError(`${value} is no SPI of a child SA`);
  return value as Spi;
}

/** `c0ffee01`, as every IPsec tool prints it. */
export function formatSpi(spi: number): string {
  return spi.toString(16).padStart(8, "0");
}

/** The 8 octets of an IKE SPI as 16 lower-case hexadecimal digits, so that it can be a map key. */
export type IkeSpi = Branded<string, "IkeSpi">;
export const ZERO_IKE_SPI = "0000000000000000" as IkeSpi;

/** @throws {RangeError} unless there are 8 octets */
export function IkeSpi(octets: Uint8Array): IkeSpi {
  if (octets.length !== 8) throw new RangeError("an IKE SPI has 8 octets");
  return toHex(octets) as IkeSpi;
}
