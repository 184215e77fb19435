/** IKE messages: a header and its chain of payloads (RFC 7296 sections 3.1 and 3.2). */
import { ByteReader } from "../byte-reader.ts";
import { ByteWriter } from "../byte-writer.ts";
import { WireError } from "../wire-error.ts";
import { beginPayload, decodeGenericHeader, finishPayload } from "./generic-header.ts";
import {
  decodeHeader,
  encodeHeader,
  IKE_HEADER_LENGTH,
  IKE_MAJOR_VERSION,
  type OutgoingHeader,
} from "./header.ts";
import type { IkeMessage, Payload } from "./payload.ts";
import { decodePayloadBody, encodePayloadBody, payloadTypeOf } from "./payload-body.ts";
import { PayloadType } from "./registries.ts";

/** The longest certificate chains and address lists that peers send stay well below; parsing is work done for strangers. */
export const MAX_PAYLOADS_PER_MESSAGE = 128;

/**
 * Reads a whole message of version 2: its header and the payloads outside SK, in the order of the wire [HDR-13]. Octets in
 * the result are views of `bytes`, so that the associated data of an SK or SKF payload, which is the last, is
 * `bytes.subarray(0, bytes.length - payload.body.length)`.
 * @throws {@link WireError} `WIRE_BAD_VERSION` for another major version, `WIRE_BAD_LENGTH` when the header's length is not
 * the number of octets [HDR-01], others for payloads that do not follow their format
 */
export function decodeMessage(bytes: Uint8Array): IkeMessage {
  const header = decodeHeader(bytes);
  if (header.majorVersion !== IKE_MAJOR_VERSION) {
    throw new WireError("WIRE_BAD_VERSION", 17, `a message is of IKE version ${header.majorVersion}`);
  }
  if (header.length !== bytes.length) {
    throw new WireError(
      "WIRE_BAD_LENGTH",
      24,
      `a message claims ${header.length} octets, ${bytes.length} were received`,
    );
  }
  const reader = new ByteReader(bytes, IKE_HEADER_LENGTH);
  return { header, payloads: decodeChain(header.nextPayload, reader, true) };
}

/**
 * Reads the payloads inside SK: `bytes` is the plaintext without padding, `first` the SK payload's firstInnerPayload.
 * Octets in the result are views of `bytes`.
 * @throws {@link WireError} also for an encrypted payload inside of another
 */
export function decodePayloadChain(first: number, bytes: Uint8Array): Payload[] {
  return decodeChain(first, new ByteReader(bytes), false);
}

function decodeChain(first: number, reader: ByteReader, mayBeEncrypted: boolean): Payload[] {
  const payloads: Payload[] = [];
  let type = first;
  while (type !== PayloadType.NONE) {
    if (payloads.length === MAX_PAYLOADS_PER_MESSAGE) {
      throw reader.error("WIRE_TOO_MANY", `a message has more than ${MAX_PAYLOADS_PER_MESSAGE} payloads`);
    }
    const { nextPayload, critical, bodyLength } = decodeGenericHeader(reader);
    const isEncrypted = type === PayloadType.SK || type === PayloadType.SKF;
    if (isEncrypted && !mayBeEncrypted) {
      throw reader.error("WIRE_BAD_VALUE", "an encrypted payload is inside of another");
    }
    payloads.push(decodePayloadBody(type, nextPayload, critical, reader.span(bodyLength)));
    if (isEncrypted) break;
    type = nextPayload;
  }
  reader.expectEnd("the last payload");
  return payloads;
}

/**
 * Writes payloads one after another; `first` is the type of the first one, NONE when there is none.
 * @throws {RangeError} when a value does not fit its field, or an encrypted payload is not the last
 */
export function encodePayloadChain(payloads: readonly Payload[]): { first: number; bytes: Uint8Array } {
  const writer = new ByteWriter();
  encodeChain(payloads, writer);
  const bytes = writer.finish();
  writer.wipe();
  return { first: typeAt(payloads, 0), bytes };
}

/**
 * Writes a message of version 2.0. To seal one, give the last payload, SK or SKF, a body of its final length: it ends the
 * message, and everything in front of it is the associated data.
 * @throws {RangeError} as {@link encodePayloadChain}
 */
export function encodeMessage(header: OutgoingHeader, payloads: readonly Payload[]): Uint8Array {
  const { first, bytes } = encodePayloadChain(payloads);
  const writer = new ByteWriter();
  encodeHeader(header, first, IKE_HEADER_LENGTH + bytes.length, writer);
  writer.octets(bytes);
  return writer.finish();
}

function encodeChain(payloads: readonly Payload[], writer: ByteWriter): void {
  if (payloads.length > MAX_PAYLOADS_PER_MESSAGE) {
    throw new RangeError(`a message takes at most ${MAX_PAYLOADS_PER_MESSAGE} payloads`);
  }
  for (const [index, payload] of payloads.entries()) {
    const isLast = index === payloads.length - 1;
    const isEncrypted = payload.kind === "SK" || payload.kind === "SKF";
    if (isEncrypted && !isLast) throw new RangeError("an encrypted payload must be the last");
    const next = isEncrypted ? payload.firstInnerPayload : typeAt(payloads, index + 1);
    const start = beginPayload(next, payload.kind === "unknown" && payload.critical, writer);
    encodePayloadBody(payload, writer);
    finishPayload(start, writer);
  }
}

function typeAt(payloads: readonly Payload[], index: number): number {
  const payload = payloads[index];
  return payload === undefined ? PayloadType.NONE : payloadTypeOf(payload);
}
