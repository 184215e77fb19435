/** The IKE message that RFC 7634 appendix B prints, made and read by our own code. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../../src/base/bytes.ts";
import { openMessage, sealMessageWithIv } from "../../../src/ike/sa/sk-payload.ts";
import { decodeMessage, decodePayloadChain } from "../../../src/wire/ike/message.ts";
import { NotifyType } from "../../../src/wire/ike/registries.ts";

interface Case {
  readonly name: string;
  readonly key: string;
  readonly salt: string;
  readonly iv: string;
  readonly message: string;
}

const file = new URL("../../vectors/chacha20-poly1305.json", import.meta.url);
const { cases } = JSON.parse(readFileSync(file, "utf8")) as { cases: readonly Case[] };

test("[ENC-11] the printed INFORMATIONAL message is opened, and made again octet for octet", () => {
  const printed = cases.find(({ name }) => name.includes("appendix B"));
  if (printed === undefined) throw new Error("the vector file lacks appendix B");
  const skE = fromHex(printed.key + printed.salt);
  const none = new Uint8Array(0);
  const keys = { skD: none, skAi: none, skAr: none, skEi: none, skEr: skE, skPi: none, skPr: none };
  const protection = { suite: { encr: 28, encrKeyBits: 0, integ: 0, prf: 5, ke: 31 }, keys, nextIv: 0 };
  const bytes = fromHex(printed.message);
  const { header, payloads } = decodeMessage(bytes);
  const sk = payloads.at(-1);
  if (sk?.kind !== "SK") throw new Error("no SK payload");
  const plaintext = openMessage(protection, header.isFromInitiator, bytes, sk);
  const inner = decodePayloadChain(sk.firstInnerPayload, plaintext ?? none);
  expect(inner).toMatchObject([
    { kind: "N", notifyType: NotifyType.SET_WINDOW_SIZE, data: Uint8Array.of(0, 0, 0, 10) },
  ]);
  expect(toHex(sealMessageWithIv(protection, header, inner, fromHex(printed.iv)))).toBe(printed.message);
});
