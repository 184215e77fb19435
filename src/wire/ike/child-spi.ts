/** SPIs of child SAs as proposals, notifies and deletes carry them: four octets (RFC 7296 sections 3.3.1, 3.10, 3.11). */
import { isAllocatableSpi, Spi } from "../../base/spi.ts";
import { ByteReader } from "../byte-reader.ts";
import { ByteWriter } from "../byte-writer.ts";

const CHILD_SPI_LENGTH = 4;

/** The SPI in `octets`, or `undefined` when there are not four or the value is reserved [ESP-01]. */
export function decodeChildSpi(octets: Uint8Array): Spi | undefined {
  if (octets.length !== CHILD_SPI_LENGTH) return undefined;
  const value = new ByteReader(octets).u32();
  return isAllocatableSpi(value) ? Spi(value) : undefined;
}

export function encodeChildSpi(spi: Spi): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(spi);
  return writer.finish();
}
