/** ESP header, padding, trailer, and what TFC padding hides. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fromHex, toHex } from "../../../../src/base/bytes.ts";
import {
  ESP_PADDING_MAX,
  espNextHeader,
  espPayloadLength,
  espReceivedPadLength,
  espSequence,
  espSpi,
  innerPacketLength,
  isDummyPacket,
  writeEspHeader,
  writeEspTrailer,
} from "../../../../src/wire/esp/esp-packet.ts";
import { IpProtocol } from "../../../../src/wire/ip/protocol.ts";

const uint32 = fc.integer({ min: 0, max: 0xffffffff });

test("SPI and sequence number are big-endian and unsigned", () => {
  const bytes = new Uint8Array(10);
  writeEspHeader(bytes, 1, 0xc0ffee01, 0x80000002);
  expect(toHex(bytes)).toBe("00c0ffee018000000200");
  fc.assert(
    fc.property(uint32, uint32, (spi, sequence) => {
      writeEspHeader(bytes, 2, spi, sequence);
      expect([espSpi(bytes, 2), espSequence(bytes, 2)]).toEqual([spi, sequence]);
    }),
  );
});

describe("padding", () => {
  test("[ESP-08] padding is written 1, 2, 3 and so on", () => {
    const bytes = new Uint8Array(12).fill(0xee);
    expect(writeEspTrailer(bytes, 2, 5, IpProtocol.IPV4)).toBe(9);
    expect(toHex(bytes)).toBe("eeee" + "0102030405" + "05" + "04" + "eeeeee");
  });

  test("[ESP-08] 0 to 255 octets of correct padding are accepted, and any other contents refused", () => {
    for (let pad = 0; pad <= ESP_PADDING_MAX; pad++) {
      const bytes = new Uint8Array(300).fill(0xee);
      const end = writeEspTrailer(bytes, 10, pad, IpProtocol.IPV6);
      expect(espPayloadLength(bytes, 3, end)).toBe(7);
      expect(espNextHeader(bytes, end)).toBe(IpProtocol.IPV6);
      expect(espReceivedPadLength(bytes, end)).toBe(pad);
      for (const at of [10, 9 + pad]) {
        if (pad === 0) continue;
        bytes[at]! ^= 0x80;
        expect(espPayloadLength(bytes, 3, end)).toBe(-1);
        bytes[at]! ^= 0x80;
      }
    }
  });

  test("a pad length beyond the packet is refused, one that leaves no payload is not", () => {
    const bytes = new Uint8Array(20);
    const end = writeEspTrailer(bytes, 4, 6, IpProtocol.IPV4);
    expect(espPayloadLength(bytes, 4, end)).toBe(0);
    expect(espPayloadLength(bytes, 5, end)).toBe(-1);
    expect(espPayloadLength(bytes, end - 1, end)).toBe(-1);
    expect(espPayloadLength(bytes, end, end)).toBe(-1);
  });
});

describe("inner packet", () => {
  const V4 = fromHex("4500001c00000000400100000a0000010a000002");
  const packet = (header: Uint8Array, length: number) => {
    const bytes = new Uint8Array(length);
    bytes.set(header);
    return bytes;
  };

  test("[ESP-11] what follows an inner IPv4 packet by its length field is TFC padding", () => {
    expect(innerPacketLength(packet(V4, 28), 0, 28, IpProtocol.IPV4)).toBe(28);
    expect(innerPacketLength(packet(V4, 1400), 0, 1400, IpProtocol.IPV4)).toBe(28);
    expect(innerPacketLength(packet(V4, 28), 0, 27, IpProtocol.IPV4)).toBe(-1);
  });

  test("[ESP-11] what follows an inner IPv6 packet by its length field is TFC padding", () => {
    const v6 = packet(fromHex("6000000000083b40"), 100);
    expect(innerPacketLength(v6, 0, 48, IpProtocol.IPV6)).toBe(48);
    expect(innerPacketLength(v6, 0, 100, IpProtocol.IPV6)).toBe(48);
    expect(innerPacketLength(v6, 0, 47, IpProtocol.IPV6)).toBe(-1);
  });

  test("a packet of another family than the next header says, or shorter than its header, is refused", () => {
    expect(innerPacketLength(packet(V4, 100), 0, 100, IpProtocol.IPV6)).toBe(-1);
    expect(innerPacketLength(packet(fromHex("60"), 100), 0, 100, IpProtocol.IPV4)).toBe(-1);
    expect(innerPacketLength(packet(V4, 100), 0, 19, IpProtocol.IPV4)).toBe(-1);
    expect(innerPacketLength(packet(fromHex("60"), 100), 0, 39, IpProtocol.IPV6)).toBe(-1);
    expect(innerPacketLength(packet(fromHex("60"), 100), 0, 40, IpProtocol.IPV6)).toBe(40);
    const short = packet(V4, 100);
    short[3] = 20;
    expect(innerPacketLength(short, 0, 100, IpProtocol.IPV4)).toBe(20);
    short[3] = 19;
    expect(innerPacketLength(short, 0, 100, IpProtocol.IPV4)).toBe(-1);
    expect(innerPacketLength(packet(V4, 100), 0, 100, IpProtocol.UDP)).toBe(-1);
  });

  test("next header 59 alone makes a dummy packet", () => {
    const dummies = Array.from({ length: 256 }, (_, next) => next).filter(isDummyPacket);
    expect(dummies).toEqual([59]);
  });
});
