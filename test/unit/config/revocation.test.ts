/** Keys about the revocation of peers' certificates. */
import { expect, test } from "vitest";
import { formatAddressRange } from "../../../src/base/address-range.ts";
import { ca, DAY } from "../pki/certificate-maker.ts";
import { crl } from "../pki/revocation-maker.ts";
import { load, NOW, paris, problemsOf } from "./memory-reader.ts";

const root = ca("CN=Root", { notBefore: NOW - DAY, notAfter: NOW + 900 * DAY });
const list = crl({ issuer: root });
const pem = (label: string, octets: Uint8Array) =>
  `-----BEGIN ${label}-----\n${Buffer.from(octets).toString("base64")}\n-----END ${label}-----\n`;
const files = {
  "ca.pem": pem("CERTIFICATE", root.der),
  "list.crl": list,
  "lists.pem": pem("X509 CRL", list) + pem("X509 CRL", list),
};

const withRemote = (more: string) =>
  paris().replace(
    "remote: { address: 198.51.100.2 }",
    `remote: { address: 198.51.100.2, ca: ca.pem${more} }\n    local: { auth: psk }`,
  );

function trustOf(more: string) {
  const { auth } = load(withRemote(more), { files }).connections[0]!.connection.remote;
  if (auth.kind !== "certificate") throw new Error(auth.kind);
  return auth.revocation;
}

test("revocation is soft unless told, and CRLs come in PEM, several in one file, or DER", () => {
  expect(trustOf("")).toEqual({ mode: "soft", lists: [] });
  expect(trustOf(", revocation: strict, crl: list.crl")).toEqual({ mode: "strict", lists: [list] });
  expect(trustOf(", revocation: off, crl: [list.crl, lists.pem]")).toEqual({
    mode: "off",
    lists: [list, list, list],
  });
});

test("what is wrong with them is said at its place", () => {
  const saying = (more: string) =>
    problemsOf(withRemote(more), { files }).map(({ line, path, message }) => `${line} ${path}: ${message}`);
  expect(saying(", revocation: hard")).toEqual([
    '3 connections.paris.remote.revocation: "hard" is not known; choose one of strict, soft, off',
  ]);
  expect(saying(", crl: ca.pem")).toEqual([
    "3 connections.paris.remote.crl: /etc/tungate/ca.pem holds no CRL (BEGIN X509 CRL); name the file that holds it",
  ]);
  expect(saying(", crl: none.crl")).toEqual([
    "3 connections.paris.remote.crl: there is no file /etc/tungate/none.crl",
  ]);
  const broken = problemsOf(withRemote(", crl: list.crl"), {
    files: { ...files, "list.crl": list.subarray(1) },
  });
  expect(broken[0]!.message).toMatch(/^the CRL in \/etc\/tungate\/list.crl cannot be read: /);
});

test("without certificates they have no effect, which is a warning; elsewhere they are told their place", () => {
  const text = paris().replace("198.51.100.2 }", "198.51.100.2, revocation: strict }");
  expect(load(text).warnings.map(({ path }) => path)).toEqual(["connections.paris.remote.revocation"]);
  const wrong = paris("revocation: strict");
  expect(problemsOf(wrong)[0]!.message).toBe('unknown key "revocation"; here it is called remote.revocation');
});

test("private addresses that may be asked are prefixes", () => {
  const { gateway } = load(`gateway: { revocation: { private: [10.1.0.0/16, "fd00::/8"] } }\n${paris()}`);
  expect(gateway.revocationTargets.map(formatAddressRange)).toEqual(["10.1.0.0/16", "fd00::/8"]);
});

test("an identity of many can only be the peer's, with its * in front", () => {
  const withIds = (local: string, remote: string) =>
    paris(`local: { id: "${local}" }`).replace("198.51.100.2 }", `198.51.100.2, id: "${remote}" }`);
  for (const many of ["*.example.net", "*@example.net", "dn:O=Example, CN=*", "keyid:a*b"])
    expect(() => load(withIds("gw.example.net", many)), many).not.toThrow();
  for (const wrong of ["gw*.example.net", "*", "a@*.net", "*.a.*.net"])
    expect(problemsOf(withIds("gw.example.net", wrong))[0]!.message, wrong).toMatch(
      /a \* stands for all that comes before/,
    );
  for (const ours of ["*.example.net", "dn:CN=*"])
    expect(problemsOf(withIds(ours, "any"))[0]!.message).toMatch(/a \* can only stand in remote.id$/);
});
