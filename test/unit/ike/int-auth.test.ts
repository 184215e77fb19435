/** IntAuth and the keys of additional key exchanges against their formulas, written out (RFC 9242 section 3.3.2, RFC 9370 section 2.2.2). */
import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { concat, fromHex } from "../../../src/base/bytes.ts";
import { IkeSpi } from "../../../src/base/spi.ts";
import { authOctets } from "../../../src/ike/auth/signed-octets.ts";
import { childKeys } from "../../../src/ike/sa/child-keys.ts";
import { protectionFor } from "../../../src/ike/sa/ike-keys.ts";
import { nextIntAuth } from "../../../src/ike/sa/int-auth.ts";
import { encodePayloadChain } from "../../../src/wire/ike/message.ts";
import { ExchangeType } from "../../../src/wire/ike/registries.ts";

const SUITE = { encr: 20, encrKeyBits: 256, integ: 0, prf: 6, ke: 31, additionalKe: [36] };
const NONCES = { initiator: new Uint8Array(32).fill(1), responder: new Uint8Array(32).fill(2) };
const SPIS = {
  initiator: IkeSpi(fromHex("0102030405060708")),
  responder: IkeSpi(fromHex("1112131415161718")),
};
const hmac = (key: Uint8Array, ...data: readonly Uint8Array[]) =>
  new Uint8Array(
    createHmac("sha384", key)
      .update(concat(...data))
      .digest(),
  );
const first = () => protectionFor(SUITE, NONCES, SPIS, new Uint8Array(32).fill(3));

test("[PQ-13] keys after an additional key exchange: SKEYSEED = prf(SK_d before, SK(n) | Ni | Nr), then all seven anew", () => {
  const before = first();
  const secret = new Uint8Array(32).fill(4);
  const { keys } = protectionFor(SUITE, NONCES, SPIS, secret, before);

  const seed = hmac(before.keys.skD, secret, NONCES.initiator, NONCES.responder);
  const label = concat(
    NONCES.initiator,
    NONCES.responder,
    fromHex("0102030405060708"),
    fromHex("1112131415161718"),
  );
  const blocks: Uint8Array[] = [];
  for (let i = 1, last = new Uint8Array(0); i <= 6; i++) {
    last = hmac(seed, last, label, Uint8Array.of(i));
    blocks.push(last);
  }
  const octets = concat(...blocks);
  expect(keys.skD).toEqual(octets.slice(0, 48));
  expect(keys.skEi).toEqual(octets.slice(48, 84));
  expect(keys.skEr).toEqual(octets.slice(84, 120));
  expect(keys.skPi).toEqual(octets.slice(120, 168));
  expect(keys.skPr).toEqual(octets.slice(168, 216));
});

test("[PQ-08] [PQ-09] IntAuth covers header, SK header with adjusted lengths and content in clear, chained, under each side's SK_p", () => {
  const protection = first();
  const data = new Uint8Array(10).fill(0xab);
  const inner = encodePayloadChain([{ kind: "KE", method: 36, data }]);
  const header = (isResponse: boolean) => ({
    initiatorSpi: SPIS.initiator,
    responderSpi: SPIS.responder,
    exchangeType: ExchangeType.IKE_INTERMEDIATE,
    isFromInitiator: !isResponse,
    isResponse,
    messageId: 1,
  });
  const spelled = (flags: string) =>
    concat(
      fromHex("0102030405060708"),
      fromHex("1112131415161718"),
      // Next payload SK, version 2.0, exchange 43, flags, message ID 1, length 28 + 4 + 18.
      fromHex(`2e202b${flags}00000001`),
      fromHex("00000032"),
      // SK's header: next payload KE, no flags, 4 + 18 octets; then the KE payload itself.
      fromHex("22000016"),
      fromHex("0000001200240000"),
      data,
    );
  const before = new Uint8Array(48).fill(9);

  expect(nextIntAuth(protection, new Uint8Array(0), header(false), inner)).toEqual(
    hmac(protection.keys.skPi, spelled("08")),
  );
  expect(nextIntAuth(protection, before, header(true), inner)).toEqual(
    hmac(protection.keys.skPr, before, spelled("20")),
  );
});

test("[PQ-08] [PQ-15] AUTH covers both IntAuths and the message ID of IKE_AUTH behind what it covers anyway, by the last SK_p", () => {
  const protection = first();
  const init = { request: new Uint8Array(5).fill(5), response: new Uint8Array(6).fill(6), nonces: NONCES };
  const identity = { idType: 2, data: Uint8Array.of(97) };
  const intermediate = {
    initiator: new Uint8Array(48).fill(0x11),
    responder: new Uint8Array(48).fill(0x22),
    authMessageId: 3,
  };
  const added = concat(intermediate.initiator, intermediate.responder, Uint8Array.of(0, 0, 0, 3));
  const id = Uint8Array.of(2, 0, 0, 0, 97);

  expect(authOctets(protection, { ...init, intermediate }, true, identity)).toEqual(
    concat(init.request, NONCES.responder, hmac(protection.keys.skPi, id), added),
  );
  expect(authOctets(protection, { ...init, intermediate }, false, identity)).toEqual(
    concat(init.response, NONCES.initiator, hmac(protection.keys.skPr, id), added),
  );
});

test("[PQ-18] secrets of follow-up exchanges come last, in KEYMAT and in the SKEYSEED of a rekey", () => {
  const ike = first();
  const secrets = [3, 4, 5].map((octet) => new Uint8Array(32).fill(octet));
  const [main, ...further] = secrets as [Uint8Array, Uint8Array, Uint8Array];
  const seed = concat(main, NONCES.initiator, NONCES.responder, ...further);
  const suite = { encr: 20, encrKeyBits: 256, integ: 0, esn: true };

  const child = childKeys(ike, NONCES, main, suite, further);
  const one = hmac(ike.keys.skD, seed, Uint8Array.of(1));
  const two = hmac(ike.keys.skD, one, seed, Uint8Array.of(2));
  expect(concat(child.initiator.encr, child.responder.encr)).toEqual(concat(one, two).slice(0, 72));

  const rekeyed = protectionFor(SUITE, NONCES, SPIS, main, ike, further);
  const skeyseed = hmac(ike.keys.skD, seed);
  const spis = fromHex("01020304050607081112131415161718");
  const skD = hmac(skeyseed, NONCES.initiator, NONCES.responder, spis, Uint8Array.of(1));
  expect(rekeyed.keys.skD).toEqual(skD);
});
