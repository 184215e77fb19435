/** The Notify payload (RFC 7296 section 3.10); what its data says is in notify-data.ts. */
import type { ByteReader } from "../../byte-reader.ts";
import type { ByteWriter } from "../../byte-writer.ts";
import type { NotifyPayload } from "../payload.ts";
import { ProtocolId } from "../registries.ts";

/**
 * Reads a body; `spi` and `data` are views of the input.
 * @throws {@link WireError} `WIRE_BAD_LENGTH` when the SPI is none of the protocol it is said to be of [ERR-05]
 */
export function decodeNotify(body: ByteReader): NotifyPayload {
  const protocolId = body.u8();
  const spiLength = body.u8();
  const notifyType = body.u16();
  if (!isSpiLength(protocolId, spiLength)) {
    throw body.error(
      "WIRE_BAD_LENGTH",
      `a notify of protocol ${protocolId} has an SPI of ${spiLength} octets`,
    );
  }
  const spi = body.octets(spiLength);
  return { kind: "N", protocolId, notifyType, spi, data: body.rest() };
}

function isSpiLength(protocolId: number, length: number): boolean {
  if (length === 0) return true;
  if (protocolId === ProtocolId.AH || protocolId === ProtocolId.ESP) return length === 4;
  return length === 8 || (length === 4 && protocolId !== ProtocolId.IKE);
}

export function encodeNotify(payload: NotifyPayload, writer: ByteWriter): void {
  writer.u8(payload.protocolId);
  writer.u8(payload.spi.length);
  writer.u16(payload.notifyType);
  writer.octets(payload.spi);
  writer.octets(payload.data);
}
