/** Key derivations: order, lengths, seeds, AUTH. */
import { createHmac } from "node:crypto";
import { expect, test } from "vitest";
import { concat, fromHex, toHex, utf8 } from "../../../src/base/bytes.ts";
import { IkeSpi } from "../../../src/base/spi.ts";
import { encrAlgorithm } from "../../../src/crypto/encr.ts";
import { integAlgorithm } from "../../../src/crypto/integ.ts";
import {
  deriveChildKeys,
  deriveIkeKeys,
  pskAuth,
  rekeyedSkeyseed,
  signedOctets,
  skeyseed,
} from "../../../src/crypto/keymat.ts";
import { prf, prfAlgorithm, prfPlus } from "../../../src/crypto/prf.ts";
import { Encr, Integ, Prf } from "../../../src/wire/ike/registries.ts";
import { seededRandom } from "./seeded-random.ts";

const random = seededRandom("keymat");
const alg = prfAlgorithm(Prf.HMAC_SHA2_256)!;
const nonces = { initiator: random.publicBytes(32), responder: random.publicBytes(20) };
const spis = {
  initiator: IkeSpi(fromHex("0102030405060708")),
  responder: IkeSpi(fromHex("1112131415161718")),
};
const gir = random.secretBytes(32);
const skD = random.secretBytes(32);

function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): string {
  return createHmac("sha256", key)
    .update(concat(...parts))
    .digest("hex");
}

test("SKEYSEED is keyed by both whole nonces, the initiator's first", () => {
  expect(toHex(skeyseed(alg, nonces, gir))).toBe(hmac(concat(nonces.initiator, nonces.responder), gir));
});

test("[AUTH-02] AES-XCBC and AES-CMAC take the first 8 octets of each nonce into the key of SKEYSEED", () => {
  const key = concat(nonces.initiator.subarray(0, 8), nonces.responder.subarray(0, 8));
  for (const id of [Prf.AES128_XCBC, Prf.AES128_CMAC]) {
    const fixed = prfAlgorithm(id)!;
    expect(toHex(skeyseed(fixed, nonces, gir))).toBe(toHex(prf(fixed, key, gir)));
  }
});

test("a PRF of fixed key takes the first octets of each nonce only", () => {
  const fixed = { ...alg, nonceOctetsInKey: 8 };
  const key = concat(nonces.initiator.subarray(0, 8), nonces.responder.subarray(0, 8));
  expect(toHex(skeyseed(fixed, nonces, gir))).toBe(hmac(key, gir));
});

test("SKEYSEED of a rekeyed IKE SA is keyed by the old SK_d, over secret and nonces", () => {
  const value = rekeyedSkeyseed(alg, skD, gir, nonces);
  expect(toHex(value)).toBe(hmac(skD, gir, nonces.initiator, nonces.responder));
});

test("[AUTH-01] the seven keys are cut in the order d, ai, ar, ei, er, pi, pr, from a seed that ends in SPIi and SPIr", () => {
  const seed = concat(nonces.initiator, nonces.responder, fromHex(spis.initiator), fromHex(spis.responder));
  const seedKey = random.secretBytes(32);

  const keys = deriveIkeKeys(alg, seedKey, nonces, spis, { encr: 16, integ: 20 });

  expect(Object.keys(keys)).toEqual(["skD", "skAi", "skAr", "skEi", "skEr", "skPi", "skPr"]);
  expect(Object.values(keys).map((key) => (key as Uint8Array).length)).toEqual([32, 20, 20, 16, 16, 32, 32]);
  const { skAi, skAr, skEi, skEr, skPi, skPr } = keys;
  expect(toHex(concat(keys.skD, skAi, skAr, skEi, skEr, skPi, skPr))).toBe(
    toHex(prfPlus(alg, seedKey, seed, 168)),
  );
});

test("[ENC-08] with a combined-mode cipher SK_e holds the salt and SK_a is empty", () => {
  const encr = encrAlgorithm(Encr.AES_GCM_16, 256)!;
  const keys = deriveIkeKeys(alg, skD, nonces, spis, { encr: encr.keyLength, integ: 0 });

  expect([keys.skAi, keys.skAr].map(({ length }) => length)).toEqual([0, 0]);
  expect([keys.skEi, keys.skEr].map(({ length }) => length)).toEqual([36, 36]);
  expect(keys.skEi).not.toEqual(keys.skEr);
});

test("swapped SPIs or nonces give other keys", () => {
  const lengths = { encr: 16, integ: 32 };
  const keys = deriveIkeKeys(alg, skD, nonces, spis, lengths);
  const swappedSpis = { initiator: spis.responder, responder: spis.initiator };
  const swappedNonces = { initiator: nonces.responder, responder: nonces.initiator };

  expect(deriveIkeKeys(alg, skD, nonces, swappedSpis, lengths).skD).not.toEqual(keys.skD);
  expect(deriveIkeKeys(alg, skD, swappedNonces, spis, lengths).skD).not.toEqual(keys.skD);
});

test.each([
  ["without", undefined],
  ["with", gir],
])(
  "[CHILD-02] KEYMAT %s a key exchange: initiator's keys first, encryption before integrity",
  (_, secret) => {
    const encr = encrAlgorithm(Encr.AES_CBC, 256)!.keyLength;
    const integ = integAlgorithm(Integ.HMAC_SHA2_384_192)!.keyLength;
    const seed = concat(secret ?? new Uint8Array(0), nonces.initiator, nonces.responder);
    const keymat = prfPlus(alg, skD, seed, 2 * (encr + integ));

    const { initiator, responder } = deriveChildKeys(alg, skD, nonces, secret, encr, integ);

    expect(initiator).toEqual({ encr: keymat.slice(0, 32), integ: keymat.slice(32, 80) });
    expect(responder).toEqual({ encr: keymat.slice(80, 112), integ: keymat.slice(112, 160) });
  },
);

test("[ESP-17] KEYMAT for AES-GCM is 16 octets of key and 4 of salt for each direction, and no integrity key", () => {
  const { keyLength } = encrAlgorithm(Encr.AES_GCM_16, 128)!;
  const keymat = prfPlus(alg, skD, concat(nonces.initiator, nonces.responder), 40);

  const { initiator, responder } = deriveChildKeys(alg, skD, nonces, undefined, keyLength, 0);

  expect(initiator).toEqual({ encr: keymat.slice(0, 20), integ: new Uint8Array(0) });
  expect(responder).toEqual({ encr: keymat.slice(20, 40), integ: new Uint8Array(0) });
});

test("keys have memory of their own, so that wiping one leaves the others", () => {
  const keys = deriveIkeKeys(alg, skD, nonces, spis, { encr: 16, integ: 32 });
  const pair = deriveChildKeys(alg, skD, nonces, undefined, 16, 32);
  const all = [
    ...Object.values(keys),
    ...Object.values(pair).flatMap((one) => Object.values(one)),
  ] as Uint8Array[];

  expect(new Set(all.map((key) => key.buffer)).size).toBe(all.length);
});

test("deriving leaves secrets of the caller as they are", () => {
  const [secret, key] = [Uint8Array.from(gir), Uint8Array.from(skD)];
  deriveChildKeys(alg, key, nonces, secret, 16, 32);
  skeyseed(alg, nonces, secret);
  rekeyedSkeyseed(alg, key, secret, nonces);
  pskAuth(alg, key, secret);
  expect([secret, key]).toEqual([gir, skD]);
});

test("[AUTH-04] each side signs its own first message, the other's nonce, and prf(its SK_p, its ID body)", () => {
  const [message, skP, idBody] = [random.publicBytes(300), random.secretBytes(32), random.publicBytes(12)];

  const octets = signedOctets(alg, message, nonces.responder, skP, idBody);

  expect(octets).toEqual(concat(message, nonces.responder, prf(alg, skP, idBody)));
});

test("[AUTH-05] the shared key is mixed with 17 octets of ASCII, and the result keys the PRF over the octets", () => {
  const secret = utf8("correct horse battery staple");
  const octets = random.publicBytes(400);
  const pad = fromHex("4b65792050616420666f7220494b457632");
  const inner = fromHex(hmac(secret, pad));

  expect(pad).toHaveLength(17);
  expect(toHex(pskAuth(alg, secret, octets))).toBe(hmac(inner, octets));
});
