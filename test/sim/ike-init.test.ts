/** IKE_SA_INIT, as its responder and as its initiator (RFC 7296 sections 1.2, 2.6, 2.7). */
import { describe, expect, test } from "vitest";
import { equal } from "../../src/base/bytes.ts";
import { minutes, seconds } from "../../src/base/instant.ts";
import { IkeSpi, ZERO_IKE_SPI } from "../../src/base/spi.ts";
import { find, findNotify, invalidKe, notify } from "../../src/ike/exchange/payload-list.ts";
import {
  ANSWER_REPEATS_BURST,
  COOKIE_SECRET_LIFETIME,
  COOKIE_THRESHOLD,
  HALF_OPEN_STRANGERS_MAX,
  STATELESS_REPLIES_PER_SECOND,
} from "../../src/ike/limits.ts";
import { natHash } from "../../src/ike/negotiation/nat-detection.ts";
import { decodeMessage, encodeMessage } from "../../src/wire/ike/message.ts";
import type { Payload } from "../../src/wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { initiator, openResponder, responder } from "./ike-one-side.ts";
import { ikeProposal, kinds, notifyTypes, RawPeer } from "./ike-raw-peer.ts";
import { CBC_ECP256, connection, GCM_X25519, ip, LAN_A, pair, World } from "./ike-world.ts";

describe("responder", () => {
  test("[INIT-01] one proposal and one transform of each type, with the number of the request", () => {
    const { peer } = responder();
    const transforms = [
      { type: 1, id: 20, keyBits: 128 },
      { type: 1, id: 20, keyBits: 256 },
      { type: 2, id: 5 },
      { type: 2, id: 6 },
      { type: 4, id: 19 },
      { type: 4, id: 31 },
    ];
    const foreign = ikeProposal({
      number: 1,
      transforms: [
        { type: 1, id: 999 },
        { type: 2, id: 6 },
        { type: 4, id: 31 },
      ],
    });
    const sa: Payload = { kind: "SA", proposals: [foreign, ikeProposal({ number: 2, transforms })] };
    const answer = peer.init([sa, ...peer.initPayloads().slice(1)]);
    const chosen = find(answer?.payloads ?? [], "SA")?.proposals;
    expect(chosen).toEqual([
      {
        number: 2,
        protocolId: 1,
        spi: new Uint8Array(0),
        transforms: [
          { type: 1, id: 20, keyBits: 256 }, // [INIT-15]
          { type: 2, id: 6 },
          { type: 4, id: 31 },
        ],
      },
    ]);
  });

  test("[INIT-02] no acceptable proposal: NO_PROPOSAL_CHOSEN in clear, no state, and the difference for the operator", () => {
    const { b, peer } = responder();
    const transforms = [
      { type: 1, id: 12, keyBits: 256 },
      { type: 3, id: 12 },
      { type: 2, id: 5 },
      { type: 4, id: 14 },
    ];
    const answer = peer.init([
      { kind: "SA", proposals: [ikeProposal({ transforms })] },
      ...peer.initPayloads().slice(1),
    ]);
    expect(notifyTypes(answer?.payloads ?? [])).toEqual([NotifyType.NO_PROPOSAL_CHOSEN]);
    expect(b.machine.ikeSaCount()).toBe(0);
    const mismatch = b.find("noCommonProposal");
    expect(mismatch).toMatchObject({ role: "responder", protocol: "ike", connection: "net" });
    expect(mismatch?.difference.map(({ type, common }) => [type, common.length])).toEqual([
      [1, 0],
      [3, 0],
      [2, 0],
      [4, 0],
    ]);
  });

  test("[INIT-03] a method that is not allowed gets INVALID_KE_PAYLOAD with ours in two octets", () => {
    const { b, peer } = responder();
    const transforms = [
      { type: 1, id: 20, keyBits: 256 },
      { type: 2, id: 6 },
      { type: 4, id: 14 },
      { type: 4, id: 31 },
    ];
    const payloads: Payload[] = [
      { kind: "SA", proposals: [ikeProposal({ transforms })] },
      { kind: "KE", method: 14, data: new Uint8Array(256).fill(5) },
      { kind: "Nonce", data: peer.nonce },
    ];
    const answer = peer.init(payloads);
    expect(findNotify(answer?.payloads ?? [], NotifyType.INVALID_KE_PAYLOAD)?.data).toEqual(
      Uint8Array.of(0, 31),
    );
    expect(b.machine.ikeSaCount()).toBe(0);
  });

  test("[INIT-06] [INIT-07] under load a cookie is asked for; a right one is needed, a wrong or old one is none", () => {
    const { world, b } = openResponder();
    const flood = (count: number, from: number) => {
      for (let i = 0; i < count; i++) new RawPeer(world, b, `198.51.${from + i}.1`).init();
    };
    flood(COOKIE_THRESHOLD, 0);
    expect(b.machine.ikeSaCount()).toBe(COOKIE_THRESHOLD);
    const peer = new RawPeer(world, b, "203.0.113.5");
    const challenge = peer.init();
    const cookie = findNotify(challenge?.payloads ?? [], NotifyType.COOKIE)?.data;
    expect(cookie?.length).toBeGreaterThan(0);
    expect(cookie?.length).toBeLessThanOrEqual(64);
    expect(b.machine.ikeSaCount()).toBe(COOKIE_THRESHOLD);
    const wrong = Uint8Array.from(cookie!);
    wrong[wrong.length - 1] = wrong[wrong.length - 1]! ^ 1;
    const withCookie = (data: Uint8Array) => [notify(NotifyType.COOKIE, data), ...peer.initPayloads()];
    expect(notifyTypes(peer.init(withCookie(wrong))?.payloads ?? [])).toEqual([NotifyType.COOKIE]);
    expect(kinds(peer.init(withCookie(cookie!))?.payloads ?? [])).toContain("KE");
    expect(b.count("cookiesOn")).toBe(1);
    world.run(2 * COOKIE_SECRET_LIFETIME + 1000);
    flood(COOKIE_THRESHOLD, 100);
    const late = new RawPeer(world, b, "203.0.113.5");
    late.initiatorSpi = peer.initiatorSpi;
    late.nonce = peer.nonce;
    expect(notifyTypes(late.init(withCookie(cookie!))?.payloads ?? [])).toEqual([NotifyType.COOKIE]);
  });

  test("[ERR-06] half-open IKE SAs are limited in all and per prefix, and configured addresses keep their places", () => {
    const { world, b } = openResponder();
    const call = (address: string) => {
      const peer = new RawPeer(world, b, address);
      const cookie = findNotify(peer.init()?.payloads ?? [], NotifyType.COOKIE)?.data;
      if (cookie !== undefined) peer.init([notify(NotifyType.COOKIE, cookie), ...peer.initPayloads()]);
      world.run(60);
    };
    for (let i = 0; i < 20; i++) call(`198.51.100.${i + 1}`);
    expect(b.machine.ikeSaCount()).toBeLessThanOrEqual(8);
    expect(b.machine.drops().get("tooManyFromPrefix")).toBeGreaterThan(0);
    for (let i = 0; i < HALF_OPEN_STRANGERS_MAX + 20; i++) call(`198.${i >> 8}.${i & 0xff}.9`);
    expect(b.machine.ikeSaCount()).toBeLessThanOrEqual(HALF_OPEN_STRANGERS_MAX);
    const { peer, b: configured } = responder();
    const noise = new RawPeer(peer.world, configured, "198.51.100.1");
    for (let i = 0; i < 50; i++) noise.init();
    expect(kinds(peer.init()?.payloads ?? [])).toContain("KE");
  });

  test("[INIT-09] nonces shorter than 16 or longer than 256 octets are refused", () => {
    for (const [length, isTaken] of [
      [15, false],
      [16, true],
      [256, true],
      [257, false],
    ] as const) {
      const { b, peer } = responder();
      peer.nonce = peer.world.random.publicBytes(length);
      const answer = peer.init();
      expect(kinds(answer?.payloads ?? []).includes("KE")).toBe(isTaken);
      expect(b.machine.ikeSaCount()).toBe(isTaken ? 1 : 0);
    }
  });

  test("[INIT-10] key exchange data of another length than the method's is refused", () => {
    for (const length of [31, 33]) {
      const { b, peer } = responder();
      const ke: Payload = { kind: "KE", method: 31, data: new Uint8Array(length).fill(9) };
      const answer = peer.init(peer.initPayloads().map((one) => (one.kind === "KE" ? ke : one)));
      expect(kinds(answer?.payloads ?? [])).not.toContain("KE");
      expect(b.machine.ikeSaCount()).toBe(0);
    }
  });

  test("[INIT-12] a value that gives an all-zero secret ends the half-open IKE SA", () => {
    const { b, peer } = responder();
    const ke: Payload = { kind: "KE", method: 31, data: new Uint8Array(32) };
    peer.init(peer.initPayloads().map((one) => (one.kind === "KE" ? ke : one)));
    const { initiatorSpi } = peer;
    const responderSpi = decodeMessage(peer.world.wire.at(-1)!.bytes).header.responderSpi;
    const sk: Payload = { kind: "SK", firstInnerPayload: 0, body: new Uint8Array(64) };
    const header = {
      initiatorSpi,
      responderSpi,
      exchangeType: 35,
      isFromInitiator: true,
      isResponse: false,
      messageId: 1,
    };
    peer.send(encodeMessage(header, [sk]));
    expect(b.machine.ikeSaCount()).toBe(0);
    expect(b.count("keyExchangeRefused")).toBe(1);
  });

  test("[INIT-14] a proposal that lacks a type or has an unknown one is passed over, the next one is taken", () => {
    const { peer } = responder();
    const lacking = ikeProposal({
      number: 1,
      transforms: [
        { type: 1, id: 20, keyBits: 256 },
        { type: 4, id: 31 },
      ],
    });
    const strange = ikeProposal({
      number: 2,
      transforms: [...ikeProposal().transforms, { type: 77, id: 1 }],
    });
    const good = ikeProposal({ number: 3 });
    const answer = peer.init([
      { kind: "SA", proposals: [lacking, strange, good] },
      ...peer.initPayloads().slice(1),
    ]);
    expect(find(answer?.payloads ?? [], "SA")?.proposals[0]?.number).toBe(3);
  });

  test("[MID-06] the same IKE_SA_INIT request again gets the same octets and no second IKE SA", () => {
    const { b, peer } = responder();
    const bytes = peer.encodeInit();
    const [first] = peer.send(bytes);
    const [second] = peer.send(bytes);
    expect(first !== undefined && second !== undefined && equal(first, second)).toBe(true);
    expect(b.machine.ikeSaCount()).toBe(1);
  });

  test("a request that is sent again from elsewhere, or without end, makes no stream of answers to an address of somebody's choice", () => {
    const { world, b } = openResponder();
    const peer = new RawPeer(world, b);
    const bytes = peer.encodeInit();
    expect(peer.send(bytes)).toHaveLength(1);
    const [elsewhere] = peer.send(bytes, { address: ip("198.51.100.7"), port: 500 });
    // Admitted by itself, with an SPI of its own.
    expect(decodeMessage(elsewhere!).header.responderSpi).not.toBe(
      decodeMessage(peer.send(bytes)[0]!).header.responderSpi,
    );
    let answers = 0;
    for (let i = 0; i < 200; i++) answers += peer.send(bytes).length;
    expect(answers).toBeLessThanOrEqual(ANSWER_REPEATS_BURST);
    expect(b.machine.drops().get("replyRateExceeded")).toBeGreaterThan(100);
    // A peer that repeats it as peers do is answered.
    world.run(seconds(1));
    expect(peer.send(bytes)).toHaveLength(1);
  });

  test("a flood of refused requests is told of, and answered, no more than the limit allows", () => {
    const { b, world } = responder();
    for (let i = 0; i < 500; i++) new RawPeer(world, b, `203.0.${i >> 8}.${i & 0xff}`).init();
    expect(b.count("noConnectionFor")).toBeLessThanOrEqual(STATELESS_REPLIES_PER_SECOND);
    expect(world.wire.length).toBeLessThanOrEqual(STATELESS_REPLIES_PER_SECOND);
    expect(b.machine.drops().get("unknownConnection")).toBe(500);
    // What strangers use up a configured peer does not miss.
    const peer = new RawPeer(world, b);
    const payloads = peer.initPayloads().map((one) => (one.kind === "KE" ? { ...one, method: 14 } : one));
    expect(notifyTypes(peer.init(payloads)?.payloads ?? [])).toEqual([NotifyType.INVALID_KE_PAYLOAD]);
    expect(b.machine.ikeSaCount()).toBe(0);
  });

  test("a stranger is told NO_PROPOSAL_CHOSEN and the operator who it was", () => {
    const { b, world } = responder();
    const stranger = new RawPeer(world, b, "203.0.113.9");
    expect(notifyTypes(stranger.init()?.payloads ?? [])).toEqual([NotifyType.NO_PROPOSAL_CHOSEN]);
    expect(b.find("noConnectionFor")?.remote?.address).toEqual(ip("203.0.113.9"));
  });

  test("[NAT-01] the hashes are SHA-1 over SPIs, address and port; a wrong one is a NAT", () => {
    const { b, peer } = responder();
    const hash = (address: string, port: number) =>
      natHash(peer.initiatorSpi, ZERO_IKE_SPI, { address: ip(address), port });
    const honest = [
      notify(NotifyType.NAT_DETECTION_SOURCE_IP, hash("192.0.2.1", 500)),
      notify(NotifyType.NAT_DETECTION_DESTINATION_IP, hash("192.0.2.7", 500)),
    ];
    const answer = peer.init([...peer.initPayloads(), ...honest]);
    const { header, payloads } = answer!;
    const destination = findNotify(payloads, NotifyType.NAT_DETECTION_DESTINATION_IP)?.data;
    expect(destination).toEqual(natHash(header.initiatorSpi, header.responderSpi, peer.local));
    peer.ask(ExchangeType.IKE_AUTH, peer.authPayloads());
    expect(b.state().ikeSa?.nat).toMatchObject({ isSupported: true, weAreBehind: true, peerIsBehind: false });
  });
});

describe("initiator", () => {
  test("[INIT-05] a cookie comes back in front, and nothing else changes", () => {
    const { last, answer } = initiator();
    const before = last();
    answer([notify(NotifyType.COOKIE, Uint8Array.of(1, 2, 3, 4))]);
    const after = decodeMessage(last());
    const [first, ...rest] = after.payloads;
    expect(first).toMatchObject({
      kind: "N",
      notifyType: NotifyType.COOKIE,
      data: Uint8Array.of(1, 2, 3, 4),
    });
    expect(rest).toEqual(decodeMessage(before).payloads);
    expect(after.header.messageId).toBe(0); // [MID-01]
  });

  test("[INIT-07] cookies of 0 or 65 octets are no cookies", () => {
    for (const length of [0, 65]) {
      const { world, answer } = initiator();
      answer([notify(NotifyType.COOKIE, new Uint8Array(length).fill(1))]);
      expect(world.wire).toHaveLength(1);
    }
  });

  test("[INIT-04] INVALID_KE_PAYLOAD is followed to a method that we offered, with all proposals again", () => {
    const { world, last, answer } = initiator();
    const before = find(decodeMessage(last()).payloads, "SA");
    answer([invalidKe(14)]);
    expect(world.wire).toHaveLength(1);
    answer([invalidKe(19)]);
    const { payloads, header } = decodeMessage(last());
    expect(find(payloads, "KE")?.method).toBe(19);
    expect(find(payloads, "SA")).toEqual(before);
    expect(header.messageId).toBe(0);
  });

  test("[INIT-08] an endless row of cookies and methods comes to an end", () => {
    const { world, answer, a } = initiator();
    for (let i = 0; i < 50; i++) {
      answer([notify(NotifyType.COOKIE, Uint8Array.of(i, i + 1))]);
      answer([invalidKe(i % 2 === 0 ? 19 : 31)]);
    }
    expect(world.wire.length).toBeLessThan(10);
    world.run(minutes(1));
    expect(a.count("retrying")).toBeGreaterThan(0);
  });

  test("[INIT-16] an unauthenticated error does not end the attempt: the true answer still counts", () => {
    const world = new World();
    const [a, b] = pair(world);
    world.network = (datagram) => [{ datagram, delay: 100 }];
    world.run(1);
    const { initiatorSpi } = decodeMessage(world.wire[0]!.bytes).header;
    const forged = encodeMessage(
      {
        initiatorSpi,
        responderSpi: ZERO_IKE_SPI,
        exchangeType: 34,
        isFromInitiator: false,
        isResponse: true,
        messageId: 0,
      },
      [notify(NotifyType.NO_PROPOSAL_CHOSEN)],
    );
    const remote = { address: b.address, port: 500 };
    a.feed({ kind: "datagram", local: { address: a.address, port: 500 }, remote, bytes: forged });
    world.run(seconds(3));
    expect(a.state().state).toBe("up");
    expect(a.count("proposalRejectedByPeer")).toBe(0);
  });

  test("[INIT-16] after a while the error is believed, said in words, and tried again", () => {
    const { world, a, answer } = initiator();
    answer([notify(NotifyType.NO_PROPOSAL_CHOSEN)]);
    world.run(seconds(10));
    expect(a.find("proposalRejectedByPeer")).toMatchObject({
      connection: "net",
      protocol: "ike",
      sent: [GCM_X25519],
    });
    expect(a.count("connecting")).toBeGreaterThan(1);
  });

  test("[INIT-08] [AUTH-06] COOKIE and INVALID_KE_PAYLOAD together, in either order, end in an IKE SA", () => {
    for (const isCookieFirst of [true, false]) {
      const world = new World();
      const ofB = {
        keep: "respond",
        ike: { proposals: [{ ...GCM_X25519, ke: [19] }] },
        remote: { addresses: [] },
      } as const;
      const [a, b] = pair(world, {}, ofB);
      const flood = () => {
        for (let i = 0; i < COOKIE_THRESHOLD; i++) {
          const peer = new RawPeer(world, b, `198.51.${i}.1`);
          const transforms = [
            { type: 1, id: 20, keyBits: 256 },
            { type: 2, id: 6 },
            { type: 4, id: 19 },
          ];
          const ke: Payload = { kind: "KE", method: 19, data: peerPoint };
          const sa: Payload = { kind: "SA", proposals: [ikeProposal({ transforms })] };
          peer.send(peer.encodeInit([sa, ke, { kind: "Nonce", data: peer.nonce }]));
        }
      };
      const peerPoint = new Uint8Array(64).fill(3);
      if (isCookieFirst) flood();
      else world.later(7, flood);
      world.network = (datagram) => [{ datagram, delay: 5 }];
      world.run(seconds(5));
      expect(a.state().state).toBe("up");
      const order = a.notices
        .map(({ code }) => code)
        .filter((code) => /cookieRequired|invalidKeRetry/.test(code));
      expect(order).toEqual(
        isCookieFirst ? ["cookieRequired", "invalidKeRetry"] : ["invalidKeRetry", "cookieRequired"],
      );
      // [AUTH-06] AUTH was over the last request, cookie included, or it would not be up.
      expect(b.state().state).toBe("up");
    }
  });

  test("[INIT-01] an answer that was not offered is not taken", () => {
    const { a, answer, world } = initiator();
    const transforms = [
      { type: 1, id: 20, keyBits: 128 },
      { type: 2, id: 6 },
      { type: 4, id: 31 },
    ];
    const spi = IkeSpi(new Uint8Array(8).fill(5));
    answer(
      [
        { kind: "SA", proposals: [ikeProposal({ transforms })] },
        { kind: "KE", method: 31, data: new Uint8Array(32).fill(9) },
        { kind: "Nonce", data: new Uint8Array(32).fill(1) },
      ],
      spi,
    );
    expect(world.wire).toHaveLength(1);
    world.run(seconds(5));
    expect(a.find("noCommonProposal")).toMatchObject({ role: "initiator", protocol: "ike" });
  });

  test("[INIT-12] a public value of the responder that is none is passed over, and the true answer taken", () => {
    const { world, answer, a } = initiator();
    const spi = IkeSpi(new Uint8Array(8).fill(5));
    const sa: Payload = { kind: "SA", proposals: [ikeProposal()] };
    const nonce: Payload = { kind: "Nonce", data: new Uint8Array(32).fill(1) };
    answer([sa, { kind: "KE", method: 31, data: new Uint8Array(32) }, nonce], spi);
    expect(world.wire).toHaveLength(1);
    expect(a.machine.drops().get("badKeyExchange")).toBe(1);
    answer([sa, { kind: "KE", method: 31, data: new Uint8Array(32).fill(9) }, nonce], spi);
    expect(world.wire[1]?.bytes[18]).toBe(ExchangeType.IKE_AUTH);
  });

  test("[ENC-09] [ENC-12] [INIT-15] what we offer: one transform per key length, no integrity beside a combined-mode cipher", () => {
    const world = new World();
    const suites = [
      {
        encr: [
          { id: 20, keyBits: 256 },
          { id: 20, keyBits: 128 },
          { id: 28, keyBits: 0 },
        ],
        integ: [],
        prf: [6],
        ke: [31],
        esn: [],
      },
      CBC_ECP256,
    ];
    world.add("A", "192.0.2.1", [connection("192.0.2.2", [LAN_A], { ike: { proposals: suites } })]);
    world.run(1);
    const proposals = find(decodeMessage(world.wire[0]!.bytes).payloads, "SA")?.proposals ?? [];
    expect(proposals.map(({ number }) => number)).toEqual([1, 2]);
    expect(proposals[0]?.transforms.filter(({ type }) => type === 1)).toEqual([
      { type: 1, id: 20, keyBits: 256 },
      { type: 1, id: 20, keyBits: 128 },
      { type: 1, id: 28 },
    ]);
    expect(proposals[0]?.transforms.some(({ type }) => type === 3)).toBe(false);
    expect(proposals[1]?.transforms.some(({ type }) => type === 3)).toBe(true);
  });
});
