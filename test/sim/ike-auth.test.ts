/** IKE_AUTH with a pre-shared key, both roles, and the encrypted payload (RFC 7296 sections 2.15, 2.21.2, 3.14). */
import { describe, expect, test } from "vitest";
import { equal, utf8 } from "../../src/base/bytes.ts";
import { minutes, seconds } from "../../src/base/instant.ts";
import { IkeSpi } from "../../src/base/spi.ts";
import { deriveSharedSecret, generateKeyExchange } from "../../src/crypto/key-exchange.ts";
import { find } from "../../src/ike/exchange/payload-list.ts";
import { protectionFor } from "../../src/ike/sa/ike-keys.ts";
import { sealMessage } from "../../src/ike/sa/sk-payload.ts";
import type { Identification } from "../../src/policy/connection.ts";
import { decodeMessage } from "../../src/wire/ike/message.ts";
import type { Payload } from "../../src/wire/ike/payload.ts";
import { AuthMethod, ExchangeType, IdType, NotifyType } from "../../src/wire/ike/registries.ts";
import { expectConverged } from "./ike-invariants.ts";
import { initiator } from "./ike-one-side.ts";
import { ikeProposal, kinds, notifyTypes, RawPeer } from "./ike-raw-peer.ts";
import {
  CBC_ECP256,
  type ConnectionChanges,
  connection,
  ESP_CBC,
  ip,
  LAN_A,
  LAN_B,
  pair,
  World,
} from "./ike-world.ts";

const psk = (secret: string) => ({ kind: "psk", secret: utf8(secret) }) as const;
const FQDN_A = { idType: IdType.FQDN, data: utf8("gw-a.example.net") };
const FQDN_B = { idType: IdType.FQDN, data: utf8("gw-b.example.net") };

function responder(changes: ConnectionChanges = {}) {
  const world = new World();
  const b = world.add("B", "192.0.2.2", [
    connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], { keep: "respond", ...changes }),
  ]);
  return { world, b, peer: new RawPeer(world, b) };
}

describe("identities and keys", () => {
  test("[AUTH-04] [AUTH-05] a peer that computes AUTH on its own is let in, and so is our AUTH to it", () => {
    const { b, peer } = responder();
    const answer = peer.connect();
    expect(kinds(answer.payloads)).toEqual(["IDr", "AUTH", "SA", "TSi", "TSr"]);
    expect(find(answer.payloads, "AUTH")?.method).toBe(AuthMethod.SHARED_KEY);
    expect(b.state().state).toBe("up");
  });

  test("[AUTH-07] a wrong key gets AUTHENTICATION_FAILED inside the SA, no IKE SA, and words for the operator", () => {
    const { world, b, peer } = responder();
    peer.secret = utf8("another secret");
    expect(notifyTypes(peer.connect().payloads)).toEqual([NotifyType.AUTHENTICATION_FAILED]);
    expect(b.state().state).toBe("down");
    expect(b.find("authenticationFailed")).toMatchObject({
      cause: "wrongKey",
      role: "responder",
      connection: "net",
    });
    expect(b.state().lastFailure?.code).toBe("authenticationFailed");
    world.run(minutes(2));
    expect(b.machine.ikeSaCount()).toBe(0);
    expect(b.dataPlane.pairs.size + b.dataPlane.reserved.size).toBe(0);
  });

  test("[AUTH-09] an expected identity that stands for many is met by each of them, and not asked for as it is", () => {
    const many = { idType: IdType.FQDN, data: utf8("*.example.net") };
    const world = new World();
    // B would refuse to be called by a name that it has not.
    const [a, b] = pair(
      world,
      { local: { id: FQDN_A }, remote: { id: many } },
      { keep: "respond", local: { id: FQDN_B }, remote: { id: many } },
    );
    world.run(seconds(5));
    expect([a.state().state, b.state().state]).toEqual(["up", "up"]);
    const stranger = responder({ remote: { id: { idType: IdType.FQDN, data: utf8("*.example.org") } } });
    expect(notifyTypes(stranger.peer.connect().payloads)).toEqual([NotifyType.AUTHENTICATION_FAILED]);
  });

  test("[AUTH-09] whom one connection names is let in by its key alone, not by that of a connection for anybody", () => {
    const world = new World();
    const connectionFor = (name: string, id: Identification | "any", key: string) => ({
      ...connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], {
        keep: "respond",
        remote: { id, addresses: [], auth: psk(key) },
      }),
      name,
    });
    const b = world.add("B", "192.0.2.2", [
      connectionFor("anybody", "any", "the key of many"),
      connectionFor("guests", "any", "the key of guests"),
      connectionFor("named", FQDN_A, "a key of its own"),
    ]);
    const calling = (identity: Identification, key: string) => {
      const peer = new RawPeer(world, b);
      peer.identity = identity;
      peer.secret = utf8(key);
      return kinds(peer.connect().payloads).includes("AUTH");
    };
    expect(calling(FQDN_A, "the key of many")).toBe(false);
    expect(b.find("authenticationFailed")).toMatchObject({ connection: "named", cause: "wrongKey" });
    expect(calling(FQDN_A, "a key of its own")).toBe(true);
    // Of connections that say it equally exactly, the key tells which one is meant.
    expect(calling(FQDN_B, "the key of guests")).toBe(true);
    expect(calling(FQDN_B, "a key of its own")).toBe(false);
  });

  test("a wrong key between two of us is seen by both, and tried again for ever with growing waits", () => {
    const world = new World();
    const auth = psk("a secret");
    const [a, b] = pair(world, { local: { auth }, remote: { auth } });
    world.run(minutes(20));
    expect(a.find("authenticationRejectedByPeer")).toBeDefined();
    expect(b.find("authenticationFailed")?.cause).toBe("wrongKey");
    const tries = a.count("connecting");
    expect(tries).toBeGreaterThan(8);
    expect(tries).toBeLessThan(30);
    expect(a.state()).toMatchObject({
      state: "waiting",
      lastFailure: { code: "authenticationRejectedByPeer" },
    });
    expect(a.state().nextTryAt).toBeGreaterThan(world.now);
  });

  test("two secrets: each side proves its own", () => {
    const world = new World();
    const one = { auth: psk("what A proves") };
    const other = { auth: psk("what B proves") };
    const [a, b] = pair(world, { local: one, remote: other }, { keep: "respond", local: other, remote: one });
    world.run(minutes(1));
    expectConverged(a, b, ["lan"]);
  });

  test("the peer's identity that is kept is no view of the message that it came in", () => {
    const world = new World();
    const nodes = pair(world, {}, { keep: "respond" });
    world.run(seconds(1));
    for (const node of nodes) {
      const data = node.state().ikeSa?.peerIdentity.data;
      expect(data?.length).toBeGreaterThan(0);
      expect(data?.buffer.byteLength).toBe(data?.length);
    }
  });

  test("a responder with another key is refused by the initiator, which tells it so", () => {
    const world = new World();
    const both = { auth: psk("what A proves") };
    const [a, b] = pair(
      world,
      { local: both, remote: { auth: psk("what A expects") } },
      { keep: "respond", local: { auth: psk("what B proves") }, remote: both },
    );
    world.run(seconds(1));
    expect(a.find("authenticationFailed")).toMatchObject({ role: "initiator", cause: "wrongKey" });
    expect(b.find("ikeSaDown")?.reason).toBe("authenticationFailed");
    expect(b.state().lastFailure).toMatchObject({ code: "authenticationRejectedByPeer", by: "psk" });
    expect(a.state().state).not.toBe("up");
    a.shutDown();
    world.run(minutes(3));
    expect(b.machine.ikeSaCount()).toBe(0);
    expect(a.dataPlane.reserved.size + b.dataPlane.pairs.size).toBe(0);
  });

  test("[AUTH-09] the identity must be the configured one, type and value", () => {
    const { b, peer } = responder({ remote: { id: FQDN_A } });
    peer.identity = FQDN_B;
    expect(notifyTypes(peer.connect().payloads)).toEqual([NotifyType.AUTHENTICATION_FAILED]);
    expect(b.find("identityMismatch")).toMatchObject({
      role: "responder",
      received: FQDN_B,
      expected: [FQDN_A],
    });
    const right = new RawPeer(peer.world, b);
    right.identity = FQDN_A;
    expect(kinds(right.connect().payloads)).toContain("AUTH");
  });

  test("[AUTH-06] what AUTH covers includes the reserved octets of the identity as they were sent", () => {
    for (const covered of [0x0a0b0c, 0]) {
      const { b, peer } = responder();
      peer.init();
      const body = Uint8Array.of(peer.identity.idType, 0x0a, 0x0b, 0x0c, ...peer.identity.data);
      const { identity } = peer;
      peer.identity = { ...identity, reserved: covered };
      const auth = peer.authPayload();
      const idi = { kind: "unknown", payloadType: 35, critical: false, body } as const;
      const answer = peer.ask(ExchangeType.IKE_AUTH, [idi, auth, ...peer.childPayloads()]);
      if (covered === 0) expect(b.find("authenticationFailed")?.cause).toBe("wrongKey");
      else expect(kinds(answer?.payloads ?? [])).toContain("AUTH");
    }
  });

  test("[AUTH-08] FQDN, mail, key ID and address identities are taken as they are configured", () => {
    const identities = [
      FQDN_A,
      { idType: IdType.RFC822_ADDR, data: utf8("ann@example.net") },
      { idType: IdType.KEY_ID, data: Uint8Array.of(0, 1, 255) },
      { idType: IdType.IPV6_ADDR, data: new Uint8Array(16).fill(1) },
    ];
    for (const id of identities) {
      const { b, peer } = responder({ remote: { id } });
      peer.identity = id;
      peer.connect();
      expect(b.state().ikeSa?.peerIdentity).toEqual(id);
    }
  });

  test("an initiator checks the responder's identity", () => {
    const world = new World();
    const [a] = pair(world, { remote: { id: FQDN_A } }, { keep: "respond" });
    world.run(seconds(1));
    expect(a.find("authenticationRejectedByPeer") ?? a.find("identityMismatch")).toBeDefined();
    const other = new World();
    const [c, d] = pair(
      other,
      { local: { id: FQDN_A }, remote: { id: FQDN_B } },
      { keep: "respond", local: { id: FQDN_B }, remote: { id: FQDN_A } },
    );
    other.run(minutes(1));
    expectConverged(c, d, ["lan"]);
  });

  test("asked for an identity that we do not have, we say which one we have", () => {
    const { b, peer } = responder({ local: { id: FQDN_B } });
    peer.init();
    const [idi, auth, ...rest] = peer.authPayloads();
    const answer = peer.ask(ExchangeType.IKE_AUTH, [idi!, { kind: "IDr", ...FQDN_A }, auth!, ...rest]);
    expect(notifyTypes(answer?.payloads ?? [])).toEqual([NotifyType.AUTHENTICATION_FAILED]);
    expect(b.find("localIdentityMismatch")).toMatchObject({ asked: FQDN_A, ours: FQDN_B });
  });

  test("another method than a shared key is refused by name, no AUTH at all too", () => {
    for (const method of [AuthMethod.DIGITAL_SIGNATURE, undefined]) {
      const { b, peer } = responder();
      peer.init();
      const auth: Payload[] =
        method === undefined ? [] : [{ kind: "AUTH", method, data: new Uint8Array(64) }];
      const answer = peer.ask(ExchangeType.IKE_AUTH, [
        { kind: "IDi", ...peer.identity },
        ...auth,
        ...peer.childPayloads(),
      ]);
      expect(notifyTypes(answer?.payloads ?? [])).toEqual([NotifyType.AUTHENTICATION_FAILED]);
      expect(b.find("authenticationFailed")?.cause).toBe("otherMethod");
    }
  });

  test("of several connections for one address the identity picks one", () => {
    const world = new World();
    const lan = { ...LAN_B, keep: "respond" } as const;
    const first = connection("192.0.2.1", [lan], { name: "one", keep: "respond", remote: { id: FQDN_A } });
    const second = connection("192.0.2.1", [lan], { name: "two", keep: "respond", remote: { id: FQDN_B } });
    const b = world.add("B", "192.0.2.2", [first, second]);
    const peer = new RawPeer(world, b);
    peer.identity = FQDN_B;
    peer.connect();
    expect([b.state("one").state, b.state("two").state]).toEqual(["down", "up"]);
  });
});

describe("half-open", () => {
  test("[ERR-08] IKE_AUTH requests that do not open leave the half-open IKE SA for the genuine one", () => {
    const { b, peer } = responder();
    peer.init();
    const genuine = peer.seal(ExchangeType.IKE_AUTH, peer.nextId++, peer.authPayloads());
    for (let i = 0; i < 10; i++) {
      const forged = Uint8Array.from(genuine);
      forged[forged.length - 1 - i] = forged[forged.length - 1 - i]! ^ 0x55;
      expect(peer.send(forged)).toEqual([]);
    }
    expect(b.machine.drops().get("notAuthentic")).toBe(10);
    const [answer] = peer.send(genuine);
    expect(answer !== undefined && kinds(peer.open(answer).payloads)).toContain("AUTH");
  });

  test("they are forgotten when no valid IKE_AUTH request comes", () => {
    const { world, b, peer } = responder();
    peer.init();
    expect(b.machine.ikeSaCount()).toBe(1);
    world.run(seconds(31));
    expect(b.machine.ikeSaCount()).toBe(0);
  });

  test("[MID-06] a repeated IKE_AUTH request gets the same octets and is not carried out again", () => {
    const { b, peer } = responder();
    peer.init();
    const request = peer.seal(ExchangeType.IKE_AUTH, peer.nextId++, peer.authPayloads());
    const [first] = peer.send(request);
    const [second] = peer.send(request);
    expect(first !== undefined && second !== undefined && equal(first, second)).toBe(true);
    expect(b.dataPlane.pairs.size).toBe(1);
    expect(b.count("ikeSaUp")).toBe(1);
  });

  test("[ERR-01] a malformed IKE_AUTH request under the keys gets INVALID_SYNTAX and no IKE SA", () => {
    const { b, peer } = responder();
    peer.init();
    const answer = peer.ask(ExchangeType.IKE_AUTH, [peer.authPayload()]);
    expect(notifyTypes(answer?.payloads ?? [])).toEqual([NotifyType.INVALID_SYNTAX]);
    expect(b.count("ikeSaUp")).toBe(0);
  });

  test("[HDR-10] an unknown critical payload in IKE_AUTH is named", () => {
    const { b, peer } = responder();
    peer.init();
    const critical: Payload = { kind: "unknown", payloadType: 222, critical: true, body: new Uint8Array(0) };
    const answer = peer.ask(ExchangeType.IKE_AUTH, [...peer.authPayloads(), critical]);
    expect(answer?.payloads[0]).toMatchObject({
      notifyType: NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD,
      data: Uint8Array.of(222),
    });
    expect(b.count("ikeSaUp")).toBe(0);
  });
});

describe("encrypted payload", () => {
  test("[ENC-01] it is last, and an empty one is valid", () => {
    const { world, peer } = responder();
    peer.connect();
    const answer = peer.ask(ExchangeType.INFORMATIONAL, []);
    expect(answer?.payloads).toEqual([]);
    expect(answer?.header.nextPayload).toBe(46);
    expect(world.wire.at(-1)?.bytes.length).toBe(28 + 4 + 8 + 1 + 16);
  });

  test("[ENC-02] [ENC-03] [ENC-07] one changed octet anywhere is a drop without an answer, and the window does not move", () => {
    const { b, peer } = responder();
    peer.connect();
    const genuine = peer.seal(ExchangeType.INFORMATIONAL, peer.nextId++, []);
    for (let i = 0; i < genuine.length; i++) {
      if (i === 17) continue; // Another version is answered without keys.
      const forged = Uint8Array.from(genuine);
      forged[i] = forged[i]! ^ 0x01;
      const answers = peer.send(forged).filter((bytes) => bytes[28 + 3] !== 8);
      expect(answers, `octet ${i}`).toEqual([]);
    }
    expect(b.state().state).toBe("up");
    const [answer] = peer.send(genuine);
    expect(answer !== undefined && peer.open(answer).header.messageId).toBe(2);
  });

  test("[ENC-05] [MID-05] repetitions are the same octets, and no two messages share an IV", () => {
    for (const proposals of [undefined, [CBC_ECP256]]) {
      const ike = proposals === undefined ? {} : { ike: { proposals, liveness: seconds(5) } };
      const world = new World();
      const [a] = pair(world, ike, { keep: "respond", ...ike });
      world.run(minutes(2));
      world.network = () => [];
      world.run(minutes(1));
      const own = world.wire.filter(
        ({ from, bytes }) => from.address[3] === a.address[3] && bytes[16] === 46,
      );
      const ivLength = proposals === undefined ? 8 : 16;
      const byId = new Map<string, Set<string>>();
      const ivs = new Map<string, string>();
      for (const { bytes } of own) {
        const id = `${bytes.slice(0, 16).join()} ${bytes.slice(19, 24).join()}`;
        byId.set(id, (byId.get(id) ?? new Set()).add(bytes.join()));
        const iv = bytes.slice(32, 32 + ivLength).join();
        expect(ivs.get(iv) ?? id).toBe(id);
        ivs.set(iv, id);
      }
      expect(own.length).toBeGreaterThan(byId.size);
      for (const messages of byId.values()) expect(messages.size).toBe(1);
    }
  });

  test("[ENC-06] a combined-mode message carries an IV of 8 octets; AES-CBC carries one of 16", () => {
    const world = new World();
    const ike = { proposals: [CBC_ECP256] };
    const esp = { proposals: [ESP_CBC] };
    const [a, b] = pair(
      world,
      { ike, children: [{ ...LAN_A, ...esp }] },
      { keep: "respond", ike, children: [{ ...LAN_B, ...esp, keep: "respond" }] },
    );
    world.run(minutes(1));
    expectConverged(a, b, ["lan"]);
    const liveness = world.wire.at(-1)!.bytes;
    expect(liveness.length).toBe(28 + 4 + 16 + 16 + 16);
    expect(a.state().children[0]?.sa?.suite).toMatchObject({ encr: 12, integ: 12 });
  });
});

test("an error notify in the IKE_AUTH response ends the attempt", () => {
  const world = new World();
  const [a] = pair(world, { local: { id: FQDN_A } }, { keep: "respond" });
  world.run(seconds(1));
  expect(a.find("authenticationRejectedByPeer")?.sentIdentity).toEqual(FQDN_A);
  expect(a.dataPlane.reserved.size).toBe(0);
});

test("a responder whose IKE_AUTH response is malformed is called again after a wait, as after any failure", () => {
  const { world, a, answer } = initiator();
  world.network = () => [];
  const calls = () => world.wire.filter(({ bytes }) => bytes[18] === ExchangeType.IKE_SA_INIT);
  const request = calls().at(-1)!.bytes;
  const { header, payloads } = decodeMessage(request);
  const theirs = { ke: find(payloads, "KE"), nonce: find(payloads, "Nonce") };
  const pair = generateKeyExchange(31, world.random);
  const nonce = world.random.publicBytes(32);
  const responderSpi = IkeSpi(world.random.publicBytes(8));
  answer(
    [
      { kind: "SA", proposals: [ikeProposal()] },
      { kind: "KE", method: 31, data: pair.publicValue },
      { kind: "Nonce", data: nonce },
    ],
    responderSpi,
  );
  const secret = deriveSharedSecret(31, pair.privateValue, theirs.ke!.data);
  const spis = { initiator: header.initiatorSpi, responder: responderSpi };
  const suite = { encr: 20, encrKeyBits: 256, integ: 0, prf: 6, ke: 31 };
  const nonces = { initiator: theirs.nonce!.data, responder: nonce };
  const keys = protectionFor(suite, nonces, spis, secret);
  const twice: Payload = { kind: "AUTH", method: 2, data: new Uint8Array(32) };
  const bytes = sealMessage(
    keys,
    {
      initiatorSpi: header.initiatorSpi,
      responderSpi,
      exchangeType: ExchangeType.IKE_AUTH,
      isFromInitiator: false,
      isResponse: true,
      messageId: 1,
    },
    [twice, twice],
    world.random,
  );
  expect(world.wire.at(-1)!.bytes[18]).toBe(ExchangeType.IKE_AUTH);
  const ends = { address: ip("192.0.2.2"), port: 500 };
  a.feed({ kind: "datagram", local: { address: a.address, port: 500 }, remote: ends, bytes });
  world.run(seconds(1));
  expect(calls()).toHaveLength(1);
  expect(a.find("refused")).toMatchObject({ exchange: "IKE_AUTH", what: "malformed payloads" });
  world.run(seconds(2));
  expect(calls().length).toBeGreaterThan(1);
});
