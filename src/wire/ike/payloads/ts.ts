/** The Traffic Selector payloads (RFC 7296 sections 3.13 and 3.13.1). */
import { compare } from "../../../base/bytes.ts";
import type { ByteReader } from "../../byte-reader.ts";
import type { ByteWriter } from "../../byte-writer.ts";
import type { TrafficSelectorWire, TsPayload } from "../payload.ts";
import { TrafficSelectorType } from "../registries.ts";

/** What the one-octet count of the format can say. */
export const MAX_SELECTORS = 255;

const HEADER_LENGTH = 8;
/** Port fields that stand for OPAQUE, the one range that may run backwards. */
const OPAQUE_START = 65535;
const OPAQUE_END = 0;

/**
 * Reads a body; the addresses are views of the input. Selectors of a type that RFC 7296 does not define are left out:
 * they are never selected, and what is left over decides between narrowing and TS_UNACCEPTABLE. [CHILD-06]
 * @throws {@link WireError} when a selector has the wrong length or a start above its end
 */
export function decodeTs(kind: TsPayload["kind"], body: ByteReader): TsPayload {
  const count = body.u8();
  body.skip(3);
  const selectors: TrafficSelectorWire[] = [];
  for (let i = 0; i < count; i++) {
    const selector = decodeSelector(body);
    if (selector !== undefined) selectors.push(selector);
  }
  body.expectEnd("the last traffic selector");
  return { kind, selectors };
}

function decodeSelector(body: ByteReader): TrafficSelectorWire | undefined {
  const type = body.u8();
  const protocol = body.u8();
  const length = body.u16();
  const addressLength = addressLengthOf(type);
  if (addressLength === undefined) {
    if (length < 4) throw body.error("WIRE_BAD_LENGTH", `a traffic selector claims ${length} octets`);
    body.skip(length - 4);
    return undefined;
  }
  if (length !== HEADER_LENGTH + 2 * addressLength) {
    throw body.error("WIRE_BAD_LENGTH", `a traffic selector of type ${type} claims ${length} octets`);
  }
  const startPort = body.u16();
  const endPort = body.u16();
  if (startPort > endPort && !(startPort === OPAQUE_START && endPort === OPAQUE_END)) {
    throw body.error("WIRE_BAD_VALUE", `a traffic selector has the ports ${startPort} to ${endPort}`);
  }
  const startAddress = body.octets(addressLength);
  const endAddress = body.octets(addressLength);
  if (compare(startAddress, endAddress) > 0) {
    throw body.error("WIRE_BAD_VALUE", "a traffic selector starts above its end");
  }
  return { type, protocol, startPort, endPort, startAddress, endAddress };
}

function addressLengthOf(type: number): number | undefined {
  if (type === TrafficSelectorType.IPV4_ADDR_RANGE) return 4;
  return type === TrafficSelectorType.IPV6_ADDR_RANGE ? 16 : undefined;
}

/** @throws {RangeError} when there are more than 255 selectors, or an address does not have the length of its type */
export function encodeTs(payload: TsPayload, writer: ByteWriter): void {
  writer.u8(payload.selectors.length);
  writer.zeros(3);
  for (const selector of payload.selectors) {
    const addressLength = addressLengthOf(selector.type);
    const { startAddress, endAddress } = selector;
    if (startAddress.length !== addressLength || endAddress.length !== addressLength) {
      throw new RangeError(`a traffic selector of type ${selector.type} has no such addresses`);
    }
    writer.u8(selector.type);
    writer.u8(selector.protocol);
    writer.u16(HEADER_LENGTH + 2 * addressLength);
    writer.u16(selector.startPort);
    writer.u16(selector.endPort);
    writer.octets(startAddress);
    writer.octets(endAddress);
  }
}
