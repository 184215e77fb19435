/** Revocation by CRL and OCSP, strict and soft, with lists that are forged, stale or not ours (RFC 5280 section 6.3, RFC 6960). */
import { expect, test } from "vitest";
import { utf8 } from "../../../src/base/bytes.ts";
import type { RevocationAttempt, RevocationData, RevocationMode } from "../../../src/pki/revocation.ts";
import { IdType } from "../../../src/wire/ike/registries.ts";
import { decodeOcspResponse, encodeOcspRequest } from "../../../src/wire/x509/ocsp.ts";
import {
  basicConstraints,
  ca,
  certificate,
  crlDistributionPoint,
  DAY,
  dns,
  extendedKeyUsage,
  extension,
  gateway,
  keyUsage,
  type Made,
  makeKey,
  NOW,
  ocspAccess,
  subjectAltName,
  uri,
} from "./certificate-maker.ts";
import { boolean, explicit, implicit, integer, NULL, octetString, oid, sequence } from "./der-writer.ts";
import { certificateId, crl, ocspError, ocspResponse } from "./revocation-maker.ts";
import { validatePeer } from "./validate-peer.ts";

const CRL_URL = "http://crl.example.net/ca.crl";
const OCSP_URL = "http://ocsp.example.net/";
const root = ca("C=CH, O=Example, CN=Root");
const own = gateway(root);
const san = subjectAltName(dns("gw.example.net"));

interface Given {
  readonly chain?: readonly Made[];
  readonly crls?: readonly Uint8Array[];
  readonly ocsp?: readonly Uint8Array[];
  readonly wallClock?: number;
  readonly attempts?: readonly RevocationAttempt[];
}

function validate(
  mode: RevocationMode,
  { chain = [own], crls = [], ocsp = [], wallClock = NOW, attempts = [] }: Given,
) {
  const data: RevocationData[] = [
    ...crls.map((bytes) => ({ kind: "crl", bytes }) as const),
    ...ocsp.map((bytes) => ({ kind: "ocsp", bytes }) as const),
  ];
  const peer = {
    received: chain.map(({ der }) => der),
    trustAnchors: [root.der],
    pinned: [],
    intermediates: [],
    identity: { idType: IdType.FQDN, data: utf8("gw.example.net") },
    wallClock,
  };
  return validatePeer(peer, { mode, data, attempts });
}

/** `good`, `revoked` by what, `unknown` and why, or `open`. */
function outcome(given: Given): string {
  const strict = validate("strict", given);
  const soft = validate("soft", given);
  if (strict.kind === "needs") return "open";
  if (strict.kind === "trusted") return soft.kind === "trusted" && soft.unproven.length === 0 ? "good" : "?";
  if (strict.kind !== "refused") return "?";
  const { refusal } = strict;
  if (refusal.check === "revoked") return soft.kind === "refused" ? `revoked ${refusal.source}` : "?";
  if (refusal.check !== "revocationUnknown") return refusal.check;
  if (soft.kind !== "trusted" || soft.unproven.length === 0) return "?";
  return refusal.causes.map(({ cause }) => cause).join(" ");
}

test("[CRL-01] a list of the CA proves what is revoked and, while it is fresh, what is not", () => {
  expect(outcome({ crls: [crl({ issuer: root })] })).toBe("good");
  expect(outcome({ crls: [crl({ issuer: root, revoked: [gateway(root), own] })] })).toBe("revoked crl");
  expect(outcome({ crls: [crl({ issuer: root, revoked: [gateway(root)] })] })).toBe("good");
  expect(outcome({})).toBe("nowhereToAsk");
  expect(validate("off", { crls: [crl({ issuer: root, revoked: [own] })] }).kind).toBe("trusted");
});

test("[CRL-01] when, why and which is told", () => {
  const reason = extension("2.5.29.21", Uint8Array.of(0x0a, 1, 1));
  const verdict = validate("soft", {
    crls: [crl({ issuer: root, revoked: [own], entryExtensions: [reason] })],
  });
  expect(verdict).toMatchObject({
    kind: "refused",
    refusal: {
      check: "revoked",
      source: "crl",
      at: NOW - 2 * DAY,
      reason: 1,
      certificate: { subject: "C=CH, O=Example, CN=gw.example.net" },
    },
  });
});

test("[CRL-01] a stale list proves revocation and nothing else, and so does one from the future", () => {
  const stale = { issuer: root, thisUpdate: NOW - 3 * DAY, nextUpdate: NOW - DAY };
  expect(outcome({ crls: [crl(stale)] })).toBe("stale");
  expect(outcome({ crls: [crl({ issuer: root, nextUpdate: null })] })).toBe("stale");
  expect(outcome({ crls: [crl({ ...stale, revoked: [own] })] })).toBe("revoked crl");
  expect(outcome({ crls: [crl({ issuer: root, thisUpdate: NOW + DAY, nextUpdate: NOW + 2 * DAY })] })).toBe(
    "notYetValid",
  );
  // A stale list does not spoil a fresh one.
  expect(outcome({ crls: [crl(stale), crl({ issuer: root })] })).toBe("good");
});

test("[CRL-02] only the CA's own key makes a list, and only if it may", () => {
  const stranger = ca("C=CH, O=Example, CN=Root");
  expect(outcome({ crls: [crl({ issuer: root, signer: stranger, revoked: [own] })] })).toBe("badSignature");
  const flipped = Uint8Array.from(crl({ issuer: root, revoked: [own] }));
  flipped[flipped.length - 40]! ^= 1;
  expect(outcome({ crls: [flipped] })).toMatch(/badSignature/);
  const silent = ca("CN=Silent", { issuer: root, extensions: [basicConstraints(true), keyUsage(5)] });
  const crls = [crl({ issuer: root }), crl({ issuer: silent })];
  expect(outcome({ chain: [gateway(silent), silent], crls })).toBe("badSignature");
  const other = ca("CN=Other");
  expect(outcome({ crls: [crl({ issuer: other, revoked: [own] })] })).toBe("nowhereToAsk");
});

const distribution = (...parts: readonly Uint8Array[]) => extension("2.5.29.28", sequence(...parts), true);
const flag = (number: number) => implicit(number, boolean(true).subarray(2));

test("[CRL-03] indirect, delta and partial lists are not taken, for what they are", () => {
  const by = (...extensions: ReturnType<typeof extension>[]) =>
    outcome({ crls: [crl({ issuer: root, revoked: [own], extensions })] });
  expect(by(extension("2.5.29.27", integer(1), true))).toBe("delta");
  expect(by(distribution(flag(4)))).toBe("indirect");
  expect(by(distribution(implicit(3, Uint8Array.of(6, 0x40))))).toBe("partial");
  expect(by(extension("1.2.3", NULL, true))).toBe("criticalExtension");
  expect(by(extension("1.2.3", NULL))).toBe("revoked crl");
  const issuer = extension("2.5.29.29", sequence(explicit(4, root.subject)), true);
  expect(outcome({ crls: [crl({ issuer: root, revoked: [own], entryExtensions: [issuer] })] })).toBe(
    "indirect",
  );
});

test("[CRL-03] a list for CAs or for another place says nothing about a gateway", () => {
  const listed = gateway(root, { extensions: [san, crlDistributionPoint(CRL_URL)] });
  const by = (chain: readonly Made[], ...parts: readonly Uint8Array[]) =>
    outcome({ chain, crls: [crl({ issuer: root, revoked: chain, extensions: [distribution(...parts)] })] });
  expect(by([own], flag(2))).toBe("nowhereToAsk");
  expect(by([own], flag(1))).toBe("revoked crl");
  expect(by([listed], explicit(0, explicit(0, uri(CRL_URL))))).toBe("revoked crl");
  expect(by([listed], explicit(0, explicit(0, uri("http://elsewhere.example.net/"))))).toBe("open");
});

test("[CRL-04] a revoked CA revokes what is below it", () => {
  const middle = ca("CN=Middle", { issuer: root });
  const chain = [gateway(middle), middle];
  expect(outcome({ chain, crls: [crl({ issuer: root, revoked: [middle] }), crl({ issuer: middle })] })).toBe(
    "revoked crl",
  );
  expect(outcome({ chain, crls: [crl({ issuer: root }), crl({ issuer: middle })] })).toBe("good");
  expect(outcome({ chain, crls: [crl({ issuer: root })] })).toBe("nowhereToAsk");
});

test("[OCSP-01] the CA itself answers by name or key hash", () => {
  for (const responderBy of ["name", "key"] as const) {
    const by = (status: "good" | "revoked" | "unknown") =>
      outcome({ ocsp: [ocspResponse({ issuer: root, about: own, status, responderBy })] });
    expect(by("good")).toBe("good");
    expect(by("revoked")).toBe("revoked ocsp");
    expect(by("unknown")).toBe("answeredUnknown");
  }
  expect(outcome({ ocsp: [ocspResponse({ issuer: root, about: gateway(root), status: "revoked" })] })).toBe(
    "nowhereToAsk",
  );
  const twin = ca("C=CH, O=Example, CN=Root");
  expect(outcome({ ocsp: [ocspResponse({ issuer: twin, about: own, status: "revoked" })] })).toBe(
    "nowhereToAsk",
  );
});

test("[OCSP-06] a responder's own certificate may have been revoked: its CRL says, unless nobody need look", () => {
  const url = "http://crl.example.net/responders.crl";
  const noCheck = extension("1.3.6.1.5.5.7.48.1.5", NULL);
  const listed = responderOf(root, signing, crlDistributionPoint(url));
  const chain = [gateway(root, { extensions: [san, ocspAccess(OCSP_URL)] })];
  const answer = (responder: Made) =>
    ocspResponse({ issuer: root, about: chain[0]!, status: "good", responder });
  const asked = { url: OCSP_URL, kind: "ocsp", certificateId: certificateId(chain[0]!, root) } as const;
  const given = { chain, ocsp: [answer(listed)], attempts: [{ request: asked }] };
  const verdict = validate("strict", given);
  expect(verdict).toMatchObject({ kind: "needs", requests: [{ kind: "crl", url }] });
  expect(outcome({ ...given, crls: [crl({ issuer: root })] })).toBe("good");
  const old = { issuer: root, thisUpdate: NOW - 3 * DAY, nextUpdate: NOW - 2 * DAY };
  expect(outcome({ ...given, crls: [crl({ ...old, revoked: [listed] })] })).toBe("stale responderRevoked");
  const attempts = [{ request: asked }, { request: { kind: "crl", url } as const, failure: "nobody" }];
  expect(outcome({ ...given, attempts })).toBe("responderUnproven");
  // Its list lies where nobody can fetch it: that is no proof; one that is configured is.
  const elsewhere = responderOf(root, signing, crlDistributionPoint("ldap://crl.example.net/cn=Root"));
  const unfetched = { ...given, ocsp: [answer(elsewhere)] };
  expect(outcome(unfetched)).toBe("responderUnproven");
  expect(outcome({ ...unfetched, crls: [crl({ issuer: root })] })).toBe("good");
  const short = responderOf(root, signing, crlDistributionPoint(url), noCheck);
  expect(outcome({ chain, ocsp: [answer(short)] })).toBe("good");
  // That its certificate was revoked is no reason to forget what it said was.
  const revoked = ocspResponse({ issuer: root, about: chain[0]!, status: "revoked", responder: listed });
  expect(outcome({ chain, ocsp: [revoked] })).toBe("revoked ocsp");
});

const responderOf = (issuer: Made, ...extensions: ReturnType<typeof keyUsage>[]) =>
  certificate({ subject: "CN=Responder", key: makeKey(), issuer, extensions });
const signing = extendedKeyUsage("1.3.6.1.5.5.7.3.9");

test("[OCSP-02] a delegate answers with a certificate of the same CA for this purpose, and nobody else", () => {
  const by = (responder: Made) =>
    outcome({ ocsp: [ocspResponse({ issuer: root, about: own, status: "good", responder })] });
  expect(by(responderOf(root, signing))).toBe("good");
  expect(by(responderOf(root))).toBe("wrongResponder");
  expect(by(responderOf(root, extendedKeyUsage("2.5.29.37.0")))).toBe("wrongResponder");
  expect(by(responderOf(ca("CN=Other"), signing))).toBe("wrongResponder");
  expect(by(responderOf(ca("C=CH, O=Example, CN=Root"), signing))).toBe("wrongResponder");
  expect(
    by(
      certificate({
        subject: "CN=Old",
        key: makeKey(),
        issuer: root,
        extensions: [signing],
        notAfter: NOW - DAY,
      }),
    ),
  ).toBe("wrongResponder");
  // Another gateway of the same CA must not vouch for itself.
  expect(
    outcome({ ocsp: [ocspResponse({ issuer: root, about: own, status: "good", responder: own })] }),
  ).toBe("wrongResponder");
});

test("[OCSP-02] a response that was changed on the way proves nothing", () => {
  const response = Uint8Array.from(ocspResponse({ issuer: root, about: own, status: "revoked" }));
  const last = response.length - 1;
  response[last]! ^= 1;
  expect(outcome({ ocsp: [response] })).toBe("badSignature");
});

test("[OCSP-03] an answer has to be fresh", () => {
  const by = (thisUpdate: number, nextUpdate: number | null, status: "good" | "revoked" = "good") =>
    outcome({ ocsp: [ocspResponse({ issuer: root, about: own, status, thisUpdate, nextUpdate })] });
  expect(by(NOW - 2 * DAY, NOW - DAY)).toBe("stale");
  expect(by(NOW - 2 * DAY, NOW - DAY, "revoked")).toBe("revoked ocsp");
  expect(by(NOW + DAY, NOW + 2 * DAY)).toBe("notYetValid");
  expect(by(NOW - 60_000, null)).toBe("good");
  expect(by(NOW - DAY, null)).toBe("stale");
});

test("[OCSP-01] errors and what is no response are told as such", () => {
  expect(outcome({ ocsp: [utf8("<html>")] })).toBe("badEncoding");
  expect(outcome({ crls: [utf8("<html>")] })).toBe("badEncoding");
  expect(outcome({ ocsp: [ocspError(3)] })).toBe("nowhereToAsk");
});

test("[OCSP-05] what is missing is asked for by address, OCSP first, and never twice", () => {
  const both = gateway(root, {
    extensions: [san, ocspAccess("ldap://x", OCSP_URL), crlDistributionPoint(CRL_URL)],
  });
  const first = validate("soft", { chain: [both] });
  const ocsp = { kind: "ocsp", url: OCSP_URL, certificateId: certificateId(both, root) } as const;
  expect(first).toEqual({ kind: "needs", publicKey: both.key.publicKey, requests: [ocsp] });
  const failed = { request: ocsp, failure: "nobody there" };
  expect(validate("soft", { chain: [both], attempts: [failed] })).toMatchObject({
    kind: "needs",
    requests: [{ kind: "crl", url: CRL_URL }],
  });
  const attempts = [failed, { request: { kind: "crl", url: CRL_URL } as const, failure: "404" }];
  expect(validate("soft", { chain: [both], attempts })).toMatchObject({ kind: "trusted", unproven: [{}] });
  expect(validate("strict", { chain: [both], attempts })).toMatchObject({
    kind: "refused",
    refusal: {
      check: "revocationUnknown",
      causes: [
        { url: OCSP_URL, cause: "notFetched", detail: "nobody there" },
        { url: CRL_URL, detail: "404" },
      ],
    },
  });
  // What is known needs no questions.
  expect(outcome({ chain: [both], crls: [crl({ issuer: root })] })).toBe("good");
});

test("[OCSP-05] nothing is asked for from addresses in certificates that lead to nobody trusted", () => {
  const stranger = ca("CN=Stranger");
  const lure = gateway(stranger, { extensions: [san, ocspAccess("http://169.254.169.254/")] });
  expect(outcome({ chain: [lure, stranger] })).toBe("unknownIssuer");
  const expired = gateway(root, { extensions: [san, ocspAccess(OCSP_URL)], notAfter: NOW - DAY });
  expect(outcome({ chain: [expired] })).toBe("expired");
});

test("[OCSP-04] the request carries a nonce, and a response's is read", () => {
  const nonce = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  expect(encodeOcspRequest(certificateId(own, root), nonce)).toEqual(
    sequence(
      sequence(
        sequence(sequence(certificateId(own, root))),
        explicit(2, sequence(sequence(oid("1.3.6.1.5.5.7.48.1.2"), octetString(octetString(nonce))))),
      ),
    ),
  );
  expect(decodeOcspResponse(ocspResponse({ issuer: root, about: own, status: "good", nonce }))).toMatchObject(
    { nonce },
  );
});

test("a revoked certificate does not pass because the signature checks were used up before", () => {
  const other = ca("C=CH, O=Example, CN=Root");
  const forged = Array.from({ length: 48 }, () => crl({ issuer: root, signer: other }));
  const crls = [...forged, crl({ issuer: root, revoked: [own] })];
  const tooMuch = { kind: "refused", refusal: { check: "tooMuchWork", unit: "signatures" } };
  expect(validate("soft", { crls })).toMatchObject(tooMuch);
  expect(validate("strict", { crls })).toMatchObject(tooMuch);
  expect(validate("soft", { crls: crls.slice(20) })).toMatchObject({ refusal: { check: "revoked" } });
});

test("what is revoked for a reason that cannot be read is revoked", () => {
  const entryExtensions = [extension("2.5.29.21", utf8("why"))];
  expect(outcome({ crls: [crl({ issuer: root, revoked: [own], entryExtensions })] })).toBe("revoked crl");
});
