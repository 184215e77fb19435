/** What is encoded decodes to the same value, and no octets make a decoder do more than throw WireError. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeMessage,
  decodePayloadChain,
  encodeMessage,
  encodePayloadChain,
} from "../../../../src/wire/ike/message.ts";
import { payloadTypeOf } from "../../../../src/wire/ike/payload-body.ts";
import { WireError } from "../../../../src/wire/wire-error.ts";
import { runAllDecoders } from "../decoders.ts";
import {
  damaged,
  encryptedPayload,
  octets,
  outgoingHeader,
  payloads,
  plainPayload,
  u8,
} from "./arbitrary.ts";

describe("round trips", () => {
  test("a message decodes to what was encoded", () => {
    fc.assert(
      fc.property(outgoingHeader, payloads, (header, list) => {
        const bytes = encodeMessage(header, list);

        const message = decodeMessage(bytes);

        expect(message.payloads).toEqual(list);
        expect(message.header).toEqual({
          ...header,
          majorVersion: 2,
          minorVersion: 0,
          nextPayload: list[0] === undefined ? 0 : payloadTypeOf(list[0]),
          length: bytes.length,
        });
      }),
      { numRuns: 500 },
    );
  });

  test("each payload alone decodes to what was encoded", () => {
    fc.assert(
      fc.property(plainPayload, (payload) => {
        const { first, bytes } = encodePayloadChain([payload]);
        expect(decodePayloadChain(first, bytes)).toEqual([payload]);
      }),
      { numRuns: 2000 },
    );
  });

  test("a decoded message encodes to the same octets", () => {
    fc.assert(
      fc.property(outgoingHeader, payloads, (header, list) => {
        const bytes = encodeMessage(header, list);
        const message = decodeMessage(bytes);
        expect(encodeMessage(message.header, message.payloads)).toEqual(bytes);
      }),
    );
  });

  test("the octets in front of an encrypted body are all that precedes it in the message", () => {
    fc.assert(
      fc.property(outgoingHeader, plainPayload, encryptedPayload, (header, clear, encrypted) => {
        const bytes = encodeMessage(header, [clear, encrypted]);
        const last = decodeMessage(bytes).payloads.at(-1)!;
        if (last.kind !== "SK" && last.kind !== "SKF") throw new Error("the last payload is not encrypted");
        expect(last.body.buffer).toBe(bytes.buffer);
        expect(last.body.byteOffset + last.body.length).toBe(bytes.length);
      }),
    );
  });
});

describe("hostile input", () => {
  test("arbitrary octets", () => {
    fc.assert(
      fc.property(octets(0, 600), (bytes) => {
        runAllDecoders(bytes);
      }),
      { numRuns: 3000 },
    );
  });

  test("arbitrary octets behind a header that fits them", () => {
    fc.assert(
      fc.property(outgoingHeader, u8, octets(0, 300), (header, first, body) => {
        const bytes = encodeMessage(header, [{ kind: "SK", firstInnerPayload: 0, body }]).slice();
        bytes[16] = first;
        runAllDecoders(bytes);
      }),
      { numRuns: 3000 },
    );
  });

  test("damaged messages", () => {
    const message = fc.tuple(outgoingHeader, payloads).map(([header, list]) => encodeMessage(header, list));
    fc.assert(
      fc.property(damaged(message), (bytes) => {
        runAllDecoders(bytes);
        if (bytes.length < 28) return;
        const fitted = Uint8Array.from(bytes);
        new DataView(fitted.buffer).setUint32(24, fitted.length);
        runAllDecoders(fitted);
      }),
      { numRuns: 3000 },
    );
  });

  test("every prefix of a message is refused and reads no octet behind it", () => {
    fc.assert(
      fc.property(outgoingHeader, fc.array(plainPayload, { minLength: 1, maxLength: 3 }), (header, list) => {
        const bytes = encodeMessage(header, list);
        const { first, bytes: chain } = encodePayloadChain(list);
        for (let length = 0; length < bytes.length; length += 1 + (length >> 4)) {
          expect(() => decodeMessage(bytes.subarray(0, length))).toThrow(WireError);
        }
        for (let length = 0; length < chain.length; length += 1 + (length >> 4)) {
          expect(() => decodePayloadChain(first, chain.subarray(0, length))).toThrow(WireError);
        }
      }),
      { numRuns: 50 },
    );
  });
});
