/** AUTH data of signatures: every scheme there and back, what RFC 7427 writes in front, and what is refused. */
import { constants, createPrivateKey, generateKeyPairSync, sign } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat, toHex, utf8 } from "../../../src/base/bytes.ts";
import { signAuth, verifyAuth } from "../../../src/crypto/auth-signature.ts";
import { importPrivateKey, type PrivateKey } from "../../../src/crypto/private-key.ts";
import {
  algorithmIdentifier,
  chooseScheme,
  type RsaPadding,
  SIGNATURE_HASHES,
  type SigningKeyType,
} from "../../../src/crypto/signature-scheme.ts";
import { keyNamed } from "../../sim/ike-signatures.ts";

const OCTETS = utf8("message, nonce and the MAC over an identity");
const TYPES: readonly SigningKeyType[] = ["rsa", "p256", "p384", "p521", "ed25519", "ed448"];
const key = (type: SigningKeyType): PrivateKey => keyNamed(`unit ${type}`, type);

function signed(type: SigningKeyType, padding: RsaPadding, hashes: readonly number[] | undefined) {
  const scheme = chooseScheme(type, padding, hashes);
  if (scheme === undefined) return undefined;
  return { scheme, data: signAuth(key(type).handle, scheme, OCTETS) };
}

const judge = (type: SigningKeyType, method: number, data: Uint8Array, octets = OCTETS) =>
  verifyAuth(key(type).publicKey, method, data, octets);

describe("signing", () => {
  test("[AUTH-12] [AUTH-14] [AUTH-15] [AUTH-16] each kind of key with each hash that the peer announces", () => {
    const seen: string[] = [];
    for (const type of TYPES)
      for (const padding of ["pss", "pkcs1"] as const)
        for (const hashes of [[2], [3], [4], [5], [1], [], SIGNATURE_HASHES]) {
          const made = signed(type, padding, hashes);
          if (made === undefined) continue;
          expect(made.scheme.method).toBe(14);
          const verdict = judge(type, 14, made.data);
          if (verdict.kind !== "good") throw new Error(`${type} ${hashes}: ${JSON.stringify(verdict)}`);
          if (hashes.length === 1) seen.push(`${type} ${hashes[0]} ${verdict.scheme}`);
          expect(judge(type, 14, made.data, utf8("other octets"))).toEqual({
            kind: "bad",
            flaw: { flaw: "wrong" },
          });
        }
    expect(new Set(seen)).toEqual(
      new Set([
        ...[2, 3, 4].flatMap((number) => {
          const hash = { 2: "sha256", 3: "sha384", 4: "sha512" }[number];
          const ecdsa = ["p256", "p384", "p521"].map((curve) => `${curve} ${number} ecdsa ${hash}`);
          return [`rsa ${number} rsa-pss ${hash}`, `rsa ${number} rsa-pkcs1 ${hash}`, ...ecdsa];
        }),
        "ed25519 5 ed25519",
        "ed448 5 ed448",
      ]),
    );
  });

  test("[AUTH-13] [AUTH-17] without the peer's notify the older methods are left, and none for EdDSA", () => {
    const found = TYPES.map((type) => [type, signed(type, "pss", undefined)] as const);
    expect(found.map(([type, made]) => [type, made?.scheme.method, made?.data.length])).toEqual([
      ["rsa", 1, 256],
      ["p256", 9, 64],
      ["p384", 10, 96],
      ["p521", 11, 132],
      ["ed25519", undefined, undefined],
      ["ed448", undefined, undefined],
    ]);
    for (const [type, made] of found)
      if (made !== undefined) expect(judge(type, made.scheme.method, made.data).kind).toBe("good");
  });

  test("[AUTH-12] the identifiers are those of RFC 7427 appendix A and RFC 8420 appendix A", () => {
    const hex = (
      algorithm: "rsa-pkcs1" | "ecdsa" | "ed25519" | "ed448" | "rsa-pss",
      hash: "sha256" | "sha512" | "none",
    ) => toHex(algorithmIdentifier({ algorithm, hash, method: 14 }));
    expect(hex("rsa-pkcs1", "sha256")).toBe("300d06092a864886f70d01010b0500");
    expect(hex("rsa-pkcs1", "sha512")).toBe("300d06092a864886f70d01010d0500");
    expect(hex("ecdsa", "sha256")).toBe("300a06082a8648ce3d040302");
    expect(hex("ecdsa", "sha512")).toBe("300a06082a8648ce3d040304");
    expect(hex("ed25519", "none")).toBe("300506032b6570");
    expect(hex("ed448", "none")).toBe("300506032b6571");
    expect(hex("rsa-pss", "sha256")).toBe(
      "304106092a864886f70d01010a3034a00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120",
    );
  });
});

describe("judging", () => {
  test("[AUTH-15] the salt length and the explicit trailer of a peer's PSS parameters are honoured", () => {
    const { handle } = key("rsa");
    const hash = "300d06096086480165030402010500";
    const identifier = Buffer.from(
      `304606092a864886f70d01010a3039a00f${hash}a11c301a06092a864886f70d010108${hash}a203020114a303020101`,
      "hex",
    );
    const made = (saltLength: number) =>
      sign("sha256", OCTETS, { key: handle, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength });
    const data = (saltLength: number) =>
      concat(Uint8Array.of(identifier.length), identifier, made(saltLength));
    expect(judge("rsa", 14, data(20))).toEqual({ kind: "good", scheme: "rsa-pss sha256" });
    expect(judge("rsa", 14, data(32)).kind).toBe("bad");
  });

  test("[AUTH-14] SHA-1 is refused by name, in method 14 and in method 1", () => {
    const { handle } = key("rsa");
    const signature = sign("sha1", OCTETS, handle);
    const identifier = Buffer.from("300d06092a864886f70d0101050500", "hex");
    const flaw = { kind: "bad", flaw: { flaw: "hashRefused", hash: "sha1" } };
    expect(judge("rsa", 14, concat(Uint8Array.of(identifier.length), identifier, signature))).toEqual(flaw);
    expect(judge("rsa", 1, new Uint8Array(signature))).toEqual(flaw);
  });

  test("where the operator says so SHA-1 counts in method 1, and in method 14 it never does", () => {
    const { handle, publicKey } = key("rsa");
    const scheme = chooseScheme("rsa", "pss", undefined, "sha1")!;
    expect(scheme).toEqual({ algorithm: "rsa-pkcs1", hash: "sha1", method: 1 });
    const data = signAuth(handle, scheme, OCTETS);
    const good = { kind: "good", scheme: "rsa-pkcs1 sha1" };
    expect(verifyAuth(publicKey, 1, data, OCTETS, true)).toEqual(good);
    expect(verifyAuth(publicKey, 1, data, utf8("others"), true).kind).toBe("bad");
    const identifier = Buffer.from("300d06092a864886f70d0101050500", "hex");
    const named = concat(Uint8Array.of(identifier.length), identifier, data);
    expect(verifyAuth(publicKey, 14, named, OCTETS, true)).toMatchObject({ flaw: { flaw: "hashRefused" } });
    // A peer that announces hashes gets one of them.
    expect(chooseScheme("rsa", "pss", [2], "sha1")?.hash).toBe("sha256");
    expect(chooseScheme("rsa", "pss", [1], "sha1")).toBeUndefined();
    expect(chooseScheme("p256", "pss", undefined, "sha1")?.hash).toBe("sha256");
  });

  test("[AUTH-12] [AUTH-17] a signature of another kind than the key, or of another curve than the method, is refused", () => {
    const p256 = signed("p256", "pss", undefined)!.data;
    expect(judge("p384", 9, p256)).toEqual({ kind: "bad", flaw: { flaw: "otherKey", key: "secp384r1" } });
    expect(judge("rsa", 9, p256)).toEqual({ kind: "bad", flaw: { flaw: "otherKey", key: "rsa" } });
    expect(judge("p256", 10, p256).kind).toBe("bad");
    expect(judge("p256", 1, p256)).toEqual({ kind: "bad", flaw: { flaw: "otherKey", key: "prime256v1" } });
    const named = signed("ed25519", "pss", [5])!.data;
    for (const type of ["rsa", "p256", "ed448"] as const)
      expect(judge(type, 14, named)).toMatchObject({ kind: "bad", flaw: { flaw: "otherKey" } });
  });

  test("[AUTH-17] r and s in DER do not count in the older methods, nor bare ones in method 14", () => {
    const der = sign("sha256", OCTETS, key("p256").handle);
    expect(judge("p256", 9, new Uint8Array(der)).kind).toBe("bad");
    const identifier = Buffer.from("300a06082a8648ce3d040302", "hex");
    const bare = signed("p256", "pss", undefined)!.data;
    expect(judge("p256", 14, concat(Uint8Array.of(identifier.length), identifier, bare)).kind).toBe("bad");
  });

  test("a weak RSA key is refused, whatever it signs", () => {
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 1024 });
    const spki = new Uint8Array(publicKey.export({ format: "der", type: "spki" }));
    const data = new Uint8Array(sign("sha256", OCTETS, privateKey));
    expect(verifyAuth(spki, 1, data, OCTETS)).toEqual({ kind: "bad", flaw: { flaw: "weakKey", bits: 1024 } });
    const own = new Uint8Array(privateKey.export({ format: "der", type: "pkcs8" }));
    expect(() => importPrivateKey(own)).toThrow(/1024 bits is too weak/);
  });

  test("whatever the octets, the answer is a verdict and nothing that was not signed is good", () => {
    const good = signed("p256", "pss", [2])!.data;
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array({ maxLength: 300 }),
          fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, change]) => {
            const data = Uint8Array.from(good);
            data[at] = data[at]! ^ change;
            return data;
          }),
          fc.nat(good.length - 1).map((length) => good.slice(0, length)),
        ),
        fc.constantFrom(1, 9, 10, 11, 14, 3),
        (data, method) => {
          expect(judge("p256", method, data).kind).toBe("bad");
        },
      ),
    );
  });
});

describe("private keys", () => {
  test("PKCS#8, PKCS#1 and SEC1, PEM and DER, encrypted or not", () => {
    const rsa = createPrivateKey({ key: key("rsa").handle.export({ format: "pem", type: "pkcs8" }) });
    const ec = createPrivateKey({ key: key("p256").handle.export({ format: "pem", type: "pkcs8" }) });
    const octets = (value: string | Buffer) =>
      typeof value === "string" ? utf8(value) : new Uint8Array(value);
    for (const format of ["pem", "der"] as const) {
      for (const type of ["pkcs8", "pkcs1"] as const)
        expect(importPrivateKey(octets(rsa.export({ format, type } as never))).type).toBe("rsa");
      for (const type of ["pkcs8", "sec1"] as const)
        expect(importPrivateKey(octets(ec.export({ format, type } as never))).type).toBe("p256");
    }
    const sealed = utf8(
      ec.export({ format: "pem", type: "pkcs8", cipher: "aes-256-cbc", passphrase: "open" }).toString(),
    );
    expect(importPrivateKey(sealed, utf8("open")).publicKey).toEqual(key("p256").publicKey);
    expect(() => importPrivateKey(sealed)).toThrow(/encrypted, and there is no password/);
    expect(() => importPrivateKey(sealed, utf8("shut"))).toThrow(/does not open/);
    expect(() => importPrivateKey(utf8("hello"))).toThrow(/no private key/);
    const x25519 = generateKeyPairSync("x25519").privateKey.export({ format: "der", type: "pkcs8" });
    expect(() => importPrivateKey(new Uint8Array(x25519))).toThrow(/do not sign/);
  });
});
