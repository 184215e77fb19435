/** Paths of certificates, each rule broken once (RFC 5280 section 6.1, RFC 4945 section 5). */
import { X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { utf8 } from "../../../src/base/bytes.ts";
import type { CertificateRefusal } from "../../../src/pki/refusal.ts";
import type { PeerCertificates } from "../../../src/pki/validate-peer.ts";
import { IdType } from "../../../src/wire/ike/registries.ts";
import {
  basicConstraints,
  ca,
  certificate,
  DAY,
  directory,
  dns,
  email,
  extendedKeyUsage,
  extension,
  gateway,
  ip,
  keyUsage,
  type Made,
  makeKey,
  NOW,
  name,
  nameConstraints,
  type Scheme,
  subjectAltName,
  uri,
} from "./certificate-maker.ts";
import { boolean, implicit, NULL, sequence } from "./der-writer.ts";
import { validatePeer } from "./validate-peer.ts";

const root = ca("C=CH, O=Example, CN=Root");
const middle = ca("C=CH, O=Example, CN=Middle", { issuer: root });
const own = gateway(middle);
const GATEWAY = { idType: IdType.FQDN, data: utf8("gw.example.net") };

function validate(received: readonly Made[], options: Partial<PeerCertificates> = {}) {
  const peer = {
    received: received.map(({ der }) => der),
    trustAnchors: [root.der],
    pinned: [],
    intermediates: [],
    identity: GATEWAY,
    wallClock: NOW,
    ...options,
  };
  return validatePeer(peer, { mode: "off", data: [], attempts: [] });
}

function refusal(
  received: readonly Made[],
  options: Partial<PeerCertificates> = {},
): CertificateRefusal | undefined {
  const verdict = validate(received, options);
  return verdict.kind === "refused" ? verdict.refusal : undefined;
}

const gatewayWith = (...extensions: ReturnType<typeof keyUsage>[]) =>
  gateway(root, { extensions: [subjectAltName(dns("gw.example.net")), ...extensions] });

test("[CERT-01] a chain is put together from what was sent in any order", () => {
  const spare = ca("CN=Spare", { issuer: root });
  expect(validate([own, spare, middle, root])).toMatchObject({
    kind: "trusted",
    publicKey: own.key.publicKey,
    path: [
      { subject: "C=CH, O=Example, CN=gw.example.net" },
      { subject: "C=CH, O=Example, CN=Middle" },
      { subject: "C=CH, O=Example, CN=Root" },
    ],
  });
  expect(validate([own], { intermediates: [middle.der] }).kind).toBe("trusted");
  // The second witness agrees that these are the signatures.
  expect(new X509Certificate(own.der).verify(new X509Certificate(middle.der).publicKey)).toBe(true);
  expect(new X509Certificate(middle.der).checkIssued(new X509Certificate(root.der))).toBe(true);
});

test("[CERT-01] who signed and is not there is told by name", () => {
  expect(refusal([own])).toMatchObject({ check: "unknownIssuer", issuer: "C=CH, O=Example, CN=Middle" });
  expect(refusal([])).toEqual({ check: "noCertificate" });
  const stranger = ca("C=CH, O=Example, CN=Root");
  expect(refusal([gateway(stranger), stranger])).toMatchObject({ check: "badSignature" });
});

test("[CERT-01] a certificate that is trusted itself needs no CA, and keeps the other rules", () => {
  const alone = certificate({
    subject: "CN=alone",
    key: makeKey(),
    extensions: [subjectAltName(dns("gw.example.net"))],
  });
  expect(validate([alone], { trustAnchors: [alone.der] }).kind).toBe("trusted");
  expect(refusal([alone], { trustAnchors: [alone.der], wallClock: NOW + 400 * DAY })).toMatchObject({
    check: "expired",
  });
});

test("[CERT-01] a pinned certificate is trusted, and nothing that it signed, even if it calls itself a CA", () => {
  const san = subjectAltName(dns("gw.example.net"));
  const pinned = certificate({
    subject: "CN=peer",
    key: makeKey(),
    extensions: [basicConstraints(true), san],
  });
  const options = { trustAnchors: [], pinned: [pinned.der] };
  expect(validate([pinned], options).kind).toBe("trusted");
  expect(refusal([pinned], { ...options, wallClock: NOW + 400 * DAY })).toMatchObject({ check: "expired" });
  expect(refusal([gateway(pinned), pinned], options)).toMatchObject({ check: "unknownIssuer" });
  const old = certificate({ subject: "CN=old", key: makeKey(), version: 1 });
  expect(refusal([gateway(old)], { trustAnchors: [], pinned: [old.der] })).toMatchObject({
    check: "unknownIssuer",
  });
  expect(validate([own, middle], { pinned: [pinned.der] }).kind).toBe("trusted");
});

test("[CERT-02] an intermediate CA may be what is trusted", () => {
  expect(validate([own], { trustAnchors: [middle.der] }).kind).toBe("trusted");
});

test.each([
  ["p256", "sha256"],
  ["p384", "sha384"],
  ["p521", "sha512"],
  ["rsa", "sha256"],
  ["rsa", "pss"],
  ["ed25519", "sha256"],
  ["ed448", "sha256"],
] as const)("[CERT-03] signatures with %s and %s are verified", (kind, scheme) => {
  const anchor = ca("CN=Signer", { key: makeKey(kind), scheme });
  const good = gateway(anchor, { scheme });
  expect(validate([good], { trustAnchors: [anchor.der] }).kind).toBe("trusted");
  const forged = { ...good, der: Uint8Array.from(good.der) };
  forged.der[forged.der.length - 1]! ^= 1;
  expect(refusal([forged], { trustAnchors: [anchor.der] })).toMatchObject({ check: "badSignature" });
});

test("[CERT-04] weak signatures and keys are refused with what is weak", () => {
  const rsaRoot = ca("CN=RSA", { key: makeKey("rsa") });
  const by = (scheme: Scheme) => refusal([gateway(rsaRoot, { scheme })], { trustAnchors: [rsaRoot.der] });
  expect(by("sha1")).toMatchObject({ check: "weakSignature", hash: "sha1" });
  expect(by("pss-sha1")).toMatchObject({ check: "weakSignature", hash: "sha1" });
  expect(by("md5")).toMatchObject({ check: "unknownAlgorithm", algorithm: "1.2.840.113549.1.1.4" });
  expect(refusal([gateway(root, { key: makeKey("rsa1024") })])).toMatchObject({
    check: "weakKey",
    bits: 1024,
  });
  expect(refusal([gateway(root, { key: makeKey("k256") })])).toMatchObject({ check: "weakKey", bits: 0 });
  const weakRoot = ca("CN=Weak", { key: makeKey("rsa1024") });
  expect(refusal([gateway(weakRoot)], { trustAnchors: [weakRoot.der] })).toMatchObject({
    check: "weakKey",
    bits: 1024,
    certificate: { subject: "CN=Weak" },
  });
});

test("[CERT-05] every certificate of the path has to be valid at the moment, to the second", () => {
  const at = (wallClock: number) => refusal([own, middle], { wallClock })?.check;
  expect(at(NOW - 30 * DAY)).toBeUndefined();
  expect(at(NOW - 30 * DAY - 1000)).toBe("notYetValid");
  expect(at(NOW + 365 * DAY)).toBeUndefined();
  expect(at(NOW + 365 * DAY + 1000)).toBe("expired");
  const old = ca("CN=Old", { issuer: root, notAfter: NOW - DAY });
  expect(refusal([gateway(old), old])).toMatchObject({
    check: "expired",
    notAfter: NOW - DAY,
    certificate: { subject: "CN=Old" },
  });
  const oldRoot = ca("CN=Old root", { notAfter: NOW - DAY });
  expect(refusal([gateway(oldRoot)], { trustAnchors: [oldRoot.der] })).toMatchObject({ check: "expired" });
});

test("[CERT-05] the path ends when its first certificate does", () => {
  const short = gateway(root, { notAfter: NOW + 2 * DAY });
  expect(validate([short])).toMatchObject({ kind: "trusted", expiresAt: NOW + 2 * DAY });
  const shortCa = ca("CN=Short", { issuer: root, notAfter: NOW + DAY });
  expect(validate([gateway(shortCa), shortCa])).toMatchObject({ expiresAt: NOW + DAY });
});

test("[CERT-06] only a CA can have signed: basicConstraints, keyUsage and path length", () => {
  const notCa = (...extensions: Parameters<typeof gatewayWith>) =>
    certificate({ subject: "CN=Not", key: makeKey(), issuer: root, extensions });
  const below = (issuer: Made) => refusal([gateway(issuer), issuer]);
  expect(below(notCa())).toMatchObject({ check: "notCa", certificate: { subject: "CN=Not" } });
  expect(below(notCa(basicConstraints(false)))).toMatchObject({ check: "notCa" });
  expect(below(notCa(basicConstraints(true), keyUsage(0, 6)))).toMatchObject({
    check: "keyUsage",
    needed: "keyCertSign",
  });
  expect(below(notCa(basicConstraints(true)))).toBeUndefined();
  const oldVersion = certificate({ subject: "CN=V1", key: makeKey(), issuer: root, version: 1 });
  expect(below(oldVersion)).toMatchObject({ check: "notCa" });
});

test("[CERT-06] pathLenConstraint counts the CAs below, self-issued ones aside", () => {
  const flat = ca("CN=Flat", { issuer: root, extensions: [basicConstraints(true, 0)] });
  expect(refusal([gateway(flat), flat])).toBeUndefined();
  const deep = ca("CN=Deep", { issuer: flat });
  expect(refusal([gateway(deep), deep, flat])).toMatchObject({
    check: "pathTooLong",
    allowed: 0,
    certificate: { subject: "CN=Flat" },
  });
  const renewed = ca("CN=Flat", { issuer: flat });
  expect(refusal([gateway(renewed), renewed, flat])).toBeUndefined();
  const anchor = ca("CN=Short root", { extensions: [basicConstraints(true, 0)] });
  const under = ca("CN=Under", { issuer: anchor });
  expect(refusal([gateway(under), under], { trustAnchors: [anchor.der] })).toMatchObject({
    check: "pathTooLong",
  });
});

test("[CERT-07] key usage and purposes of the peer's certificate", () => {
  expect(refusal([gatewayWith(keyUsage(1))])).toBeUndefined();
  expect(refusal([gatewayWith(keyUsage(2, 4))])).toMatchObject({
    check: "keyUsage",
    needed: "digitalSignature",
  });
  const purposes = {
    any: "2.5.29.37.0",
    ike: "1.3.6.1.5.5.7.3.17",
    server: "1.3.6.1.5.5.7.3.1",
    client: "1.3.6.1.5.5.7.3.2",
  };
  for (const purpose of Object.values(purposes))
    expect(refusal([gatewayWith(extendedKeyUsage(purpose))])).toBeUndefined();
  expect(refusal([gatewayWith(extendedKeyUsage("1.3.6.1.5.5.7.3.3", purposes.ike))])).toBeUndefined();
  expect(refusal([gatewayWith(extendedKeyUsage("1.3.6.1.5.5.7.3.3"))])).toMatchObject({
    check: "extendedKeyUsage",
    purposes: ["1.3.6.1.5.5.7.3.3"],
  });
});

test("[CERT-08] a critical extension that nobody understands refuses the certificate, one that is not critical does not", () => {
  expect(refusal([gatewayWith(extension("1.2.3.4", NULL, true))])).toMatchObject({
    check: "criticalExtension",
    extension: "1.2.3.4",
  });
  expect(refusal([gatewayWith(extension("1.2.3.4", NULL))])).toBeUndefined();
  const policies = sequence(implicit(0, Uint8Array.of(0)));
  expect(refusal([gatewayWith(extension("2.5.29.36", policies, true))])).toMatchObject({
    check: "explicitPolicy",
  });
});

const constrained = (...constraints: Parameters<typeof nameConstraints>) =>
  ca("C=CH, O=Example, CN=Constrained", {
    issuer: root,
    extensions: [basicConstraints(true), nameConstraints(...constraints)],
  });

test.each([
  [
    "dns itself and below",
    [[dns("example.net")]],
    [dns("example.net"), dns("GW.example.NET")],
    [dns("gwexample.net"), dns("gw.example.org")],
  ],
  [
    "dns excluded",
    [[], [dns("bad.example.net")]],
    [dns("gw.example.net")],
    [dns("bad.example.net"), dns("x.bad.example.net")],
  ],
  [
    "email of a host",
    [[email("example.net")]],
    [email("a@example.net")],
    [email("a@sub.example.net"), email("a@example.org")],
  ],
  [
    "no email at all",
    [[], [email("")]],
    [dns("gw.example.net"), uri("http://a.example.net/")],
    [email("a@example.net"), email("a")],
  ],
  ["no uri at all", [[], [uri("")]], [dns("gw.example.net")], [uri("http://a.example.net/"), uri("urn:x")]],
  ["email below a domain", [[email(".example.net")]], [email("a@sub.example.net")], [email("a@example.net")]],
  ["one mailbox", [[email("A@example.net")]], [email("A@EXAMPLE.net")], [email("a@example.net")]],
  [
    "addresses",
    [[ip("0a010000ffff0000")]],
    [ip("0a01ff02")],
    [ip("0a020001"), ip("20010db8000000000000000000000001")],
  ],
  ["addresses excluded", [[], [ip("0a010000ffff0000")]], [ip("0a020001")], [ip("0a010203")]],
  [
    "uri",
    [[uri(".example.net")]],
    [uri("http://a.example.net/x")],
    [uri("http://example.net/"), uri("http://10.1.1.1/"), uri("urn:x")],
  ],
  [
    "directory",
    [[directory("C=CH, O=Example")]],
    [directory("C=CH, O=EXAMPLE, CN=x")],
    [directory("O=Example, C=CH"), directory("C=CH")],
  ],
] as const)("[CERT-09] name constraints: %s", (_, [permitted, excluded = []], good, bad) => {
  const issuer = constrained([...permitted], [...excluded]);
  const named = (alternative: Uint8Array) =>
    refusal([gateway(issuer, { extensions: [subjectAltName(alternative)] }), issuer], {
      identity: { idType: IdType.FQDN, data: utf8("none.example.net") },
    });
  for (const alternative of good) expect(named(alternative)).toMatchObject({ check: "identity" });
  for (const alternative of bad)
    expect(named(alternative)).toMatchObject({
      check: "nameConstraints",
      constraining: { subject: "C=CH, O=Example, CN=Constrained" },
    });
});

test("[CERT-09] constraints hold for the subject, mail addresses in it, all below, and together", () => {
  const directories = constrained([directory("C=CH, O=Example")]);
  expect(refusal([gateway(directories), directories])).toBeUndefined();
  expect(refusal([gateway(directories, { subject: "C=CH, O=Other" }), directories])).toMatchObject({
    check: "nameConstraints",
    name: "C=CH, O=Other",
  });
  const mails = constrained([email("example.net")]);
  expect(refusal([gateway(mails, { subject: "C=CH, E=a@evil.net" }), mails])).toMatchObject({
    check: "nameConstraints",
    name: "a@evil.net",
  });
  const domains = constrained([dns("example.net")]);
  const inner = ca("CN=Inner", {
    issuer: domains,
    extensions: [basicConstraints(true), nameConstraints([dns("gw.example.net"), dns("example.org")])],
  });
  const below = (domain: string) =>
    refusal([
      gateway(inner, { extensions: [subjectAltName(dns("gw.example.net"), dns(domain))] }),
      inner,
      domains,
    ]);
  expect(below("gw.example.net")).toBeUndefined();
  // What the lower CA would allow the upper does not.
  expect(below("www.example.org")).toMatchObject({ check: "nameConstraints", name: "www.example.org" });
});

test("[CERT-10] CAs that certify each other in a circle end the search, and a way out is found", () => {
  const a = ca("CN=A");
  const b = ca("CN=B");
  const bByA = ca("CN=B", { issuer: a, key: b.key });
  const aByB = ca("CN=A", { issuer: b, key: a.key });
  expect(refusal([gateway(a), aByB, bByA])).toMatchObject({ check: "unknownIssuer" });
  const aByRoot = ca("CN=A", { issuer: root, key: a.key });
  expect(refusal([gateway(a), aByB, bByA, aByRoot])).toBeUndefined();
});

test("[CERT-10] of two paths the good one counts, whatever comes first", () => {
  const key = makeKey();
  const expired = ca("CN=Cross", { issuer: root, key, notAfter: NOW - DAY });
  const renewed = ca("CN=Cross", { issuer: root, key });
  const target = gateway(expired);
  expect(refusal([target, expired, renewed])).toBeUndefined();
  expect(refusal([target, renewed, expired])).toBeUndefined();
  expect(refusal([target, expired])).toMatchObject({ check: "expired" });
});

test("[CERT-10] long and large chains are refused, and the work has an end", () => {
  const chain = [root];
  for (let i = 0; i < 10; i++) chain.unshift(ca(`CN=${i}`, { issuer: chain[0]! }));
  const [last] = chain as [Made];
  expect(refusal([gateway(last), ...chain])).toMatchObject({ check: "tooMuchWork", limit: 8 });
  expect(refusal([gateway(chain.at(-7)!), ...chain.slice(-7)])).toBeUndefined();
  expect(refusal(Array.from({ length: 17 }, () => own))).toMatchObject({
    check: "tooManyCertificates",
    limit: 16,
  });
  // Sixteen CAs of one name and different keys: each could have signed each.
  const twins = Array.from({ length: 15 }, () => ca("CN=Twin", { issuer: ca("CN=Twin") }));
  expect(refusal([gateway(twins[0]!), ...twins.slice(1), twins[0]!])?.check).toBe("badSignature");
});

test("[AUTH-09] [CERT-11] the certificate has to name the identity", () => {
  const target = gateway(root, {
    extensions: [
      subjectAltName(
        dns("gw.example.net"),
        dns("*.wild.example.net"),
        email("ops@Example.net"),
        ip("c0000201"),
        ip("20010db8000000000000000000000001"),
      ),
    ],
  });
  const proves = (idType: number, data: Uint8Array) =>
    refusal([target], { identity: { idType, data } }) === undefined;
  expect(proves(IdType.FQDN, utf8("GW.Example.net"))).toBe(true);
  expect(proves(IdType.FQDN, utf8("a.wild.example.net"))).toBe(false);
  expect(proves(IdType.FQDN, utf8("\ufeffgw.example.net"))).toBe(false);
  expect(proves(IdType.FQDN, utf8("gw.example.net\0"))).toBe(false);
  expect(proves(IdType.RFC822_ADDR, utf8("\ufeffops@example.net"))).toBe(false);
  expect(proves(IdType.FQDN, utf8("example.net"))).toBe(false);
  expect(proves(IdType.RFC822_ADDR, utf8("ops@EXAMPLE.net"))).toBe(true);
  expect(proves(IdType.RFC822_ADDR, utf8("OPS@example.net"))).toBe(false);
  expect(proves(IdType.IPV4_ADDR, Uint8Array.of(192, 0, 2, 1))).toBe(true);
  expect(proves(IdType.IPV4_ADDR, Uint8Array.of(192, 0, 2, 2))).toBe(false);
  expect(proves(IdType.DER_ASN1_DN, name("C=CH, O=example, CN=GW.example.net"))).toBe(true);
  expect(proves(IdType.DER_ASN1_DN, name("O=Example, C=CH, CN=gw.example.net"))).toBe(false);
  expect(proves(IdType.DER_ASN1_DN, Uint8Array.of(1, 2, 3))).toBe(false);
  expect(proves(IdType.KEY_ID, utf8("gw.example.net"))).toBe(false);
  expect(refusal([target], { identity: { idType: IdType.FQDN, data: utf8("x") } })).toMatchObject({
    check: "identity",
    names: [
      "gw.example.net",
      "*.wild.example.net",
      "ops@Example.net",
      "192.0.2.1",
      "2001:db8::1",
      "C=CH, O=Example, CN=gw.example.net",
    ],
  });
});

test("[CERT-12] what is not DER is refused, where it stands in the list", () => {
  const cut = { ...own, der: own.der.subarray(0, -1) };
  expect(refusal([cut, middle])).toMatchObject({ check: "badEncoding", position: 0 });
  expect(refusal([own, { ...middle, der: utf8("-----BEGIN CERTIFICATE-----") }])).toMatchObject({
    check: "badEncoding",
    position: 1,
  });
  // What nobody needs does no harm.
  expect(refusal([own, middle, cut])).toBeUndefined();
  const twice = gatewayWith(keyUsage(0), keyUsage(0));
  expect(refusal([twice])).toMatchObject({ check: "badEncoding", detail: expect.stringContaining("twice") });
  const mismatch = gateway(root, { outerAlgorithm: sequence(boolean(true)) });
  expect(refusal([mismatch])).toMatchObject({ check: "badEncoding" });
});
