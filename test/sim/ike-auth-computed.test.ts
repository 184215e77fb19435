/** IKE_AUTH with proofs that somebody else computes, in their own time (RFC 7296 section 2.15). */
import { describe, expect, test } from "vitest";
import { equal, fromUtf8, toHex, utf8 } from "../../src/base/bytes.ts";
import { minutes, seconds } from "../../src/base/instant.ts";
import type { SigningKeyType } from "../../src/crypto/signature-scheme.ts";
import { find, findNotify } from "../../src/ike/exchange/payload-list.ts";
import type { Work } from "../../src/ike/machine.ts";
import type { OwnCertificate, PeerAuthentication } from "../../src/policy/connection.ts";
import { decodeMessage } from "../../src/wire/ike/message.ts";
import type { NotifyPayload, Payload } from "../../src/wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { expectConverged, expectGone } from "./ike-invariants.ts";
import { notifyTypes, RawPeer } from "./ike-raw-peer.ts";
import { ownKey, ownKeyNamed, peerKeys } from "./ike-signatures.ts";
import { badNetwork, type ConnectionChanges, connection, LAN_A, LAN_B, pair, World } from "./ike-world.ts";

const A: ConnectionChanges = { local: { auth: ownKey("key of A") }, remote: { auth: peerKeys("key of B") } };
const B: ConnectionChanges = {
  keep: "respond",
  local: { auth: ownKey("key of B") },
  remote: { auth: peerKeys("key of another", "key of A") },
};
const WRONG_SIGNATURE = { notProven: { check: "signature", flaw: { flaw: "wrong" } } };
const SECRET = { kind: "psk", secret: utf8("a secret for both") } as const;

const isProof = ({ kind }: Work) => kind === "sign" || kind === "verifyPeer";

/** How often a node was asked for each kind of proof. */
function asked(node: { readonly actions: readonly unknown[] }, kind: Work["kind"]): number {
  return (node.actions as readonly { kind: string; work?: Work }[]).filter(
    (action) => action.kind === "compute" && action.work?.kind === kind,
  ).length;
}

describe("both ends sign", () => {
  test("[AUTH-04] each proves its own key over its own octets, however long that takes", () => {
    for (const delay of [0, 7, 3000]) {
      const world = new World();
      world.computeDelay = (work) => (isProof(work) ? delay : 0);
      const [a, b] = pair(world, A, B);
      world.run(minutes(1));
      expectConverged(a, b, ["lan"]);
      for (const node of [a, b]) expect([asked(node, "sign"), asked(node, "verifyPeer")]).toEqual([1, 1]);
    }
  });

  test("[MID-06] a request repeated while its answer is computed is computed once and answered with the same octets", () => {
    const world = new World();
    world.computeDelay = (work) => (isProof(work) ? 4000 : 0);
    const [a, b] = pair(world, A, B);
    world.run(seconds(13));
    const requests = world.wire.filter(({ bytes }) => bytes[18] === 35 && (bytes[19]! & 0x20) === 0);
    expect(requests.length).toBeGreaterThan(2);
    const responses = world.wire.filter(({ bytes }) => bytes[18] === 35 && (bytes[19]! & 0x20) !== 0);
    expect(responses.every(({ bytes }) => equal(bytes, responses[0]!.bytes))).toBe(true);
    expect([asked(b, "verifyPeer"), asked(b, "sign")]).toEqual([1, 1]);
    world.run(minutes(1));
    expectConverged(a, b, ["lan"]);
  });

  test("[AUTH-21] a caller learns nothing of which identities are known: whoever it says it is, one signature is checked", () => {
    const named = (id: string) => ({ idType: 2, data: utf8(id) });
    const answering = (name: string, id: string, auth: PeerAuthentication) => {
      const changes = { ...B, remote: { id: named(id), auth } };
      return { ...connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], changes), name };
    };
    const outcomes = ["key", "psk", "foe"].map((id) => {
      const world = new World();
      world.computeDelay = (work) => (isProof(work) ? 700 : 0);
      const calling = { ...A, local: { id: named(id), auth: ownKey("a guess") } };
      const a = world.add("A", "192.0.2.1", [connection("192.0.2.2", [LAN_A], calling)]);
      const b = world.add("B", "192.0.2.2", [
        answering("by key", "key", peerKeys("key of A")),
        answering("by secret", "psk", SECRET),
      ]);
      world.run(seconds(2));
      expect(b.count("ikeSaUp")).toBe(0);
      const told = a.notices.map(({ code }) => code);
      const answer = world.wire.at(-1)?.bytes.length;
      return { told, verified: asked(b, "verifyPeer"), messages: world.wire.length, answer };
    });
    expect(outcomes[0]).toMatchObject({ verified: 1 });
    expect(outcomes[0]!.told).toContain("authenticationRejectedByPeer");
    expect(outcomes.slice(1)).toEqual([outcomes[0], outcomes[0]]);
  });

  test("loss, duplicates and computations of any length end with one IKE SA", () => {
    for (let seed = 1; seed <= 12; seed++) {
      const world = new World(seed);
      world.network = badNetwork(0.25);
      world.computeDelay = (work) => (isProof(work) ? world.random.below(3000) : 0);
      const [a, b] = pair(world, A, B);
      world.run(minutes(5));
      world.network = badNetwork(0, 0);
      world.run(minutes(2));
      expectConverged(a, b, ["lan"]);
    }
  });

  test("what the peer sends while its answer is being checked waits for the check", () => {
    const world = new World();
    world.computeDelay = () => 0;
    const [a, b] = pair(world, A, B);
    let isSlow = true;
    world.computeDelay = (work) =>
      work.kind === "verifyPeer" && isSlow && b.state().state === "up" ? 2000 : 0;
    world.run(seconds(1));
    expect([a.state().state, b.state().state]).toEqual(["connecting", "up"]);
    isSlow = false;
    b.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
    world.run(seconds(1));
    expect(a.count("childSaUp")).toBe(0);
    world.run(minutes(1));
    expect(b.count("childSaRekeyed")).toBe(1);
    expectConverged(a, b, ["lan"]);
  });
});

describe("one end signs, the other has a secret", () => {
  test("each direction has its own method", () => {
    const world = new World();
    const [a, b] = pair(
      world,
      { local: { auth: ownKey("key of A") }, remote: { auth: SECRET } },
      { keep: "respond", local: { auth: SECRET }, remote: { auth: peerKeys("key of A") } },
    );
    world.run(minutes(1));
    expectConverged(a, b, ["lan"]);
  });

  test("[AUTH-07] a secret where a signature is expected is refused by name, and the other way round", () => {
    const world = new World();
    const b = world.add("B", "192.0.2.2", [connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], B)]);
    const peer = new RawPeer(world, b);
    expect(notifyTypes(peer.connect().payloads)).toEqual([NotifyType.AUTHENTICATION_FAILED]);
    expect(b.find("authenticationFailed")).toMatchObject({
      cause: "otherMethod",
      expects: "pubkey",
      method: 2,
    });
    const other = new World();
    const [, d] = pair(other, A, { keep: "respond" });
    other.run(seconds(1));
    expect(d.find("authenticationFailed")).toMatchObject({
      cause: "otherMethod",
      expects: "psk",
      method: 14,
    });
  });
});

describe("what does not succeed", () => {
  test("[AUTH-07] a signature with another key is refused by the responder", () => {
    const world = new World();
    const [a, b] = pair(world, { ...A, local: { auth: ownKey("stolen") } }, B);
    world.run(seconds(1));
    expect(b.find("authenticationFailed")).toMatchObject({ cause: WRONG_SIGNATURE, expects: "pubkey" });
    expect(a.find("authenticationRejectedByPeer")).toBeDefined();
    expect(asked(b, "sign")).toBe(0);
    a.shutDown();
    world.run(minutes(2));
    for (const node of [a, b]) expectGone(node);
  });

  test("and by the initiator, which tells the responder", () => {
    const world = new World();
    const [a, b] = pair(world, A, { ...B, local: { auth: ownKey("stolen") } });
    world.run(seconds(1));
    expect(a.find("authenticationFailed")).toMatchObject({ role: "initiator", cause: WRONG_SIGNATURE });
    expect(b.find("ikeSaDown")?.reason).toBe("authenticationFailed");
    expect(b.state().lastFailure).toMatchObject({
      code: "authenticationRejectedByPeer",
      proof: { method: 14 },
    });
    a.shutDown();
    world.run(minutes(3));
    for (const node of [a, b]) expectGone(node);
  });

  test("of several connections for one address the one whose key the peer proves is taken", () => {
    const world = new World();
    const lan = { ...LAN_B, keep: "respond" } as const;
    const one = connection("192.0.2.1", [lan], { ...B, name: "one", remote: { auth: peerKeys("nobody's") } });
    const two = connection("192.0.2.1", [lan], { ...B, name: "two", remote: { auth: SECRET } });
    const three = connection("192.0.2.1", [lan], { ...B, name: "three" });
    const [a] = pair(world, A, B);
    const b = world.add("C", "192.0.2.2", [one, two, three]);
    world.nodes.splice(1, 1);
    world.run(seconds(1));
    expect(a.state().state).toBe("up");
    expect(["one", "two", "three"].map((name) => b.state(name).state)).toEqual(["down", "down", "up"]);
  });

  test("a computation that never ends, or fails, ends the try on either side", () => {
    for (const kind of ["sign", "verifyPeer"] as const)
      for (const slow of [0, 1]) {
        const world = new World();
        const nodes = pair(world, A, B);
        const isStuck = () => asked(nodes[slow]!, kind) > 0;
        world.computeDelay = (work) => (work.kind === kind && isStuck() ? undefined : 0);
        world.run(seconds(20));
        const what = kind === "sign" ? "proof" : "check";
        expect(nodes[slow]!.find("authenticationNotComputed"), `${kind} ${slow}`).toMatchObject({ what });
        expect(nodes[0].state().state).not.toBe("up");
        world.computeDelay = () => 0;
        world.run(minutes(10));
        expectConverged(nodes[0], nodes[1], ["lan"]);
      }
  });

  test("a connection that is taken away meanwhile ends the try", () => {
    const world = new World();
    world.computeDelay = (work) => (isProof(work) ? 1000 : 0);
    const [a, b] = pair(world, A, B);
    world.run(1500);
    b.perform(b.machine.setConnections([], world.now));
    world.run(seconds(5));
    expect(a.count("ikeSaUp") + b.count("ikeSaUp")).toBe(0);
    a.perform(a.machine.setConnections([], world.now));
    world.run(minutes(3));
    for (const node of [a, b]) expectGone(node);
  });

  test("the responder looks at no second request while the first is computed", () => {
    const world = new World();
    const b = world.add("B", "192.0.2.2", [connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], B)]);
    world.computeDelay = (work) => (isProof(work) ? undefined : 0);
    const peer = new RawPeer(world, b);
    peer.init();
    const auth = { kind: "AUTH", method: 9, data: new Uint8Array(64) } as const;
    const idi = { kind: "IDi", ...peer.identity } as const;
    for (let i = 0; i < 20; i++)
      peer.send(peer.seal(ExchangeType.IKE_AUTH, 1, [idi, auth, ...peer.childPayloads(i)]));
    expect(asked(b, "verifyPeer")).toBe(1);
  });
});

describe("certificates and what the peer takes", () => {
  const certificate = (name: string, authorities: readonly Uint8Array[], type: SigningKeyType = "p256") => ({
    key: ownKeyNamed(name, type),
    subject: `CN=${name}`,
    chain: [utf8(`${name}'s own`), utf8(`${name}'s intermediate`)],
    authorities,
  });
  const HASH = { one: new Uint8Array(20).fill(1), two: new Uint8Array(20).fill(2) };

  function answerOf(
    init: readonly Payload[],
    extra: readonly Payload[],
    certificates: readonly OwnCertificate[],
  ) {
    const world = new World();
    const auth = { kind: "certificate", certificates } as const;
    const b = world.add("B", "192.0.2.2", [
      connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], { keep: "respond", local: { auth } }),
    ]);
    const peer = new RawPeer(world, b);
    peer.init([...peer.initPayloads(), ...init]);
    const bytes = peer.seal(ExchangeType.IKE_AUTH, 1, [...peer.authPayloads(), ...extra]);
    peer.send(bytes);
    world.run(seconds(1));
    const answer = world.wire.findLast(({ to }) => to.port === peer.local.port);
    return { b, peer, payloads: answer === undefined ? [] : peer.open(answer.bytes).payloads };
  }

  const takesSha2: Payload = {
    kind: "N",
    protocolId: 0,
    notifyType: NotifyType.SIGNATURE_HASH_ALGORITHMS,
    spi: new Uint8Array(0),
    data: Uint8Array.of(0, 2, 0, 3),
  };
  const request = (...hashes: readonly Uint8Array[]): Payload => ({
    kind: "CERTREQ",
    encoding: 4,
    data: Uint8Array.from(hashes.flatMap((hash) => [...hash])),
  });
  const certs = (payloads: readonly Payload[]) =>
    payloads.flatMap((payload) =>
      payload.kind === "CERT" ? [[payload.encoding, fromUtf8(payload.data)]] : [],
    );

  test("[AUTH-10] [AUTH-11] our certificate first, then the intermediate, never as hash and URL; the peer's request picks", () => {
    const own = [certificate("first", [HASH.one]), certificate("second", [HASH.two])];
    const asked = answerOf([takesSha2], [request(new Uint8Array(20), HASH.two)], own);
    expect(certs(asked.payloads)).toEqual([
      [4, "second's own"],
      [4, "second's intermediate"],
    ]);
    expect(certs(answerOf([takesSha2], [request(new Uint8Array(20).fill(9))], own).payloads)[0]).toEqual([
      4,
      "first's own",
    ]);
    expect(certs(answerOf([takesSha2], [], own).payloads)[0]).toEqual([4, "first's own"]);
  });

  test("[AUTH-13] method 14 only for a peer that announced hashes, and our list only to one that did", () => {
    const own = [certificate("one", [])];
    const named = answerOf([takesSha2], [], own);
    expect(find(named.payloads, "AUTH")?.method).toBe(14);
    const older = answerOf([], [], own);
    expect(find(older.payloads, "AUTH")?.method).toBe(9);
    const hashesIn = (bytes: Uint8Array) =>
      findNotify(decodeMessage(bytes).payloads, NotifyType.SIGNATURE_HASH_ALGORITHMS)?.data.join();
    expect(hashesIn(named.peer.response)).toBe("0,2,0,3,0,4,0,5");
    expect(hashesIn(older.peer.response)).toBeUndefined();
  });

  test("[AUTH-14] a hash that the peer did not announce is not used; without a common one it is said", () => {
    const only384: Payload = { ...(takesSha2 as NotifyPayload), data: Uint8Array.of(0, 3) };
    const answer = answerOf([only384], [], [certificate("one", [])]);
    expect(toHex(find(answer.payloads, "AUTH")!.data).slice(0, 26)).toBe("0c300a06082a8648ce3d040303");
    const empty: Payload = { ...(takesSha2 as NotifyPayload), data: new Uint8Array(0) };
    for (const said of [empty, { ...(takesSha2 as NotifyPayload), data: Uint8Array.of(0, 1) }]) {
      const refused = answerOf([said], [], [certificate("one", [])]);
      expect(notifyTypes(refused.payloads)).toEqual([NotifyType.AUTHENTICATION_FAILED]);
      expect(refused.b.find("noCommonSignature")).toBeDefined();
    }
  });

  test("[AUTH-16] a key of EdDSA waits for the peer that takes it, another certificate goes to the rest", () => {
    const own = [certificate("ed", [], "ed25519"), certificate("ec", [])];
    expect(certs(answerOf([takesSha2], [], own).payloads)[0]).toEqual([4, "ec's own"]);
    const identity: Payload = { ...(takesSha2 as NotifyPayload), data: Uint8Array.of(0, 5) };
    expect(certs(answerOf([identity], [], own).payloads)[0]).toEqual([4, "ed's own"]);
  });

  test("a hundred certificates are refused as a whole, and hash and URL is none", () => {
    const world = new World();
    const revocation = { mode: "off", lists: [] } as const;
    const trust = { anchors: [], authorities: [HASH.one], pinned: [], intermediates: [], revocation };
    const b = world.add("B", "192.0.2.2", [
      connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], {
        keep: "respond",
        remote: { auth: { kind: "certificate", ...trust } },
      }),
    ]);
    for (const [encoding, count, check] of [
      [4, 100, "tooManyCertificates"],
      [12, 1, "noCertificate"],
    ] as const) {
      const peer = new RawPeer(world, b);
      peer.init();
      const cert: Payload = { kind: "CERT", encoding, data: new Uint8Array(9) };
      const auth: Payload = { kind: "AUTH", method: 14, data: new Uint8Array(80) };
      const idi: Payload = { kind: "IDi", ...peer.identity };
      peer.send(
        peer.seal(ExchangeType.IKE_AUTH, 1, [idi, ...Array(count).fill(cert), auth, ...peer.childPayloads()]),
      );
      world.run(seconds(1));
      expect(b.notices.findLast(({ code }) => code === "authenticationFailed")).toMatchObject({
        cause: { notProven: { check: "certificate", refusal: { check } } },
      });
    }
  });
});
