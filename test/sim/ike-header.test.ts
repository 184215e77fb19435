/** The header of every message: versions, flags, SPIs, lengths (RFC 7296 sections 2.5, 2.6, 3.1, 3.2). */
import { describe, expect, test } from "vitest";
import { concat } from "../../src/base/bytes.ts";
import { minutes, seconds } from "../../src/base/instant.ts";
import { IkeSpi, ZERO_IKE_SPI } from "../../src/base/spi.ts";
import { findNotify, invalidKe, notify } from "../../src/ike/exchange/payload-list.ts";
import { decodeMessage, encodeMessage } from "../../src/wire/ike/message.ts";
import type { Payload } from "../../src/wire/ike/payload.ts";
import { NotifyType } from "../../src/wire/ike/registries.ts";
import { initiator, responder } from "./ike-one-side.ts";
import { kinds, notifyTypes } from "./ike-raw-peer.ts";
import { ip, pair, World } from "./ike-world.ts";

describe("header", () => {
  test("[HDR-01] a length field that differs from the octets received is a drop", () => {
    const { b, peer } = responder();
    const bytes = peer.encodeInit();
    expect(peer.send(concat(bytes, Uint8Array.of(0)))).toEqual([]);
    expect(peer.send(bytes.subarray(0, bytes.length - 1))).toEqual([]);
    expect(b.machine.ikeSaCount()).toBe(0);
    expect(b.machine.drops().get("malformed")).toBe(2);
    expect(peer.send(bytes)).toHaveLength(1);
  });

  test("[HDR-02] every message has version 2.0 and no reserved flag", () => {
    const world = new World();
    pair(world);
    world.run(minutes(5));
    expect(world.wire.length).toBeGreaterThan(4);
    for (const { bytes } of world.wire) {
      expect(bytes[17]).toBe(0x20);
      expect(bytes[19]! & 0xd7).toBe(0);
    }
  });

  test("[HDR-03] [HDR-05] reserved flags, the version bit and a higher minor version do not matter", () => {
    const { peer } = responder();
    const bytes = peer.encodeInit();
    bytes[17] = 0x2f;
    bytes[19] = bytes[19]! | 0xd7;
    const [answer] = peer.send(bytes);
    expect(answer !== undefined && kinds(decodeMessage(answer).payloads)).toContain("KE");
  });

  test("[HDR-04] a request of version 3 is told version 2 and makes no SA", () => {
    const { b, peer } = responder();
    const bytes = peer.encodeInit();
    bytes[17] = 0x30;
    const [answer] = peer.send(bytes);
    expect(answer).toBeDefined();
    const { header, payloads } = decodeMessage(answer!);
    expect(header.isResponse).toBe(true);
    expect(findNotify(payloads, NotifyType.INVALID_MAJOR_VERSION)?.data).toEqual(Uint8Array.of(0x20));
    expect(b.machine.ikeSaCount()).toBe(0);
    bytes[19] = 0x20;
    expect(peer.send(bytes)).toEqual([]);
  });

  test("IKEv1 is counted and not answered", () => {
    const { b, peer } = responder();
    const bytes = peer.encodeInit();
    bytes[17] = 0x10;
    expect(peer.send(bytes)).toEqual([]);
    expect(b.machine.drops().get("ikeVersion1")).toBe(1);
    expect(b.state().lastFailure).toMatchObject({ code: "peerSpeaksIkeV1", connection: "net" });
  });

  test("a peer that answers with IKEv1 is said to", () => {
    const { a, last, world } = initiator();
    const bytes = last().slice(0, 28);
    bytes[16] = 0;
    bytes[17] = 0x10;
    bytes[27] = 28;
    bytes[26] = 0;
    const remote = { address: ip("192.0.2.2"), port: 500 };
    a.feed({ kind: "datagram", local: { address: a.address, port: 500 }, remote, bytes });
    world.run(seconds(10));
    expect(a.state().lastFailure?.code).toBe("peerSpeaksIkeV1");
    expect(a.count("connecting")).toBeGreaterThan(1);
  });

  test("[HDR-06] a request with a zero initiator SPI is dropped, and our own is never zero", () => {
    const { b, peer } = responder();
    peer.initiatorSpi = ZERO_IKE_SPI;
    expect(peer.send(peer.encodeInit())).toEqual([]);
    expect(b.machine.ikeSaCount()).toBe(0);
    const { last } = initiator();
    expect(decodeMessage(last()).header.initiatorSpi).not.toBe(ZERO_IKE_SPI);
  });

  test("[HDR-07] the responder SPI is zero in every IKE_SA_INIT request and nowhere else", () => {
    const { last, answer, world } = initiator();
    answer([notify(NotifyType.COOKIE, Uint8Array.of(1, 2, 3))]);
    expect(decodeMessage(last()).header.responderSpi).toBe(ZERO_IKE_SPI);
    answer([invalidKe(19)]);
    expect(decodeMessage(last()).header.responderSpi).toBe(ZERO_IKE_SPI);
    expect(world.wire).toHaveLength(3);
    const { peer } = responder();
    const bytes = peer.encodeInit();
    bytes[8] = 1;
    expect(peer.send(bytes)).toEqual([]);
  });

  test("[HDR-08] the I flag names who began the IKE SA, the R flag who answers", () => {
    const world = new World();
    const [a, b] = pair(world);
    world.run(seconds(5));
    const before = world.wire.length;
    b.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
    world.run(seconds(5));
    const flags = world.wire.slice(before).map(({ from, bytes }) => [from.address[3], bytes[19]! & 0x28]);
    expect(flags[0]).toEqual([b.address[3], 0x00]);
    expect(flags[1]).toEqual([a.address[3], 0x28]);
    const { payloads, header } = decodeMessage(world.wire[0]!.bytes);
    expect([header.isFromInitiator, header.isResponse, payloads.length > 0]).toEqual([true, false, true]);
  });

  test("[HDR-09] a payload length below 4 or past the end is a drop", () => {
    for (const length of [0, 3, 0xffff]) {
      const { b, peer } = responder();
      const bytes = peer.encodeInit();
      bytes[30] = length >> 8;
      bytes[31] = length & 0xff;
      expect(peer.send(bytes)).toEqual([]);
      expect(b.machine.ikeSaCount()).toBe(0);
      expect(b.machine.drops().get("malformed")).toBe(1);
    }
  });

  test("[HDR-10] an unknown critical payload is named in UNSUPPORTED_CRITICAL_PAYLOAD", () => {
    const { b, peer } = responder();
    const critical: Payload = { kind: "unknown", payloadType: 200, critical: true, body: Uint8Array.of(1) };
    const answer = peer.init([...peer.initPayloads(), critical]);
    expect(findNotify(answer?.payloads ?? [], NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD)?.data).toEqual(
      Uint8Array.of(200),
    );
    expect(b.machine.ikeSaCount()).toBe(0);
  });

  test("[HDR-11] [HDR-14] an unknown payload without critical bit and unknown vendor IDs are passed over", () => {
    const { peer } = responder();
    const unknown: Payload = { kind: "unknown", payloadType: 200, critical: false, body: Uint8Array.of(1) };
    const vendor: Payload = { kind: "V", data: Uint8Array.of(9, 9, 9) };
    expect(kinds(peer.init([vendor, unknown, ...peer.initPayloads()])?.payloads ?? [])).toContain("KE");
  });

  test("[HDR-12] the critical bit on a known payload is ignored, and none of ours has it", () => {
    const { peer, world } = responder();
    const bytes = peer.encodeInit();
    bytes[29] = 0x80;
    const [answer] = peer.send(bytes);
    expect(answer !== undefined && kinds(decodeMessage(answer).payloads)).toContain("KE");
    expect(world.wire.at(-1)?.bytes[29]).toBe(0);
  });

  test("[HDR-13] payloads come in any order", () => {
    const { peer } = responder();
    expect(kinds(peer.init(peer.initPayloads().reverse())?.payloads ?? [])).toContain("KE");
  });

  test("[HDR-15] messages of 3000 octets are taken", () => {
    const { peer } = responder();
    const vendor: Payload = { kind: "V", data: new Uint8Array(2700) };
    const payloads = [...peer.initPayloads(), vendor];
    expect(peer.encodeInit(payloads).length).toBeGreaterThan(2800);
    expect(kinds(peer.init(payloads)?.payloads ?? [])).toContain("KE");
  });

  test("[HDR-16] [ERR-03] a message for unknown SPIs makes no state; INVALID_IKE_SPI goes back, within limits", () => {
    const { b, peer } = responder();
    const { initiatorSpi } = peer;
    const header = {
      initiatorSpi,
      responderSpi: IkeSpi(new Uint8Array(8).fill(7)),
      exchangeType: 37,
      messageId: 5,
    };
    const request = encodeMessage({ ...header, isFromInitiator: true, isResponse: false }, [notify(40000)]);
    const [answer] = peer.send(request);
    expect(answer !== undefined && notifyTypes(decodeMessage(answer).payloads)).toEqual([
      NotifyType.INVALID_IKE_SPI,
    ]);
    let answers = 0;
    for (let i = 0; i < 100; i++) answers += peer.send(request).length;
    expect(answers).toBeLessThan(30);
    // [ERR-02] never in answer to a response.
    const response = encodeMessage({ ...header, isFromInitiator: true, isResponse: true }, []);
    peer.world.run(seconds(10));
    expect(peer.send(response)).toEqual([]);
    expect(b.machine.ikeSaCount()).toBe(0);
  });
});
