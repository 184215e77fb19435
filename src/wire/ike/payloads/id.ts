/** The Identification payloads (RFC 7296 section 3.5). */
import type { ByteReader } from "../../byte-reader.ts";
import { ByteWriter } from "../../byte-writer.ts";
import type { IdPayload } from "../payload.ts";
import { IdType } from "../registries.ts";

/**
 * Reads a body; `data` is a view of the input.
 * @throws {@link WireError} also when an address identity has not the length of an address
 */
export function decodeId(kind: IdPayload["kind"], body: ByteReader): IdPayload {
  const idType = body.u8();
  const reserved = body.u8() * 0x10000 + body.u16();
  const needed = addressLength(idType);
  if (needed !== undefined && body.remaining !== needed) {
    throw body.error(
      "WIRE_BAD_LENGTH",
      `an identity of type ${idType} has ${body.remaining} octets, not ${needed}`,
    );
  }
  return { kind, idType, data: body.rest(), ...(reserved === 0 ? {} : { reserved }) };
}

function addressLength(idType: number): number | undefined {
  if (idType === IdType.IPV4_ADDR) return 4;
  return idType === IdType.IPV6_ADDR ? 16 : undefined;
}

/** Writes the reserved octets as zero. */
export function encodeId(payload: IdPayload, writer: ByteWriter): void {
  writer.u8(payload.idType);
  writer.zeros(3);
  writer.octets(payload.data);
}

/**
 * The octets behind the generic header as they went over the wire, which AUTH covers (RFC 7296 section 2.15): for a
 * received identity including the reserved octets that its sender set.
 */
export function idBody(payload: IdPayload): Uint8Array {
  const writer = new ByteWriter();
  const reserved = payload.reserved ?? 0;
  writer.u8(payload.idType);
  writer.u8(reserved >>> 16);
  writer.u16(reserved & 0xffff);
  writer.octets(payload.data);
  return writer.finish();
}
