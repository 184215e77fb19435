/** What somebody who proves nothing leaves behind: a count and a word, never the last word on a tunnel (RFC 7296 section 2.21). */
import { expect, test } from "vitest";
import { utf8 } from "../../src/base/bytes.ts";
import { minutes, seconds } from "../../src/base/instant.ts";
import { notify } from "../../src/ike/exchange/payload-list.ts";
import { encodeMessage } from "../../src/wire/ike/message.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { openResponder, responder } from "./ike-one-side.ts";
import { ikeProposal, RawPeer } from "./ike-raw-peer.ts";
import { ip, pair, World } from "./ike-world.ts";

/** A tunnel from 192.0.2.1 to one that answers anybody, and a stranger beside it. */
function withStranger() {
  const { world, b } = openResponder();
  const peer = new RawPeer(world, b);
  peer.connect();
  const stranger = new RawPeer(world, b, "203.0.113.9");
  stranger.secret = utf8("guessed");
  return { world, b, peer, stranger };
}

test("[ERR-07] a stranger who fails changes nothing that is said of a connection that is up", () => {
  const { b, world, stranger } = withStranger();
  stranger.connect();
  expect(b.state()).toMatchObject({ state: "up", lastRefused: { count: 1 } });
  expect(b.state().lastFailure).toBeUndefined();
  const ikeVersion1 = stranger.encodeInit();
  ikeVersion1[17] = 0x10;
  world.run(seconds(2));
  stranger.send(ikeVersion1);
  const other = new RawPeer(world, b, "203.0.113.10");
  const [, ...rest] = other.initPayloads();
  const transforms = [
    { type: 1, id: 3 },
    { type: 2, id: 2 },
    { type: 3, id: 2 },
    { type: 4, id: 2 },
  ];
  other.init([{ kind: "SA", proposals: [ikeProposal({ transforms })] }, ...rest]);
  const { lastFailure, lastRefused } = b.state();
  expect(lastFailure).toBeUndefined();
  expect(lastRefused?.count).toBe(3);
  expect(lastRefused?.failure).toMatchObject({
    code: "noCommonProposal",
    remote: { address: ip("203.0.113.10") },
  });
});

test("a refusal is forgotten once somebody from that address is let in, and not before", () => {
  const { b, world, stranger } = withStranger();
  stranger.connect();
  world.run(seconds(40));
  const peer = new RawPeer(world, b, "203.0.113.10");
  peer.connect();
  expect(b.state().lastRefused?.count).toBe(1);
  const better = new RawPeer(world, b, "203.0.113.9", 4711);
  better.connect();
  expect(b.state().lastRefused).toBeUndefined();
});

test("what our own call failed at stays the last failure, whoever else calls", () => {
  const world = new World();
  const [a] = pair(world);
  world.network = () => [];
  world.run(minutes(5));
  expect(a.state().lastFailure?.code).toBe("noAnswer");
  const forger = new RawPeer(world, a, "192.0.2.2");
  const bytes = forger.encodeInit();
  bytes[17] = 0x10;
  forger.send(bytes);
  expect(a.state().lastFailure?.code).toBe("noAnswer");
  expect(a.state().lastRefused).toMatchObject({ count: 1, failure: { code: "peerSpeaksIkeV1" } });
});

test("[ERR-03] an unprotected answer full of notifies is one notice, and many answers are few", () => {
  const { b, peer } = responder();
  peer.connect();
  const forged = encodeMessage(
    {
      initiatorSpi: peer.initiatorSpi,
      responderSpi: peer.responderSpi,
      exchangeType: ExchangeType.INFORMATIONAL,
      messageId: 0,
      isFromInitiator: true,
      isResponse: true,
    },
    Array.from({ length: 100 }, () => notify(NotifyType.INVALID_IKE_SPI)),
  );
  for (let i = 0; i < 50; i++) peer.send(forged);
  expect(b.count("unauthenticatedNotify")).toBe(1);
  expect(b.machine.drops().get("notEncrypted")).toBe(50);
  expect(b.state().state).toBe("up");
});
