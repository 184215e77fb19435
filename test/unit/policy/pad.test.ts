import { describe, expect, test } from "vitest";
import { parsePrefix, prefixRange } from "../../../src/base/address-range.ts";
import { utf8 } from "../../../src/base/bytes.ts";
import { DurationMs } from "../../../src/base/instant.ts";
import { IpAddress, parseIpAddress } from "../../../src/base/ip-address.ts";
import { countNaming, crowdsFor, indexCallers } from "../../../src/policy/caller-index.ts";
import type { Connection, Identification } from "../../../src/policy/connection.ts";
import {
  connectionsFor,
  connectionsForIdentities,
  expectedIdentity,
  isPattern,
  localIdentity,
  matchIdentity,
} from "../../../src/policy/pad.ts";
import { IdType } from "../../../src/wire/ike/registries.ts";
import { name } from "../pki/certificate-maker.ts";

const address = (text: string): IpAddress => IpAddress(parseIpAddress(text)!);
const fqdn = (name: string): Identification => ({ idType: IdType.FQDN, data: utf8(name) });
const mail = (name: string): Identification => ({ idType: IdType.RFC822_ADDR, data: utf8(name) });

const NO_SECRET = { kind: "psk", secret: new Uint8Array() } as const;

function connection(
  name: string,
  remotes: readonly string[],
  more: { local?: string; localId?: Identification; remoteId?: Identification | "any" } = {},
): Connection {
  const place = { file: "t.yaml", line: 1 };
  const rekey = { time: DurationMs(1), jitter: 0 };
  return {
    name,
    local: {
      ...(more.local !== undefined && { address: address(more.local) }),
      ...(more.localId !== undefined && { id: more.localId }),
      auth: NO_SECRET,
    },
    remote: {
      addresses: remotes.map((text) => prefixRange(parsePrefix(text)!)),
      port: 500,
      ...(more.remoteId !== undefined && { id: more.remoteId }),
      auth: NO_SECRET,
    },
    keep: "respond",
    encapsulation: "auto",
    ike: { proposals: [], rekey, liveness: DurationMs(1), place },
    children: [],
    place,
  };
}

describe("identities", () => {
  test("FQDNs and mail domains know no case, everything else does", () => {
    expect(matchIdentity(fqdn("gw-a.example.net"), fqdn("GW-A.Example.NET"))).toBe(true);
    expect(matchIdentity(mail("ops@example.net"), mail("ops@EXAMPLE.net"))).toBe(true);
    expect(matchIdentity(mail("ops@example.net"), mail("Ops@example.net"))).toBe(false);
    const keyId = (text: string) => ({ idType: IdType.KEY_ID, data: utf8(text) });
    expect(matchIdentity(keyId("a"), keyId("A"))).toBe(false);
  });

  test("[AUTH-09] a pattern expects what ends like it, and nobody presents one", () => {
    const below = fqdn("*.Example.net");
    expect(matchIdentity(below, fqdn("gw.example.NET"))).toBe(true);
    expect(matchIdentity(below, fqdn("a.b.example.net"))).toBe(true);
    for (const other of [
      "example.net",
      ".example.net",
      "gw.example.net.org",
      "gwexample.net",
      "*.example.net",
      "*.b.example.net",
    ])
      expect(matchIdentity(below, fqdn(other)), other).toBe(false);
    expect(matchIdentity(mail("*@example.net"), mail("ops@EXAMPLE.net"))).toBe(true);
    expect(matchIdentity(mail("*@example.net"), mail("ops@sub.example.net"))).toBe(false);
    expect(matchIdentity(fqdn("gw.example.net"), below)).toBe(false);
    const dn = (text: string) => ({ idType: IdType.DER_ASN1_DN, data: name(text) });
    expect(matchIdentity(dn("O=Example, CN=*"), dn("O=EXAMPLE, CN=gw"))).toBe(true);
    expect(matchIdentity(dn("O=Example, CN=*"), dn("O=Other, CN=gw"))).toBe(false);
    const one = (id: Identification) => isPattern(id);
    expect([below, mail("*@a"), dn("CN=*"), fqdn("a.*"), dn("CN=a*")].map(one)).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });

  test("type and length count", () => {
    expect(matchIdentity(fqdn("a@b"), mail("a@b"))).toBe(false);
    expect(matchIdentity(fqdn("example.net"), fqdn("example.netx"))).toBe(false);
    expect(matchIdentity(fqdn("example.net"), fqdn("example.ne"))).toBe(false);
  });

  test("without a configured identity it is the address", () => {
    const plain = connection("c", ["198.51.100.2"]);
    expect(localIdentity(plain, address("192.0.2.1"))).toEqual({
      idType: IdType.IPV4_ADDR,
      data: address("192.0.2.1"),
    });
    expect(expectedIdentity(plain, address("2001:db8::1"))).toMatchObject({ idType: IdType.IPV6_ADDR });
  });
});

describe("connections by address", () => {
  const all = [
    connection("any", []),
    connection("wide", ["198.51.0.0/16"]),
    connection("exact", ["198.51.100.2"]),
    connection("six", ["2001:db8::/32"]),
    connection("bound", ["198.51.100.0/24"], { local: "192.0.2.9" }),
    connection("both", ["198.51.100.9", "198.51.100.10", "10.0.0.0/8"]),
    connection("same", ["198.51.100.9", "198.51.100.9"]),
  ];
  const index = indexCallers(all);
  const found = (remote: string, local = "192.0.2.1") => {
    const searched = connectionsFor(all, address(local), address(remote)).map(({ name }) => name);
    expect(
      crowdsFor(index, address(local), address(remote))
        .flat()
        .map(({ name }) => name),
    ).toEqual(searched);
    return searched;
  };

  test("the narrowest comes first, any last", () => {
    expect(found("198.51.100.2")).toEqual(["exact", "wide", "any"]);
    expect(found("198.51.100.2", "192.0.2.9")).toEqual(["exact", "bound", "wide", "any"]);
    expect(found("2001:db8::7")).toEqual(["six", "any"]);
    expect(found("203.0.113.1")).toEqual(["any"]);
  });

  test("an index by address finds the same ones, in the same order", () => {
    expect(found("198.51.100.9")).toEqual(["both", "same", "wide", "any"]);
    expect(found("198.51.100.10")).toEqual(["both", "wide", "any"]);
    expect(found("10.9.9.9")).toEqual(["both", "any"]);
    expect(countNaming(index, address("198.51.100.9"))).toBe(2);
    expect(countNaming(index, address("10.0.0.0"))).toBe(0);
  });

  test("those that are alike are looked at as one, in the same order", () => {
    const proposals = connection("", []).ike;
    const shared = (name: string, remotes: readonly string[], more = {}) => ({
      ...connection(name, remotes, more),
      ike: proposals,
    });
    const peers = [
      shared("a", []),
      shared("b", []),
      shared("c", ["198.51.100.2"]),
      shared("d", ["198.51.100.2"]),
      shared("e", []),
      connection("k", []),
      shared("f", [], { local: "192.0.2.9" }),
      shared("g", ["198.51.100.2", "10.0.0.0/8"]),
      shared("h", ["198.51.100.2"]),
      shared("i", ["10.0.0.0/8"]),
      { ...shared("j", ["10.0.0.0/8"]), keep: "on-demand" as const },
    ];
    const many = indexCallers(peers);
    const crowds = (remote: string, local = "192.0.2.1") => {
      const found = crowdsFor(many, address(local), address(remote));
      expect(found.flat()).toEqual(connectionsFor(peers, address(local), address(remote)));
      return found.map((crowd) => crowd.map(({ name }) => name).join(""));
    };
    expect(crowds("203.0.113.1")).toEqual(["abe", "k"]);
    expect(crowds("203.0.113.1", "192.0.2.9")).toEqual(["abe", "k", "f"]);
    expect(crowds("198.51.100.2")).toEqual(["cd", "g", "h", "abe", "k"]);
    expect(crowds("10.1.1.1")).toEqual(["g", "i", "j", "abe", "k"]);
    expect(countNaming(many, address("198.51.100.2"))).toBe(4);
  });
});

describe("connections by identity", () => {
  const own = { localId: fqdn("us") };
  const all = [
    connection("anyone", [], { ...own, remoteId: "any" }),
    connection("paris", [], { ...own, remoteId: fqdn("paris") }),
    connection("other-us", [], { localId: fqdn("them"), remoteId: fqdn("paris") }),
  ];
  const find = (presented: Identification, wanted?: Identification) =>
    connectionsForIdentities(all, address("192.0.2.1"), address("198.51.100.2"), presented, wanted).map(
      ({ name }) => name,
    );

  test("[AUTH-09] whom a connection names is nobody's of any, and the peer's wish for our identity counts", () => {
    expect(find(fqdn("paris"), fqdn("us"))).toEqual(["paris"]);
    expect(find(fqdn("paris"))).toEqual(["paris", "other-us"]);
    expect(find(fqdn("rome"), fqdn("us"))).toEqual(["anyone"]);
    expect(find(fqdn("paris"), fqdn("nobody"))).toEqual([]);
  });
});
