/** Renewed certificates and keys: read once they are at rest, refused without harm, and the rest of the configuration stays. */
import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MessageChannel, receiveMessageOnPort } from "node:worker_threads";
import { afterAll, afterEach, expect, test, vi } from "vitest";
import type { Configuration } from "../../../src/config/configuration.ts";
import { createFileReader } from "../../../src/config/file-reader.ts";
import { loadConfiguration } from "../../../src/config/load.ts";
import { KeyFiles, withAuthentication } from "../../../src/daemon/key-files.ts";
import { certificatePem, keyPem } from "../../interop/harness/certified.ts";
import { keyNamed } from "../../sim/ike-signatures.ts";
import { ca, DAY, makeKey } from "../pki/certificate-maker.ts";

const folder = mkdtempSync(join(tmpdir(), "tungate-keys-"));
let files: KeyFiles | undefined;
afterEach(() => files?.close());
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const at = (name: string) => join(folder, name);
function writeKey(name: string): void {
  const pem = keyNamed(name).handle.export({ format: "pem", type: "pkcs8" });
  writeFileSync(at("new"), pem, { mode: 0o600 });
  renameSync(at("new"), at("gw.key"));
}
const text = (more = "") => `connections:
  paris:
    local: { id: a.test, private_key: gw.key }
    remote: { address: 198.51.100.2, id: b.test, public_key: peer.pub${more} }
    children: { lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16 } }
`;
const load = () => loadConfiguration(at("tungate.yaml"), createFileReader({}));
/** As from the thread that reads it. */
async function sent(): Promise<Configuration> {
  const { port1, port2 } = new MessageChannel();
  port1.postMessage(load());
  const { message } = receiveMessageOnPort(port2) as { message: Configuration };
  port1.close();
  return message;
}
const keyOf = ({ connections }: Configuration) => {
  const { auth } = connections[0]!.connection.local;
  return auth.kind === "pubkey" ? auth.key.publicKey : undefined;
};

test("a key is taken when its file has come to rest; a broken one is said, and the one before stays", async () => {
  writeKey("old");
  const peer = Buffer.from(keyNamed("peer").publicKey).toString("base64");
  writeFileSync(at("peer.pub"), `-----BEGIN PUBLIC KEY-----\n${peer}\n-----END PUBLIC KEY-----\n`);
  writeFileSync(at("tungate.yaml"), text());
  const configuration = load();
  const renewed: Configuration[] = [];
  const log = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
  files = new KeyFiles({ configuration, load: sent, log, onRenewed: (one) => renewed.push(one) });
  await files.look();
  expect(renewed).toEqual([]);

  writeKey("new");
  writeFileSync(at("tungate.yaml"), text(", port: 5000"));
  await files.look();
  expect(renewed).toEqual([]);
  await files.look();
  expect(keyOf(renewed[0]!)).toEqual(keyNamed("new").publicKey);
  expect([...renewed[0]!.privateKeys.keys()]).not.toEqual([...configuration.privateKeys.keys()]);
  expect(renewed[0]!.connections[0]!.connection.remote.port).toBe(500);

  writeFileSync(at("gw.key"), "no key", { mode: 0o600 });
  for (let i = 0; i < 4; i++) await files.look();
  expect(renewed).toHaveLength(1);
  expect(log.error.mock.calls.join("\n")).toMatch(
    /those from before stay in use[\s\S]*no private key in PEM/,
  );
  expect(log.error).toHaveBeenCalledTimes(2);
  await files.look();
  expect(log.error).toHaveBeenCalledTimes(2);
});

test("a key that others could read is used once they cannot; one that was only touched is not new", async () => {
  writeKey("old");
  writeFileSync(at("tungate.yaml"), text());
  const renewed: Configuration[] = [];
  const log = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
  files = new KeyFiles({ configuration: load(), load: sent, log, onRenewed: (one) => renewed.push(one) });
  writeKey("new");
  chmodSync(at("gw.key"), 0o644);
  for (let i = 0; i < 3; i++) await files.look();
  expect(log.error.mock.calls.join("\n")).toContain("others can get at");
  chmodSync(at("gw.key"), 0o600);
  for (let i = 0; i < 3; i++) await files.look();
  expect(renewed.map(keyOf)).toEqual([keyNamed("new").publicKey]);
  writeKey("new");
  for (let i = 0; i < 3; i++) await files.look();
  expect(renewed).toHaveLength(1);
});

test("what cannot be read when certificates are looked at once a day is said once a day", async () => {
  writeKey("old");
  writeFileSync(at("tungate.yaml"), text());
  const configuration = load();
  const log = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
  const clock = vi.spyOn(performance, "now");
  const day = 86_400_001;
  clock.mockReturnValue(0);
  files = new KeyFiles({ configuration, load: sent, log, onRenewed: () => {} });
  writeFileSync(at("tungate.yaml"), "connections: [");
  const said: number[] = [];
  for (const now of [0, day, day, day, 2 * day, 2 * day]) {
    clock.mockReturnValue(now);
    await files.look();
    said.push(log.error.mock.calls.filter(([line]) => /no longer accepted/.test(line)).length);
  }
  clock.mockRestore();
  expect(said).toEqual([0, 1, 1, 1, 2, 2]);
});

test("a certificate that ends soon is said once a day, for as long as the gateway runs", async () => {
  const now = Date.now();
  const key = makeKey();
  const own = ca("O=Example, CN=gw-a", { key, notBefore: now - DAY, notAfter: now + 6.5 * DAY });
  writeFileSync(at("gw.pem"), certificatePem(own));
  writeFileSync(at("gw.key"), keyPem(own), { mode: 0o600 });
  writeFileSync(
    at("tungate.yaml"),
    text()
      .replace("private_key: gw.key", "certificate: gw.pem, private_key: gw.key")
      .replace("id: a.test, ", ""),
  );
  const log = { debug: vi.fn(), info: vi.fn(), warn: vi.fn(), error: vi.fn() };
  const clock = vi.spyOn(performance, "now").mockReturnValue(0);
  files = new KeyFiles({ configuration: load(), load: sent, log, onRenewed: () => {} });
  const said: number[] = [];
  for (const at of [0, 1, DAY + 1, DAY + 2, 2 * DAY + 2]) {
    clock.mockReturnValue(at);
    await files.look();
    said.push(log.warn.mock.calls.length);
  }
  clock.mockRestore();
  expect(said).toEqual([0, 0, 1, 1, 2]);
  expect(log.warn.mock.calls[0]![0]).toMatch(/gw-a expires on .*, in 6 days; renew it/);
});

test("a connection that the file no longer has keeps its key when those of another are renewed", () => {
  const peer = Buffer.from(keyNamed("peer").publicKey).toString("base64");
  writeFileSync(at("peer.pub"), `-----BEGIN PUBLIC KEY-----\n${peer}\n-----END PUBLIC KEY-----\n`);
  writeKey("old");
  writeFileSync(at("tungate.yaml"), text());
  const running = load();
  writeKey("new");
  writeFileSync(at("tungate.yaml"), text().replace("paris", "rome"));
  const merged = withAuthentication(running, load());
  expect(keyOf(merged)).toEqual(keyNamed("old").publicKey);
  expect([...merged.privateKeys]).toEqual([...running.privateKeys]);
});

test("a configuration comes through from another thread as it is", async () => {
  writeKey("old");
  writeFileSync(at("tungate.yaml"), text());
  const { privateKeys, ...rest } = await sent();
  const { privateKeys: own, ...same } = load();
  expect(rest).toEqual(same);
  expect([...privateKeys].map(([name, key]) => [name, key.equals(own.get(name)!)])).toEqual(
    [...own].map(([name]) => [name, true]),
  );
});
