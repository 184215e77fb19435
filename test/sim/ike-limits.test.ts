/** Where numbers end, and what is never used twice (RFC 7296 sections 2.2, 2.12 and 2.9). */
import { expect, test } from "vitest";
import { toHex } from "../../src/base/bytes.ts";
import { hours, minutes, seconds } from "../../src/base/instant.ts";
import { find, findNotify, notify } from "../../src/ike/exchange/payload-list.ts";
import { createIkeMachine } from "../../src/ike/ike-machine.ts";
import { COOKIE_THRESHOLD, MESSAGE_ID_CLOSE, MESSAGE_ID_REKEY } from "../../src/ike/limits.ts";
import { decodeIkeSa, encodeIkeSa } from "../../src/ike/sa/state-codec.ts";
import { decodeMessage } from "../../src/wire/ike/message.ts";
import type { Payload } from "../../src/wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { kinds, notifyTypes, RawPeer, selector } from "./ike-raw-peer.ts";
import { child, connection, type IkeNode, LAN_A, LAN_B, pair, World } from "./ike-world.ts";

/** Takes the node's IKE SA up again with other message IDs, its peer's along. */
function withMessageIds(world: World, node: IkeNode, ownId: number, peerId: number): void {
  const [bytes] = node.machine.exportState();
  const sa = decodeIkeSa(bytes!);
  if (sa.state !== "established") throw new Error(sa.state);
  sa.window.nextRequestId = ownId;
  sa.window.expectedRequestId = peerId;
  sa.window.lastResponse = undefined;
  const isA = node.name === "A";
  const children = isA ? [LAN_A] : [{ ...LAN_B, keep: "respond" as const }];
  node.machine = createIkeMachine({
    connections: [connection(isA ? "192.0.2.2" : "192.0.2.1", children, { keep: isA ? "up" : "respond" })],
    random: node.random,
    spis: node.dataPlane,
    usage: node.dataPlane,
    ports: { ike: 500, nat: 4500 },
    localAddressFor: () => node.address,
    now: world.now,
    resume: [encodeIkeSa(sa)],
  });
}

function established() {
  const world = new World();
  const [a, b] = pair(world);
  world.run(seconds(5));
  return { world, a, b };
}

test("[MID-11] an IKE SA is rekeyed long before a message ID wraps", () => {
  const { world, a, b } = established();
  const before = a.state().ikeSa?.initiatorSpi;
  withMessageIds(world, a, MESSAGE_ID_REKEY, 0);
  withMessageIds(world, b, 0, MESSAGE_ID_REKEY);
  world.run(seconds(2));
  expect(a.state().ikeSa?.initiatorSpi).toBe(before);
  a.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
  world.run(minutes(1));
  expect(a.state().ikeSa?.initiatorSpi).not.toBe(before);
  expect([a.count("ikeSaRekeyed"), b.count("ikeSaRekeyed"), a.count("ikeSaDown")]).toEqual([1, 1, 0]);
});

test("[MID-11] past the last message ID an IKE SA is closed and begun anew", () => {
  const { world, a, b } = established();
  const before = a.state().ikeSa?.initiatorSpi;
  withMessageIds(world, a, MESSAGE_ID_CLOSE + 1, 0);
  withMessageIds(world, b, 0, MESSAGE_ID_CLOSE + 1);
  world.run(minutes(3));
  expect(a.find("ikeSaDown")?.reason).toBe("expired");
  expect(a.state().state).toBe("up");
  expect(a.state().ikeSa?.initiatorSpi).not.toBe(before);
});

test("[INIT-18] [INIT-09] no key exchange value and no nonce is used in two exchanges", () => {
  const world = new World();
  world.add("A", "192.0.2.1", [connection("192.0.2.2", [LAN_A])]);
  world.run(hours(2));
  const requests = new Map(world.wire.map(({ bytes }) => [toHex(bytes), decodeMessage(bytes).payloads]));
  const values = [...requests.values()].map((payloads) => toHex(find(payloads, "KE")!.data));
  const nonces = [...requests.values()].map((payloads) => toHex(find(payloads, "Nonce")!.data));
  expect(values.length).toBeGreaterThan(20);
  expect(new Set(values).size).toBe(values.length);
  expect(new Set(nonces).size).toBe(nonces.length);
});

test("[AUTH-06] AUTH is over the last IKE_SA_INIT request, cookie included", () => {
  for (const isRight of [true, false]) {
    const world = new World();
    const b = world.add("B", "192.0.2.2", [
      connection("192.0.2.1", [{ ...LAN_B, keep: "respond" }], {
        keep: "respond",
        remote: { addresses: [] },
      }),
    ]);
    for (let i = 0; i < COOKIE_THRESHOLD; i++) new RawPeer(world, b, `198.51.${i}.1`).init();
    const peer = new RawPeer(world, b);
    const cookie = findNotify(peer.init()?.payloads ?? [], NotifyType.COOKIE)!.data;
    const first = peer.request;
    peer.init([notify(NotifyType.COOKIE, Uint8Array.from(cookie)), ...peer.initPayloads()]);
    if (!isRight) peer.request = first;
    const answer = peer.ask(ExchangeType.IKE_AUTH, peer.authPayloads());
    expect(kinds(answer?.payloads ?? []).includes("AUTH")).toBe(isRight);
  }
});

test("[CHILD-05] when another child would have allowed more of the offer, the answer says ADDITIONAL_TS_POSSIBLE", () => {
  const world = new World();
  const parts = ["10.2.0.0/24", "10.2.9.0/24"].map((prefix, i) =>
    child(`part${i}`, prefix, "10.1.0.0/16", { keep: "respond" }),
  );
  const b = world.add("B", "192.0.2.2", [connection("192.0.2.1", parts, { keep: "respond" })]);
  const peer = new RawPeer(world, b);
  const answer = peer.connect();
  expect(notifyTypes(answer.payloads)).toEqual([NotifyType.ADDITIONAL_TS_POSSIBLE]);
  expect(find(answer.payloads, "TSr")?.selectors).toEqual([selector("10.2.0.0", "10.2.0.255")]);
  const [nonce, sa, tsi] = peer.createChild(0xc0ffee44);
  const tsr: Payload = { kind: "TSr", selectors: [selector("10.2.9.0", "10.2.9.255")] };
  const second = peer.ask(ExchangeType.CREATE_CHILD_SA, [nonce!, sa!, tsi!, tsr]);
  expect(notifyTypes(second?.payloads ?? [])).toEqual([]);
  expect(b.dataPlane.pairs.size).toBe(2);
});
