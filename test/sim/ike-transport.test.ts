/** Children in transport mode: asked for, granted, narrowed to the two hosts, refused in words (RFC 7296 section 1.3.1). */
import { describe, expect, test } from "vitest";
import { find, findNotify, notify } from "../../src/ike/exchange/payload-list.ts";
import { formatSelector } from "../../src/policy/selector-text.ts";
import type { Payload } from "../../src/wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { notifyTypes, RawPeer, selector } from "./ike-raw-peer.ts";
import { child, connection, pair, World } from "./ike-world.ts";

const HANDLING = { replayWindow: 64, dscp: "copy", ecn: "copy", df: "copy", mode: "transport" } as const;
const HOST_A = child("host", "192.0.2.1/32", "192.0.2.2/32", { handling: HANDLING });
const HOST_B = child("host", "192.0.2.2/32", "192.0.2.1/32", { handling: HANDLING, keep: "respond" });
const TUNNEL_B = child("host", "192.0.2.2/32", "192.0.2.1/32", { keep: "respond" });
const ASKED = notify(NotifyType.USE_TRANSPORT_MODE);

function text(side: readonly Parameters<typeof formatSelector>[0][]): string[] {
  return side.map(formatSelector);
}

describe("two of us", () => {
  test("[CHILD-08] agree on transport mode between their addresses, and keep it through a rekey", () => {
    const world = new World();
    const [a, b] = pair(world, { children: [HOST_A] }, { keep: "respond", children: [HOST_B] });
    world.run(5_000);
    for (const [node, own, other] of [
      [a, "192.0.2.1", "192.0.2.2"],
      [b, "192.0.2.2", "192.0.2.1"],
    ] as const) {
      const [installed] = [...node.dataPlane.pairs.values()];
      expect(installed?.inbound.handling.mode).toBe("transport");
      expect(installed?.outbound?.handling.mode).toBe("transport");
      expect(text(installed!.inbound.selectors.local)).toEqual([own]);
      expect(text(installed!.inbound.selectors.remote)).toEqual([other]);
    }
    a.command({ kind: "rekey", target: { connection: "net", child: "host" } });
    world.run(5_000);
    expect(a.find("childSaRekeyed")).toBeDefined();
    expect([...a.dataPlane.pairs.values()].at(-1)?.inbound.handling.mode).toBe("transport");
  });

  test("a configured network is narrowed to the host in it", () => {
    const world = new World();
    const wide = child("host", "192.0.2.0/24", "192.0.2.0/24", { handling: HANDLING });
    const [a] = pair(
      world,
      { children: [wide] },
      { keep: "respond", children: [{ ...wide, keep: "respond" }] },
    );
    world.run(5_000);
    const [installed] = [...a.dataPlane.pairs.values()];
    expect(text(installed!.inbound.selectors.local)).toEqual(["192.0.2.1"]);
    expect(text(installed!.inbound.selectors.remote)).toEqual(["192.0.2.2"]);
  });

  test("[CHILD-08] tunnel mode where transport mode is configured is refused, on whichever side, and said", () => {
    for (const [one, other, reason] of [
      [HOST_A, TUNNEL_B, "notConfirmed"],
      [{ ...HOST_A, handling: TUNNEL_B.handling }, HOST_B, "tunnelAsked"],
    ] as const) {
      const world = new World();
      const [a, b] = pair(world, { children: [one] }, { keep: "respond", children: [other] });
      world.run(3_000);
      const failure = reason === "notConfirmed" ? a.find("transportRefused") : b.find("transportRefused");
      expect(failure).toMatchObject({ reason, child: "host" });
      world.run(30_000);
      expect(a.dataPlane.pairs.size + b.dataPlane.pairs.size).toBe(0);
    }
  });
});

describe("a peer", () => {
  function connected(
    configured: typeof HOST_B,
    extra: readonly Payload[],
    tsi = selector("192.0.2.1", "192.0.2.1"),
  ) {
    const world = new World();
    const node = world.add("B", "192.0.2.2", [connection("192.0.2.1", [configured], { keep: "respond" })]);
    const peer = new RawPeer(world, node);
    peer.init();
    const [sa] = peer.childPayloads();
    const answer = peer.ask(ExchangeType.IKE_AUTH, [
      { kind: "IDi", ...peer.identity },
      peer.authPayload(),
      ...extra,
      sa!,
      { kind: "TSi", selectors: [tsi] },
      { kind: "TSr", selectors: [selector("192.0.2.0", "192.0.2.255")] },
    ]);
    return { node, peer, payloads: answer?.payloads ?? [] };
  }

  test("[CHILD-08] that asks for transport mode where we have tunnel mode gets tunnel mode without the echo", () => {
    const { node, payloads } = connected(TUNNEL_B, [ASKED]);
    expect(findNotify(payloads, NotifyType.USE_TRANSPORT_MODE)).toBeUndefined();
    expect([...node.dataPlane.pairs.values()][0]?.inbound.handling.mode).toBeUndefined();
  });

  test("[CHILD-08] that asks for it where we have it gets the echo, and selectors of the two hosts", () => {
    const { payloads } = connected(HOST_B, [ASKED], selector("192.0.2.0", "192.0.2.255"));
    expect(findNotify(payloads, NotifyType.USE_TRANSPORT_MODE)).toBeDefined();
    expect(find(payloads, "TSi")?.selectors).toMatchObject([selector("192.0.2.1", "192.0.2.1")]);
    expect(find(payloads, "TSr")?.selectors).toMatchObject([selector("192.0.2.2", "192.0.2.2")]);
  });

  test("that does not ask is refused", () => {
    const { node, payloads } = connected(HOST_B, []);
    expect(notifyTypes(payloads)).toEqual([NotifyType.TS_UNACCEPTABLE]);
    expect(node.find("transportRefused")).toMatchObject({ reason: "tunnelAsked", role: "responder" });
  });

  test("that asks for other hosts is refused", () => {
    const { node, payloads } = connected(HOST_B, [ASKED], selector("192.0.2.9", "192.0.2.9"));
    expect(notifyTypes(payloads)).toEqual([NotifyType.TS_UNACCEPTABLE]);
    expect(node.find("selectorsUnacceptable")).toBeDefined();
    expect(node.dataPlane.pairs.size).toBe(0);
  });
});
