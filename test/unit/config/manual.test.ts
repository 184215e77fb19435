/** Manual keys: what they come to, and what would repeat a number or a key is refused (RFC 4301 section 4.5.1). */
import { expect, test } from "vitest";
import { toHex, utf8 } from "../../../src/base/bytes.ts";
import type { FileReading } from "../../../src/config/reader.ts";
import { load, placesOf, problemsOf } from "./memory-reader.ts";

const key = (digit: string, octets: number) => `"0x${digit.repeat(2 * octets)}"`;

function manual(lines: Readonly<Record<string, string>> = {}, more = ""): string {
  const child = {
    local: "10.1.0.0/16",
    remote: "10.2.0.0/16",
    out: `{ spi: 0xc0ffee01, esp: aes256gcm16, key: ${key("1", 36)} }`,
    in: `{ spi: 4096, esp: aes256gcm16, key: ${key("2", 36)} }`,
    state: "state/site",
    ...lines,
  };
  const text = Object.entries(child)
    .filter(([, value]) => value !== "")
    .map(([name, value]) => `        ${name}: ${value}\n`)
    .join("");
  return `connections:\n  kernel:\n    remote: { address: 198.51.100.2 }\n    manual:\n      site:\n${text}${more}`;
}

test("a manual child arrives with its keys, salt included, and its state file", () => {
  const { connections, manual: children } = load(manual());
  expect(connections).toEqual([]);
  const child = children[0]!;
  expect(child).toMatchObject({
    connection: "kernel",
    name: "site",
    policy: "kernel/site",
    priority: 0,
    interface: "tungate0",
    routes: "auto",
    encapsulation: "esp",
    remotePort: 4500,
    stateFile: "/etc/tungate/state/site",
    handling: { replayWindow: 0 },
    place: { line: 5 },
  });
  expect(child.outbound).toMatchObject({
    spi: 0xc0ffee01,
    suite: { encr: 20, encrKeyBits: 256, integ: 0, esn: false },
  });
  expect(toHex(child.outbound.keys.encr)).toBe("11".repeat(36));
  expect(child.outbound.keys.integ).toHaveLength(0);
  expect(child.inbound.spi).toBe(4096);
});

test("CBC with HMAC has two keys and needs no state", () => {
  const sa = (spi: number, digit: string) =>
    `{ spi: ${spi}, esp: aes128-sha256, key: ${key(digit, 16)}, integrity_key: ${key(digit, 32)} }`;
  const child = load(manual({ out: sa(300, "3"), in: sa(301, "4"), state: "" })).manual[0]!;
  expect(child.outbound.suite).toEqual({ encr: 12, encrKeyBits: 128, integ: 12, esn: false });
  expect([child.inbound.keys.encr.length, child.inbound.keys.integ.length]).toEqual([16, 32]);
  expect(child.stateFile).toBeUndefined();
});

test("extended sequence numbers bring the window that they need", () => {
  const esn = (text: string) => text.replaceAll("esp: aes256gcm16,", "esp: aes256gcm16-esn,");
  const child = load(esn(manual())).manual[0]!;
  expect([child.inbound.suite.esn, child.handling.replayWindow]).toEqual([true, 4096]);
  expect(placesOf(esn(manual({ replay_window: "0" })))).toEqual([
    "CONFIG_CONFLICT 11:24 connections.kernel.manual.site.replay_window",
  ]);
});

test("keys may lie in files of their own", () => {
  const files = {
    "keys/out": `${"5".repeat(72)}\n`,
    "keys/in": utf8(Buffer.alloc(36, 6).toString("base64")),
  };
  const child = load(
    manual({
      out: "{ spi: 300, esp: aes256gcm16, key: { file: keys/out } }",
      in: "{ spi: 301, esp: aes256gcm16, key: { file: keys/in, encoding: base64 } }",
    }),
    { files },
  ).manual[0]!;
  expect(toHex(child.outbound.keys.encr)).toBe("55".repeat(36));
  expect(toHex(child.inbound.keys.encr)).toBe("06".repeat(36));
});

test("combined-mode keys without a file for their numbers are refused", () => {
  const [problem, ...more] = problemsOf(manual({ state: "" }));
  expect(more).toEqual([]);
  expect(problem).toMatchObject({
    code: "CONFIG_MANUAL_STATE",
    line: 5,
    path: "connections.kernel.manual.site",
  });
});

test.each([
  ["aes128ctr-sha256", 20, 32],
  ["aes256ccm8", 35, 0],
  ["aes128gmac", 20, 0],
  ["aes256gcm16iiv", 36, 0],
])("[ESP-20] counter modes need a file for their numbers too: %s", (esp, length, integLength) => {
  const sa = (spi: number, digit: string) => {
    const integ = integLength === 0 ? "" : `, integrity_key: ${key(digit, integLength)}`;
    return `{ spi: ${spi}, esp: ${esp}, key: ${key(digit, length)}${integ} }`;
  };
  const lines = { out: sa(300, "3"), in: sa(301, "4") };
  expect(load(manual(lines)).manual).toHaveLength(1);
  expect(problemsOf(manual({ ...lines, state: "" })).map(({ code }) => code)).toEqual([
    "CONFIG_MANUAL_STATE",
  ]);
});

test("[ESP-25] 3DES and what encrypts nothing are done, with a warning at their place", () => {
  const sa = (spi: number, digit: string, esp: string, length: number) =>
    `{ spi: ${spi}, esp: ${esp}, key: ${key(digit, length)}, integrity_key: ${key(digit, 20)} }`;
  const warnings = (esp: string, length: number) =>
    load(manual({ out: sa(300, "3", esp, length), in: sa(301, "4", esp, length), state: "" })).warnings.map(
      ({ code, path }) => `${code} ${path}`,
    );
  expect(warnings("3des-sha1", 24)).toEqual([
    "CONFIG_PROPOSAL_WEAK connections.kernel.manual.site.out.esp",
    "CONFIG_PROPOSAL_WEAK connections.kernel.manual.site.in.esp",
  ]);
  expect(warnings("aes128-sha1", 16)).toEqual([]);
});

test("keys in a configuration that others can read are refused, each at its place", () => {
  const reading = (mode: number): FileReading => ({ kind: "file", bytes: utf8(manual()), mode });
  expect(placesOf(reading(0o644))).toEqual([
    "CONFIG_SECRET_EXPOSED 8:56 connections.kernel.manual.site.out.key",
    "CONFIG_SECRET_EXPOSED 9:49 connections.kernel.manual.site.in.key",
  ]);
  expect(load(reading(0o600)).manual).toHaveLength(1);
});

const SA = "{ spi: 300, esp: aes256gcm16, key: KEY }";
test.each<[string, Readonly<Record<string, string>>, string]>([
  [
    "a key that is too short",
    { out: SA.replace("KEY", key("1", 32)) },
    "CONFIG_SECRET_MALFORMED 8:49 connections.kernel.manual.site.out.key",
  ],
  [
    "a key that is a number",
    { out: SA.replace("KEY", "0x1111") },
    "CONFIG_QUOTE_IT 8:49 connections.kernel.manual.site.out.key",
  ],
  [
    "no key",
    { out: "{ spi: 300, esp: aes256gcm16 }" },
    "CONFIG_MISSING_KEY 8:9 connections.kernel.manual.site.out",
  ],
  [
    "no integrity key",
    { out: `{ spi: 300, esp: aes128-sha256, key: ${key("1", 16)} }` },
    "CONFIG_SECRET_MALFORMED 8:31 connections.kernel.manual.site.out.esp",
  ],
  [
    "a needless integrity key",
    { out: `{ spi: 300, esp: aes256gcm16, key: ${key("1", 36)}, integrity_key: "0x11" }` },
    "CONFIG_SECRET_MALFORMED 8:142 connections.kernel.manual.site.out.integrity_key",
  ],
  [
    "a reserved SPI",
    { in: SA.replace("300", "255").replace("KEY", key("1", 36)) },
    "CONFIG_BAD_VALUE 9:20 connections.kernel.manual.site.in.spi",
  ],
  [
    "a key exchange",
    { out: `{ spi: 300, esp: aes256gcm16-x25519, key: ${key("1", 36)} }` },
    "CONFIG_PROPOSAL 8:31 connections.kernel.manual.site.out.esp",
  ],
  [
    "two ciphers",
    { out: `{ spi: 300, esp: aes256gcm16-aes128gcm16, key: ${key("1", 36)} }` },
    "CONFIG_PROPOSAL 8:31 connections.kernel.manual.site.out.esp",
  ],
  [
    "one key both ways",
    { in: SA.replace("KEY", key("1", 36)) },
    "CONFIG_CONFLICT 9:48 connections.kernel.manual.site.in.key",
  ],
  ["BEET mode", { mode: "beet" }, "CONFIG_NOT_SUPPORTED 11:15 connections.kernel.manual.site.mode"],
])("%s is refused", (_name, lines, place) => {
  expect(placesOf(manual(lines))).toEqual([place]);
});

const LISTENING = "gateway: { listen: 192.0.2.1 }\n";
const HOSTS = { mode: "transport", local: "192.0.2.1", remote: "198.51.100.2" };

test("transport mode between the two outer addresses", () => {
  const [child] = load(LISTENING + manual(HOSTS)).manual;
  expect(child?.handling.mode).toBe("transport");
  expect(load(manual()).manual[0]?.handling.mode).toBeUndefined();
});

test.each<[string, string, Record<string, string>, string]>([
  ["any address of ours", "", {}, "CONFIG_CONFLICT 11:15 mode"],
  ["a network", LISTENING, { remote: "198.51.100.0/24" }, "CONFIG_SELECTOR 8:17 remote"],
  ["another address of the peer", LISTENING, { remote: "198.51.100.3" }, "CONFIG_SELECTOR 8:17 remote"],
  ["an address that is not listened on", LISTENING, { local: "192.0.2.9" }, "CONFIG_SELECTOR 7:16 local"],
])("transport mode with %s is refused", (_name, gateway, lines, place) => {
  const places = placesOf(gateway + manual({ ...HOSTS, ...lines }));
  expect(places.map((one) => one.replace("connections.kernel.manual.site.", ""))).toContain(place);
});

const AH = (spi: number, digit: string) =>
  `{ spi: ${spi}, ah: sha256-esn, integrity_key: ${key(digit, 32)} }`;

test("AH has an integrity key alone, and needs no state file", () => {
  const text = LISTENING + manual({ out: AH(300, "3"), in: AH(301, "4"), state: "" });
  const child = load(text).manual[0]!;
  expect(child.outbound.suite).toEqual({ encr: 11, encrKeyBits: 0, integ: 12, esn: true, protocol: "ah" });
  expect([child.outbound.keys.encr.length, child.outbound.keys.integ.length]).toEqual([0, 32]);
});

test("[AH-17] AH's GMAC needs remembered numbers, and a key with its salt", () => {
  const gmac = (spi: number, digit: string, length = 20) =>
    `{ spi: ${spi}, ah: aes128gmac, integrity_key: ${key(digit, length)} }`;
  const lines = { out: gmac(300, "3"), in: gmac(301, "4") };
  expect(load(LISTENING + manual(lines)).manual[0]!.outbound.suite.integ).toBe(9);
  const codes = (changed: Record<string, string>) =>
    placesOf(LISTENING + manual({ ...lines, ...changed })).map((place) => place.split(" ")[0]);
  expect(codes({ state: "" })).toEqual(["CONFIG_MANUAL_STATE"]);
  expect(codes({ out: gmac(300, "3", 16) })).toContain("CONFIG_SECRET_MALFORMED");
});

test.each<[string, string, Record<string, string>, string]>([
  ["in UDP", LISTENING, { encapsulation: "udp" }, "CONFIG_CONFLICT"],
  ["with any address of ours", "", {}, "CONFIG_CONFLICT"],
  ["in one direction", LISTENING, { in: SA.replace("KEY", key("5", 36)) }, "CONFIG_CONFLICT"],
  [
    "with a cipher's key",
    LISTENING,
    { out: AH(300, "3").replace("ah:", `key: ${key("1", 36)}, ah:`) },
    "CONFIG_CONFLICT",
  ],
  [
    "with a short key",
    LISTENING,
    { out: AH(300, "3").replace(key("3", 32), key("3", 31)) },
    "CONFIG_SECRET_MALFORMED",
  ],
  ["with no algorithm", LISTENING, { out: AH(300, "3").replace("sha256-esn", "sha257") }, "CONFIG_PROPOSAL"],
])("AH %s is refused", (_name, gateway, { encapsulation, ...lines }, code) => {
  const text = gateway + manual({ out: AH(300, "3"), in: AH(301, "4"), ...lines });
  const changed =
    encapsulation === undefined ? text : text.replace("    manual:", "    encapsulation: udp\n    manual:");
  expect(placesOf(changed).map((place) => place.split(" ")[0])).toContain(code);
});

test("manual keys need one address to send to", () => {
  const places = placesOf(manual().replace("198.51.100.2", "gw.example.net"));
  expect(places).toEqual(["CONFIG_CONFLICT 5:7 connections.kernel.manual.site"]);
});

test("two children share neither SPI, nor key, nor state file", () => {
  const second = manual({ local: "10.3.0.0/16" }).split("\n").slice(4).join("\n").replace("site:", "twin:");
  expect(placesOf(manual({}, second))).toEqual([
    "CONFIG_CONFLICT 14:56 connections.kernel.manual.twin.out.key",
    "CONFIG_CONFLICT 15:20 connections.kernel.manual.twin.in.spi",
    "CONFIG_CONFLICT 16:16 connections.kernel.manual.twin.state",
  ]);
});

test("manual and negotiated children of a connection share the SPD", () => {
  const children =
    "    psk: { file: secrets/paris }\n    children:\n      site: { local: 10.1.0.0/16, remote: 10.2.0.0/16 }\n";
  expect(placesOf(manual({}, children))).toEqual([
    "CONFIG_CONFLICT 5:7 connections.kernel.manual.site",
    "CONFIG_OVERLAP 5:7 connections.kernel.manual.site",
  ]);
});
