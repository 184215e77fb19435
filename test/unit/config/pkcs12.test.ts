/** `local.pkcs12`: key and certificates from one file, and the words when that cannot be. */
import { expect, test } from "vitest";
import { fromHex } from "../../../src/base/bytes.ts";
import { loadCases } from "../../vectors/vector-file.ts";
import { load, problemsOf } from "./memory-reader.ts";

const cases = loadCases<{ name: string; file: string }>("pkcs12.json");
const fileNamed = (name: string) => fromHex(cases.find((one) => one.name === name)!.file);
const PEER = "remote: { address: 198.51.100.2, public_key: peer.pub }";
const PUBLIC_KEY = `-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
`;
const text = (local: string) => `connections:
  paris:
    local: ${local}
    ${PEER}
    children: { lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16 } }
`;
const WITH_PASSWORD = text("{ pkcs12: { file: gw.p12, password: { file: word } } }");
const world = (name: string, more: Readonly<Record<string, string | Uint8Array>> = {}) => ({
  wallClock: Date.UTC(2027, 5, 1),
  files: { "gw.p12": fileNamed(name), word: "pass word\n", "peer.pub": PUBLIC_KEY, ...more },
});

function messagesOf(local: string, name: string, more: Readonly<Record<string, string | Uint8Array>> = {}) {
  return problemsOf(text(local), world(name, more)).map(
    ({ code, line, column, path, message }) => `${code} ${line}:${column} ${path} ${message}`,
  );
}

test("key, chain without root, identity, and the file is one that may be renewed", () => {
  for (const name of ["openssl3", "openssl-legacy", "keytool"]) {
    const { connections, privateKeys, keyFiles, warnings } = load(WITH_PASSWORD, world(name));
    const { auth, id } = connections[0]!.connection.local;
    if (auth.kind !== "certificate") throw new Error(auth.kind);
    const [own] = auth.certificates;
    expect(own).toMatchObject({ subject: "CN=gw", chain: { length: 2 }, authorities: { length: 2 } });
    expect(privateKeys.has(own!.key.id)).toBe(true);
    expect(id).toMatchObject({ data: new TextEncoder().encode("gw.example.net") });
    expect(keyFiles).toContain("/etc/tungate/gw.p12");
    expect(warnings).toEqual([]);
  }
});

test("a file without password is named alone", () => {
  expect(load(text("{ pkcs12: gw.p12 }"), world("openssl-empty")).connections).toHaveLength(1);
});

test("what cannot be used is said at its place", () => {
  const own = "{ pkcs12: { file: gw.p12, password: { file: word } } }";
  expect(messagesOf(own, "openssl3", { word: "wrong" })).toEqual([
    "CONFIG_SECRET_MALFORMED 3:22 connections.paris.local.pkcs12 gw.p12: the password does not open it, or it is damaged (its MAC does not fit)",
  ]);
  expect(messagesOf("{ pkcs12: gw.p12 }", "openssl3")[0]).toMatch(
    /it has a password, and none is given here/,
  );
  expect(messagesOf(own, "openssl-rc4")[0]).toMatch(
    /^CONFIG_NOT_SUPPORTED 3:22 .* RC4 with 128 bits, algorithm 1\.2\.840\.113549\.1\.12\.1\.1, which is not/,
  );
  expect(messagesOf(own, "openssl-nomac")[0]).toMatch(/it has no MAC/);
  expect(messagesOf(own, "openssl-nokey")[0]).toMatch(/it holds no private key/);
  expect(messagesOf(own, "keytool-two")[0]).toMatch(/it holds 2 private keys \(gateway, second\)/);
  expect(messagesOf(own, "openssl-nocert")[0]).toMatch(/gw\.p12 holds a private key and no certificate/);
  expect(messagesOf(own, "python-other")[0]).toMatch(/none of its 2 certificates belongs to its private key/);
  expect(messagesOf(own, "openssl3", { "gw.p12": "no such thing" })[0]).toMatch(/this is no PKCS#12 file/);
  expect(messagesOf('{ pkcs12: { file: gw.p12, password: "pass word" } }', "openssl3")[0]).toMatch(
    /CONFIG_SECRET_INLINE .* passwords do not stand in the configuration/,
  );
});

test("where PEM is expected, and where it is the peer's, the right key is named", () => {
  const key = '{ certificate: gw.p12, private_key: "gw.p12" }';
  const said = messagesOf(key, "openssl3").join("\n");
  expect(said).toMatch(
    /local\.certificate \/etc\/tungate\/gw\.p12 is a PKCS#12 file; our own goes to local\.pkcs12/,
  );
  expect(said).toMatch(/local\.private_key gw\.p12 is a PKCS#12 file; name it in local\.pkcs12/);
  expect(messagesOf("{ p12: gw.p12 }", "openssl3")[0]).toMatch(/here it is called pkcs12/);
});

test("others must not be able to read it", () => {
  const bytes = fileNamed("openssl3");
  const files = { ...world("openssl3").files, "gw.p12": { kind: "file", bytes, mode: 0o640 } as const };
  expect(problemsOf(WITH_PASSWORD, { files })[0]).toMatchObject({ code: "CONFIG_SECRET_EXPOSED" });
});

test("SHA-1 in signatures is taken and made only where the file says so, with a warning", () => {
  const sha1 = WITH_PASSWORD.replace("    children:", "    ike: { sha1_signatures: true }\n    children:");
  const { connections, warnings } = load(sha1, world("openssl3"));
  const { local, remote } = connections[0]!.connection;
  expect(local.auth).toMatchObject({ certificates: [{ key: { olderHash: "sha1" } }] });
  expect(remote.auth).toMatchObject({ kind: "pubkey", takesSha1: true });
  expect(warnings).toMatchObject([
    { code: "CONFIG_PROPOSAL_WEAK", path: "connections.paris.ike.sha1_signatures" },
  ]);
  const usual = load(WITH_PASSWORD, world("openssl3")).connections[0]!.connection;
  expect(usual.remote.auth).not.toHaveProperty("takesSha1");
});
