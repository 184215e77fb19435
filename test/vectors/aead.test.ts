/** AES-GCM and ChaCha20-Poly1305 against NIST, RFC 8439, RFC 7634 and the ESP packets for AES-GCM. */
import { expect, test } from "vitest";
import { concat, fromHex, toHex } from "../../src/base/bytes.ts";
import { encrAlgorithm, openAead, sealAead } from "../../src/crypto/encr.ts";
import { noble } from "../../src/crypto/providers/noble.ts";
import { nodeCrypto } from "../../src/crypto/providers/node-crypto.ts";
import { Encr } from "../../src/wire/ike/registries.ts";
import { loadCases } from "./vector-file.ts";

interface GcmCase {
  readonly name: string;
  readonly key: string;
  readonly nonce: string;
  readonly aad: string;
  readonly sealed: string;
  readonly plaintext: string | null;
}

interface EspCase {
  readonly name: string;
  readonly key: string;
  readonly salt: string;
  readonly spi: string;
  readonly sequence: string;
  readonly iv: string;
  readonly plaintext: string;
  readonly packet: string;
}

interface ChachaCase {
  readonly name: string;
  readonly key: string;
  readonly salt: string;
  readonly iv: string;
  readonly aad: string;
  readonly plaintext: string;
  readonly message: string;
}

const ESP_HEADER_AND_IV = 16;

for (const provider of [nodeCrypto, noble])
  test.each(loadCases<GcmCase>("aes-gcm.json"))(`${provider.name}: CAVP $name`, (vector) => {
    const key = fromHex(vector.key);
    const nonce = fromHex(vector.nonce);
    const aad = fromHex(vector.aad);

    const plaintext = provider.open("aes-gcm", key, nonce, aad, fromHex(vector.sealed), 16);

    expect(plaintext === undefined ? null : toHex(plaintext)).toBe(vector.plaintext);
    if (vector.plaintext === null) return;
    const sealed = provider.seal("aes-gcm", key, nonce, aad, fromHex(vector.plaintext), 16);
    expect(toHex(sealed)).toBe(vector.sealed);
  });

test("the CAVP selection has forgeries in it", () => {
  expect(
    loadCases<GcmCase>("aes-gcm.json").filter(({ plaintext }) => plaintext === null).length,
  ).toBeGreaterThan(5);
});

test.each(loadCases<EspCase>("esp-aes-gcm-16.json"))(
  "[ESP-17] the ESP packet of draft-mcgrew-gcm-test $name comes out with key and salt side by side",
  (vector) => {
    const alg = encrAlgorithm(Encr.AES_GCM_16, vector.key.length * 4)!;
    const key = fromHex(vector.key + vector.salt);
    const iv = fromHex(vector.iv);
    const aad = fromHex(vector.spi + vector.sequence);
    const packet = fromHex(vector.packet);

    const sealed = sealAead(alg, key, iv, aad, fromHex(vector.plaintext));

    expect(toHex(sealed)).toBe(toHex(packet.subarray(ESP_HEADER_AND_IV)));
    expect(toHex(openAead(alg, key, iv, aad, sealed)!)).toBe(vector.plaintext);
  },
);

test.each(loadCases<ChachaCase>("chacha20-poly1305.json"))("$name", (vector) => {
  const alg = encrAlgorithm(Encr.CHACHA20_POLY1305, 0)!;
  const key = fromHex(vector.key + vector.salt);
  const iv = fromHex(vector.iv);
  const aad = fromHex(vector.aad);

  const sealed = sealAead(alg, key, iv, aad, fromHex(vector.plaintext));

  // The RFC on the cipher prints its output; the one on IPsec prints whole messages.
  const isWholeMessage = vector.message.startsWith(vector.aad);
  expect(toHex(isWholeMessage ? concat(aad, iv, sealed) : sealed)).toBe(vector.message);
  expect(toHex(openAead(alg, key, iv, aad, sealed)!)).toBe(vector.plaintext);
});
