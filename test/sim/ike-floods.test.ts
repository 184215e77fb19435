/** Floods of messages that make no IKE SA, and what they may cost: few answers, none longer than its request, nothing kept (RFC 8019). */
import { describe, expect, test } from "vitest";
import { minutes, seconds } from "../../src/base/instant.ts";
import { IkeSpi } from "../../src/base/spi.ts";
import { findNotify, notify } from "../../src/ike/exchange/payload-list.ts";
import {
  ANSWER_REPEATS_BURST,
  ANSWER_REPEATS_PER_SECOND,
  HALF_OPEN_FAILURES_MAX,
  HALF_OPEN_INBOX_FRAGMENTS_OCTETS_MAX,
  HALF_OPEN_PER_PREFIX_MAX,
  HALF_OPEN_PER_SITE_MAX,
  STATELESS_REPLIES_PER_SECOND,
} from "../../src/ike/limits.ts";
import { encodeMessage } from "../../src/wire/ike/message.ts";
import { ExchangeType, NotifyType, PayloadType } from "../../src/wire/ike/registries.ts";
import { openResponder, responder } from "./ike-one-side.ts";
import { kinds, RawPeer } from "./ike-raw-peer.ts";
import { type IkeNode, ip, type World } from "./ike-world.ts";

const COUNT = 20_000;
const SPAN = seconds(5);

/** Sends them from made-up addresses, evenly over {@link SPAN}. @returns what came back, octets of both, and words about it */
function flood(world: World, node: IkeNode, make: (i: number) => Uint8Array) {
  const before = { wire: world.wire.length, actions: node.actions.length, notices: node.notices.length };
  let received = 0;
  for (let i = 0; i < COUNT; i++) {
    const address = Uint8Array.of(100, 64 + (i & 63), (i >> 6) & 255, i & 255) as ReturnType<typeof ip>;
    const bytes = make(i);
    received += bytes.length;
    const local = { address: node.address, port: 500 };
    node.feed({ kind: "datagram", local, remote: { address, port: 500 }, bytes });
    if (i % 4 === 0) world.run(SPAN / (COUNT / 4));
  }
  const sent = world.wire.slice(before.wire);
  return {
    answers: sent.length,
    received,
    sent: sent.reduce((sum, { bytes }) => sum + bytes.length, 0),
    notices: node.notices.length - before.notices,
    computations: node.actions.slice(before.actions).filter(({ kind }) => kind === "compute").length,
  };
}

const header = (world: World, exchangeType: number, isFromInitiator = true) => ({
  initiatorSpi: IkeSpi(world.random.publicBytes(8)),
  responderSpi: IkeSpi(world.random.publicBytes(8)),
  exchangeType,
  messageId: 0,
  isFromInitiator,
  isResponse: false,
});

/** One second's worth at once, and then so many each second. */
const ANSWERS_MAX = STATELESS_REPLIES_PER_SECOND * (1 + SPAN / seconds(1)) + 1;

describe.each<{ name: string; drop: string; answers: number; make: (world: World) => Uint8Array }>([
  {
    name: "IKEv1",
    drop: "ikeVersion1",
    answers: 0,
    make: (world) => withVersion(encodeMessage(header(world, 2), []), 0x10),
  },
  {
    name: "versions to come",
    drop: "wrongMajorVersion",
    answers: ANSWERS_MAX,
    make: (world) => withVersion(encodeMessage(header(world, 34), [notify(1, new Uint8Array(80))]), 0x30),
  },
  {
    name: "a version to come, in a bare header",
    drop: "wrongMajorVersion",
    answers: 0,
    make: (world) => withVersion(encodeMessage(header(world, 34), []), 0x30),
  },
  {
    name: "exchanges that there are not",
    drop: "unknownSpi",
    answers: ANSWERS_MAX,
    make: (world) => encodeMessage(header(world, 211), [notify(1, new Uint8Array(40))]),
  },
  {
    name: "IKE_INTERMEDIATE of nobody",
    drop: "unknownSpi",
    answers: ANSWERS_MAX,
    make: (world) =>
      encodeMessage(header(world, ExchangeType.IKE_INTERMEDIATE), [notify(1, new Uint8Array(900))]),
  },
  {
    name: "requests to an initiator that nobody is",
    drop: "unknownSpi",
    answers: ANSWERS_MAX,
    make: (world) => encodeMessage(header(world, 37, false), [notify(1, new Uint8Array(90))]),
  },
  {
    name: "noise",
    drop: "malformed",
    answers: 0,
    make: (world) => {
      const noise = world.random.publicBytes(28 + world.random.below(200));
      noise[17] = 0x20;
      return noise;
    },
  },
])("$name", ({ drop, answers, make }) => {
  test("[ERR-03] [HDR-04] costs few answers and words, no computation, nothing that stays", () => {
    const { world, b } = openResponder();
    const peer = new RawPeer(world, b, "203.0.113.5");
    peer.connect();
    const cost = flood(world, b, () => make(world));
    expect(cost.answers).toBeLessThanOrEqual(answers);
    expect(cost.answers).toBeGreaterThanOrEqual(Math.min(answers, STATELESS_REPLIES_PER_SECOND));
    expect(cost.sent).toBeLessThanOrEqual((cost.received * cost.answers) / COUNT);
    // A second each for every reason: the drop itself, and answers that were kept back.
    expect(cost.notices).toBeLessThanOrEqual(3 * (2 + SPAN / seconds(1)));
    expect(cost.computations).toBe(0);
    expect(b.machine.drops().get(drop as never)).toBeGreaterThan(COUNT * 0.9);
    expect(b.machine.ikeSaCount()).toBe(1);
    expect(b.state().state).toBe("up");
    expect(peer.ask(ExchangeType.INFORMATIONAL, [])).toBeDefined();
  });
});

function withVersion(bytes: Uint8Array, version: number): Uint8Array {
  bytes[17] = version;
  return bytes;
}

describe("rubbish for a half-open IKE SA", () => {
  const rubbish = (peer: RawPeer, exchangeType: number, payload: number, octets: number) => {
    const bytes = new Uint8Array(28 + 4 + octets);
    bytes.set(peer.world.random.publicBytes(octets), 32);
    bytes.set(encodeMessage({ ...headerOf(peer), exchangeType }, []).subarray(0, 28));
    const view = new DataView(bytes.buffer);
    bytes[16] = payload;
    view.setUint32(24, bytes.length);
    view.setUint16(30, 4 + octets);
    if (payload === PayloadType.SKF) {
      view.setUint16(32, 1 + peer.world.random.below(20));
      view.setUint16(34, 20);
    }
    return bytes;
  };
  const headerOf = ({ initiatorSpi, responderSpi }: RawPeer) => ({
    initiatorSpi,
    responderSpi,
    messageId: 1,
    isFromInitiator: true,
    isResponse: false,
  });

  test.each([
    ["IKE_AUTH", ExchangeType.IKE_AUTH, PayloadType.SK],
    ["IKE_AUTH in fragments", ExchangeType.IKE_AUTH, PayloadType.SKF],
    ["IKE_INTERMEDIATE", ExchangeType.IKE_INTERMEDIATE, PayloadType.SK],
    ["IKE_INTERMEDIATE in fragments", ExchangeType.IKE_INTERMEDIATE, PayloadType.SKF],
  ])(
    "[ERR-08] %s: one computation, a bounded number of tries to open, and no answer",
    (_, exchange, payload) => {
      const { world, b, peer } = responder();
      peer.init([...peer.initPayloads(), notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED)]);
      // Before the shared secret is there, what waits for it is bounded too.
      world.computeDelay = () => 200;
      const before = b.actions.length;
      for (let i = 0; i < 5000; i++) {
        expect(peer.send(rubbish(peer, exchange, payload, 200))).toEqual([]);
        if (i % 10 === 0) world.run(1);
      }
      const computed = b.actions.slice(before).filter(({ kind }) => kind === "compute");
      expect(computed).toHaveLength(1);
      expect(b.machine.ikeSaCount()).toBe(1);
      const drops = b.machine.drops();
      const room = payload === PayloadType.SKF ? HALF_OPEN_INBOX_FRAGMENTS_OCTETS_MAX / 200 : 4;
      expect(drops.get("inboxFull")).toBeGreaterThan(2000 - room - 100);
      expect((drops.get("notAuthentic") ?? 0) + (drops.get("fragmentNotAgreed") ?? 0)).toBeGreaterThan(
        HALF_OPEN_FAILURES_MAX,
      );
      world.run(minutes(1));
      expect(b.machine.ikeSaCount()).toBe(0);
      // A fresh start is met as if nothing had been.
      world.computeDelay = () => 0;
      const again = new RawPeer(world, b);
      expect(kinds(again.connect().payloads)).toContain("AUTH");
    },
  );

  test("[MID-06] the request that made it, over and over: its answer as often as a peer could need it", () => {
    const { world, b, peer } = responder();
    peer.init();
    const mark = world.wire.length;
    for (let i = 0; i < 5000; i++) {
      peer.send(peer.request);
      if (i % 5 === 0) world.run(5);
    }
    const most = ANSWER_REPEATS_BURST + ANSWER_REPEATS_PER_SECOND * 5 + 1;
    expect(world.wire.length - mark).toBeLessThanOrEqual(most);
    expect(b.machine.ikeSaCount()).toBe(1);
  });
});

test("[ERR-06] a site's IPv6 networks have so many half-open IKE SAs each, and not so many more together", () => {
  const { world, b } = openResponder();
  b.address = ip("2001:db8::2");
  b.addresses = [b.address];
  const call = (address: string) => {
    const peer = new RawPeer(world, b, address);
    const cookie = findNotify(peer.init()?.payloads ?? [], NotifyType.COOKIE)?.data;
    if (cookie !== undefined) peer.init([notify(NotifyType.COOKIE, cookie), ...peer.initPayloads()]);
  };
  for (let i = 0; i < 20; i++) call(`2001:db8:1:1::${(i + 1).toString(16)}`);
  expect(b.machine.ikeSaCount()).toBe(HALF_OPEN_PER_PREFIX_MAX);
  for (let i = 0; i < 100; i++) call(`2001:db8:1:${(i + 2).toString(16)}::1`);
  expect(b.machine.ikeSaCount()).toBe(HALF_OPEN_PER_SITE_MAX);
  for (let i = 0; i < 5; i++) call(`2001:db8:2:${i.toString(16)}::1`);
  expect(b.machine.ikeSaCount()).toBe(HALF_OPEN_PER_SITE_MAX + 5);
  world.run(minutes(2));
  expect(b.machine.ikeSaCount()).toBe(0);
  for (let i = 0; i < 3; i++) call(`2001:db8:1:1::${(i + 1).toString(16)}`);
  expect(b.machine.ikeSaCount()).toBe(3);
});
