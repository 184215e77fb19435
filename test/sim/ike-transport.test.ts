/** Children in transport mode: asked for, granted, narrowed to the two hosts, refused in words (RFC 7296 section 1.3.1). */
import { describe, expect, test } from "vitest";
import { find, findNotify, notify } from "../../src/ike/exchange/payload-list.ts";
import { translateSelectors } from "../../src/ike/negotiation/transport-mode.ts";
import { formatSelector } from "../../src/policy/selector-text.ts";
import type { Payload } from "../../src/wire/ike/payload.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { notifyTypes, RawPeer, selector } from "./ike-raw-peer.ts";
import { child, connection, ip, pair, World } from "./ike-world.ts";

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

describe("a NAT between", () => {
  const INSIDE = ip("10.9.0.1");
  const OUTSIDE = ip("192.0.2.1");
  /** A is 10.9.0.1 and looks like 192.0.2.1; B is 10.8.0.2 and, where it is behind a NAT too, is called as 192.0.2.2. */
  function natted(isBothSides: boolean, encapsulation: "auto" | "udp" = "auto") {
    const world = new World();
    const [b, calledB] = isBothSides ? [ip("10.8.0.2"), ip("192.0.2.2")] : [ip("192.0.2.2"), ip("192.0.2.2")];
    const same = (x: Uint8Array, y: Uint8Array) =>
      x.length === y.length && x.every((octet, i) => octet === y[i]);
    world.network = (datagram) => {
      let { from, to } = datagram;
      if (same(from.address, INSIDE)) from = { address: OUTSIDE, port: from.port };
      else if (same(from.address, b)) from = { address: calledB, port: from.port };
      if (same(to.address, OUTSIDE)) to = { address: INSIDE, port: to.port };
      else if (same(to.address, calledB)) to = { address: b, port: to.port };
      return [{ datagram: { ...datagram, from, to }, delay: 2 }];
    };
    const text4 = (address: Uint8Array) => address.join(".");
    const id = { idType: 2, data: Uint8Array.of(97) };
    const idB = { idType: 2, data: Uint8Array.of(98) };
    const atA = child("host", "10.9.0.1/32", "192.0.2.2/32", { handling: HANDLING });
    const atB = child("host", `${text4(b)}/32`, "192.0.2.1/32", { handling: HANDLING, keep: "respond" });
    const nodeA = world.add("A", "10.9.0.1", [
      connection("192.0.2.2", [atA], {
        local: { id },
        remote: { id: idB },
        encapsulation,
      }),
    ]);
    const nodeB = world.add("B", text4(b), [
      connection("192.0.2.1", [atB], {
        keep: "respond",
        local: { id: idB },
        remote: { id, addresses: [] },
        encapsulation,
      }),
    ]);
    return { world, a: nodeA, b: nodeB, ownB: text4(b) };
  }

  test.each([
    ["in front of one", false],
    ["in front of both", true],
  ])(
    "[NAT-09] %s: selectors name what each end sees, and each knows what the other's packets are made with",
    (_, both) => {
      const { world, a, b, ownB } = natted(both);
      world.run(5_000);
      const [atA] = [...a.dataPlane.pairs.values()];
      const [atB] = [...b.dataPlane.pairs.values()];
      expect(atA?.inbound.handling.mode).toBe("transport");
      expect([text(atA!.inbound.selectors.local), text(atA!.inbound.selectors.remote)]).toEqual([
        ["10.9.0.1"],
        ["192.0.2.2"],
      ]);
      expect([text(atB!.inbound.selectors.local), text(atB!.inbound.selectors.remote)]).toEqual([
        [ownB],
        ["192.0.2.1"],
      ]);
      // B sees packets that A made from 10.9.0.1 to 192.0.2.2, and A those that B made from its own address to 192.0.2.1.
      expect(atB!.inbound.originalAddresses).toEqual({ local: ip("192.0.2.2"), remote: INSIDE });
      expect(atA!.inbound.originalAddresses).toEqual({ local: OUTSIDE, remote: ip(ownB) });
      expect(atA!.inbound.encapsulation).toBe("udp");

      for (const [node, other] of [
        [a, b],
        [b, a],
      ] as const) {
        const before = [...other.dataPlane.pairs.keys()];
        node.command({ kind: "rekey", target: { connection: "net", child: "host" } });
        world.run(60_000);
        const [again] = [...other.dataPlane.pairs.values()];
        expect(before).not.toContain(again!.inbound.spi);
        expect(again!.inbound.originalAddresses).toEqual(
          (other === b ? atB : atA)!.inbound.originalAddresses,
        );
      }
    },
  );

  test("without a NAT nothing is translated, though our own hash looks like one", () => {
    const world = new World();
    const [a, b] = pair(world, { children: [HOST_A] }, { keep: "respond", children: [HOST_B] });
    world.run(5_000);
    for (const node of [a, b]) {
      const [installed] = [...node.dataPlane.pairs.values()];
      expect(installed?.inbound).not.toHaveProperty("originalAddresses");
    }
  });

  test("[NAT-09] networks in the selectors cannot be translated, and are refused", () => {
    const nat = { isSupported: true, isForced: false, weAreBehind: false, peerIsBehind: true };
    const ends = {
      local: { address: ip("192.0.2.2"), port: 4500 },
      remote: { address: OUTSIDE, port: 4500 },
      nat,
    };
    const { selectors: wide } = child("host", "192.0.2.2/32", "10.9.0.0/16", { handling: HANDLING });
    expect(translateSelectors(wide, ends)).toEqual({ selectors: wide });
    const { selectors: narrow } = child("host", "192.0.2.2/32", "10.9.0.1/32", { handling: HANDLING });
    const { selectors, original } = translateSelectors(narrow, ends);
    expect(text(selectors.remote)).toEqual(["192.0.2.1"]);
    expect(original).toEqual({ local: ends.local.address, remote: INSIDE });
  });
});
