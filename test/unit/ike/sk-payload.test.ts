/** The encrypted payload by itself, with every kind of cipher (RFC 7296 section 3.14, RFC 5282). */
import { describe, expect, test } from "vitest";
import type { RandomSource } from "../../../src/base/random.ts";
import { IkeSpi } from "../../../src/base/spi.ts";
import { encrAlgorithm, encrypt } from "../../../src/crypto/encr.ts";
import { computeIcv, integAlgorithm } from "../../../src/crypto/integ.ts";
import type { IkeSuite } from "../../../src/ike/connection-state.ts";
import { openMessage, type Protection, sealMessage } from "../../../src/ike/sa/sk-payload.ts";
import { decodeMessage, decodePayloadChain, encodeMessage } from "../../../src/wire/ike/message.ts";
import type { Payload, SkPayload } from "../../../src/wire/ike/payload.ts";
import { Encr, ExchangeType, Integ, KeyExchangeMethod, Prf } from "../../../src/wire/ike/registries.ts";

const octets = (length: number, first: number) => Uint8Array.from({ length }, (_, i) => (first + i) & 0xff);
const random: RandomSource = {
  publicBytes: (length) => octets(length, 77),
  secretBytes: (length) => octets(length, 99),
  fraction: () => 0.5,
};

const common = { prf: Prf.HMAC_SHA2_256, ke: KeyExchangeMethod.CURVE25519 };
const CBC: IkeSuite = { ...common, encr: Encr.AES_CBC, encrKeyBits: 256, integ: Integ.HMAC_SHA2_256_128 };
const SUITES: readonly (readonly [string, IkeSuite])[] = [
  ["AES-GCM", { ...common, encr: Encr.AES_GCM_16, encrKeyBits: 256, integ: 0 }],
  ["ChaCha20-Poly1305", { ...common, encr: Encr.CHACHA20_POLY1305, encrKeyBits: 0, integ: 0 }],
  ["AES-CBC with HMAC-SHA2-256", CBC],
  ["AES-CBC with HMAC-SHA2-512", { ...CBC, integ: Integ.HMAC_SHA2_512_256 }],
];

function protectionOf(suite: IkeSuite): Protection {
  const encr = encrAlgorithm(suite.encr, suite.encrKeyBits)!.keyLength;
  const integ = suite.integ === 0 ? 0 : integAlgorithm(suite.integ)!.keyLength;
  const key = (length: number, first: number) => octets(length, first);
  const keys = {
    skD: key(32, 1),
    skAi: key(integ, 2),
    skAr: key(integ, 3),
    skEi: key(encr, 4),
    skEr: key(encr, 5),
    skPi: key(32, 6),
    skPr: key(32, 7),
  };
  return { suite, keys, nextIv: 1 };
}

const header = {
  initiatorSpi: IkeSpi(octets(8, 10)),
  responderSpi: IkeSpi(octets(8, 20)),
  exchangeType: ExchangeType.INFORMATIONAL,
  isFromInitiator: true,
  isResponse: false,
  messageId: 7,
};
const payloads: readonly Payload[] = [{ kind: "V", data: octets(21, 40) }];

function skOf(bytes: Uint8Array): SkPayload {
  const sk = decodeMessage(bytes).payloads.at(-1);
  if (sk?.kind !== "SK") throw new Error("the message has no SK payload");
  return sk;
}

describe.each(SUITES)("%s", (_, suite) => {
  test("what is sealed opens with the same direction's keys, and with no others", () => {
    const protection = protectionOf(suite);
    const bytes = sealMessage(protection, header, payloads, random);
    const sk = skOf(bytes);
    const inner = openMessage(protection, true, bytes, sk);
    expect(decodePayloadChain(sk.firstInnerPayload, inner!)).toEqual(payloads);
    expect(openMessage(protection, false, bytes, sk)).toBeUndefined();
  });

  test("[ENC-02] [ENC-03] [ENC-07] any bit that changes from the header to the last octet refuses the message", () => {
    const protection = protectionOf(suite);
    const bytes = sealMessage(protection, header, payloads, random);
    const { firstInnerPayload, body } = skOf(bytes);
    const bodyAt = bytes.length - body.length;
    for (let i = 0; i < bytes.length; i++) {
      const forged = Uint8Array.from(bytes);
      forged[i] = forged[i]! ^ 0x80;
      const sk: SkPayload = { kind: "SK", firstInnerPayload, body: forged.subarray(bodyAt) };
      expect(openMessage(protection, true, forged, sk), `octet ${i}`).toBeUndefined();
    }
  });

  test("bodies too short for what they must hold are refused", () => {
    const protection = protectionOf(suite);
    const bytes = sealMessage(protection, header, payloads, random);
    const { firstInnerPayload, body } = skOf(bytes);
    const bodyAt = bytes.length - body.length;
    for (let length = 0; length < body.length; length++) {
      const cut = bytes.slice(0, bodyAt + length);
      const sk: SkPayload = { kind: "SK", firstInnerPayload, body: cut.subarray(bodyAt) };
      expect(openMessage(protection, true, cut, sk), `${length} octets`).toBeUndefined();
    }
  });
});

/** A message whose padding is what we choose. */
function withPadding(protection: Protection, plaintext: Uint8Array): Uint8Array {
  const iv = octets(16, 3);
  const encr = encrAlgorithm(CBC.encr, CBC.encrKeyBits)!;
  const integ = integAlgorithm(CBC.integ)!;
  const body = new Uint8Array(iv.length + plaintext.length + integ.icvLength);
  const message = encodeMessage(header, [{ kind: "SK", firstInnerPayload: 43, body }]);
  message.set(iv, message.length - body.length);
  message.set(encrypt(encr, protection.keys.skEi, iv, plaintext), message.length - body.length + iv.length);
  const covered = message.subarray(0, message.length - integ.icvLength);
  message.set(computeIcv(integ, protection.keys.skAi, covered), covered.length);
  return message;
}

test("[ENC-04] padding of any content and up to 255 octets is accepted, a pad length beyond the plaintext is not", () => {
  const protection = protectionOf(CBC);
  for (const padLength of [0, 1, 15, 16, 200, 239]) {
    const total = Math.ceil((padLength + 1) / 16) * 16;
    const plaintext = octets(total, 200);
    plaintext[total - 1] = padLength;
    const message = withPadding(protection, plaintext);
    const inner = openMessage(protection, true, message, skOf(message));
    expect(inner).toEqual(plaintext.subarray(0, total - 1 - padLength));
  }
  const longest = octets(256, 1);
  longest[255] = 255;
  const message = withPadding(protection, longest);
  expect(openMessage(protection, true, message, skOf(message))).toEqual(new Uint8Array(0));
  const beyond = octets(16, 1);
  beyond[15] = 16;
  const impossible = withPadding(protection, beyond);
  expect(openMessage(protection, true, impossible, skOf(impossible))).toBeUndefined();
});

test("[ENC-10] no two messages of a combined-mode cipher share an IV, also past 2^32", () => {
  const protection = protectionOf(SUITES[0]![1]);
  const ivs = new Set<string>();
  for (const nextIv of [1, 2 ** 32 - 1, 2 ** 33]) {
    protection.nextIv = nextIv;
    for (let i = 0; i < 3; i++)
      ivs.add(
        skOf(sealMessage(protection, header, payloads, random))
          .body.subarray(0, 8)
          .join(),
      );
  }
  expect(ivs.size).toBe(9);
});
