/** What is said of certificates that end soon, and of ways of authentication that are not there yet. */
import { expect, test } from "vitest";
import { validityWords } from "../../../src/config/certificate-validity.ts";
import { decodeCertificate } from "../../../src/wire/x509/certificate.ts";
import { ca, DAY, NOW } from "../pki/certificate-maker.ts";
import { problemsOf } from "./memory-reader.ts";

const HOUR = DAY / 24;

test.each([
  [31 * DAY, undefined],
  [30 * DAY, undefined],
  [30 * DAY - HOUR, "the certificate O=Example, CN=gw expires on 2026-06-30, in 29 days; renew it"],
  [7 * DAY, "the certificate O=Example, CN=gw expires on 2026-06-08, in 7 days; renew it"],
  [DAY, "the certificate O=Example, CN=gw expires on 2026-06-02, in a day; renew it"],
  [HOUR, "the certificate O=Example, CN=gw expires on 2026-06-01, in less than a day; renew it"],
  [-HOUR, "the certificate O=Example, CN=gw has expired on 2026-05-31; renew it"],
])("a certificate that ends in %i ms", (left, words) => {
  const { der } = ca("O=Example, CN=gw", { notBefore: NOW - 300 * DAY, notAfter: NOW + left });
  expect(validityWords(decodeCertificate(der), NOW)).toBe(words);
});

test("a certificate that is not valid yet", () => {
  const { der } = ca("O=Example, CN=gw", { notBefore: NOW + DAY, notAfter: NOW + 300 * DAY });
  expect(validityWords(decodeCertificate(der), NOW)).toBe(
    "the certificate O=Example, CN=gw is valid from 2026-06-02 on; is the clock right?",
  );
});

test.each([
  ["eap", "eap is not supported yet; EAP comes later; use certificate, pubkey or psk"],
  [
    "[certificate, eap]",
    "several rounds of authentication (RFC 4739) are not supported; give one of psk, certificate, pubkey",
  ],
])("auth: %s is refused, and the line says what to use", (auth, message) => {
  const children = "children: { lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16 } }";
  const remote = `remote: { address: 198.51.100.2, auth: ${auth} }`;
  const problems = problemsOf(
    `connections:\n  paris:\n    ${remote}\n    psk: { file: secrets/paris }\n    ${children}\n`,
  );
  expect(problems[0]).toMatchObject({ path: "connections.paris.remote.auth", line: 3, message });
});
