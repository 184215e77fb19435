/** What somebody learns who has not proved who he is: the notify that the RFC asks for, and nothing beside it (RFC 7296 section 2.21). */
import { expect, test } from "vitest";
import { seconds } from "../../src/base/instant.ts";
import { notify } from "../../src/ike/exchange/payload-list.ts";
import { decodeMessage } from "../../src/wire/ike/message.ts";
import type { NotifyPayload, Payload } from "../../src/wire/ike/payload.ts";
import { ExchangeType, IdType, NotifyType } from "../../src/wire/ike/registries.ts";
import { responder } from "./ike-one-side.ts";
import { ikeProposal, type Opened, type RawPeer } from "./ike-raw-peer.ts";

/** Error notifies before authentication, and how many octets of data each may have. */
const ALLOWED: ReadonlyMap<number, number> = new Map([
  [NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, 1],
  [NotifyType.INVALID_IKE_SPI, 0],
  [NotifyType.INVALID_MAJOR_VERSION, 0],
  [NotifyType.INVALID_SYNTAX, 0],
  [NotifyType.NO_PROPOSAL_CHOSEN, 0],
  [NotifyType.INVALID_KE_PAYLOAD, 2],
  [NotifyType.AUTHENTICATION_FAILED, 0],
]);
const FIRST_STATUS = 16384;

function expectTight(payloads: readonly Payload[], label: string): void {
  const notifies = payloads.filter((one): one is NotifyPayload => one.kind === "N");
  for (const { notifyType, data, spi } of notifies.filter(({ notifyType }) => notifyType < FIRST_STATUS)) {
    expect(ALLOWED.get(notifyType), `${label}: notify ${notifyType}`).toBe(data.length);
    expect(spi.length, label).toBe(0);
  }
}

const INIT_FAULTS: Readonly<Record<string, (peer: RawPeer) => readonly Payload[]>> = {
  "no proposal that fits": (peer) => [
    {
      kind: "SA",
      proposals: [
        ikeProposal({
          transforms: [
            { type: 1, id: 3 },
            { type: 2, id: 2 },
            { type: 3, id: 2 },
            { type: 4, id: 2 },
          ],
        }),
      ],
    },
    ...peer.initPayloads().slice(1),
  ],
  "another group": (peer) =>
    peer
      .initPayloads()
      .map((one) => (one.kind === "KE" ? { ...one, method: 14, data: new Uint8Array(256) } : one)),
  "no nonce": (peer) => peer.initPayloads().slice(0, 2),
  "a short nonce": (peer) => [...peer.initPayloads().slice(0, 2), { kind: "Nonce", data: new Uint8Array(8) }],
  "an unknown critical payload": (peer) => [
    ...peer.initPayloads(),
    { kind: "unknown", payloadType: 200, critical: true, body: new Uint8Array(4) },
  ],
};

test.each(Object.entries(INIT_FAULTS))(
  "[ERR-01] IKE_SA_INIT with %s gets no more than its notify",
  (name, payloads) => {
    const { world, peer } = responder();
    const before = world.wire.length;
    peer.send(peer.encodeInit(payloads(peer)));
    world.run(seconds(1));
    const answers = world.wire.slice(before).map(({ bytes }) => decodeMessage(bytes));
    expect(answers.length).toBeLessThanOrEqual(1);
    for (const answer of answers) {
      expectTight(answer.payloads, name);
      expect(answer.payloads.length).toBe(1);
    }
  },
);

const AUTH_FAULTS: Readonly<Record<string, (peer: RawPeer) => readonly Payload[]>> = {
  "a wrong key": (peer) => [
    { kind: "IDi", ...peer.identity },
    peer.authPayload(new Uint8Array(20)),
    ...peer.childPayloads(),
  ],
  "an identity that nobody expects": (peer) => {
    peer.identity = { idType: IdType.FQDN, data: new TextEncoder().encode("stranger.example.net") };
    return peer.authPayloads();
  },
  "an IDr that is not ours": (peer) => [
    ...peer.authPayloads(),
    { kind: "IDr", idType: IdType.FQDN, data: new TextEncoder().encode("other.example.net") },
  ],
  "no AUTH (EAP)": (peer) => [{ kind: "IDi", ...peer.identity }, ...peer.childPayloads()],
  "another method": (peer) => [
    { kind: "IDi", ...peer.identity },
    { kind: "AUTH", method: 14, data: new Uint8Array(64) },
    ...peer.childPayloads(),
  ],
  "no identity": (peer) => [peer.authPayload(), ...peer.childPayloads()],
};

test.each(Object.entries(AUTH_FAULTS))(
  "[AUTH-07] IKE_AUTH with %s gets one notify: no identity, no selectors, no reason",
  (name, payloads) => {
    const { world, b, peer } = responder();
    peer.init();
    const answer = peer.ask(ExchangeType.IKE_AUTH, payloads(peer)) as Opened;
    world.run(seconds(1));
    expect(answer.payloads, name).toHaveLength(1);
    expectTight(answer.payloads, name);
    // Here it is said in full.
    expect(b.notices.some(({ code }) => /Mismatch|authentication|refused/i.test(code))).toBe(true);
  },
);

test("a wrong key and a wrong identity look alike from outside, and are told apart here", () => {
  const answers = ["a wrong key", "an identity that nobody expects"].map((name) => {
    const { b, peer } = responder();
    peer.init();
    const { payloads } = peer.ask(ExchangeType.IKE_AUTH, AUTH_FAULTS[name]!(peer)) as Opened;
    return { payloads, codes: b.notices.map(({ code }) => code) };
  });
  expect(answers[0]!.payloads).toEqual([notify(NotifyType.AUTHENTICATION_FAILED)]);
  expect(answers[1]!.payloads).toEqual(answers[0]!.payloads);
  expect(answers[0]!.codes).toContain("authenticationFailed");
  expect(answers[1]!.codes).toContain("identityMismatch");
});
