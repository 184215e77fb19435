/** Postquantum preshared keys between two machines: required, optional, unknown, with signatures and additional key exchanges (RFC 8784). */
import { expect, test } from "vitest";
import { utf8 } from "../../src/base/bytes.ts";
import { seconds } from "../../src/base/instant.ts";
import type { Connection } from "../../src/policy/connection.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { expectConverged } from "./ike-invariants.ts";
import { GCM_X25519, type IkeNode, pair, perfectNetwork, World } from "./ike-world.ts";

type PpkSetting = NonNullable<Connection["ppk"]>;
const key = (id: string, secret = `${id} has a secret of its own`) => ({
  id: utf8(id),
  secret: utf8(secret),
});
const required = (...keys: PpkSetting["keys"]): PpkSetting => ({ keys, isRequired: true });
const optional = (...keys: PpkSetting["keys"]): PpkSetting => ({ keys, isRequired: false });

function connect(a: PpkSetting | undefined, b: PpkSetting | undefined, additionalKe?: number[][]) {
  const world = new World();
  const ike = { proposals: [additionalKe === undefined ? GCM_X25519 : { ...GCM_X25519, additionalKe }] };
  const with_ = (ppk: PpkSetting | undefined) => ({ ike, ...(ppk === undefined ? {} : { ppk }) });
  const nodes = pair(world, with_(a), { keep: "respond", ...with_(b) });
  return { world, a: nodes[0], b: nodes[1] };
}

const hasPpk = (node: IkeNode) => node.state().ikeSa?.suite.hasPpk === true;

test.each([
  ["required by both", required(key("one")), required(key("one"))],
  ["optional for both", optional(key("one")), optional(key("one"))],
  ["required by one, optional for the other", required(key("one")), optional(key("one"))],
  ["the second of the responder's", required(key("one")), required(key("two"), key("one"))],
])("[PQ-01] [PQ-03] %s: it is used, and rekeys keep it", (_, ofA, ofB) => {
  const { world, a, b } = connect(ofA, ofB, [[36]]);
  world.run(seconds(3));
  expectConverged(a, b, ["lan"]);
  expect([hasPpk(a), hasPpk(b)]).toEqual([true, true]);
  b.command({ kind: "rekey", target: { connection: "net" } });
  world.run(seconds(60));
  a.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  world.run(seconds(30));
  expectConverged(a, b, ["lan"]);
  expect([hasPpk(a), hasPpk(b)]).toEqual([true, true]);
});

test.each([
  ["the responder has none", optional(key("one")), undefined],
  ["the initiator has none", undefined, optional(key("one"))],
  ["they have different ones", optional(key("one")), optional(key("two"))],
])("[PQ-03] optional, and %s: it comes up without", (_, ofA, ofB) => {
  const { world, a, b } = connect(ofA, ofB);
  world.run(seconds(3));
  expectConverged(a, b, ["lan"]);
  expect([hasPpk(a), hasPpk(b)]).toEqual([false, false]);
});

test("[PQ-03] one name for two secrets is a wrong key: NO_PPK_AUTH is no way around it", () => {
  const { world, a, b } = connect(optional(key("one", "this")), optional(key("one", "that")));
  world.run(seconds(3));
  expect(a.count("ikeSaUp") + b.count("ikeSaUp")).toBe(0);
  expect(b.find("authenticationFailed")).toBeDefined();
});

test("[PQ-04] we require one and the peer says nothing of any: no IKE_AUTH leaves", () => {
  const { world, a, b } = connect(required(key("one")), undefined);
  world.run(seconds(10));
  expect(a.find("ppkRefused")).toMatchObject({ reason: "notSupported" });
  expect(world.wire.some(({ bytes }) => bytes[18] === ExchangeType.IKE_AUTH)).toBe(false);
  expect(b.count("ikeSaUp")).toBe(0);
});

test("[PQ-04] the responder requires one and the initiator has none: AUTHENTICATION_FAILED, and no child", () => {
  const { world, a, b } = connect(undefined, required(key("one")));
  world.run(seconds(3));
  expect(b.find("ppkRefused")).toMatchObject({ reason: "notUsed" });
  expect(a.find("authenticationRejectedByPeer")).toBeDefined();
  expect(b.dataPlane.pairs.size).toBe(0);
});

test("[PQ-03] [PQ-05] the responder does not know the one that the initiator requires: refused, with its name", () => {
  const { world, a, b } = connect(required(key("one")), optional(key("two")));
  world.run(seconds(3));
  expect(b.find("ppkRefused")).toMatchObject({ reason: "unknown", id: utf8("one") });
  expect(a.count("ikeSaUp") + b.count("ikeSaUp")).toBe(0);
});

test("[PQ-04] USE_PPK that was taken out of the responses on the way is missed, and a better response is waited for", () => {
  const { world, a, b } = connect(required(key("one")), required(key("one")));
  let forged = 0;
  world.network = (datagram, random) => {
    const isResponse = (datagram.bytes[19]! & 0x20) !== 0;
    if (datagram.bytes[18] !== ExchangeType.IKE_SA_INIT || !isResponse || forged++ > 0)
      return perfectNetwork(datagram, random);
    const bytes = Buffer.from(datagram.bytes);
    bytes[bytes.indexOf(Buffer.from([0x40, NotifyType.USE_PPK & 0xff]))] = 0xa0;
    return [{ datagram: { ...datagram, bytes: new Uint8Array(bytes) }, delay: 1 }];
  };
  world.run(seconds(10));
  expectConverged(a, b, ["lan"]);
  expect(hasPpk(a)).toBe(true);
});
