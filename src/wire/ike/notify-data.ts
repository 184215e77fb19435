/** What the data of a Notify payload says, where that is more than octets (RFC 7296 section 3.10.1, RFC 7427 section 4). */
import type { Spi } from "../../base/spi.ts";
import { ByteReader } from "../byte-reader.ts";
import { ByteWriter } from "../byte-writer.ts";
import { WireError } from "../wire-error.ts";
import { decodeChildSpi } from "./child-spi.ts";
import type { NotifyPayload } from "./payload.ts";
import { ProtocolId } from "./registries.ts";

const COOKIE_LENGTH_MIN = 1;
const COOKIE_LENGTH_MAX = 64;
/** A SHA-1 digest. */
const NAT_DETECTION_LENGTH = 20;
/** The registry has five; further ones of a longer list would not be known here. */
export const MAX_SIGNATURE_HASHES = 64;

/**
 * INVALID_KE_PAYLOAD: the key exchange method that the responder wants [INIT-03].
 * @throws {@link WireError} `WIRE_BAD_LENGTH` unless the data has exactly its length; likewise the decoders below
 */
export function decodeInvalidKePayload(data: Uint8Array): number {
  return exactly(data, 2, "INVALID_KE_PAYLOAD").u16();
}

export function encodeInvalidKePayload(method: number): Uint8Array {
  const writer = new ByteWriter();
  writer.u16(method);
  return writer.finish();
}

/** SET_WINDOW_SIZE: how many requests its sender takes at once [MID-10]; 0 is refused. */
export function decodeSetWindowSize(data: Uint8Array): number {
  const size = exactly(data, 4, "SET_WINDOW_SIZE").u32();
  if (size === 0) throw new WireError("WIRE_BAD_VALUE", 0, "SET_WINDOW_SIZE asks for a window of 0");
  return size;
}

export function encodeSetWindowSize(size: number): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(size);
  return writer.finish();
}

/** INVALID_MAJOR_VERSION: the highest version that its sender speaks [HDR-04]. */
export function decodeInvalidMajorVersion(data: Uint8Array): number {
  return exactly(data, 1, "INVALID_MAJOR_VERSION").u8();
}

export function encodeInvalidMajorVersion(version: number): Uint8Array {
  return oneOctet(version);
}

/** UNSUPPORTED_CRITICAL_PAYLOAD: the payload type that was not understood [HDR-10]. */
export function decodeUnsupportedCriticalPayload(data: Uint8Array): number {
  return exactly(data, 1, "UNSUPPORTED_CRITICAL_PAYLOAD").u8();
}

export function encodeUnsupportedCriticalPayload(payloadType: number): Uint8Array {
  return oneOctet(payloadType);
}

/** NAT_DETECTION_SOURCE_IP and NAT_DETECTION_DESTINATION_IP: the digest, a view of the data. */
export function decodeNatDetection(data: Uint8Array): Uint8Array {
  return exactly(data, NAT_DETECTION_LENGTH, "a NAT detection notify").rest();
}

/** COOKIE: the cookie, a view of the data [INIT-07]. */
export function decodeCookie(data: Uint8Array): Uint8Array {
  if (data.length < COOKIE_LENGTH_MIN || data.length > COOKIE_LENGTH_MAX) {
    throw new WireError("WIRE_BAD_LENGTH", 0, `a cookie has ${data.length} octets, not 1 to 64`);
  }
  return data;
}

/** REKEY_SA and CHILD_SA_NOT_FOUND: the child SA that is meant, by the SPI its sender receives on [CHILD-10]. */
export function decodeChildSaNotify(notify: NotifyPayload): {
  readonly protocolId: number;
  readonly spi: Spi;
} {
  const { protocolId } = notify;
  const spi = decodeChildSpi(notify.spi);
  if (spi === undefined || (protocolId !== ProtocolId.ESP && protocolId !== ProtocolId.AH)) {
    throw new WireError("WIRE_BAD_VALUE", 0, `notify ${notify.notifyType} names no child SA`);
  }
  return { protocolId, spi };
}

/** SIGNATURE_HASH_ALGORITHMS: the numbers in the order of the wire [AUTH-13]. */
export function decodeSignatureHashAlgorithms(data: Uint8Array): readonly number[] {
  if (data.length > 2 * MAX_SIGNATURE_HASHES) {
    throw new WireError("WIRE_TOO_MANY", 0, `more than ${MAX_SIGNATURE_HASHES} signature hash algorithms`);
  }
  const reader = new ByteReader(data);
  const hashes: number[] = [];
  while (reader.remaining > 0) hashes.push(reader.u16());
  return hashes;
}

export function encodeSignatureHashAlgorithms(hashes: readonly number[]): Uint8Array {
  const writer = new ByteWriter();
  for (const hash of hashes) writer.u16(hash);
  return writer.finish();
}

function exactly(data: Uint8Array, length: number, what: string): ByteReader {
  if (data.length !== length) {
    throw new WireError("WIRE_BAD_LENGTH", 0, `${what} has ${data.length} octets of data, not ${length}`);
  }
  return new ByteReader(data);
}

function oneOctet(value: number): Uint8Array {
  const writer = new ByteWriter();
  writer.u8(value);
  return writer.finish();
}
