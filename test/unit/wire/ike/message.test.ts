/** Header, generic payload header and chain: boundaries, and what a receiver ignores. */
import { describe, expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../../../src/base/bytes.ts";
import { type IkeSpi, ZERO_IKE_SPI } from "../../../../src/base/spi.ts";
import { decodeHeader, IKE_HEADER_LENGTH, type OutgoingHeader } from "../../../../src/wire/ike/header.ts";
import {
  decodeMessage,
  decodePayloadChain,
  encodeMessage,
  encodePayloadChain,
  MAX_PAYLOADS_PER_MESSAGE,
} from "../../../../src/wire/ike/message.ts";
import type { Payload } from "../../../../src/wire/ike/payload.ts";
import { payloadTypeOf } from "../../../../src/wire/ike/payload-body.ts";
import { ExchangeType, PayloadType } from "../../../../src/wire/ike/registries.ts";
import { WireError } from "../../../../src/wire/wire-error.ts";

const HEADER: OutgoingHeader = {
  initiatorSpi: "0123456789abcdef" as IkeSpi,
  responderSpi: ZERO_IKE_SPI,
  exchangeType: ExchangeType.IKE_SA_INIT,
  isFromInitiator: true,
  isResponse: false,
  messageId: 0x01020304,
};
const NONCE: Payload = { kind: "Nonce", data: new Uint8Array(16).fill(7) };
const VENDOR: Payload = { kind: "V", data: fromHex("c0ffee") };
const NEXT_PAYLOAD = 16;
const VERSION = 17;
const FLAGS = 19;
const CRITICAL = 0x80;

function codeOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof WireError) return error.code;
    throw error;
  }
  return "decoded";
}

/** A message whose octets a test changes. */
function message(...payloads: readonly Payload[]): Uint8Array {
  return encodeMessage(HEADER, payloads);
}

describe("header", () => {
  test("the octets stand where RFC 7296 figure 4 has them", () => {
    expect(toHex(message(VENDOR))).toBe(
      "0123456789abcdef0000000000000000" + "2b202208" + "01020304" + "00000023" + "00000007c0ffee",
    );
  });

  test("[HDR-02] what is sent is version 2.0 with no flags but I and R", () => {
    for (const isFromInitiator of [false, true]) {
      for (const isResponse of [false, true]) {
        const bytes = encodeMessage({ ...HEADER, isFromInitiator, isResponse }, [VENDOR]);
        expect(bytes[VERSION]).toBe(0x20);
        expect(bytes[FLAGS]).toBe((isFromInitiator ? 0x08 : 0) + (isResponse ? 0x20 : 0));
      }
    }
  });

  test("[HDR-03] the version bit and reserved flags of the peer change nothing", () => {
    const bytes = message(NONCE, VENDOR);
    const plain = decodeMessage(bytes);
    for (const bit of [0x01, 0x02, 0x04, 0x10, 0x40, 0x80, 0xd7]) {
      const flagged = Uint8Array.from(bytes);
      flagged[FLAGS]! |= bit;
      expect(decodeMessage(flagged)).toEqual(plain);
    }
  });

  test("[HDR-05] a higher minor version is decoded like ours", () => {
    const bytes = message(NONCE);
    bytes[VERSION] = 0x2f;
    expect(decodeMessage(bytes)).toMatchObject({ header: { minorVersion: 15 }, payloads: [NONCE] });
  });

  test("another major version yields its header and no payloads", () => {
    for (const version of [0x00, 0x10, 0x1f, 0x30, 0xf0]) {
      const bytes = message(NONCE);
      bytes[VERSION] = version;
      expect(decodeHeader(bytes).majorVersion).toBe(version >> 4);
      expect(codeOf(() => decodeMessage(bytes))).toBe("WIRE_BAD_VERSION");
    }
  });

  test("a length field that is not the number of octets received is refused, above and below", () => {
    const bytes = message(NONCE);
    const view = new DataView(bytes.buffer);
    for (const difference of [-1, 1, 0x7fffffff]) {
      view.setUint32(24, bytes.length + difference);
      expect(codeOf(() => decodeMessage(bytes))).toBe("WIRE_BAD_LENGTH");
    }
    view.setUint32(24, bytes.length);
    expect(codeOf(() => decodeMessage(bytes))).toBe("decoded");
  });

  test("27 octets are no header, 28 are", () => {
    const bytes = message();
    expect(bytes.length).toBe(IKE_HEADER_LENGTH);
    expect(codeOf(() => decodeHeader(bytes.subarray(0, 27)))).toBe("WIRE_TRUNCATED");
    expect(decodeMessage(bytes).payloads).toEqual([]);
  });

  test("the largest message ID and length survive as unsigned numbers", () => {
    const bytes = encodeMessage({ ...HEADER, messageId: 0xffffffff }, []);
    expect(decodeHeader(bytes).messageId).toBe(0xffffffff);
    bytes.fill(0xff, 24);
    expect(decodeHeader(bytes).length).toBe(0xffffffff);
  });
});

describe("chain", () => {
  test("[HDR-09] payload lengths below 4 and past the end are refused, the ones beside them are not", () => {
    const body = fromHex("aabbcc");
    for (const length of [0, 1, 2, 3, 8, 0x7fff, 0xffff]) {
      const payload = concat(Uint8Array.of(0, 0, length >> 8, length & 0xff), body);
      expect(codeOf(() => decodePayloadChain(PayloadType.V, payload))).toBe("WIRE_BAD_LENGTH");
    }
    expect(decodePayloadChain(PayloadType.V, concat(Uint8Array.of(0, 0, 0, 7), body))).toEqual([
      { kind: "V", data: body },
    ]);
    expect(decodePayloadChain(PayloadType.V, Uint8Array.of(0, 0, 0, 4))).toEqual([
      { kind: "V", data: new Uint8Array(0) },
    ]);
  });

  test("octets behind the last payload are refused, and so is a chain that promises one more", () => {
    const { first, bytes } = encodePayloadChain([VENDOR]);
    expect(codeOf(() => decodePayloadChain(first, concat(bytes, Uint8Array.of(0))))).toBe("WIRE_BAD_LENGTH");
    bytes[0] = PayloadType.V;
    expect(codeOf(() => decodePayloadChain(first, bytes))).toBe("WIRE_TRUNCATED");
  });

  test("no payloads are no octets", () => {
    expect(encodePayloadChain([])).toEqual({ first: PayloadType.NONE, bytes: new Uint8Array(0) });
    expect(decodePayloadChain(PayloadType.NONE, new Uint8Array(0))).toEqual([]);
    expect(codeOf(() => decodePayloadChain(PayloadType.NONE, Uint8Array.of(0)))).toBe("WIRE_BAD_LENGTH");
  });

  test("a message holds at most so many payloads", () => {
    const most = new Array<Payload>(MAX_PAYLOADS_PER_MESSAGE).fill(VENDOR);
    const { first, bytes } = encodePayloadChain(most);
    expect(decodePayloadChain(first, bytes)).toHaveLength(MAX_PAYLOADS_PER_MESSAGE);
    const oneMore = concat(Uint8Array.of(first, 0, 0, 4), bytes);
    expect(codeOf(() => decodePayloadChain(PayloadType.V, oneMore))).toBe("WIRE_TOO_MANY");
    expect(() => encodePayloadChain([...most, VENDOR])).toThrow(RangeError);
  });

  test("[HDR-12] the critical bit of a payload that RFC 7296 defines is ignored and never sent", () => {
    const bytes = message(NONCE, VENDOR);
    expect(bytes[IKE_HEADER_LENGTH + 1]).toBe(0);
    bytes[IKE_HEADER_LENGTH + 1] = CRITICAL;
    expect(decodeMessage(bytes).payloads).toEqual([NONCE, VENDOR]);
  });

  test("the critical bit of an unknown payload is kept; the reserved bits beside it are not", () => {
    const chain = (flags: number) => decodePayloadChain(200, Uint8Array.of(0, flags, 0, 5, 9));
    const unknown = { kind: "unknown", payloadType: 200, body: Uint8Array.of(9) };
    expect(chain(0x7f)).toEqual([{ ...unknown, critical: false }]);
    expect(chain(0x80)).toEqual([{ ...unknown, critical: true }]);
    expect(encodePayloadChain([{ ...unknown, kind: "unknown", critical: true }]).bytes[1]).toBe(CRITICAL);
  });

  test("[HDR-13] payloads are taken in any order", () => {
    const list: Payload[] = [
      VENDOR,
      NONCE,
      { kind: "KE", method: 31, data: new Uint8Array(32) },
      { kind: "SA", proposals: [{ number: 1, protocolId: 1, spi: new Uint8Array(0), transforms: [] }] },
    ];
    for (const order of [list, list.toReversed(), [...list.slice(2), ...list.slice(0, 2)]]) {
      expect(decodeMessage(message(...order)).payloads).toEqual(order);
    }
  });

  test("every payload type of the registry is recognised, all others are unknown", () => {
    const known: number[] = Object.values(PayloadType).filter((type) => type !== PayloadType.NONE);
    for (let type = 1; type <= 255; type++) {
      const outcome = codeOf(() => {
        const [payload] = decodePayloadChain(type, Uint8Array.of(0, 0, 0, 4));
        expect(payloadTypeOf(payload!)).toBe(type);
        expect(payload!.kind === "unknown").toBe(!known.includes(type));
      });
      if (outcome !== "decoded") expect(known).toContain(type);
    }
  });
});

describe("encrypted payloads", () => {
  const sk = (firstInnerPayload: number, body: Uint8Array): Payload => ({
    kind: "SK",
    firstInnerPayload,
    body,
  });

  test("[ENC-01] SK ends a message, its next payload field names the first one inside, and it may be empty", () => {
    const { first, bytes: inner } = encodePayloadChain([NONCE, VENDOR]);
    const bytes = message(VENDOR, sk(first, inner));
    const last = decodeMessage(bytes).payloads.at(-1)!;
    expect(last).toEqual(sk(PayloadType.NONCE, inner));
    expect(decodePayloadChain(PayloadType.NONCE, inner)).toEqual([NONCE, VENDOR]);

    expect(codeOf(() => decodeMessage(withLength(concat(bytes, Uint8Array.of(0, 0, 0, 4)))))).toBe(
      "WIRE_BAD_LENGTH",
    );
    expect(() => message(sk(first, inner), VENDOR)).toThrow(RangeError);

    const empty = decodeMessage(message(sk(PayloadType.NONE, new Uint8Array(0)))).payloads;
    expect(empty).toEqual([sk(PayloadType.NONE, new Uint8Array(0))]);
    expect(decodePayloadChain(PayloadType.NONE, new Uint8Array(0))).toEqual([]);
  });

  test("one inside of another is refused", () => {
    for (const type of [PayloadType.SK, PayloadType.SKF]) {
      const octets = Uint8Array.of(0, 0, 0, 8, 0, 1, 0, 1);
      expect(codeOf(() => decodePayloadChain(type, octets))).toBe("WIRE_BAD_VALUE");
    }
  });

  test("a fragment's number is at least 1 and at most the total", () => {
    const fragment = (number: number, total: number) => {
      const payload: Payload = {
        kind: "SKF",
        firstInnerPayload: PayloadType.IDi,
        fragmentNumber: number,
        totalFragments: total,
        body: VENDOR.kind === "V" ? VENDOR.data : new Uint8Array(0),
      };
      return codeOf(() => expect(decodeMessage(message(payload)).payloads).toEqual([payload]));
    };
    expect(fragment(0, 1)).toBe("WIRE_BAD_VALUE");
    expect(fragment(0, 0)).toBe("WIRE_BAD_VALUE");
    expect(fragment(3, 2)).toBe("WIRE_BAD_VALUE");
    expect(fragment(1, 1)).toBe("decoded");
    expect(fragment(2, 2)).toBe("decoded");
    expect(fragment(0xffff, 0xffff)).toBe("decoded");
  });
});

test("[HDR-15] messages of 1280 and of 3000 octets are written and read", () => {
  for (const length of [1280, 3000, 65000]) {
    const data = new Uint8Array(length - IKE_HEADER_LENGTH - 4).fill(1);
    const bytes = message({ kind: "V", data });
    expect(bytes.length).toBe(length);
    expect(decodeMessage(bytes).payloads).toEqual([{ kind: "V", data }]);
  }
});

test("a payload longer than its length field is not written", () => {
  const fits: Payload = { kind: "V", data: new Uint8Array(0xffff - 4) };
  expect(encodePayloadChain([fits]).bytes.length).toBe(0xffff);
  expect(() => encodePayloadChain([{ kind: "V", data: new Uint8Array(0xffff - 3) }])).toThrow(RangeError);
});

test("octets of a decoded message alias the input, so that opening in place is possible", () => {
  const bytes = message(VENDOR);
  const [payload] = decodeMessage(bytes).payloads;
  bytes[bytes.length - 1] = 0x11;
  expect(payload).toEqual({ kind: "V", data: fromHex("c0ff11") });
});

function withLength(bytes: Uint8Array): Uint8Array {
  new DataView(bytes.buffer).setUint32(24, bytes.length);
  return bytes;
}

test("the first payload's type stands in the header", () => {
  expect(message(NONCE, VENDOR)[NEXT_PAYLOAD]).toBe(PayloadType.NONCE);
});
