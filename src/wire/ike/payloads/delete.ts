/** The Delete payload (RFC 7296 section 3.11). */
import type { ByteReader } from "../../byte-reader.ts";
import type { ByteWriter } from "../../byte-writer.ts";
import type { DeletePayload } from "../payload.ts";
import { ProtocolId } from "../registries.ts";

/** More child SAs than one IKE SA is given here; a peer that has more sends several messages. */
export const MAX_DELETED_SPIS = 1024;

/**
 * Reads a body; the SPIs are views of the input.
 * @throws {@link WireError} when number and size of the SPIs do not make up the body, or are not those of the protocol
 */
export function decodeDelete(body: ByteReader): DeletePayload {
  const protocolId = body.u8();
  const spiLength = body.u8();
  const count = body.u16();
  if (count > MAX_DELETED_SPIS) {
    throw body.error("WIRE_TOO_MANY", `a delete announces ${count} SPIs, ${MAX_DELETED_SPIS} are taken`);
  }
  if (!isPlausible(protocolId, spiLength, count)) {
    throw body.error(
      "WIRE_BAD_LENGTH",
      `a delete of protocol ${protocolId} announces ${count} SPIs of ${spiLength} octets`,
    );
  }
  const spis: Uint8Array[] = [];
  for (let i = 0; i < count; i++) spis.push(body.octets(spiLength));
  body.expectEnd("the last SPI");
  return { kind: "D", protocolId, spis };
}

function isPlausible(protocolId: number, spiLength: number, count: number): boolean {
  if (protocolId === ProtocolId.IKE) return spiLength === 0 && count === 0;
  if (protocolId === ProtocolId.AH || protocolId === ProtocolId.ESP) return spiLength === 4;
  return spiLength > 0 || count === 0;
}

/** @throws {RangeError} when there are too many SPIs, or their sizes differ */
export function encodeDelete(payload: DeletePayload, writer: ByteWriter): void {
  const { protocolId, spis } = payload;
  const spiLength = spis[0]?.length ?? (protocolId === ProtocolId.IKE ? 0 : 4);
  if (spis.length > MAX_DELETED_SPIS || spis.some((spi) => spi.length !== spiLength)) {
    throw new RangeError(`a delete takes at most ${MAX_DELETED_SPIS} SPIs of one size`);
  }
  writer.u8(protocolId);
  writer.u8(spiLength);
  writer.u16(spis.length);
  for (const spi of spis) writer.octets(spi);
}
