/** `remote.ids`: many peers of one connection, each checked at its own place. */
import { describe, expect, test } from "vitest";
import { fromUtf8, utf8 } from "../../../src/base/bytes.ts";
import type { Connection } from "../../../src/policy/connection.ts";
import { policyOf } from "../../../src/policy/connection.ts";
import { formatIdentity } from "../../../src/policy/identity-text.ts";
import { formatSelectorPair } from "../../../src/policy/selector-text.ts";
import { keyNamed } from "../../sim/ike-signatures.ts";
import { load, placesOf, problemsOf } from "./memory-reader.ts";

const pem = (label: string, bytes: Uint8Array) =>
  `-----BEGIN ${label}-----\n${Buffer.from(bytes).toString("base64")}\n-----END ${label}-----\n`;
const files = {
  "secrets/a": "key of the first branch",
  "secrets/b": "key of the second branch",
  "secrets/hub": "key of all the branches",
  "b.pub": pem("PUBLIC KEY", keyNamed("peer").publicKey),
};
const LAN = "lan: { local: 10.0.0.0/16, remote: 10.128.0.0/9 }";

/** A hub; `ids` has one entry a line. */
function hub(ids: string, { remote = "", more = "", children = LAN } = {}): string {
  const entries = ids.replaceAll("\n", "\n        ");
  return `connections:
  hub:
    local: { id: hub.example.net }
    remote:
      ids:
        ${entries}
${remote === "" ? "" : `      ${remote}\n`}    children: { ${children} }
${more === "" ? "" : `    ${more}\n`}`;
}
const made = (text: string): readonly Connection[] =>
  load(text, { files }).connections.map(({ connection }) => connection);
const secretOf = ({ kind, ...rest }: Connection["local"]["auth"] | Connection["remote"]["auth"]) =>
  kind === "psk" && "secret" in rest ? fromUtf8(rest.secret) : kind;
const TWO = "a.example.net: { psk: { file: secrets/a } }\nb.example.net: { psk: { file: secrets/b } }";

describe("what entries make", () => {
  test("a connection for each identity, which has the key of both directions and may call from anywhere", () => {
    const [a, b, ...rest] = made(hub(TWO));
    expect(rest).toEqual([]);
    expect([a!.name, b!.name]).toEqual(["hub#1", "hub#2"]);
    for (const [one, id, key] of [
      [a!, "a.example.net", files["secrets/a"]],
      [b!, "b.example.net", files["secrets/b"]],
    ] as const) {
      expect(one.oneOf).toEqual({ connection: "hub", networks: "shared" });
      expect(one.remote.addresses).toEqual([]);
      expect(one.keep).toBe("respond");
      expect(typeof one.remote.id === "object" && formatIdentity(one.remote.id, String)).toBe(id);
      expect([secretOf(one.local.auth), secretOf(one.remote.auth)]).toEqual([key, key]);
      expect(policyOf(one, "lan")).toBe("hub/lan");
      expect(one.children.map(({ keep }) => keep)).toEqual(["respond"]);
    }
    expect([a!.place.line, b!.place.line]).toEqual([6, 7]);
  });

  test("networks of an entry narrow the children, each of which is a policy of its own then", () => {
    const children = `${LAN}, voice: { local: 10.1.0.0/16, remote: 10.200.0.0/16 }`;
    const [a, b] = made(
      hub(
        "a.example.net: { psk: { file: secrets/a }, networks: [10.129.0.0/16] }\nb.example.net: { psk: { file: secrets/b }, networks: [10.130.0.0/16, 10.200.7.0/24] }",
        { children },
      ),
    );
    const shown = (one: Connection) =>
      one.children.map((child) => [policyOf(one, child.name), formatSelectorPair(child.selectors)]);
    expect(shown(a!)).toEqual([["hub#1/lan", "10.0.0.0/16 <-> 10.129.0.0/16"]]);
    expect(shown(b!)).toEqual([
      ["hub#2/lan", "10.0.0.0/16 <-> 10.130.0.0/16, 10.200.7.0/24"],
      ["hub#2/voice", "10.1.0.0/16 <-> 10.200.7.0/24"],
    ]);
  });

  test("who has an address is called there, the others call", () => {
    const [a, b, c] = load(
      hub(
        "a.example.net: { psk: { file: secrets/a }, address: 198.51.100.7, port: 5000 }\nb.example.net: { psk: { file: secrets/b } }\nc.example.net: { psk: { file: secrets/hub }, address: [c.example.net], keep: on-demand }",
        { children: "lan: { local: 10.0.0.0/16, remote: 10.128.0.0/9, keep: up }" },
      ),
      { files },
    ).connections;
    expect([a, b, c].map((one) => one!.connection.keep)).toEqual(["up", "respond", "on-demand"]);
    expect([a, b, c].map((one) => one!.connection.children[0]!.keep)).toEqual(["up", "respond", "up"]);
    expect(a!.connection.remote).toMatchObject({ port: 5000, addresses: [expect.anything()] });
    expect(c!.remoteNames).toEqual(["c.example.net"]);
  });

  test("an entry that says nothing has what remote says of all, one that does replaces it", () => {
    const text = hub(
      'a.example.net:\n"keyid:0xc0ffee": { public_key: b.pub }\nb.example.net: { psk: { file: secrets/b } }',
      {
        remote: "psk: { file: secrets/hub }",
        more: "psk: { file: secrets/a }",
      },
    );
    const [a, key, b] = made(text);
    expect([secretOf(a!.local.auth), secretOf(a!.remote.auth)]).toEqual([
      files["secrets/a"],
      files["secrets/hub"],
    ]);
    expect(key!.remote.auth).toEqual({ kind: "pubkey", keys: [keyNamed("peer").publicKey] });
    expect(secretOf(key!.local.auth)).toBe(files["secrets/a"]);
    expect([secretOf(b!.local.auth), secretOf(b!.remote.auth)]).toEqual([
      files["secrets/b"],
      files["secrets/b"],
    ]);
  });

  test("several peers with one key are warned of", () => {
    const { warnings } = load(hub(TWO.replace("secrets/b", "secrets/a")), { files });
    expect(warnings.map(({ code, line, message }) => [code, line, message])).toEqual([
      ["CONFIG_SECRET_WEAK", 7, expect.stringContaining("has the same key as a.example.net")],
    ]);
    expect(load(hub(TWO), { files }).warnings).toEqual([]);
  });
});

const A = "a.example.net: { psk: { file: secrets/a } }";
const refusedAt = (text: string) =>
  placesOf(text, { files }).map((one) => one.split(" ").slice(0, 2).join(" "));
const reasons = (text: string) =>
  problemsOf(text, { files })
    .map(({ message }) => message)
    .join("\n");

describe("what is refused, at its place", () => {
  test.each([
    ["no entries", hub("{}"), "CONFIG_BAD_VALUE 6:9", "names nobody"],
    ["a list", hub("[a.example.net]"), "CONFIG_WRONG_TYPE 6:9", "has to be a mapping"],
    ["any", hub(`${A}\nany: { psk: { file: secrets/b } }`), "CONFIG_BAD_VALUE 7:9", "any is no entry here"],
    ["no identity", hub("ip:x: { psk: { file: secrets/a } }"), "CONFIG_BAD_VALUE 6:9", "no identity"],
    [
      "an identity twice, written differently",
      hub(`${A}\nfqdn:A.example.NET: { psk: { file: secrets/b } }`),
      "CONFIG_CONFLICT 7:9",
      "line 6 once more",
    ],
    [
      "patterns that overlap",
      hub(
        '"*.example.net": { psk: { file: secrets/a } }\n"*.north.example.net": { psk: { file: secrets/b } }',
      ),
      "CONFIG_OVERLAP 7:9",
      "line 6 both stand for some peers",
    ],
    [
      "patterns of names that overlap",
      hub(
        '"dn:O=Example, OU=North, CN=*": { psk: { file: secrets/a } }\n"dn:O=Example, OU=*, CN=gw": { psk: { file: secrets/b } }',
      ),
      "CONFIG_OVERLAP 7:9",
      "both stand for",
    ],
    ["remote.id beside it", hub(A, { remote: "id: b.example.net" }), "CONFIG_CONFLICT 7:11", "leave id out"],
    [
      "another authentication than remote says",
      hub(A, { remote: "auth: certificate" }),
      "CONFIG_CONFLICT 6:31",
      "means auth: psk, and remote or this entry says auth: certificate",
    ],
    [
      "two ways to prove one identity",
      hub("a.example.net: { psk: { file: secrets/a }, public_key: b.pub }"),
      "CONFIG_CONFLICT 6:64",
      "does not go with psk beside it",
    ],
    ["no key", hub("a.example.net: {}"), "CONFIG_MISSING_KEY 6:9", "has no psk"],
    [
      "keep: up without an address",
      hub(A, { more: "keep: up" }),
      "CONFIG_CONFLICT 6:9",
      "has no address to call, which keep: up needs",
    ],
    [
      "networks of some only",
      hub(`${A}\nb.example.net: { psk: { file: secrets/b }, networks: 10.129.0.0/16 }`),
      "CONFIG_MISSING_KEY 6:9",
      "needs networks, as other entries have",
    ],
    [
      "networks that no child has",
      hub("a.example.net: { psk: { file: secrets/a }, networks: [10.129.0.0/16, 192.168.0.0/24] }"),
      "CONFIG_CONFLICT 6:78",
      "no child has 192.168.0.0/24 among its remote networks",
    ],
    [
      "networks with ports",
      hub('a.example.net: { psk: { file: secrets/a }, networks: "10.129.0.0/16[tcp/80]" }'),
      "CONFIG_SELECTOR 6:62",
      "without protocol and ports",
    ],
    [
      "networks of two peers that overlap",
      hub(
        "a.example.net: { psk: { file: secrets/a }, networks: 10.129.0.0/16 }\nb.example.net: { psk: { file: secrets/b }, networks: 10.129.7.0/24 }",
      ),
      "CONFIG_OVERLAP 7:52",
      "hub#2/lan",
    ],
    [
      "on-demand for peers with the same networks",
      hub(
        "a.example.net: { psk: { file: secrets/a }, address: 198.51.100.1 }\nb.example.net: { psk: { file: secrets/b }, address: 198.51.100.2 }",
        { more: "keep: on-demand" },
      ),
      "CONFIG_CONFLICT 8:17",
      "cannot tell which of the peers a packet is for",
    ],
    [
      "an unknown key",
      hub("a.example.net: { psk: { file: secrets/a }, network: 10.129.0.0/16 }"),
      "CONFIG_UNKNOWN_KEY 6:52",
      'did you mean "networks"?',
    ],
  ])("%s", (_, text, place, words) => {
    expect(reasons(text)).toContain(words);
    expect(refusedAt(text)).toEqual([place]);
  });

  test("an identity that another connection has at the same addresses", () => {
    const other = (address: string, local = "") =>
      `${hub(A)}  other:\n    remote: { address: ${address}, id: A.example.net }\n${local}    psk: { file: secrets/b }\n    children: { lan: { local: 10.3.0.0/16, remote: 10.4.0.0/16 } }\n`;
    expect(reasons(`${other("any", "    local: { id: hub.example.net }\n")}`)).toContain(
      "hub (line 6) names the same identity at the same addresses",
    );
    // Told apart by the addresses, or by what the peer calls us.
    expect(made(other("198.51.100.0/24", "    local: { id: hub.example.net }\n"))).toHaveLength(2);
    expect(made(other("any", "    local: { id: gate.example.net }\n"))).toHaveLength(2);
  });

  test("manual children, which have one peer", () => {
    const text = hub(A).replace(
      "    children:",
      '    manual: { m: { local: 10.8.0.0/16, remote: 10.9.0.0/16, out: { spi: 0x100, esp: aes256-sha256, key: "0x00" }, in: { spi: 0x101, key: "0x00" } } }\n    children:',
    );
    expect(reasons(text)).toContain("manual children have one peer");
  });
});

test("a peer's secret is its own octets", () => {
  const [a] = made(hub(TWO));
  expect(a!.local.auth).toEqual({ kind: "psk", secret: utf8(files["secrets/a"]) });
});
