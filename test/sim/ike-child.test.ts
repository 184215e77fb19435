/** Child SAs: made, narrowed, refused, rekeyed and deleted (RFC 7296 sections 1.2, 1.3, 1.4.1, 2.8, 2.9, 2.17). */
import { describe, expect, test } from "vitest";
import { fromHex, toHex, utf8 } from "../../src/base/bytes.ts";
import { hours, minutes, seconds } from "../../src/base/instant.ts";
import { IkeSpi } from "../../src/base/spi.ts";
import { deriveSharedSecret, generateKeyExchange } from "../../src/crypto/key-exchange.ts";
import { deriveIkeKeys, rekeyedSkeyseed } from "../../src/crypto/keymat.ts";
import { prfAlgorithm } from "../../src/crypto/prf.ts";
import { childNotify, find, findNotify, notify } from "../../src/ike/exchange/payload-list.ts";
import { childKeys } from "../../src/ike/sa/child-keys.ts";
import { formatSelector } from "../../src/policy/selector-text.ts";
import type { DeletePayload, Payload } from "../../src/wire/ike/payload.ts";
import { ExchangeType, IdType, NotifyType } from "../../src/wire/ike/registries.ts";
import type { SaPair } from "./ike-data-plane.ts";
import { expectConverged, expectMirrored } from "./ike-invariants.ts";
import {
  ESP_TRANSFORMS,
  espProposal,
  espSpiOf,
  ikeProposal,
  kinds,
  NODE_NET,
  notifyTypes,
  OUR_NET,
  RawPeer,
  selector,
  spiOctets,
} from "./ike-raw-peer.ts";
import { startTraffic } from "./ike-traffic.ts";
import {
  type ConnectionChanges,
  child,
  connection,
  ESP_GCM_NO_PFS,
  LAN_A,
  LAN_B,
  pair,
  World,
} from "./ike-world.ts";

const CHILD = { connection: "net", child: "lan" };

function responder(changes: ConnectionChanges = {}) {
  const world = new World();
  const b = world.add("B", "192.0.2.2", [
    connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], { keep: "respond", ...changes }),
  ]);
  return { world, b, peer: new RawPeer(world, b) };
}

function connected(changes: ConnectionChanges = {}) {
  const all = responder(changes);
  const answer = all.peer.connect();
  return { ...all, answer, nodeSpi: espSpiOf(answer.payloads) };
}

function withPayloads(peer: RawPeer, changes: { sa?: Payload; tsi?: Payload; tsr?: Payload }): Payload[] {
  const [sa, tsi, tsr] = peer.childPayloads();
  return [
    { kind: "IDi", ...peer.identity },
    peer.authPayload(),
    changes.sa ?? sa!,
    changes.tsi ?? tsi!,
    changes.tsr ?? tsr!,
  ];
}

describe("made and refused", () => {
  test("[CHILD-02] the keys are cut initiator first, encryption before integrity", () => {
    const { b, peer, nodeSpi } = connected();
    const suite = { encr: 20, encrKeyBits: 256, integ: 0, esn: false };
    const keys = childKeys(peer.keys(), peer.nonces, undefined, suite);
    const installed = [...b.dataPlane.pairs.values()][0];
    expect(installed?.inbound.spi).toBe(nodeSpi);
    expect(toHex(installed!.inbound.keys.encr)).toBe(toHex(keys.initiator.encr));
    expect(toHex(installed!.outbound!.keys.encr)).toBe(toHex(keys.responder.encr));
    expect(installed?.outbound?.spi).toBe(0xc0ffee01);
  });

  test("in this order: the inbound SA, the response, the outbound SA", () => {
    const { b } = connected();
    const order = b.actions
      .map((action) => (action.kind === "dataPlane" ? action.command.kind : action.kind))
      .filter((kind) => ["addInboundSa", "addOutboundSa", "send"].includes(kind));
    expect(order.slice(-3)).toEqual(["addInboundSa", "send", "addOutboundSa"]);
  });

  test("[CHILD-01] a child SA without common proposal leaves the IKE SA up, and says what differs", () => {
    const { b, peer } = responder();
    peer.init();
    const transforms = [
      { type: 1, id: 12, keyBits: 256 },
      { type: 3, id: 2 },
      { type: 5, id: 0 },
    ];
    const answer = peer.ask(
      ExchangeType.IKE_AUTH,
      withPayloads(peer, { sa: { kind: "SA", proposals: [espProposal(300, { transforms })] } }),
    );
    expect(kinds(answer?.payloads ?? [])).toEqual(["IDr", "AUTH", `N(${NotifyType.NO_PROPOSAL_CHOSEN})`]);
    expect(b.state().state).toBe("up");
    expect(b.dataPlane.pairs.size + b.dataPlane.reserved.size).toBe(0);
    expect(b.find("noCommonProposal")).toMatchObject({ protocol: "esp", role: "responder", child: "lan" });
  });

  test("a key exchange method in IKE_AUTH, where none can follow, does not spoil the proposal", () => {
    const { b, peer } = responder();
    peer.init();
    const transforms = [...ESP_TRANSFORMS, { type: 4, id: 14 }];
    const sa: Payload = { kind: "SA", proposals: [espProposal(300, { transforms })] };
    const answer = peer.ask(ExchangeType.IKE_AUTH, withPayloads(peer, { sa }));
    expect(find(answer?.payloads ?? [], "SA")?.proposals[0]?.transforms).toEqual(ESP_TRANSFORMS);
    expect(b.dataPlane.pairs.size).toBe(1);
  });

  test("[CHILD-04] [CHILD-01] selectors without anything in common get TS_UNACCEPTABLE", () => {
    const { b, peer } = responder();
    peer.init();
    const tsr: Payload = { kind: "TSr", selectors: [selector("172.16.0.0", "172.16.255.255")] };
    const answer = peer.ask(ExchangeType.IKE_AUTH, withPayloads(peer, { tsr }));
    expect(notifyTypes(answer?.payloads ?? [])).toEqual([NotifyType.TS_UNACCEPTABLE]);
    expect(b.state().state).toBe("up");
    const failure = b.find("selectorsUnacceptable");
    expect(failure?.theirs?.local.map(formatSelector)).toEqual(["172.16.0.0/16"]);
    expect(failure?.ours.local.map(formatSelector)).toEqual(["10.2.0.0/16"]);
  });

  test("[CHILD-03] the responder narrows, and keeps the first selector", () => {
    const { b, peer } = responder();
    peer.init();
    const tsi: Payload = {
      kind: "TSi",
      selectors: [selector("10.1.2.3", "10.1.2.3", { protocol: 6 }), selector("0.0.0.0", "255.255.255.255")],
    };
    const tsr: Payload = {
      kind: "TSr",
      selectors: [selector("10.2.9.9", "10.2.9.9"), selector("10.0.0.0", "10.255.255.255")],
    };
    const answer = peer.ask(ExchangeType.IKE_AUTH, withPayloads(peer, { tsi, tsr }));
    expect(find(answer?.payloads ?? [], "TSi")?.selectors).toEqual([OUR_NET]);
    expect(find(answer?.payloads ?? [], "TSr")?.selectors).toEqual([NODE_NET]);
    expect(b.find("childSaUp")?.isNarrowed).toBe(false);
  });

  test("[CHILD-03] an initiator takes a narrowed answer and says so", () => {
    const world = new World();
    const narrow = child("lan", "10.2.5.0/24", "10.1.0.0/16", { keep: "respond" });
    const [a, b] = pair(world, {}, { keep: "respond", children: [narrow] });
    world.run(minutes(1));
    expectMirrored(a, b);
    expect(a.find("childSaUp")?.isNarrowed).toBe(true);
    expect(a.state().children[0]?.sa?.selectors.remote.map(formatSelector)).toEqual(["10.2.5.0/24"]);
  });

  test("[CHILD-06] impossible selectors are refused", () => {
    for (const bad of [
      selector("10.2.0.9", "10.2.0.1"),
      selector("10.2.0.0", "10.2.0.9", { startPort: 9, endPort: 3 }),
    ]) {
      const { b, peer } = responder();
      peer.init();
      const answer = peer.ask(
        ExchangeType.IKE_AUTH,
        withPayloads(peer, { tsr: { kind: "TSr", selectors: [bad] } }),
      );
      expect(notifyTypes(answer?.payloads ?? [])).toEqual([NotifyType.INVALID_SYNTAX]);
      expect(b.dataPlane.pairs.size).toBe(0);
    }
  });

  test("[CHILD-08] USE_TRANSPORT_MODE is not echoed: the SA is tunnel mode", () => {
    const { b, peer } = responder();
    peer.init();
    const payloads = [...peer.authPayloads(), notify(NotifyType.USE_TRANSPORT_MODE)];
    const answer = peer.ask(ExchangeType.IKE_AUTH, payloads);
    expect(findNotify(answer?.payloads ?? [], NotifyType.USE_TRANSPORT_MODE)).toBeUndefined();
    expect(b.dataPlane.pairs.size).toBe(1);
  });

  test("an initiator whose child was refused keeps the IKE SA and tries again with growing waits", () => {
    const world = new World();
    const foreign = child("lan", "172.16.0.0/16", "172.17.0.0/16", { keep: "respond" });
    const [a, b] = pair(world, {}, { keep: "respond", children: [foreign] });
    world.run(minutes(10));
    expect(a.state().state).toBe("up");
    expect(a.state().children[0]).toMatchObject({
      state: "waiting",
      lastFailure: { code: "selectorsUnacceptable", role: "initiator" },
    });
    expect(a.count("selectorsUnacceptable")).toBeGreaterThan(3);
    expect(a.count("selectorsUnacceptable")).toBeLessThan(15);
    expect(a.count("ikeSaUp")).toBe(1);
    expect(a.dataPlane.reserved.size + b.dataPlane.reserved.size).toBe(0);
  });

  test("[INIT-14] an ESP proposal without ESN transform, or with a type of IKE's, is passed over", () => {
    const { peer } = connected();
    const noEsn = espProposal(0xc0ffee07, { transforms: [ESP_TRANSFORMS[0]] });
    const withPrf = espProposal(0xc0ffee07, {
      number: 2,
      transforms: [...ESP_TRANSFORMS, { type: 2, id: 6 }],
    });
    const good = espProposal(0xc0ffee07, { number: 3 });
    const ask = (proposals: (typeof good)[]) => {
      const [nonce, , tsi, tsr] = peer.createChild(0xc0ffee07);
      return peer.ask(ExchangeType.CREATE_CHILD_SA, [nonce!, { kind: "SA", proposals }, tsi!, tsr!]);
    };
    expect(notifyTypes(ask([noEsn, withPrf])?.payloads ?? [])).toEqual([NotifyType.NO_PROPOSAL_CHOSEN]);
    expect(find(ask([noEsn, withPrf, good])?.payloads ?? [], "SA")?.proposals[0]?.number).toBe(3);
  });

  test("[INIT-03] a child with a key exchange of its own: INVALID_KE_PAYLOAD until the method fits", () => {
    const { b, peer } = connected();
    const transforms = [...ESP_TRANSFORMS, { type: 4, id: 31 }];
    const [nonce, , tsi, tsr] = peer.createChild(0xc0ffee08);
    const sa: Payload = { kind: "SA", proposals: [espProposal(0xc0ffee08, { transforms })] };
    const wrong: Payload = { kind: "KE", method: 19, data: new Uint8Array(64).fill(1) };
    const refused = peer.ask(ExchangeType.CREATE_CHILD_SA, [sa, nonce!, wrong, tsi!, tsr!]);
    expect(findNotify(refused?.payloads ?? [], NotifyType.INVALID_KE_PAYLOAD)?.data).toEqual(
      Uint8Array.of(0, 31),
    );
    const right: Payload = { kind: "KE", method: 31, data: peer.pair.publicValue };
    const answer = peer.ask(ExchangeType.CREATE_CHILD_SA, [sa, nonce!, right, tsi!, tsr!]);
    expect(kinds(answer?.payloads ?? [])).toEqual(["Nonce", "SA", "KE", "TSi", "TSr"]);
    expect(b.dataPlane.pairs.size).toBe(2);
  });

  test("[CHILD-21] without room for another SA the answer is NO_ADDITIONAL_SAS", () => {
    const { b, peer } = connected();
    b.dataPlane.capacity = 1;
    const answer = peer.ask(ExchangeType.CREATE_CHILD_SA, peer.createChild(0xc0ffee09));
    expect(notifyTypes(answer?.payloads ?? [])).toEqual([NotifyType.NO_ADDITIONAL_SAS]);
    expect(b.find("saTableFull")).toBeDefined();
  });

  test("several children: the first comes with IKE_AUTH, the others by CREATE_CHILD_SA", () => {
    const world = new World();
    const ofA = ["one", "two", "three"].map((name, i) =>
      child(name, `10.${i + 10}.0.0/16`, `10.${i + 20}.0.0/16`),
    );
    const ofB = ["one", "two", "three"].map((name, i) =>
      child(name, `10.${i + 20}.0.0/16`, `10.${i + 10}.0.0/16`, { keep: "respond" }),
    );
    const [a, b] = pair(world, { children: ofA }, { keep: "respond", children: ofB });
    world.run(minutes(1));
    expectConverged(a, b, ["one", "two", "three"]);
  });
});

describe("rekeyed", () => {
  test("[CHILD-11] no packet is lost in rekeys of child and IKE SA, from either side, under constant traffic", () => {
    for (const proposals of [undefined, [ESP_GCM_NO_PFS]]) {
      const world = new World();
      const changes = proposals === undefined ? {} : { proposals };
      const [a, b] = pair(
        world,
        { children: [{ ...LAN_A, ...changes }] },
        { keep: "respond", children: [{ ...LAN_B, ...changes, keep: "respond" }] },
      );
      world.computeDelay = () => 7;
      world.network = (datagram, random) => [{ datagram, delay: 5 + random.below(20) }];
      world.run(seconds(40));
      const traffic = startTraffic(world, a, b, 2);
      for (const node of [a, b, a, b]) {
        node.command({ kind: "rekey", target: CHILD });
        world.run(seconds(6));
        node.command({ kind: "rekey", target: { connection: "net" } });
        world.run(seconds(6));
      }
      traffic.expectNothingLost();
      world.run(minutes(1));
      expectConverged(a, b, ["lan"]);
      expect([a.count("childSaRekeyed"), a.count("ikeSaRekeyed")]).toEqual([4, 4]);
    }
  });

  test("a computation that fails here is answered TEMPORARY_FAILURE, and the IKE SA stays", () => {
    const { world, b, peer } = connected();
    world.computeDelay = () => undefined;
    const pfs = generateKeyExchange(31, world.random);
    const ke = { kind: "KE", method: 31, data: pfs.publicValue } as const;
    const proposals = [espProposal(0xc0ffee0c, { transforms: [...ESP_TRANSFORMS, { type: 4, id: 31 }] })];
    const payloads = peer
      .createChild(0xc0ffee0c)
      .map((one) => (one.kind === "SA" ? { ...one, proposals } : one));
    const before = world.wire.length;
    expect(peer.ask(ExchangeType.CREATE_CHILD_SA, [...payloads, ke])).toBeUndefined();
    const job = b.actions.findLast((action) => action.kind === "compute")?.job;
    if (job === undefined) throw new Error("nothing was to be computed");
    b.feed({ kind: "computed", job, result: { kind: "failed", reason: "no memory" } });
    world.run(0);
    const [answer] = world.wire.slice(before).filter(({ bytes }) => (bytes[19]! & 0x20) !== 0);
    expect(notifyTypes(answer === undefined ? [] : peer.open(answer.bytes).payloads)).toEqual([
      NotifyType.TEMPORARY_FAILURE,
    ]);
    expect(b.state().state).toBe("up");
  });

  test("[CHILD-10] a rekey names the SPI that we receive with", () => {
    const { world, b, peer, nodeSpi } = connected();
    b.command({ kind: "rekey", target: CHILD });
    world.run(1);
    const [request] = peer.requests();
    const rekey = findNotify(request?.payloads ?? [], NotifyType.REKEY_SA);
    expect(rekey).toMatchObject({ protocolId: 3, spi: spiOctets(nodeSpi) });
  });

  test("[CHILD-10] [CHILD-19] a rekey of an unknown SPI gets CHILD_SA_NOT_FOUND with that SPI", () => {
    const { peer } = connected();
    const answer = peer.ask(
      ExchangeType.CREATE_CHILD_SA,
      peer.createChild(0xc0ffee0a, [childNotify(NotifyType.REKEY_SA, spiOctets(0xdeadbeef))]),
    );
    const notFound = findNotify(answer?.payloads ?? [], NotifyType.CHILD_SA_NOT_FOUND);
    expect(notFound).toMatchObject({ protocolId: 3, spi: spiOctets(0xdeadbeef) });
  });

  test("as responder of a rekey the old SA sends until the peer uses the new one, or deletes the old", () => {
    for (const sign of ["delete", "packet", "time"] as const) {
      const { world, b, peer } = connected();
      const rekey = childNotify(NotifyType.REKEY_SA, spiOctets(0xc0ffee01));
      const answer = peer.ask(ExchangeType.CREATE_CHILD_SA, peer.createChild(0xc0ffee0b, [rekey]));
      expect(b.dataPlane.seal("net/lan", 1, world.now)?.esp.spi).toBe(0xc0ffee01);
      const spi = espSpiOf(answer?.payloads ?? []);
      if (sign === "delete") {
        const gone: DeletePayload = { kind: "D", protocolId: 3, spis: [spiOctets(0xc0ffee01)] };
        peer.ask(ExchangeType.INFORMATIONAL, [gone]);
      } else if (sign === "packet") {
        const pairOfNew = [...b.dataPlane.pairs.values()].find(({ inbound }) => inbound.spi === spi);
        pairOfNew!.inboundPackets = 1;
        world.run(seconds(1));
      } else world.run(seconds(61));
      expect(b.dataPlane.seal("net/lan", 2, world.now)?.esp.spi).toBe(0xc0ffee0b);
    }
  });

  test("[CHILD-14] an IKE SA rekey has SPIs of 8 octets and a KE payload, and its keys come from the old SK_d", () => {
    const { world, b, peer } = connected();
    b.command({ kind: "rekey", target: { connection: "net" } });
    world.run(1);
    const [request] = peer.requests();
    const proposals = find(request?.payloads ?? [], "SA")?.proposals ?? [];
    expect(proposals.every(({ spi, protocolId }) => spi.length === 8 && protocolId === 1)).toBe(true);
    expect(find(request?.payloads ?? [], "KE")?.method).toBe(31);
    const own = connected().peer;
    const initiatorSpi = IkeSpi(own.world.random.publicBytes(8));
    const nonce = own.world.random.publicBytes(32);
    const fresh = generateKeyExchange(31, own.world.random);
    const answer = own.ask(ExchangeType.CREATE_CHILD_SA, [
      { kind: "SA", proposals: [ikeProposal({ spi: fromHex(initiatorSpi) })] },
      { kind: "Nonce", data: nonce },
      { kind: "KE", method: 31, data: fresh.publicValue },
    ]);
    const { payloads } = answer!;
    const responderSpi = IkeSpi(find(payloads, "SA")!.proposals[0]!.spi);
    const secret = deriveSharedSecret(31, fresh.privateValue, find(payloads, "KE")!.data);
    const nonces = { initiator: nonce, responder: find(payloads, "Nonce")!.data };
    const { skD } = own.keys().keys;
    const prf = prfAlgorithm(own.keys().suite.prf)!;
    const seed = rekeyedSkeyseed(prf, skD, secret, nonces);
    const spis = { initiator: initiatorSpi, responder: responderSpi };
    const keys = deriveIkeKeys(prf, seed, nonces, spis, { encr: 36, integ: 0 });
    own.protection = { ...own.keys(), keys, nextIv: 0 };
    own.initiatorSpi = initiatorSpi;
    own.responderSpi = responderSpi;
    own.nextId = 0;
    expect(own.ask(ExchangeType.INFORMATIONAL, [])?.payloads).toEqual([]);
    expect(own.node.state().ikeSa).toMatchObject({ initiatorSpi, responderSpi });
  });

  test("[CHILD-14] an IKE SA rekey with an SPI of another size, or zero, is not accepted", () => {
    for (const spi of [new Uint8Array(8), new Uint8Array(4).fill(1)]) {
      const { peer } = connected();
      const answer = peer.ask(ExchangeType.CREATE_CHILD_SA, [
        { kind: "SA", proposals: [ikeProposal({ spi })] },
        { kind: "Nonce", data: peer.world.random.publicBytes(32) },
        { kind: "KE", method: 31, data: peer.pair.publicValue },
      ]);
      expect(notifyTypes(answer?.payloads ?? [])).toEqual([NotifyType.NO_PROPOSAL_CHOSEN]);
    }
  });

  test("a refused rekey is tried again, and at the hard limit the child SA is made anew", () => {
    const world = new World();
    const rekey = { time: minutes(4), jitter: 0 };
    const [a, b] = pair(world, { children: [{ ...LAN_A, rekey }] }, { keep: "respond" });
    world.run(minutes(1));
    b.dataPlane.capacity = 0;
    world.run(minutes(4));
    expect(a.count("ikeSaDown") + a.count("rekeyPostponed")).toBeGreaterThan(0);
    b.dataPlane.capacity = 100;
    world.run(minutes(5));
    expectMirrored(a, b);
    expect(a.state().children[0]?.state).toBe("up");
  });

  test("CHILD_SA_NOT_FOUND in answer to a rekey: the child SA is made anew", () => {
    const { world, b, peer } = connected();
    b.command({ kind: "rekey", target: CHILD });
    world.run(1);
    const [request] = peer.requests();
    const before = world.wire.length;
    peer.answer(request!, [childNotify(NotifyType.CHILD_SA_NOT_FOUND, spiOctets(1))]);
    world.run(1);
    const [next] = peer.requests(before);
    expect(next?.header.exchangeType).toBe(ExchangeType.CREATE_CHILD_SA);
    expect(findNotify(next?.payloads ?? [], NotifyType.REKEY_SA)).toBeUndefined();
    expect(b.dataPlane.pairs.size).toBe(0);
  });

  test("[CHILD-20] TEMPORARY_FAILURE is no failure: the rekey comes again soon", () => {
    const { world, b, peer } = connected();
    b.command({ kind: "rekey", target: CHILD });
    world.run(1);
    const [request] = peer.requests();
    const before = world.wire.length;
    peer.answer(request!, [notify(NotifyType.TEMPORARY_FAILURE)]);
    world.run(seconds(2));
    expect(
      peer.requests(before).some(({ payloads }) => findNotify(payloads, NotifyType.REKEY_SA) !== undefined),
    ).toBe(true);
    expect(b.count("rekeyPostponed")).toBe(1);
  });

  test("with jitter the ends seldom rekey at the same time; without traffic or command each SA is rekeyed once an hour", () => {
    const world = new World();
    const [a, b] = pair(world);
    world.run(hours(10));
    expectMirrored(a, b);
    expect(a.count("childSaRekeyed")).toBeGreaterThanOrEqual(10);
    expect(a.count("childSaRekeyed")).toBeLessThanOrEqual(16);
    expect(a.count("ikeSaRekeyed")).toBeGreaterThanOrEqual(2);
    expect(a.count("ikeSaDown")).toBe(0);
  });
});

describe("deleted", () => {
  test("[CHILD-15] a Delete lists our inbound SPIs, and the answer the paired ones", () => {
    const { world, b, peer, nodeSpi } = connected();
    const gone: DeletePayload = { kind: "D", protocolId: 3, spis: [spiOctets(0xc0ffee01)] };
    const answer = peer.ask(ExchangeType.INFORMATIONAL, [gone]);
    expect(find(answer?.payloads ?? [], "D")).toEqual({
      kind: "D",
      protocolId: 3,
      spis: [spiOctets(nodeSpi)],
    });
    expect(b.dataPlane.pairs.size).toBe(0);
    const other = connected();
    other.b.command({ kind: "down", target: CHILD });
    other.world.run(1);
    expect(find(other.peer.requests()[0]?.payloads ?? [], "D")).toEqual({
      kind: "D",
      protocolId: 3,
      spis: [spiOctets(other.nodeSpi)],
    });
    expect(world).not.toBe(other.world);
  });

  test("[CHILD-17] deleting the IKE SA has protocol 1 and no SPI, is answered empty, and takes the children along", () => {
    const { world, b, peer } = connected();
    const answer = peer.ask(ExchangeType.INFORMATIONAL, [{ kind: "D", protocolId: 1, spis: [] }]);
    expect(answer?.payloads).toEqual([]);
    expect(b.dataPlane.pairs.size).toBe(0);
    expect(b.state().state).toBe("down");
    world.run(minutes(1));
    expect(b.machine.ikeSaCount()).toBe(0);
    const other = connected();
    other.b.shutDown();
    other.world.run(1);
    expect(other.peer.requests()[0]?.payloads).toEqual([{ kind: "D", protocolId: 1, spis: [] }]);
    expect(other.b.dataPlane.pairs.size).toBe(0);
  });

  test("[CHILD-18] a Delete with an unknown SPI is passed over", () => {
    const { b, peer } = connected();
    const strange: DeletePayload = { kind: "D", protocolId: 3, spis: [spiOctets(0x01020304)] };
    expect(peer.ask(ExchangeType.INFORMATIONAL, [strange])?.payloads).toEqual([]);
    expect(b.state().state).toBe("up");
    expect(b.dataPlane.pairs.size).toBe(1);
  });

  test("[CHILD-24] at its hard limit an SA carries nothing more, and another one is made", () => {
    const world = new World();
    const [a, b] = pair(world);
    world.run(minutes(1));
    const [old] = [...a.dataPlane.pairs.keys()];
    a.feed({ kind: "dataPlane", event: { kind: "hardLimit", inboundSpi: old!, reason: "octets" } });
    expect(a.dataPlane.pairs.has(old!)).toBe(false);
    world.run(minutes(1));
    expectConverged(a, b, ["lan"]);
    expect(a.find("childSaDown")?.reason).toBe("hardLimit");
  });

  test("a soft limit rekeys at once", () => {
    const world = new World();
    const [a, b] = pair(world);
    world.run(minutes(1));
    const [old] = [...a.dataPlane.pairs.keys()];
    a.feed({ kind: "dataPlane", event: { kind: "softLimit", inboundSpi: old!, reason: "sequenceNumbers" } });
    world.run(minutes(1));
    expect([a.count("childSaRekeyed"), b.count("childSaRekeyed")]).toEqual([1, 1]);
    expectConverged(a, b, ["lan"]);
  });
});

describe("one IKE SA per peer", () => {
  test("[CHILD-22] INITIAL_CONTACT removes older IKE SAs with the same identities, and no others", () => {
    const world = new World();
    const lan = { ...LAN_B, keep: "respond" } as const;
    const b = world.add("B", "192.0.2.2", [
      connection("192.0.2.1", [lan], { keep: "respond", remote: { id: "any" } }),
    ]);
    const call = (id: string, isInitialContact: boolean) => {
      const peer = new RawPeer(world, b);
      peer.identity = { idType: IdType.FQDN, data: utf8(id) };
      peer.init();
      const extra = isInitialContact ? [notify(NotifyType.INITIAL_CONTACT)] : [];
      peer.ask(ExchangeType.IKE_AUTH, [...peer.authPayloads(), ...extra]);
      return peer;
    };
    const first = call("one.example.net", false);
    const second = call("two.example.net", false);
    expect(b.dataPlane.pairs.size).toBe(2);
    call("one.example.net", true);
    expect(b.dataPlane.pairs.size).toBe(2);
    expect(b.notices.filter(({ code }) => code === "ikeSaDown")).toHaveLength(1);
    expect(b.find("ikeSaDown")?.ikeSa.initiatorSpi).toBe(first.initiatorSpi);
    expect(second.ask(ExchangeType.INFORMATIONAL, [])?.payloads).toEqual([]);
  });

  test("[CHILD-22] what a peer calls itself stands for nobody else, though it looks like a pattern", () => {
    const world = new World();
    const lan = { ...LAN_B, keep: "respond" } as const;
    const open = connection("192.0.2.1", [lan], {
      keep: "respond",
      remote: { id: "any" },
      ike: { unique: "reject" },
    });
    const b = world.add("B", "192.0.2.2", [open]);
    const call = (id: string) => {
      const peer = new RawPeer(world, b);
      peer.identity = { idType: IdType.FQDN, data: utf8(id) };
      peer.init();
      peer.send(peer.seal(ExchangeType.IKE_AUTH, peer.nextId++, peer.authPayloads()));
    };
    call("*.example.net");
    call("one.example.net");
    expect(b.find("duplicateRefused")).toBeUndefined();
    expect(b.dataPlane.pairs.size).toBe(2);
    call("*.example.net");
    expect(b.find("duplicateRefused")).toBeDefined();
    expect(b.dataPlane.pairs.size).toBe(2);
  });

  test("[CHILD-22] INITIAL_CONTACT without authentication removes nothing", () => {
    const { b, peer } = connected();
    const intruder = new RawPeer(peer.world, b);
    intruder.secret = utf8("guessed");
    intruder.init();
    intruder.ask(ExchangeType.IKE_AUTH, [...intruder.authPayloads(), notify(NotifyType.INITIAL_CONTACT)]);
    expect(peer.ask(ExchangeType.INFORMATIONAL, [])?.payloads).toEqual([]);
    expect(b.dataPlane.pairs.size).toBe(1);
  });
});

test("jitter is taken off soft limits in octets and packets, alike for both halves and otherwise at each end", () => {
  const lifetime = { softOctets: 1e9, hardOctets: 1.25e9, softPackets: 1e6, hardPackets: 1.25e6 };
  const limits = (jitter: number) => {
    const limited = { lifetime, rekey: { time: hours(1), jitter } };
    const world = new World();
    const [a, b] = pair(
      world,
      { children: [{ ...LAN_A, ...limited }] },
      { keep: "respond", children: [{ ...LAN_B, keep: "respond", ...limited }] },
    );
    world.run(seconds(1));
    return [a, b].map(({ dataPlane }) => {
      const [{ inbound, outbound }] = [...dataPlane.pairs.values()] as [SaPair];
      expect(inbound.lifetime).toEqual(outbound?.lifetime);
      return inbound.lifetime;
    });
  };
  expect(limits(0)).toMatchObject([lifetime, lifetime]);
  const [ofA, ofB] = limits(0.2);
  for (const one of [ofA!, ofB!]) {
    expect(one).toMatchObject({ hardOctets: 1.25e9, hardPackets: 1.25e6 });
    expect(one.softPackets).toBeGreaterThan(0.8e6);
    expect(one.softPackets).toBeLessThan(1e6);
    expect(one.softOctets! / 1e9).toBeCloseTo(one.softPackets! / 1e6, 5);
  }
  expect(Math.abs(ofA!.softPackets! - ofB!.softPackets!)).toBeGreaterThan(1000);
});
