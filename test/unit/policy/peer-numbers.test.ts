/** Peers of `remote.ids` keep their numbers from one configuration to the next. */
import { expect, test } from "vitest";
import { utf8 } from "../../../src/base/bytes.ts";
import type { Connection, Identification } from "../../../src/policy/connection.ts";
import { identityKey, patternsOverlap } from "../../../src/policy/pad.ts";
import { connectionKey, keepNumbers, numbersGiven } from "../../../src/policy/peer-numbers.ts";
import { IdType } from "../../../src/wire/ike/registries.ts";
import { connection } from "../../sim/ike-world.ts";
import { name } from "../pki/certificate-maker.ts";

const fqdn = (text: string): Identification => ({ idType: IdType.FQDN, data: utf8(text) });
const mail = (text: string): Identification => ({ idType: IdType.RFC822_ADDR, data: utf8(text) });
const dn = (text: string): Identification => ({ idType: IdType.DER_ASN1_DN, data: name(text) });

/** The entries of a file, numbered by their place. */
function file(ids: readonly string[], of = "hub"): readonly { readonly connection: Connection }[] {
  return ids.map((id, i) => ({
    connection: {
      ...connection("192.0.2.1", [], { remote: { id: fqdn(id) } }),
      name: `${of}#${i + 1}`,
      oneOf: { connection: of, networks: "own" },
    },
  }));
}
const shown = (connections: readonly { readonly connection: Connection }[]) =>
  connections.map(({ connection: one }) => `${one.name} ${connectionKey(one)}`);
const key = (id: string, of = "hub") => `${of}#${identityKey(fqdn(id))}`;

test("who stays keeps the number, who comes gets one that nobody had, and asking twice changes nothing", () => {
  const running = file(["a", "b", "c"]).map(({ connection: one }) => one);
  const fresh = keepNumbers(file(["A", "d", "c", "e"]), running);
  expect(shown(fresh)).toEqual([
    `hub#1 ${key("a")}`,
    `hub#5 ${key("d")}`,
    `hub#3 ${key("c")}`,
    `hub#4 ${key("e")}`,
  ]);
  expect(keepNumbers(fresh, running)).toEqual(fresh);
  const names = fresh.map(({ connection: one }) => one.name);
  expect(new Set(names).size).toBe(names.length);
});

test("another order in the file gives nobody another one's name", () => {
  const running = file(["a", "b", "c"]).map(({ connection: one }) => one);
  expect(shown(keepNumbers(file(["c", "b", "a"]), running))).toEqual([
    `hub#3 ${key("c")}`,
    `hub#2 ${key("b")}`,
    `hub#1 ${key("a")}`,
  ]);
});

test("the number of a peer that is gone is nobody's, however many configurations later", () => {
  const plain = (entries: ReturnType<typeof file>) => entries.map(({ connection: one }) => one);
  const first = plain(file(["a", "b", "c"]));
  const given = numbersGiven(first);
  const second = plain(keepNumbers(file(["a", "b"]), first, given));
  const third = keepNumbers(file(["a", "b", "d"]), second, numbersGiven(second, given));
  expect(shown(third)).toEqual([`hub#1 ${key("a")}`, `hub#2 ${key("b")}`, `hub#4 ${key("d")}`]);
});

test("other connections, and those without peers to number, are left as they are", () => {
  const running = file(["a", "b"]).map(({ connection: one }) => one);
  const plain = { connection: connection("192.0.2.1", []) };
  const fresh = [plain, ...file(["b"], "gate")];
  expect(keepNumbers(fresh, running)).toEqual(fresh);
});

test("patterns overlap where some identity fits both", () => {
  const overlap = (a: Identification, b: Identification) => {
    expect(patternsOverlap(a, b)).toBe(patternsOverlap(b, a));
    return patternsOverlap(a, b);
  };
  expect(overlap(fqdn("*.example.net"), fqdn("*.north.EXAMPLE.net"))).toBe(true);
  expect(overlap(fqdn("*.south.example.net"), fqdn("*.north.example.net"))).toBe(false);
  expect(overlap(fqdn("*.example.net"), mail("*@example.net"))).toBe(false);
  expect(overlap(mail("*@example.net"), mail("*@north.example.net"))).toBe(false);
  expect(overlap(dn("O=Example, CN=*"), dn("O=*, CN=gw"))).toBe(true);
  expect(overlap(dn("O=Example, CN=*"), dn("O=Other, CN=*"))).toBe(false);
  expect(overlap(dn("O=Example, CN=*"), dn("O=Example, OU=*"))).toBe(false);
  expect(overlap(dn("O=Example, CN=*"), dn("CN=*"))).toBe(false);
});
