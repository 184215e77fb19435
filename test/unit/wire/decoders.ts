/** Every decoder of wire/ behind one face, so that tests and fuzzers leave none out. */

import {
  ESP_PACKET_LENGTH_MIN,
  espNextHeader,
  espPayloadLength,
  espSequence,
  espSpi,
  innerPacketLength,
} from "../../../src/wire/esp/esp-packet.ts";
import { classifyNatDatagram } from "../../../src/wire/esp/udp-encapsulation.ts";
import { decodeChildSpi } from "../../../src/wire/ike/child-spi.ts";
import { decodeHeader } from "../../../src/wire/ike/header.ts";
import { decodeMessage, decodePayloadChain, encodeMessage } from "../../../src/wire/ike/message.ts";
import {
  decodeChildSaNotify,
  decodeCookie,
  decodeInvalidKePayload,
  decodeInvalidMajorVersion,
  decodeNatDetection,
  decodeSetWindowSize,
  decodeSignatureHashAlgorithms,
  decodeUnsupportedCriticalPayload,
} from "../../../src/wire/ike/notify-data.ts";
import type { Payload } from "../../../src/wire/ike/payload.ts";
import { PayloadType } from "../../../src/wire/ike/registries.ts";
import { ICMP_ERROR_LENGTH_MAX, IcmpError, writeIcmpError } from "../../../src/wire/ip/icmp-error.ts";
import { createPacketFields, parseIpPacket, parseQuotedPacket } from "../../../src/wire/ip/ip-packet.ts";
import { IpProtocol } from "../../../src/wire/ip/protocol.ts";
import { WireError } from "../../../src/wire/wire-error.ts";

const fields = createPacketFields();
const quoted = createPacketFields();
/** Odd offsets and filled surroundings show reads and writes beside the span. */
const BEFORE = 3;
const AFTER = 5;

const NOTIFY_DATA: readonly ((data: Uint8Array) => unknown)[] = [
  decodeInvalidKePayload,
  decodeSetWindowSize,
  decodeInvalidMajorVersion,
  decodeUnsupportedCriticalPayload,
  decodeNatDetection,
  decodeCookie,
  decodeSignatureHashAlgorithms,
  decodeChildSpi,
];

/**
 * Gives the octets to every decoder.
 * @throws whatever a decoder throws that is no WireError, or an Error that says which promise of a decoder was broken
 */
export function runAllDecoders(bytes: Uint8Array): void {
  runIkeDecoders(bytes);
  runPacketDecoders(bytes);
}

/** The value of `decode`, or `undefined` when it throws WireError. */
function attempt<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (error instanceof WireError) return undefined;
    throw error;
  }
}

function runIkeDecoders(bytes: Uint8Array): void {
  attempt(() => decodeHeader(bytes));
  const message = attempt(() => decodeMessage(bytes));
  if (message !== undefined)
    encodeAgain(message.payloads, (payloads) => encodeMessage(message.header, payloads));
  for (const type of Object.values(PayloadType)) attempt(() => decodePayloadChain(type, bytes));
  const chain = attempt(() => decodePayloadChain(bytes[0] ?? 0, bytes.subarray(1)));
  for (const payload of [...(message?.payloads ?? []), ...(chain ?? [])]) {
    if (payload.kind === "N") attempt(() => decodeChildSaNotify(payload));
  }
  for (const decode of NOTIFY_DATA) attempt(() => decode(bytes));
}

/** What was decoded can be sent again, but for transforms that must not be. */
function encodeAgain(
  payloads: readonly Payload[],
  encode: (payloads: readonly Payload[]) => Uint8Array,
): void {
  const hasUnknownAttribute = payloads.some(
    (payload) =>
      payload.kind === "SA" &&
      payload.proposals.some(({ transforms }) =>
        transforms.some((each) => each.hasUnknownAttribute === true),
      ),
  );
  if (!hasUnknownAttribute) decodeMessage(encode(payloads));
}

function runPacketDecoders(bytes: Uint8Array): void {
  const { length } = bytes;
  const arena = new Uint8Array(BEFORE + length + AFTER).fill(0xa5);
  arena.set(bytes, BEFORE);
  classifyNatDatagram(arena, BEFORE, length);
  if (length >= ESP_PACKET_LENGTH_MIN) {
    requireRange("SPI", espSpi(arena, BEFORE), 0, 0xffffffff);
    requireRange("sequence number", espSequence(arena, BEFORE), 0, 0xffffffff);
    espNextHeader(arena, BEFORE + length);
  }
  const payloadLength = espPayloadLength(arena, BEFORE, BEFORE + length);
  requireRange("ESP payload", payloadLength, -1, length - 2);
  for (const family of [IpProtocol.IPV4, IpProtocol.IPV6, IpProtocol.TCP]) {
    requireRange("inner packet", innerPacketLength(arena, BEFORE, length, family), -1, length);
  }
  if (parseIpPacket(arena, BEFORE, length, fields)) checkPacket(arena, length);
}

function checkPacket(arena: Uint8Array, length: number): void {
  requireRange("total length", fields.totalLength, fields.headerLength, length);
  requireRange("header length", fields.headerLength, fields.family === 4 ? 20 : 40, fields.totalLength);
  if (fields.hasPorts && fields.isOpaque) throw new Error("ports are there and not there");
  parseQuotedPacket(arena, BEFORE, fields, quoted);
  const error = new Uint8Array(ICMP_ERROR_LENGTH_MAX);
  for (const kind of Object.values(IcmpError)) {
    const written = writeIcmpError(kind, 1400, error, 0, arena, BEFORE, fields);
    requireRange("ICMP error", written, 0, ICMP_ERROR_LENGTH_MAX);
    if (written > 0 && !parseIpPacket(error, 0, written, quoted))
      throw new Error("the ICMP error is no packet");
  }
}

function requireRange(what: string, value: number, least: number, most: number): void {
  if (!(value >= Math.min(least, most) && value <= Math.max(least, most))) {
    throw new Error(`${what} is ${value}, outside of ${least} to ${most}`);
  }
}
