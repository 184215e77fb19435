/** Errors in every corner, and messages that are none (RFC 7296 section 2.21). */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { minutes, seconds } from "../../src/base/instant.ts";
import { notify } from "../../src/ike/exchange/payload-list.ts";
import { sealMessage } from "../../src/ike/sa/sk-payload.ts";
import { encodeMessage } from "../../src/wire/ike/message.ts";
import type { Payload } from "../../src/wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { expectGone } from "./ike-invariants.ts";
import { kinds, notifyTypes, RawPeer } from "./ike-raw-peer.ts";
import { connection, LAN_B, pair, World } from "./ike-world.ts";

function connected() {
  const world = new World();
  const b = world.add("B", "192.0.2.2", [
    connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], { keep: "respond" }),
  ]);
  const peer = new RawPeer(world, b);
  peer.connect();
  return { world, b, peer };
}

describe("under protection", () => {
  test("[ERR-01] a malformed request gets INVALID_SYNTAX and ends the IKE SA", () => {
    const malformed: Payload[][] = [
      [{ kind: "Nonce", data: new Uint8Array(32) }],
      [
        { kind: "Nonce", data: new Uint8Array(32) },
        { kind: "Nonce", data: new Uint8Array(32) },
      ],
    ];
    for (const payloads of malformed) {
      const { world, b, peer } = connected();
      const answer = peer.ask(ExchangeType.CREATE_CHILD_SA, payloads);
      expect(notifyTypes(answer?.payloads ?? [])).toEqual([NotifyType.INVALID_SYNTAX]);
      expect(b.state().state).toBe("down");
      expect(b.find("ikeSaDown")?.reason).toBe("protocolError");
      world.run(minutes(1));
      expectGone(b);
    }
  });

  test("[ERR-01] payloads that cannot be read under the keys get INVALID_SYNTAX too", () => {
    const { b, peer } = connected();
    const { initiatorSpi, responderSpi } = peer;
    const header = {
      initiatorSpi,
      responderSpi,
      exchangeType: 37,
      messageId: peer.nextId,
      isFromInitiator: true,
      isResponse: false,
    };
    const unreadable: Payload = { kind: "unknown", payloadType: 42, critical: false, body: Uint8Array.of(1) };
    const [answer] = peer.send(sealMessage(peer.keys(), header, [unreadable], peer.world.random));
    expect(answer !== undefined && notifyTypes(peer.open(answer).payloads)).toEqual([
      NotifyType.INVALID_SYNTAX,
    ]);
    expect(b.state().state).toBe("down");
  });

  test("[ERR-01] [ERR-02] a malformed response gets no error; the IKE SA ends with a Delete", () => {
    const { world, b, peer } = connected();
    b.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
    world.run(1);
    const [request] = peer.requests();
    const before = world.wire.length;
    peer.answer(request!, [{ kind: "Nonce", data: new Uint8Array(4) }]);
    world.run(1);
    expect(b.state().state).toBe("down");
    const sent = world.wire.slice(before);
    expect(sent.every(({ bytes }) => (bytes[19]! & 0x20) === 0)).toBe(true);
    expect(peer.requests(before)[0]?.payloads).toEqual([{ kind: "D", protocolId: 1, spis: [] }]);
  });

  test("[HDR-10] an unknown critical payload is named, and the IKE SA stays", () => {
    const { b, peer } = connected();
    const critical: Payload = { kind: "unknown", payloadType: 250, critical: true, body: new Uint8Array(0) };
    const answer = peer.ask(ExchangeType.INFORMATIONAL, [critical]);
    expect(answer?.payloads[0]).toMatchObject({
      notifyType: NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD,
      data: Uint8Array.of(250),
    });
    expect(b.state().state).toBe("up");
  });

  test("[HDR-11] [ERR-04] unknown payloads and status notifies are passed over", () => {
    const { b, peer } = connected();
    const unknown: Payload = { kind: "unknown", payloadType: 250, critical: false, body: new Uint8Array(3) };
    expect(peer.ask(ExchangeType.INFORMATIONAL, [unknown, notify(54321)])?.payloads).toEqual([]);
    const answer = peer.ask(
      ExchangeType.CREATE_CHILD_SA,
      peer.createChild(0xc0ffee02, [unknown, notify(40000)]),
    );
    expect(kinds(answer?.payloads ?? [])).toContain("SA");
    expect(b.state().state).toBe("up");
  });

  test("[ERR-04] an unknown error in a response means that the exchange failed, and nothing worse", () => {
    const { world, b, peer } = connected();
    b.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
    world.run(1);
    const [request] = peer.requests();
    peer.answer(request!, [notify(9999)]);
    expect(b.find("rekeyPostponed")?.notifyType).toBe(9999);
    expect(b.state().state).toBe("up");
    expect(b.dataPlane.reserved.size).toBe(0);
  });

  test("[ERR-05] a notify with an SPI of a size that fits nothing is refused", () => {
    const { b, peer } = connected();
    const odd: Payload = {
      kind: "N",
      protocolId: 3,
      notifyType: 16393,
      spi: new Uint8Array(3),
      data: new Uint8Array(0),
    };
    const answer = peer.ask(ExchangeType.CREATE_CHILD_SA, peer.createChild(0xc0ffee02, [odd]));
    expect(notifyTypes(answer?.payloads ?? [])).toEqual([NotifyType.INVALID_SYNTAX]);
    expect(b.dataPlane.pairs.size).toBe(0);
  });

  test("[INIT-09] a nonce of another length than 16 to 256 octets is refused in CREATE_CHILD_SA too", () => {
    for (const length of [15, 257]) {
      const { peer } = connected();
      const payloads = peer
        .createChild(0xc0ffee02)
        .map((one) => (one.kind === "Nonce" ? { ...one, data: new Uint8Array(length) } : one));
      expect(notifyTypes(peer.ask(ExchangeType.CREATE_CHILD_SA, payloads)?.payloads ?? [])).toEqual([
        NotifyType.INVALID_SYNTAX,
      ]);
    }
  });

  test("[INIT-12] a key exchange value that is none is the peer's own fault", () => {
    const { b, peer } = connected();
    const answer = peer.ask(ExchangeType.CREATE_CHILD_SA, [
      {
        kind: "SA",
        proposals: [
          {
            number: 1,
            protocolId: 1,
            spi: new Uint8Array(8).fill(3),
            transforms: [
              { type: 1, id: 20, keyBits: 256 },
              { type: 2, id: 6 },
              { type: 4, id: 31 },
            ],
          },
        ],
      },
      { kind: "Nonce", data: new Uint8Array(32).fill(1) },
      { kind: "KE", method: 31, data: new Uint8Array(32) },
    ]);
    expect(notifyTypes(answer?.payloads ?? [])).toEqual([NotifyType.INVALID_SYNTAX]);
    expect(b.state().state).toBe("down");
  });
});

describe("without protection", () => {
  test("[ERR-03] [ERR-07] notifies without protection never change an established IKE SA", () => {
    const world = new World();
    const [a, b] = pair(world);
    world.run(minutes(1));
    const { initiatorSpi, responderSpi } = a.state().ikeSa!;
    const types = [
      NotifyType.INVALID_IKE_SPI,
      NotifyType.INVALID_SPI,
      NotifyType.AUTHENTICATION_FAILED,
      NotifyType.INVALID_SYNTAX,
    ];
    for (const type of types)
      for (const isResponse of [true, false])
        for (const exchangeType of [
          ExchangeType.IKE_SA_INIT,
          ExchangeType.INFORMATIONAL,
          ExchangeType.IKE_AUTH,
        ]) {
          const header = {
            initiatorSpi,
            responderSpi,
            exchangeType,
            isFromInitiator: false,
            isResponse,
            messageId: 2,
          };
          const bytes = encodeMessage(header, [notify(type)]);
          a.feed({
            kind: "datagram",
            local: { address: a.address, port: 4500 },
            remote: { address: b.address, port: 4500 },
            bytes,
          });
        }
    const deletion = encodeMessage(
      {
        initiatorSpi,
        responderSpi,
        exchangeType: 37,
        isFromInitiator: false,
        isResponse: false,
        messageId: 0,
      },
      [{ kind: "D", protocolId: 1, spis: [] }],
    );
    a.feed({
      kind: "datagram",
      local: { address: a.address, port: 4500 },
      remote: { address: b.address, port: 4500 },
      bytes: deletion,
    });
    world.run(minutes(1));
    expect(a.state().state).toBe("up");
    expect(a.count("ikeSaDown") + a.count("childSaDown")).toBe(0);
    expect(a.state().ikeSa?.initiatorSpi).toBe(initiatorSpi);
  });

  test("[ERR-02] an unprotected error is never answered", () => {
    const { peer, world, b } = connected();
    const { initiatorSpi, responderSpi } = peer;
    world.run(seconds(5));
    const header = {
      initiatorSpi,
      responderSpi,
      exchangeType: 37,
      isFromInitiator: true,
      isResponse: false,
      messageId: 2,
    };
    expect(peer.send(encodeMessage(header, [notify(NotifyType.INVALID_IKE_SPI)]))).toEqual([]);
    expect(b.machine.drops().get("notEncrypted")).toBe(1);
  });

  test("random octets and mutated messages never throw, and leave no state behind", () => {
    const recorded = (() => {
      const world = new World();
      pair(world);
      world.run(minutes(2));
      return world.wire.map(({ bytes }) => bytes);
    })();
    const { world, b, peer } = connected();
    const own = [peer.encodeInit(), peer.seal(37, 2, []), peer.seal(36, 2, peer.createChild(0xc0ffee03))];
    const corpus = [...recorded, ...own];
    const mutation = fc.record({
      which: fc.nat(corpus.length - 1),
      flips: fc.array(fc.tuple(fc.nat(2000), fc.integer({ min: 1, max: 255 })), { maxLength: 6 }),
      cut: fc.option(fc.nat(600)),
      port: fc.constantFrom(500, 4500, 33333),
    });
    fc.assert(
      fc.property(mutation, ({ which, flips, cut, port }) => {
        const bytes = Uint8Array.from(corpus[which]!).subarray(0, cut ?? undefined);
        for (const [at, mask] of flips) if (at < bytes.length) bytes[at] = bytes[at]! ^ mask;
        if (bytes.length >= 28 && cut !== null) new DataView(bytes.buffer).setUint32(24, bytes.length);
        peer.send(bytes, { ...peer.local, port });
      }),
      { numRuns: 2000, seed: 7 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void peer.send(bytes)),
      { numRuns: 500, seed: 7 },
    );
    expect(b.dataPlane.pairs.size).toBeLessThanOrEqual(2);
    world.run(minutes(1));
    expect(peer.requests().length).toBeGreaterThanOrEqual(0);
    expect(b.machine.ikeSaCount()).toBeLessThanOrEqual(1);
  });
});

test("payloads of any kind and content under the keys never throw", () => {
  const bytes = fc.uint8Array({ maxLength: 40 });
  const payload: fc.Arbitrary<Payload> = fc.oneof(
    fc.record({ kind: fc.constant("Nonce" as const), data: fc.uint8Array({ minLength: 1, maxLength: 300 }) }),
    fc.record({ kind: fc.constant("KE" as const), method: fc.constantFrom(0, 14, 19, 31, 999), data: bytes }),
    fc.record({
      kind: fc.constant("N" as const),
      protocolId: fc.constantFrom(0, 1, 3),
      notifyType: fc.constantFrom(1, 7, 14, 17, 24, 35, 38, 43, 44, 16384, 16385, 16393, 60000),
      spi: fc.constantFrom(new Uint8Array(0), new Uint8Array(4).fill(9)),
      data: bytes,
    }),
    fc.record({
      kind: fc.constant("D" as const),
      protocolId: fc.constantFrom(2, 3),
      spis: fc.array(fc.uint8Array({ minLength: 4, maxLength: 4 }), { maxLength: 4 }),
    }),
    fc.record({
      kind: fc.constant("unknown" as const),
      payloadType: fc.integer({ min: 54, max: 255 }),
      critical: fc.boolean(),
      body: bytes,
    }),
    fc.constant<Payload>({
      kind: "SA",
      proposals: [
        {
          number: 1,
          protocolId: 3,
          spi: new Uint8Array(4).fill(7),
          transforms: [
            { type: 1, id: 20, keyBits: 256 },
            { type: 5, id: 0 },
          ],
        },
      ],
    }),
    fc.constant<Payload>({ kind: "TSi", selectors: [] }),
  );
  const exchange = fc.constantFrom(34, 35, 36, 37, 43, 99);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(exchange, fc.array(payload, { maxLength: 6 }), fc.boolean()), { maxLength: 4 }),
      (messages) => {
        const { world, b, peer } = connected();
        for (const [exchangeType, payloads, isResponse] of messages) {
          const messageId = isResponse ? 0 : peer.nextId++;
          let sealed: Uint8Array;
          try {
            sealed = peer.seal(exchangeType, messageId, payloads, isResponse);
          } catch (error) {
            if (error instanceof RangeError) continue;
            throw error;
          }
          peer.send(sealed);
        }
        world.run(minutes(3));
        b.shutDown();
        world.run(minutes(3));
        expectGone(b);
      },
    ),
    { numRuns: 150, seed: 11 },
  );
});
