/** ESP and AH packets that the Linux kernel and scapy made: where things are in them, and what is inside. */
import { createDecipheriv } from "node:crypto";
import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../../src/base/bytes.ts";
import { decrypt, encrAlgorithm, openAead } from "../../../src/crypto/encr.ts";
import {
  ESP_HEADER_LENGTH,
  espNextHeader,
  espPayloadLength,
  espReceivedPadLength,
  espSequence,
  espSpi,
  innerPacketLength,
  writeEspHeader,
  writeEspTrailer,
} from "../../../src/wire/esp/esp-packet.ts";
import { Encr } from "../../../src/wire/ike/registries.ts";
import { createPacketFields, parseIpPacket } from "../../../src/wire/ip/ip-packet.ts";
import { ipv4ChecksumIsValid } from "../../../src/wire/ip/ipv4.ts";
import { IpProtocol } from "../../../src/wire/ip/protocol.ts";
import { hasCaptures, readKernelEsp, readProtectedPackets } from "./captures.ts";

/** The plaintext with its trailer; the ciphers that Tungate does not have are left to OpenSSL. */
function open(name: string, key: Uint8Array, packet: Uint8Array): Uint8Array | undefined {
  const ivLength = name === "aes-128-cbc" ? 16 : 8;
  const iv = packet.subarray(ESP_HEADER_LENGTH, ESP_HEADER_LENGTH + ivLength);
  const text = packet.subarray(ESP_HEADER_LENGTH + ivLength);
  switch (name) {
    case "aes-128-cbc":
      return decrypt(encrAlgorithm(Encr.AES_CBC, 128)!, key, iv, text);
    case "aes-128-gcm-16":
      return openAead(
        encrAlgorithm(Encr.AES_GCM_16, 128)!,
        key,
        iv,
        packet.subarray(0, ESP_HEADER_LENGTH),
        text,
      );
    case "aes-128-ctr": {
      const counter = concat(key.subarray(16), iv, Uint8Array.of(0, 0, 0, 1));
      return createDecipheriv("aes-128-ctr", key.subarray(0, 16), counter).update(text);
    }
    default:
      return createDecipheriv("des-ede3-cbc", key, iv).setAutoPadding(false).update(text);
  }
}

describe.skipIf(!hasCaptures)("packets of the Linux kernel", () => {
  test.each(readKernelEsp().map((each) => [each.name, each] as const))("%s", (name, expected) => {
    const packet = fromHex(expected.esp_packet);
    expect(espSpi(packet, 0)).toBe(Number.parseInt(expected.spi, 16));
    expect(espSequence(packet, 0)).toBe(expected.seq);

    const plain = open(name, fromHex(expected.key), packet)!;
    expect(espNextHeader(plain, plain.length)).toBe(expected.next_header);
    expect(espReceivedPadLength(plain, plain.length)).toBe(expected.pad_length);
    const length = espPayloadLength(plain, 0, plain.length);
    expect(toHex(plain.subarray(0, length))).toBe(expected.inner_packet);
    expect(innerPacketLength(plain, 0, length, expected.next_header)).toBe(length);
    expect(ipv4ChecksumIsValid(plain, 0)).toBe(true);

    const again = new Uint8Array(plain.length + ESP_HEADER_LENGTH);
    writeEspHeader(again, 0, espSpi(packet, 0), expected.seq);
    again.set(plain.subarray(0, length), ESP_HEADER_LENGTH);
    const end = writeEspTrailer(again, ESP_HEADER_LENGTH + length, expected.pad_length, expected.next_header);
    expect(end).toBe(again.length);
    expect(toHex(again)).toBe(toHex(concat(packet.subarray(0, ESP_HEADER_LENGTH), plain)));
  });
});

describe.skipIf(!hasCaptures)("packets of scapy", () => {
  const fields = createPacketFields();
  const cases = readProtectedPackets();

  test("ESP and AH are found behind options and extension headers, with their SPI and number", () => {
    expect(cases.length).toBeGreaterThan(100);
    for (const expected of cases) {
      const packet = fromHex(expected.protected_packet);
      expect(parseIpPacket(packet, 0, packet.length, fields), `case ${expected.id}`).toBe(true);
      expect(fields.family).toBe(expected.outer_family);
      expect(fields.totalLength).toBe(packet.length);
      const isEsp = expected.protocol === "esp";
      expect(fields.protocol, `case ${expected.id}`).toBe(isEsp ? IpProtocol.ESP : IpProtocol.AH);
      const at = fields.headerLength + (isEsp ? 0 : 4);
      expect(espSpi(packet, at)).toBe(Number.parseInt(expected.spi, 16));
      expect(espSequence(packet, at)).toBe(expected.seq_low);
      if (expected.extension_headers !== null && isEsp) expect(fields.headerLength).toBeGreaterThan(40);
    }
  });

  test("the packets inside are UDP, TCP or ICMP with ports to select by", () => {
    for (const { id, original_packet, inner_family } of cases) {
      const packet = fromHex(original_packet);
      expect(parseIpPacket(packet, 0, packet.length, fields), `case ${id}`).toBe(true);
      expect(fields.family).toBe(inner_family);
      expect(fields.hasPorts, `case ${id}, protocol ${fields.protocol}`).toBe(true);
    }
  });
});
