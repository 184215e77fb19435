/** Every decoder of wire/ behind one face, so that tests and fuzzers leave none out. */

import { AggfragReassembly } from "../../../src/esp/aggfrag-reassembly.ts";
import {
  AGGFRAG_CC_HEADER_LENGTH,
  aggfragHeaderLength,
  emptyReport,
  readCongestionReport,
} from "../../../src/wire/esp/aggfrag.ts";
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
import type { IkeMessage } from "../../../src/wire/ike/payload.ts";
import { PayloadType } from "../../../src/wire/ike/registries.ts";
import { ICMP_ERROR_LENGTH_MAX, IcmpError, writeIcmpError } from "../../../src/wire/ip/icmp-error.ts";
import { createPacketFields, parseIpPacket, parseQuotedPacket } from "../../../src/wire/ip/ip-packet.ts";
import { IpProtocol } from "../../../src/wire/ip/protocol.ts";
import { WireError } from "../../../src/wire/wire-error.ts";

const fields = createPacketFields();
const quoted = createPacketFields();
/** Odd offsets and filled surroundings show reads and writes beside the span. */
const AGGFRAG_PACKET_MAX = 2000;
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
 * @returns how each of them ended, so that fuzzing can tell inputs that reach something new
 * @throws whatever a decoder throws that is no WireError, or an Error that says which promise of a decoder was broken
 */
export function runAllDecoders(bytes: Uint8Array): string {
  return [...runIkeDecoders(bytes), ...runPacketDecoders(bytes)].join(" ");
}

interface Attempt<T> {
  readonly value?: T;
  readonly outcome: string;
}

function attempt<T>(decode: () => T): Attempt<T> {
  try {
    return { value: decode(), outcome: "ok" };
  } catch (error) {
    if (error instanceof WireError) return { outcome: error.code };
    throw error;
  }
}

function runIkeDecoders(bytes: Uint8Array): readonly string[] {
  const header = attempt(() => decodeHeader(bytes));
  const message = attempt(() => decodeMessage(bytes));
  const payloads = message.value?.payloads ?? [];
  if (message.value !== undefined) encodeAgain(message.value);
  const bodies = Object.values(PayloadType).map((type) => attempt(() => decodePayloadChain(type, bytes)));
  const chain = attempt(() => decodePayloadChain(bytes[0] ?? 0, bytes.subarray(1)));
  const notifies = [...payloads, ...(chain.value ?? [])].filter((payload) => payload.kind === "N");
  const data = NOTIFY_DATA.map((decode) => attempt(() => decode(bytes)));
  const named = notifies.slice(0, 1).map((notify) => attempt(() => decodeChildSaNotify(notify)));
  const kinds = [...new Set([...payloads, ...(chain.value ?? [])].map(({ kind }) => kind))].sort();
  return [...[header, message, ...bodies, chain, ...data, ...named].map(({ outcome }) => outcome), ...kinds];
}

/** What was decoded can be sent again, but for transforms that must not be. */
function encodeAgain({ header, payloads }: IkeMessage): void {
  const hasUnknownAttribute = payloads.some(
    (payload) =>
      payload.kind === "SA" &&
      payload.proposals.some(({ transforms }) =>
        transforms.some((each) => each.hasUnknownAttribute === true),
      ),
  );
  if (!hasUnknownAttribute) decodeMessage(encodeMessage(header, payloads));
}

function runPacketDecoders(bytes: Uint8Array): readonly string[] {
  const { length } = bytes;
  const arena = new Uint8Array(BEFORE + length + AFTER).fill(0xa5);
  arena.set(bytes, BEFORE);
  const outcomes = [`nat${classifyNatDatagram(arena, BEFORE, length)}`];
  if (length >= ESP_PACKET_LENGTH_MIN) {
    requireRange("SPI", espSpi(arena, BEFORE), 0, 0xffffffff);
    requireRange("sequence number", espSequence(arena, BEFORE), 0, 0xffffffff);
    espNextHeader(arena, BEFORE + length);
  }
  const payloadLength = espPayloadLength(arena, BEFORE, BEFORE + length);
  requireRange("ESP payload", payloadLength, -1, Math.max(length - 2, -1));
  outcomes.push(payloadLength < 0 ? "padding" : "payload");
  outcomes.push(...runAggfrag(arena, length));
  for (const family of [IpProtocol.IPV4, IpProtocol.IPV6, IpProtocol.TCP]) {
    const inner = innerPacketLength(arena, BEFORE, length, family);
    requireRange("inner packet", inner, -1, length);
    outcomes.push(inner < 0 ? "noInner" : "inner");
  }
  if (parseIpPacket(arena, BEFORE, length, fields)) outcomes.push(...checkPacket(arena, length));
  return outcomes;
}

/** The octets as one payload, then again in two, between which a packet may be cut. */
function runAggfrag(arena: Uint8Array, length: number): readonly string[] {
  const outcomes: string[] = [];
  const sink = {
    take(bytes: Uint8Array, at: number, count: number) {
      requireRange("inner packet's end", at + count, at + 20, bytes.length);
      outcomes.push("block");
    },
    lose: (loss: number) => void outcomes.push(`loss${loss}`),
  };
  const reassembly = new AggfragReassembly(sink, AGGFRAG_PACKET_MAX);
  reassembly.take(arena, BEFORE, length, false);
  const half = length >>> 1;
  reassembly.take(arena, BEFORE, half, false);
  reassembly.take(arena, BEFORE + half, length - half, false);
  if (aggfragHeaderLength(arena, BEFORE, length) === AGGFRAG_CC_HEADER_LENGTH) {
    const report = emptyReport();
    readCongestionReport(arena, BEFORE, report);
    requireRange("loss interval", report.lossInterval, 0, 0xffffffff);
    requireRange("round trip", report.rtt, 0, 0x3fffff);
    requireRange("delays", Math.max(report.echoDelay, report.transmitDelay), 0, 0x1fffff);
    outcomes.push("report");
  }
  return [...new Set(outcomes)].sort();
}

function checkPacket(arena: Uint8Array, length: number): readonly string[] {
  requireRange("total length", fields.totalLength, fields.headerLength, length);
  requireRange("header length", fields.headerLength, fields.family === 4 ? 20 : 40, fields.totalLength);
  if (fields.hasPorts && fields.isOpaque) throw new Error("ports are there and not there");
  const isQuoting = parseQuotedPacket(arena, BEFORE, fields, quoted);
  const error = new Uint8Array(ICMP_ERROR_LENGTH_MAX);
  let reported = 0;
  for (const kind of Object.values(IcmpError)) {
    const written = writeIcmpError(kind, 1400, error, 0, arena, BEFORE, fields);
    requireRange("ICMP error", written, 0, ICMP_ERROR_LENGTH_MAX);
    if (written > 0 && !parseIpPacket(error, 0, written, quoted))
      throw new Error("the ICMP error is no packet");
    if (written > 0) reported++;
  }
  const { family, protocol, hasPorts, isOpaque, isFragment } = fields;
  return [`ip${family}/${protocol}`, `${hasPorts} ${isOpaque} ${isFragment} ${isQuoting} ${reported}`];
}

function requireRange(what: string, value: number, least: number, most: number): void {
  if (!(value >= least && value <= most)) {
    throw new Error(`${what} is ${value}, outside of ${least} to ${most}`);
  }
}
