/** Configuration files: what they mean, what is filled in, and what is refused where. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { formatAddressRange, formatPrefix } from "../../../src/base/address-range.ts";
import { toHex, utf8 } from "../../../src/base/bytes.ts";
import { ConfigError } from "../../../src/config/config-error.ts";
import { CONFIGURATION_OCTETS_MAX } from "../../../src/config/load.ts";
import {
  DEFAULT_ESP_PROPOSALS,
  DEFAULT_IKE_PROPOSALS,
  parseProposal,
} from "../../../src/policy/proposal-keyword.ts";
import { formatSelector } from "../../../src/policy/selector-text.ts";
import { FILE, KEY, load, paris, placesOf, problemsOf } from "./memory-reader.ts";

test("remote address, key and two prefixes are enough, and the rest has good defaults", () => {
  const { gateway, connections, policies, manual, warnings } = load(paris());
  expect(gateway).toEqual({
    lines: new Map(),
    listen: [],
    ports: { ike: 500, nat: 4500 },
    interfaces: [{ name: "tungate0", mtu: "auto", place: { file: FILE, line: 1 } }],
    offloads: { tso: true, uso: true, coalescing: true, udpSegment: true, udpGro: true },
    routing: { table: 220, priority: 220, mark: { value: 0x54470000, mask: 0xffff0000 } },
    revocationTargets: [],
    lanes: "auto",
    forwarding: "check",
    onExit: "block",
    control: { path: "/run/tungate/control.sock", allowKeyExport: false },
  });
  const { connection, ...around } = connections[0]!;
  expect(around).toEqual({
    remoteNames: [],
    interface: "tungate0",
    routes: "auto",
    priorities: new Map([["lan", 0]]),
  });
  expect(connection.remote.addresses.map(formatAddressRange)).toEqual(["198.51.100.2"]);
  expect(connection).toMatchObject({
    name: "paris",
    local: {},
    keep: "up",
    encapsulation: "auto",
    place: { line: 2 },
  });
  expect(connection.remote).not.toHaveProperty("id");
  expect(connection.remote.port).toBe(500);
  expect(connection.ike).toEqual({
    proposals: DEFAULT_IKE_PROPOSALS,
    rekey: { time: 4 * 3_600_000, jitter: 0.2 },
    liveness: 30_000,
    place: { file: FILE, line: 2 },
  });
  expect(connection.children[0]).toMatchObject({
    name: "lan",
    proposals: DEFAULT_ESP_PROPOSALS,
    keep: "up",
    rekey: { time: 3_600_000, jitter: 0.2 },
    lifetime: {},
    handling: { replayWindow: 4096, dscp: "copy", ecn: "copy", df: "copy" },
    place: { file: FILE, line: 6 },
  });
  expect(connection.local.auth).toEqual({ kind: "psk", secret: utf8(KEY) });
  expect(connection.remote.auth).toEqual(connection.local.auth);
  expect([policies, manual, warnings]).toEqual([[], [], []]);
});

test("every key of a connection arrives where it belongs", () => {
  const { gateway, connections, policies } = load(`version: 1
gateway:
  listen: [192.0.2.1, 2001:db8::1]
  ports: { ike: 1500, nat: 14500 }
  tun: { name: tun7, mtu: 1400 }
  routing: { table: 7, priority: 8, mark: 0x10/0xff }
  lanes: 4
  forwarding: lan
  on_exit: open
  control: { path: /run/x.sock, group: wheel }
connections:
  oslo:
    local: { address: 192.0.2.1, id: "keyid:0xc0ffee" }
    remote: { address: [198.51.100.2, 203.0.113.0/24, gw.example.net], port: 501, id: joe@example.net }
    psk: { file: secrets/paris }
    keep: on-demand
    encapsulation: esp
    interface: other0
    routes: [10.2.0.0/16]
    ike: { proposals: [aes256-sha256-modp2048, default], rekey: { time: 2h, jitter: 10% }, liveness: 90s, fragmentation: 576, mobike: false }
    children:
      lan:
        local: ["10.1.0.0/16[tcp/443]", { prefix: 10.3.0.0/24, protocol: udp, port: 53 }]
        remote: 10.2.0.0/16
        esp: aes128-sha256-noesn
        rekey: { time: 90m, jitter: 0, bytes: 1GiB, packets: 4e9 }
        mode: tunnel
        keep: respond
        priority: 5
        replay_window: 128
        df: clear
        dscp: 46
        ecn: clear
policies:
  - { local: 10.1.0.0/16, remote: 10.1.0.0/16, action: bypass }
  - { remote: "10.99.0.0/16[icmp/8]", action: discard, interface: other0 }
`);
  expect(gateway.listen.map((address) => address.length)).toEqual([4, 16]);
  expect(gateway).toMatchObject({
    ports: { ike: 1500, nat: 14500 },
    routing: { table: 7, priority: 8, mark: { value: 0x10, mask: 0xff } },
    lanes: 4,
    forwarding: "lan",
    onExit: "open",
    control: { path: "/run/x.sock", group: "wheel" },
  });
  expect(gateway.interfaces.map(({ name, mtu }) => [name, mtu])).toEqual([
    ["tun7", 1400],
    ["other0", "auto"],
  ]);
  const { connection, remoteNames, routes, priorities } = connections[0]!;
  expect(connection.local.id).toEqual({ idType: 11, data: Uint8Array.of(0xc0, 0xff, 0xee) });
  expect(connection.remote.id).toEqual({ idType: 3, data: utf8("joe@example.net") });
  expect(connection.remote.addresses.map(formatAddressRange)).toEqual(["198.51.100.2", "203.0.113.0/24"]);
  expect([remoteNames, connection.remote.port, connection.keep, connection.encapsulation]).toEqual([
    ["gw.example.net"],
    501,
    "on-demand",
    "esp",
  ]);
  expect(connection.ike.proposals).toEqual([
    parseProposal("aes256-sha256-modp2048", "ike"),
    ...DEFAULT_IKE_PROPOSALS,
  ]);
  expect(connection.ike).toMatchObject({
    rekey: { time: 7_200_000, jitter: 0.1 },
    liveness: 90_000,
    fragmentation: 576,
    mobike: false,
    place: { line: 20 },
  });
  const child = connection.children[0]!;
  expect(child.selectors.local.map(formatSelector)).toEqual(["10.1.0.0/16[tcp/443]", "10.3.0.0/24[udp/53]"]);
  expect(child.rekey).toEqual({ time: 5_400_000, jitter: 0 });
  expect(child.lifetime).toEqual({
    softOctets: 2 ** 30,
    hardOctets: 1.25 * 2 ** 30,
    softPackets: 4e9,
    hardPackets: 5e9,
  });
  expect(child.handling).toEqual({ replayWindow: 128, df: "clear", dscp: 46, ecn: "clear" });
  expect([child.keep, priorities.get("lan"), child.proposals]).toEqual([
    "respond",
    5,
    [parseProposal("aes128-sha256-noesn", "esp")],
  ]);
  expect(routes === "auto" || routes === "none" ? routes : routes.map(formatPrefix)).toEqual(["10.2.0.0/16"]);
  expect(policies.map(({ action, interface: device, place }) => [action, device, place.line])).toEqual([
    ["bypass", undefined, 35],
    ["discard", "other0", 36],
  ]);
  expect(policies[1]!.selectors.local.map(formatSelector)).toEqual(["0.0.0.0/0", "::/0"]);
});

test("[ESP-26] no negotiated child goes without anti-replay, and a manual one may", () => {
  const child = (window: number) =>
    paris("", `lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16, replay_window: ${window} }`);
  for (const window of [0, 31])
    expect(placesOf(child(window))[0]).toMatch(/^CONFIG_BAD_VALUE .*replay_window$/);
  expect(load(child(32)).connections[0]!.connection.children[0]!.handling.replayWindow).toBe(32);
  const key = (digit: string) => `esp: aes256gcm16, key: "0x${digit.repeat(72)}"`;
  const site = `site: { local: 10.8.0.0/16, remote: 10.9.0.0/16, state: s, replay_window: 0, out: { spi: 300, ${key("1")} }, in: { spi: 301, ${key("2")} } }`;
  expect(load(paris(`manual:\n  ${site}`)).manual[0]!.handling.replayWindow).toBe(0);
});

test("a connection for anybody answers only, and has to say whom it expects", () => {
  const text = paris().replace("198.51.100.2", "any");
  expect(placesOf(text)).toEqual(["CONFIG_MISSING_KEY 3:5 connections.paris.remote"]);
  const { connection } = load(text.replace("address: any", "address: any, id: any")).connections[0]!;
  expect(connection).toMatchObject({ keep: "respond", remote: { addresses: [], id: "any" } });
});

test("all problems of a file come at once, each with its place", () => {
  const text = `version: 1
gateway:
  lisen: [192.0.2.1]
  metrics: 127.0.0.1
connections:
  paris:
    preset: awz
    local:  { id: 12345 }
    remote: { adress: 198.51.100.2 }
    psk: hunter2
    keep: allways
    encapsulation: tcp
    ike: { proposals: aes256gcm61-x25519, rekey: 4, liveness: 30s }
    children:
      lan:
        local: 10.1.0.1/16
        esp: [aes256gcm16-sha256]
        mode: beet
  5: {}
policies:
  - { action: bypas }
`;
  expect(placesOf(text)).toEqual([
    "CONFIG_UNKNOWN_KEY 3:3 gateway.lisen",
    "CONFIG_BAD_VALUE 4:12 gateway.metrics.listen",
    "CONFIG_BAD_VALUE 7:13 connections.paris.preset",
    "CONFIG_QUOTE_IT 8:19 connections.paris.local.id",
    "CONFIG_MISSING_KEY 9:5 connections.paris.remote.address",
    "CONFIG_UNKNOWN_KEY 9:15 connections.paris.remote.adress",
    "CONFIG_SECRET_INLINE 10:10 connections.paris.psk",
    "CONFIG_BAD_VALUE 11:11 connections.paris.keep",
    "CONFIG_NOT_SUPPORTED 12:20 connections.paris.encapsulation",
    "CONFIG_PROPOSAL 13:23 connections.paris.ike.proposals",
    "CONFIG_BAD_VALUE 13:50 connections.paris.ike.rekey.time",
    "CONFIG_MISSING_KEY 15:7 connections.paris.children.lan.remote",
    "CONFIG_SELECTOR 16:16 connections.paris.children.lan.local",
    "CONFIG_PROPOSAL 17:15 connections.paris.children.lan.esp[0]",
    "CONFIG_NOT_SUPPORTED 18:15 connections.paris.children.lan.mode",
    "CONFIG_QUOTE_IT 19:3 connections",
    "CONFIG_BAD_VALUE 21:15 policies[0].action",
  ]);
  const messages = problemsOf(text).map(({ message }) => message);
  expect(messages[0]).toContain('did you mean "listen"');
  expect(messages[12]).toContain("did you mean 10.1.0.0/16");
  expect(messages.join("\n")).not.toContain("hunter2");
});

test.each<[string, string, string]>([
  ["nothing carried", paris().replace(/ {4}children:\n.*\n/, ""), "CONFIG_MISSING_KEY 2:3 connections.paris"],
  ["no key", paris().replace(/ {4}psk.*\n/, ""), "CONFIG_MISSING_KEY 2:3 connections.paris"],
  [
    "key for one side",
    paris().replace("    psk:", "    local: { psk: { file: secrets/paris } }\n    #"),
    "CONFIG_MISSING_KEY 2:3 connections.paris",
  ],
  [
    "nobody to call",
    paris("keep: up").replace("198.51.100.2", "198.51.100.0/24, id: any"),
    "CONFIG_CONFLICT 7:11 connections.paris.keep",
  ],
  [
    "child wants more than its connection",
    paris("keep: respond", "lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16, keep: up }"),
    "CONFIG_CONFLICT 6:61 connections.paris.children.lan.keep",
  ],
  [
    "families that never meet",
    paris("", "lan: { local: 10.1.0.0/16, remote: 2001:db8::/32 }"),
    "CONFIG_SELECTOR 6:21 connections.paris.children.lan.local",
  ],
  [
    "protocols that never meet",
    paris("", 'lan: { local: "10.1.0.0/16[tcp]", remote: "10.2.0.0/16[udp]" }'),
    "CONFIG_SELECTOR 6:49 connections.paris.children.lan.remote",
  ],
  [
    "an address of nobody",
    paris().replace("198.51.100.2", "0.0.0.0"),
    "CONFIG_BAD_VALUE 3:24 connections.paris.remote.address",
  ],
  [
    "an address that is none",
    paris().replace("198.51.100.2", "300.1.2.3"),
    "CONFIG_BAD_VALUE 3:24 connections.paris.remote.address",
  ],
  [
    "any and one",
    paris().replace("198.51.100.2", "[any, 198.51.100.2], id: any"),
    "CONFIG_CONFLICT 3:24 connections.paris.remote.address",
  ],
  [
    "local address not listened on",
    `gateway: { listen: 192.0.2.1 }\n${paris("local: { address: 192.0.2.2 }")}`,
    "CONFIG_CONFLICT 8:23 connections.paris.local.address",
  ],
  [
    "local address of the other family",
    paris('local: { address: "2001:db8::1" }'),
    "CONFIG_CONFLICT 7:23 connections.paris.local.address",
  ],
  ["one port for both", "gateway: { ports: { ike: 4500 } }", "CONFIG_CONFLICT 1:19 gateway.ports"],
  [
    "the system's table",
    "gateway: { routing: { table: 254 } }",
    "CONFIG_CONFLICT 1:30 gateway.routing.table",
  ],
  ["no lane", "gateway: { lanes: 0 }", "CONFIG_BAD_VALUE 1:19 gateway.lanes"],
  ["too many lanes", "gateway: { lanes: 65 }", "CONFIG_BAD_VALUE 1:19 gateway.lanes"],
  ["a word for lanes", "gateway: { lanes: all }", "CONFIG_WRONG_TYPE 1:19 gateway.lanes"],
  [
    "a mark outside its mask",
    "gateway: { routing: { mark: 0x101/0xff } }",
    "CONFIG_BAD_VALUE 1:29 gateway.routing.mark",
  ],
  [
    "a mark that is a number",
    "gateway: { routing: { mark: 0x10 } }",
    "CONFIG_QUOTE_IT 1:29 gateway.routing.mark",
  ],
  [
    "a multicast address to listen on",
    "gateway: { listen: [192.0.2.1, 224.0.0.1] }",
    "CONFIG_BAD_VALUE 1:32 gateway.listen[1]",
  ],
  [
    "a relative socket",
    "gateway: { control: { path: x.sock } }",
    "CONFIG_BAD_VALUE 1:29 gateway.control.path",
  ],
  ["another version", "version: 2", "CONFIG_BAD_VALUE 1:10 version"],
  ["a list of connections", "connections: [a]", "CONFIG_WRONG_TYPE 1:14 connections"],
  ["an empty gateway", "gateway:\n", "CONFIG_WRONG_TYPE 1:1 gateway"],
  ["a name with a slash", paris().replace("paris:", "pa/ris:"), "CONFIG_BAD_VALUE 2:3 connections.pa/ris"],
  ["a policy for nothing", "policies: [{ action: discard }]", "CONFIG_MISSING_KEY 1:12 policies[0]"],
  [
    "a policy that protects",
    "policies: [{ action: protect, remote: 10.0.0.0/8 }]",
    "CONFIG_NOT_SUPPORTED 1:22 policies[0].action",
  ],
  [
    "a policy on no device",
    "policies: [{ action: discard, remote: 10.0.0.0/8, interface: x0 }]",
    "CONFIG_CONFLICT 1:62 policies[0].interface",
  ],
  [
    "a part of a distinguished name that nobody knows",
    paris('local: { id: "CN=gw, Org=Example" }'),
    "CONFIG_BAD_VALUE 7:18 connections.paris.local.id",
  ],
  ["strongSwan's word", paris("dpd_delay: 30s"), "CONFIG_UNKNOWN_KEY 7:5 connections.paris.dpd_delay"],
  [
    "a port without protocol",
    paris("", "lan: { local: { prefix: 10.1.0.0/16, port: 80 }, remote: 10.2.0.0/16 }"),
    "CONFIG_SELECTOR 6:21 connections.paris.children.lan.local",
  ],
])("%s is refused at its place", (_name, text, place) => {
  expect(placesOf(text)).toContain(place);
});

test("[ESP-25] a weak or readable proposal is warned of where it stands, the default is not", () => {
  const warnings = (text: string) =>
    load(text).warnings.map(({ code, path, message }) => `${code} ${path} ${message}`);
  const withEsp = (esp: string) =>
    paris("", `lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16, esp: [${esp}] }`);
  expect(warnings(withEsp("aes256gcm16, 3des-sha1, 3des-sha256"))).toEqual([
    expect.stringMatching(
      /^CONFIG_PROPOSAL_WEAK connections\.paris\.children\.\w+\.esp 3des is weak.*aes256gcm16/,
    ),
  ]);
  expect(warnings(withEsp("null-sha256, aes128gmac"))).toHaveLength(2);
  expect(warnings(withEsp("default, aes128ccm8, aes128ctr-aesxcbc"))).toEqual([]);
});

test("connections that no caller could tell apart get a warning, those with identities do not", () => {
  const twin = paris("interface: tun1").replace("connections:\n", "").replace("paris:", "oslo:");
  const warnings = (text: string) =>
    load(text).warnings.map(({ code, line, path }) => `${code} ${line} ${path}`);
  expect(warnings(paris() + twin)).toEqual(["CONFIG_CONFLICT 8 connections.oslo.remote"]);
  expect(warnings(paris() + twin.replace("198.51.100.2", "198.51.100.2, id: oslo.example.net"))).toEqual([]);
});

test("listening on one family only, a peer of the other cannot be reached", () => {
  expect(placesOf(`gateway: { listen: "2001:db8::1" }\n${paris()}`)).toEqual([
    "CONFIG_CONFLICT 4:24 connections.paris.remote.address",
  ]);
});

test("children that claim the same packets are refused, and both lines are named", () => {
  const two =
    "lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16 }\n      web: { local: 10.1.1.0/24, remote: 10.0.0.0/8 }";
  const [problem, ...more] = problemsOf(paris("", two));
  expect(more).toEqual([]);
  expect(problem).toMatchObject({ code: "CONFIG_OVERLAP", line: 7, path: "connections.paris.children.web" });
  expect(problem!.message).toMatch(/line 7.*line 6/);
  expect(load(paris("", two.replace("10.0.0.0/8 }", "10.0.0.0/8, priority: 1 }"))).connections).toHaveLength(
    1,
  );
  expect(load(paris("", two.replace("10.1.1.0/24", "10.3.0.0/24"))).connections).toHaveLength(1);
});

test("devices of their own keep overlapping children apart", () => {
  const other = paris("interface: tun1").replace("connections:\n", "").replace("paris:", "oslo:");
  expect(load(paris() + other).gateway.interfaces.map(({ name }) => name)).toEqual(["tungate0", "tun1"]);
  expect(placesOf(paris() + other.replace("tun1", "tungate0"))).toEqual([
    "CONFIG_OVERLAP 11:7 connections.oslo.children.lan",
  ]);
});

test.each<[string, Parameters<typeof problemsOf>[0], string, string]>([
  ["a missing file", { kind: "missing" }, "CONFIG_FILE_MISSING", "-c FILE"],
  [
    "an unreadable file",
    { kind: "unreadable", reason: "it is a directory" },
    "CONFIG_FILE_UNREADABLE",
    "directory",
  ],
  ["a huge file", "#".repeat(CONFIGURATION_OCTETS_MAX + 1), "CONFIG_FILE_TOO_BIG", "octets"],
  [
    "a file that anyone may change",
    { kind: "file", bytes: utf8(paris()), mode: 0o666 },
    "CONFIG_FILE_WRITABLE",
    "chmod",
  ],
  ["a binary file", Uint8Array.of(0x7f, 0x45, 0x4c, 0x46, 0xff), "CONFIG_FILE_NOT_TEXT", "YAML"],
  ["an empty file", "# nothing\n", "CONFIG_FILE_EMPTY", "example"],
  ["half a file", "connections:\n  paris:\n    remote: { address: 198.51", "CONFIG_SYNTAX", "YAML"],
  ["tabs", "gateway:\n\tlisten: all\n", "CONFIG_SYNTAX", "spaces"],
  ["a key twice", "version: 1\nversion: 1\n", "CONFIG_SYNTAX", "second time"],
  [
    "a key twice, further down",
    "gateway:\n  listen: 192.0.2.1\n  listen: 192.0.2.1\n",
    "CONFIG_SYNTAX",
    "second time",
  ],
  ["two documents", "version: 1\n---\nversion: 1\n", "CONFIG_SYNTAX", "one document"],
  ["a list", "- 1\n", "CONFIG_WRONG_TYPE", "mapping"],
  ["deep nesting", `x: ${"[".repeat(20_000)}${"]".repeat(20_000)}`, "CONFIG_SYNTAX", "deep"],
  ["an unknown alias", "version: *x\n", "CONFIG_SYNTAX", "anchor"],
])("%s is refused in a sentence", (_name, content, code, words) => {
  const [problem] = problemsOf(content);
  expect(problem!.code).toBe(code);
  expect(problem!.message).toContain(words);
});

test("aliases that multiply are stopped", () => {
  const lines = Array.from(
    { length: 12 },
    (_, i) => `a${i + 1}: &a${i + 1} [${new Array(10).fill(`*a${i}`).join(", ")}]`,
  );
  const [problem] = problemsOf(`a0: &a0 [x]\n${lines.join("\n")}\n`);
  expect(problem!.code).toBe("CONFIG_SYNTAX");
});

test("an anchor may be used again, and one that contains itself may not", () => {
  const shared = paris().replace("{ address: 198.51.100.2 }", "&r { address: 198.51.100.2 }");
  const other = paris("interface: tun1")
    .replace("connections:\n", "")
    .replace("paris:", "oslo:")
    .replace(/remote: \{ address.*\}/, "remote: *r");
  expect(load(shared + other).connections).toHaveLength(2);
  expect(problemsOf("gateway: &g\n  tun: *g\n")[0]!.code).toBe("CONFIG_SYNTAX");
});

test("a file with very many mistakes is cut short", () => {
  const text = `gateway:\n${Array.from({ length: 80 }, (_, i) => `  unknown${i}: 1`).join("\n")}\n`;
  const problems = problemsOf(text);
  expect(problems).toHaveLength(51);
  expect(problems.at(-1)!.message).toContain("30 more");
});

test("a megabyte of keys is refused before anybody loses patience", () => {
  const text = Array.from({ length: 100_000 }, (_, i) => `k${i}: 1\n`).join("");
  const problems = problemsOf(text);
  expect(problems.at(-1)!.message).toMatch(/and \d{5} more problems/);
});

test("keys and values that would command a terminal do not reach it", () => {
  const problems = problemsOf('"\\e[2Jx": 1\nconnections:\n  "\\u202ea\\n": { "\\u009b2Jy": 1 }\n');
  const text = problems.map(({ path, message }) => `${path} ${message}`).join("");
  expect(text).toContain("?[2Jx");
  expect(text).not.toMatch(/[\p{Cc}\p{Cf}]/u);
});

test("any text is a configuration or a ConfigError, and the error shows no secret", () => {
  const word = fc.constantFrom(
    ..."version gateway connections policies paris local remote address id psk file children lan esp ike rekey manual out in key spi any up 10.1.0.0/16 198.51.100.2 secrets/paris 1h 500 null true ~ __proto__ constructor toString".split(
      " ",
    ),
  );
  const piece = fc.oneof(
    { weight: 5, arbitrary: word },
    {
      weight: 5,
      arbitrary: fc.constantFrom(
        ": ",
        "\n",
        "\n  ",
        "\n    ",
        "- ",
        "{ ",
        " }",
        "[",
        "]",
        ", ",
        "&a ",
        "*a",
        "!!x ",
        "|",
        "'",
        '"',
        "\t",
        "? ",
        "#",
      ),
    },
    { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 5 }) },
  );
  const lines = paris(
    "manual:\n  m: { local: 10.8.0.0/16, remote: 10.9.0.0/16, state: s, out: { spi: 300, esp: aes256gcm16, key: '0x00' }, in: { spi: 301 } }",
  ).split("\n");
  const damaged = fc
    .array(fc.tuple(fc.nat(lines.length - 1), fc.array(piece, { maxLength: 4 })), { maxLength: 4 })
    .map((edits) => {
      const copy = [...lines];
      for (const [at, pieces] of edits) copy[at] = `${copy[at]!.slice(0, 20)}${pieces.join("")}`;
      return copy.join("\n");
    });
  const soup = fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join(""));
  fc.assert(
    fc.property(fc.oneof(soup, damaged, fc.string()), (text) => {
      try {
        load(text);
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigError);
        const { problems, message } = error as ConfigError;
        expect(problems.length).toBeGreaterThan(0);
        expect(problems.every(({ line, column }) => line >= 1 && column >= 1)).toBe(true);
        expect(message).not.toContain(KEY);
      }
    }),
    { numRuns: 400 },
  );
});

test("the key that was read is gone from memory when the file is refused", () => {
  const secret = utf8(`${KEY}\n`);
  const reading = { kind: "file", bytes: secret, mode: 0o600 } as const;
  problemsOf(paris("nonsense: 1"), { files: { "secrets/paris": reading } });
  expect(toHex(secret.subarray(0, KEY.length))).toBe("00".repeat(KEY.length));
});

test("offloads can be switched off one by one", () => {
  const { gateway } = load(
    `gateway: { offloads: { tso: off, udp_gro: auto, udp_segment: "off" } }\n${paris()}`,
  );
  expect(gateway.offloads).toEqual({
    tso: false,
    uso: true,
    coalescing: true,
    udpSegment: false,
    udpGro: true,
  });
  expect(problemsOf(`gateway: { offloads: { gro: off } }\n${paris()}`)).toHaveLength(1);
  expect(problemsOf(`gateway: { offloads: { tso: no } }\n${paris()}`)).toHaveLength(1);
});
