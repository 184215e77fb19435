import fc from "fast-check";
import { expect, test } from "vitest";
import { fromHex } from "../../../../src/base/bytes.ts";
import { decodePayloadChain, encodePayloadChain } from "../../../../src/wire/ike/message.ts";
import { NO_NOTIFY, outlineOf } from "../../../../src/wire/ike/outline.ts";
import { payloadTypeOf } from "../../../../src/wire/ike/payload-body.ts";
import { NotifyType, PayloadType } from "../../../../src/wire/ike/registries.ts";
import { WireError } from "../../../../src/wire/wire-error.ts";
import { plainPayload } from "./arbitrary.ts";

test("an outline names what decoding finds, in its order and with its sizes", () => {
  fc.assert(
    fc.property(fc.array(plainPayload, { maxLength: 6 }), (payloads) => {
      const { first, bytes } = encodePayloadChain(payloads);
      const expected = decodePayloadChain(first, bytes).flatMap((one) => [
        payloadTypeOf(one),
        encodePayloadChain([one]).bytes.length,
        one.kind === "N" ? one.notifyType : NO_NOTIFY,
      ]);
      expect(outlineOf(first, bytes)).toEqual(expected);
    }),
  );
});

test("a notify that is cut off before its type has none, an unknown payload has its number", () => {
  expect(outlineOf(PayloadType.N, fromHex("c8000007030000 00000005ff".replaceAll(" ", "")))).toEqual([
    PayloadType.N,
    7,
    NO_NOTIFY,
    200,
    5,
    NO_NOTIFY,
  ]);
  expect(outlineOf(PayloadType.N, fromHex("0000000800004000"))).toEqual([
    PayloadType.N,
    8,
    NotifyType.INITIAL_CONTACT,
  ]);
});

test.each([
  ["a length below that of the header", "00000003"],
  ["a length past the end", "00000005"],
  ["octets behind the last payload", "0000000400"],
  ["more payloads than a message takes", "28000004".repeat(129)],
])("%s is refused", (_, hex) => {
  expect(() => outlineOf(PayloadType.NONCE, fromHex(hex))).toThrow(WireError);
});
