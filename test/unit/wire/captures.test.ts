/** The captures of other implementations decode, and decrypt where keys are known, as their list says. */
import { createDecipheriv, createHash, createHmac } from "node:crypto";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { concat, equal, fromHex, toHex } from "../../../src/base/bytes.ts";
import { decrypt as decryptWith, encrAlgorithm } from "../../../src/crypto/encr.ts";
import { computeIcv, integAlgorithm } from "../../../src/crypto/integ.ts";
import {
  ESP_HEADER_LENGTH,
  espNextHeader,
  espPayloadLength,
  espReceivedPadLength,
  espSequence,
  espSpi,
  innerPacketLength,
} from "../../../src/wire/esp/esp-packet.ts";
import {
  classifyNatDatagram,
  NatDatagram,
  NON_ESP_MARKER_LENGTH,
} from "../../../src/wire/esp/udp-encapsulation.ts";
import { decodeMessage, decodePayloadChain, encodePayloadChain } from "../../../src/wire/ike/message.ts";
import type { SkPayload } from "../../../src/wire/ike/payload.ts";
import { Encr, Integ } from "../../../src/wire/ike/registries.ts";
import { IpProtocol } from "../../../src/wire/ip/protocol.ts";
import {
  CAPTURES,
  type EspKeys,
  type ExpectedEsp,
  type ExpectedIke,
  hasCaptures,
  type IkeKeys,
  readCaptures,
} from "./captures.ts";
import { chainText } from "./ike/chain-text.ts";
import { type Datagram, readDatagrams } from "./pcap.ts";

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

function macOf(name: string, key: Uint8Array, covered: Uint8Array): Uint8Array {
  switch (name) {
    case "HMAC-SHA2-256-128":
    case "sha256-128":
      return computeIcv(integAlgorithm(Integ.HMAC_SHA2_256_128)!, key, covered);
    case "HMAC-SHA1-96":
    case "sha1-96":
      return createHmac("sha1", key).update(covered).digest().subarray(0, 12);
    case "md5-96":
      return createHmac("md5", key).update(covered).digest().subarray(0, 12);
    default:
      return new Uint8Array(0);
  }
}

function ivLengthOf(name: string): number {
  if (name === "null") return 0;
  return name === "aes-cbc" ? 16 : 8;
}

/** The ciphers that Tungate does not have are left to OpenSSL; DES is 3DES with one key. */
function decrypt(name: string, key: Uint8Array, iv: Uint8Array, text: Uint8Array): Uint8Array {
  if (name === "null") return text;
  if (name === "aes-cbc") return decryptWith(encrAlgorithm(Encr.AES_CBC, key.length * 8)!, key, iv, text);
  const cipher = createDecipheriv("des-ede3-cbc", name === "des" ? concat(key, key, key) : key, iv);
  return cipher.setAutoPadding(false).update(text);
}

function ikeMessageOf(datagram: Datagram): Uint8Array {
  const { payload, sourcePort, destinationPort } = datagram;
  if (sourcePort !== 4500 && destinationPort !== 4500) return payload;
  expect(classifyNatDatagram(payload, 0, payload.length)).toBe(NatDatagram.IKE);
  return payload.subarray(NON_ESP_MARKER_LENGTH);
}

function checkIke(datagram: Datagram, expected: ExpectedIke, keys: IkeKeys | undefined): void {
  const bytes = ikeMessageOf(datagram);
  const { header, payloads } = decodeMessage(bytes);
  expect(header).toMatchObject({
    initiatorSpi: expected.spi_i,
    responderSpi: expected.spi_r,
    exchangeType: expected.exchange,
    isFromInitiator: (expected.flags & 0x08) !== 0,
    isResponse: (expected.flags & 0x20) !== 0,
    messageId: expected.message_id,
    length: expected.length,
    majorVersion: 2,
  });
  expect(chainText(payloads)).toEqual(expected.payloads);
  if (expected.inner_payloads === undefined) return;
  const sk = payloads.at(-1);
  if (sk?.kind !== "SK" || keys === undefined) throw new Error("no SK payload, or no keys for it");
  const inner = openSk(bytes, sk, keys, header.isFromInitiator);
  expect(sha256(inner)).toBe(expected.inner_sha256);
  const chain = decodePayloadChain(sk.firstInnerPayload, inner);
  expect(chainText(chain)).toEqual(expected.inner_payloads);
  expect(decodePayloadChain(sk.firstInnerPayload, encodePayloadChain(chain).bytes)).toEqual(chain);
}

function openSk(bytes: Uint8Array, sk: SkPayload, keys: IkeKeys, isFromInitiator: boolean): Uint8Array {
  const integrityKey = fromHex(isFromInitiator ? keys.sk_ai : keys.sk_ar);
  const key = fromHex(isFromInitiator ? keys.sk_ei : keys.sk_er);
  const icvLength = keys.integrity === "HMAC-SHA1-96" ? 12 : 16;
  const icvAt = bytes.length - icvLength;
  expect(toHex(macOf(keys.integrity, integrityKey, bytes.subarray(0, icvAt)))).toBe(
    toHex(bytes.subarray(icvAt)),
  );
  const plain = decrypt("aes-cbc", key, sk.body.subarray(0, 16), sk.body.subarray(16, -icvLength));
  return plain.subarray(0, plain.length - 1 - plain.at(-1)!);
}

function checkEsp(datagram: Datagram, expected: ExpectedEsp, keys: EspKeys): void {
  const { payload } = datagram;
  if (datagram.protocol === IpProtocol.UDP) {
    expect(classifyNatDatagram(payload, 0, payload.length)).toBe(NatDatagram.ESP);
  }
  expect(espSpi(payload, 0)).toBe(Number.parseInt(expected.spi, 16));
  expect(espSequence(payload, 0)).toBe(expected.seq);
  const icvLength = macOf(keys.integrity, fromHex(keys.integrity_key), payload).length;
  const icvAt = payload.length - icvLength;
  const mac = macOf(keys.integrity, fromHex(keys.integrity_key), payload.subarray(0, icvAt));
  expect(equal(mac, payload.subarray(icvAt))).toBe(true);
  const textAt = ESP_HEADER_LENGTH + ivLengthOf(keys.encryption);
  const text = payload.subarray(textAt, icvAt - (keys.unchecked_icv_octets ?? 0));
  const iv = payload.subarray(ESP_HEADER_LENGTH, textAt);
  const plain = decrypt(keys.encryption, fromHex(keys.key), iv, text);
  expect(espNextHeader(plain, plain.length)).toBe(expected.next_header);
  expect(espReceivedPadLength(plain, plain.length)).toBe(expected.pad_length);
  const length = espPayloadLength(plain, 0, plain.length);
  expect(length).toBe(expected.inner_length);
  expect(sha256(plain.subarray(0, length))).toBe(expected.inner_sha256);
  if (expected.next_header === IpProtocol.IPV4) {
    expect(innerPacketLength(plain, 0, length, expected.next_header)).toBe(length);
  }
}

describe.skipIf(!hasCaptures)("captures", () => {
  test("every listed file is there with packets to look at", () => {
    const captures = readCaptures();
    expect(captures.length).toBeGreaterThan(15);
    expect(captures.flatMap((capture) => capture.packets).length).toBeGreaterThan(150);
  });

  test.each(readCaptures().map((capture) => [capture.file, capture] as const))("%s", (file, capture) => {
    const datagrams = new Map(readDatagrams(join(CAPTURES, file)).map((each) => [each.frame, each]));
    for (const expected of capture.packets) {
      const datagram = datagrams.get(expected.frame)!;
      expect([datagram.source, datagram.destination]).toEqual([expected.src, expected.dst]);
      if (expected.type === "ike") {
        const keys = capture.ike_sas?.find((each) => each.spi_i === expected.spi_i);
        checkIke(datagram, expected, keys);
      } else {
        checkEsp(datagram, expected, capture.sas!.find((each) => each.id === expected.sa)!);
      }
    }
  });
});
