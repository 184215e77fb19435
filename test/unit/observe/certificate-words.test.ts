/** Why certificates are refused, in words: which certificate, which check, what to do, and nothing that commands a terminal. */
import { expect, test } from "vitest";
import { refusalWords } from "../../../src/observe/certificate-words.ts";
import type { CertificateRefusal, RevocationCause } from "../../../src/pki/refusal.ts";

const certificate = { subject: "O=Example, CN=gw\u001b[2J", serial: "0a" };
const AT = Date.UTC(2026, 5, 1);

function words(refusal: CertificateRefusal): string {
  return refusalWords(refusal).join("\n");
}

const unknown = (...causes: RevocationCause[]): string =>
  words({ check: "revocationUnknown", certificate, causes });

test("what is revoked is told with the day, the reason and who says so", () => {
  expect(words({ check: "revoked", certificate, source: "ocsp", at: AT, reason: 1 })).toBe(
    '"O=Example, CN=gw\\u{1b}[2J" was revoked on 2026-06-01 (key compromise), says the OCSP responder of its CA\nhave a new certificate issued for the peer, if it still is one',
  );
  expect(words({ check: "revoked", certificate, source: "crl", at: AT, reason: undefined })).toMatch(
    /on 2026-06-01, says the CRL of its CA/,
  );
});

test("what is not known is told with every place that was asked, and what to do", () => {
  const url = "http://crl.example.net/\u202e";
  const text = unknown(
    { url, cause: "notFetched", detail: "nobody listens there" },
    { cause: "stale" },
    { url, cause: "answeredError", detail: "3" },
  );
  expect(text).toContain(
    "http://crl.example.net/\\u{202e}: could not be fetched (nobody listens there); what came is out of date; ",
  );
  expect(text).toMatch(/\nsee that its CRL or OCSP responder is up .* or set remote.revocation: soft$/);
  expect(unknown({ cause: "nowhereToAsk" })).toMatch(
    /it names no CRL and no OCSP responder.*\nname a file with the CA's CRL in remote.crl/,
  );
});

test.each([
  ["indirect", /indirect one, which is not taken/],
  ["delta", /delta CRL, which is not taken/],
  ["partial", /about some reasons only, which is not taken/],
  ["wrongResponder", /not one that the CA has authorized/],
  ["responderRevoked", /responder's own certificate was revoked/],
  ["responderUnproven", /nothing proves that the responder's own certificate/],
  ["badSignature", /not signed by the CA/],
] as const)("%s is told for what it is", (cause, expected) => {
  expect(unknown({ cause })).toMatch(expected);
});
