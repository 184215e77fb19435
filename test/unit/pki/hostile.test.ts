/** Damaged certificates, CRLs and OCSP responses: a verdict comes back, and nothing else (RFC 5280, RFC 6960). */
import { X509Certificate } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "vitest";
import { concat, utf8 } from "../../../src/base/bytes.ts";
import { IdType } from "../../../src/wire/ike/registries.ts";
import { WireError } from "../../../src/wire/wire-error.ts";
import { decodeCertificate } from "../../../src/wire/x509/certificate.ts";
import { decodeRevocationList } from "../../../src/wire/x509/crl.ts";
import { nameText } from "../../../src/wire/x509/distinguished-name.ts";
import { decodeOcspResponse } from "../../../src/wire/x509/ocsp.ts";
import {
  basicConstraints,
  ca,
  crlDistributionPoint,
  directory,
  dns,
  email,
  extendedKeyUsage,
  gateway,
  ip,
  keyUsage,
  NOW,
  nameConstraints,
  ocspAccess,
  subjectAltName,
  uri,
} from "./certificate-maker.ts";
import { der, sequence } from "./der-writer.ts";
import { crl, ocspResponse } from "./revocation-maker.ts";
import { validatePeer } from "./validate-peer.ts";

const root = ca("C=CH, O=Example, CN=Root");
const middle = ca("C=CH, O=Example, CN=Middle", {
  issuer: root,
  extensions: [
    basicConstraints(true, 1),
    keyUsage(5, 6),
    nameConstraints(
      [dns("example.net"), email("example.net"), directory("C=CH"), uri(".example.net")],
      [ip("0a0000000a000000")],
    ),
  ],
});
const own = gateway(middle, {
  extensions: [
    keyUsage(0),
    extendedKeyUsage("1.3.6.1.5.5.7.3.17"),
    subjectAltName(
      dns("gw.example.net"),
      email("a@example.net"),
      ip("c0000201"),
      uri("http://a.example.net/"),
    ),
    crlDistributionPoint("http://crl.example.net/"),
    ocspAccess("http://ocsp.example.net/"),
  ],
});
const lists = [
  crl({ issuer: root, revoked: [gateway(root)] }),
  crl({ issuer: middle }),
  ocspResponse({ issuer: middle, about: own, status: "good" }),
];

function verdictOf(received: readonly Uint8Array[], [ofRoot, ofMiddle, answer]: readonly Uint8Array[]) {
  const peer = {
    received,
    trustAnchors: [root.der],
    pinned: [],
    intermediates: [],
    identity: { idType: IdType.FQDN, data: utf8("gw.example.net") },
    wallClock: NOW,
  };
  return validatePeer(peer, {
    mode: "strict",
    data: [
      { kind: "crl", bytes: ofRoot! },
      { kind: "crl", bytes: ofMiddle! },
      { kind: "ocsp", bytes: answer! },
    ],
    attempts: [],
  });
}

interface Damage {
  readonly at: number;
  readonly kind: "set" | "insert" | "delete" | "cut" | "repeat";
  readonly octet: number;
}

const damage = fc.record({
  at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  kind: fc.constantFrom<Damage["kind"]>("set", "insert", "delete", "cut", "repeat"),
  octet: fc.oneof(
    fc.nat(255),
    fc.constantFrom(0, 1, 0x30, 0x31, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xa0, 0xa3, 0xff),
  ),
});

function damaged(bytes: Uint8Array, damages: readonly Damage[]): Uint8Array {
  let result = bytes;
  for (const { at, kind, octet } of damages) {
    const place = Math.floor(at * result.length);
    const [head, tail] = [result.subarray(0, place), result.subarray(place)];
    if (kind === "set") result = concat(head, Uint8Array.of(octet), tail.subarray(1));
    if (kind === "insert") result = concat(head, Uint8Array.of(octet), tail);
    if (kind === "delete") result = concat(head, tail.subarray(1));
    if (kind === "cut") result = head;
    if (kind === "repeat") result = concat(head, tail.subarray(0, octet), tail);
  }
  return result;
}

test("undamaged all of it is trusted", () => {
  expect(verdictOf([own.der, middle.der], lists).kind).toBe("trusted");
});

test("[CERT-12] whatever was damaged, the path is not trusted or the damage was beside it", () => {
  const inputs = [own.der, middle.der, ...lists];
  const kinds = new Map<string, number>();
  fc.assert(
    fc.property(fc.nat(4), fc.array(damage, { minLength: 1, maxLength: 3 }), (which, damages) => {
      const changed = inputs.map((bytes, i) => (i === which ? damaged(bytes, damages) : bytes));
      const verdict = verdictOf(changed.slice(0, 2), changed.slice(2));
      kinds.set(verdict.kind, (kinds.get(verdict.kind) ?? 0) + 1);
      const isSame = Buffer.compare(changed[which]!, inputs[which]!) === 0;
      // A certificate that was changed is signed by nobody; of the lists one that is left may be enough.
      if (which < 2 && !isSame) expect(verdict.kind).not.toBe("trusted");
    }),
    { numRuns: 600 },
  );
  expect([...kinds.keys()]).toEqual(expect.arrayContaining(["refused", "trusted"]));
});

test.each([
  ["certificates", decodeCertificate, own.der],
  ["CRLs", decodeRevocationList, lists[0]!],
  ["OCSP responses", decodeOcspResponse, lists[2]!],
] as const)("[CERT-12] decoders of %s return or throw WireError", (_, decode, bytes) => {
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (damages) => {
      try {
        decode(damaged(bytes, damages));
      } catch (error) {
        expect(error).toBeInstanceOf(WireError);
      }
    }),
    { numRuns: 1500 },
  );
});

/** A serial number whose first bit is set is negative, which RFC 5280 section 4.1.2.2 wants read all the same. */
function serialOf({ serialNumber }: X509Certificate): bigint {
  return serialNumber.startsWith("-") ? -BigInt(`0x${serialNumber.slice(1)}`) : BigInt(`0x${serialNumber}`);
}

test("[CERT-12] nothing is read that OpenSSL reads otherwise", () => {
  let both = 0;
  fc.assert(
    fc.property(damage, (one) => {
      const bytes = damaged(own.der, [{ ...one, kind: "set" }]);
      let certificate: ReturnType<typeof decodeCertificate>;
      try {
        certificate = decodeCertificate(bytes);
      } catch {
        return;
      }
      const other = tryX509(bytes);
      if (other === undefined) return;
      both++;
      expect(serialOf(other)).toBe(
        BigInt.asIntN(
          8 * certificate.serial.length,
          BigInt(`0x${Buffer.from(certificate.serial).toString("hex")}`),
        ),
      );
      expect(new Date(other.validTo).getTime()).toBe(certificate.notAfter);
      expect(new Date(other.validFrom).getTime()).toBe(certificate.notBefore);
      expect(other.ca).toBe(certificate.extensions.basicConstraints?.isCa ?? false);
    }),
    { numRuns: 800 },
  );
  expect(both).toBeGreaterThan(50);
  expect(nameText(decodeCertificate(own.der).subject)).toBe(
    new X509Certificate(own.der).subject.replaceAll("\n", ", "),
  );
});

function tryX509(bytes: Uint8Array): X509Certificate | undefined {
  try {
    return new X509Certificate(bytes);
  } catch {
    return undefined;
  }
}

test("[CERT-12] forms that DER does not have are refused: long lengths, indefinite ones, padded numbers, other booleans", () => {
  const content = own.der.subarray(4);
  const rejects = (bytes: Uint8Array) => expect(() => decodeCertificate(bytes)).toThrow(WireError);
  rejects(concat(Uint8Array.of(0x30, 0x83, 0, own.der[2]!, own.der[3]!), content));
  rejects(concat(Uint8Array.of(0x30, 0x80), content, Uint8Array.of(0, 0)));
  rejects(concat(own.der, Uint8Array.of(0)));
  rejects(concat(own.der, own.der));
  const part = (position: number, value: Uint8Array) =>
    gateway(root, { spoil: (parts) => parts.map((one, i) => (i === position ? value : one)) }).der;
  rejects(part(1, der(0x02, Uint8Array.of(0, 1))));
  rejects(part(1, der(0x02)));
  rejects(part(1, der(0x02, new Uint8Array(30).fill(1))));
  rejects(part(0, der(0xa0, der(0x02, Uint8Array.of(3)))));
  const at = (text: string) =>
    sequence(der(0x17, utf8("250101000000Z")), der(text.length === 13 ? 0x17 : 0x18, utf8(text)));
  expect(decodeCertificate(part(4, at("280229000000Z"))).notAfter).toBe(Date.UTC(2028, 1, 29));
  expect(decodeCertificate(part(4, at("20000229235959Z"))).notAfter).toBe(Date.UTC(2000, 1, 29, 23, 59, 59));
  expect(decodeCertificate(part(4, at("99991231235959Z"))).notAfter).toBe(Date.UTC(9999, 11, 31, 23, 59, 59));
  expect(decodeCertificate(part(4, at("491231235959Z"))).notAfter).toBe(Date.UTC(2049, 11, 31, 23, 59, 59));
  expect(decodeCertificate(part(4, at("500101000000Z"))).notAfter).toBe(Date.UTC(1950, 0, 1));
  for (const bad of [
    "290229000000Z",
    "251301000000Z",
    "250132000000Z",
    "250101240000Z",
    "2501010000Z  ",
    "250101000000+",
    "21000229000000Z",
  ])
    rejects(part(4, at(bad)));
  expect(decodeCertificate(gateway(root, { version: 1, extensions: [] }).der).version).toBe(1);
  rejects(gateway(root, { version: 1 }).der);
  rejects(new Uint8Array(20_000).fill(0x30));
});
