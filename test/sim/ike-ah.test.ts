/** Children of AH: proposals without a cipher, rekeys and Deletes under its own protocol number (RFC 7296 sections 2.17 and 3.3). */
import { describe, expect, test } from "vitest";
import { toHex } from "../../src/base/bytes.ts";
import { seconds } from "../../src/base/instant.ts";
import { find, findNotify } from "../../src/ike/exchange/payload-list.ts";
import { failureWords } from "../../src/observe/failure-words.ts";
import { parseProposal } from "../../src/policy/proposal-keyword.ts";
import { ExchangeType, NotifyType, ProtocolId } from "../../src/wire/ike/registries.ts";
import { expectMirrored } from "./ike-invariants.ts";
import { espProposal, NODE_NET, notifyTypes, OUR_NET, RawPeer, spiOctets } from "./ike-raw-peer.ts";
import { child, connection, ip, LAN_A, LAN_B, pair, World } from "./ike-world.ts";

const AH = parseProposal("sha256-x25519-none", "ah");
const AH_A = child("lan", "10.1.0.0/16", "10.2.0.0/16", { proposals: [AH] });
const AH_B = child("lan", "10.2.0.0/16", "10.1.0.0/16", { proposals: [AH], keep: "respond" });
const AH_TRANSFORMS = [
  { type: 3, id: 12 },
  { type: 5, id: 0 },
];
const RAW = { encapsulation: "esp" } as const;

describe("two of us", () => {
  function together(a = AH_A, b = AH_B) {
    const world = new World();
    return {
      world,
      ends: pair(world, { ...RAW, children: [a] }, { ...RAW, keep: "respond", children: [b] }),
    };
  }

  test("[AH-14] [AH-16] agree on AH: an integrity key alone, the initiator's first, and no cipher", () => {
    const {
      world,
      ends: [a, b],
    } = together();
    world.run(seconds(5));
    expectMirrored(a, b);
    const suite = { encr: 11, encrKeyBits: 0, integ: 12, esn: true, protocol: "ah" };
    for (const node of [a, b]) {
      const [installed] = [...node.dataPlane.pairs.values()];
      expect(installed?.inbound.suite).toEqual(suite);
      expect(installed?.outbound?.suite).toEqual(suite);
      expect(installed?.inbound.keys.encr).toHaveLength(0);
      expect(installed?.inbound.keys.integ).toHaveLength(32);
      expect(installed?.inbound.encapsulation).toBe("esp");
    }
    const [ours] = [...a.dataPlane.pairs.values()];
    const [theirs] = [...b.dataPlane.pairs.values()];
    expect(toHex(ours!.outbound!.keys.integ)).toBe(toHex(theirs!.inbound.keys.integ));
    expect(toHex(ours!.inbound.keys.integ)).toBe(toHex(theirs!.outbound!.keys.integ));
    expect(toHex(ours!.inbound.keys.integ)).not.toBe(toHex(ours!.outbound!.keys.integ));
  });

  test("[AH-17] agree on GMAC: 4 octets of salt behind the key, no key length attribute", () => {
    const proposals = [parseProposal("aes192gmac-aes256gmac-noesn", "ah")];
    const {
      world,
      ends: [a, b],
    } = together({ ...AH_A, proposals }, { ...AH_B, proposals: [parseProposal("aes256gmac", "ah")] });
    world.run(seconds(5));
    expectMirrored(a, b);
    const [ours] = [...a.dataPlane.pairs.values()];
    expect(ours!.inbound.suite).toEqual({ encr: 11, encrKeyBits: 0, integ: 11, esn: false, protocol: "ah" });
    expect(ours!.inbound.keys.integ).toHaveLength(36);
    expect(ours!.inbound.keys.encr).toHaveLength(0);
    const [theirs] = [...b.dataPlane.pairs.values()];
    expect(toHex(ours!.outbound!.keys.integ)).toBe(toHex(theirs!.inbound.keys.integ));
  });

  test("[AH-14] rekey it with a key exchange of its own from both sides, and delete it", () => {
    const { world, ends } = together();
    world.run(seconds(5));
    for (const node of ends) {
      const before = [...node.dataPlane.pairs.keys()];
      node.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
      world.run(seconds(30));
      expect(node.find("childSaRekeyed")).toMatchObject({ suite: { protocol: "ah" } });
      const after = [...node.dataPlane.pairs.keys()];
      expect(after).toHaveLength(1);
      expect(before).not.toContain(after[0]);
    }
    expectMirrored(...ends);
    ends[0].command({ kind: "down", target: { connection: "net", child: "lan" } });
    world.run(seconds(5));
    for (const node of ends) expect(node.dataPlane.pairs.size).toBe(0);
    expect(ends[1].find("childSaDown")).toMatchObject({ reason: "deletedByPeer" });
  });

  test.each([
    ["we have AH and they have ESP", AH_A, { ...LAN_B, keep: "respond" as const }, "ESP", "AH"],
    ["we have ESP and they have AH", LAN_A, AH_B, "AH", "ESP"],
  ])("%s: refused, and each side says which is which", (_name, ours, theirs, wanted, offered) => {
    const {
      world,
      ends: [, b],
    } = together(ours, theirs);
    world.run(seconds(5));
    expect(b.dataPlane.pairs.size).toBe(0);
    const failure = b.find("noCommonProposal")!;
    expect(failure).toMatchObject({ protocol: wanted.toLowerCase(), difference: [] });
    expect(failureWords(failure)).toEqual([
      `no common ${wanted} proposal with 192.0.2.1`,
      `they offer ${offered}, we allow ${wanted}`,
      expect.stringContaining(`have them offer ${wanted}, or write ${offered.toLowerCase()}: [`),
    ]);
  });

  test("algorithms that differ are told per transform type, with the line that would fix it", () => {
    const other = { ...AH_A, proposals: [parseProposal("sha512", "ah")] };
    const {
      world,
      ends: [, b],
    } = together(other);
    world.run(seconds(5));
    const words = failureWords(b.find("noCommonProposal")!);
    expect(words).toContainEqual(expect.stringMatching(/^integrity +they offer sha512 +we allow sha256$/));
    expect(words.at(-1)).toMatch(/^to accept this peer, add sha512 to connections\.net\.children\.lan\.ah/);
  });
});

describe("a NAT between", () => {
  function nat(world: World): void {
    world.network = (datagram) => {
      const outside = { address: ip("192.0.2.1"), port: datagram.from.port };
      const inside = { address: ip("10.9.0.1"), port: datagram.to.port };
      const from = datagram.from.address[0] === 10 ? outside : datagram.from;
      const to = datagram.to.address[3] === 1 ? inside : datagram.to;
      return [{ datagram: { ...datagram, from, to }, delay: 1 }];
    };
  }

  test.each([
    ["esp", "auto", "A"],
    ["auto", "esp", "B"],
    ["auto", "auto", "B"],
  ] as const)("[AH-15] is refused in words by whoever knows (%s, %s)", (first, second, who) => {
    const world = new World();
    nat(world);
    const id = { idType: 2, data: Uint8Array.of(97) };
    const a = world.add("A", "10.9.0.1", [
      connection("192.0.2.2", [AH_A], { local: { id }, encapsulation: first }),
    ]);
    const b = world.add("B", "192.0.2.2", [
      connection("192.0.2.1", [AH_B], {
        keep: "respond",
        remote: { id, addresses: [] },
        encapsulation: second,
      }),
    ]);
    world.run(seconds(5));
    expect(a.dataPlane.pairs.size + b.dataPlane.pairs.size).toBe(0);
    const failure = (who === "A" ? a : b).find("encapsulationImpossible")!;
    expect(failure).toMatchObject({ protocol: "ah", wanted: "esp" });
    expect(failureWords(failure)[0]).toContain("behind a NAT, which changes the addresses that AH protects");
  });
});

describe("a peer", () => {
  function connected(proposals = [espProposal(0xc0ffee01, { protocolId: 2, transforms: AH_TRANSFORMS })]) {
    const world = new World();
    const node = world.add("B", "192.0.2.2", [connection("192.0.2.1", [AH_B], { keep: "respond", ...RAW })]);
    const peer = new RawPeer(world, node);
    peer.init();
    const answer = peer.ask(ExchangeType.IKE_AUTH, [
      { kind: "IDi", ...peer.identity },
      peer.authPayload(),
      { kind: "SA", proposals },
      { kind: "TSi", selectors: [OUR_NET] },
      { kind: "TSr", selectors: [NODE_NET] },
    ]);
    return { world, node, peer, payloads: answer?.payloads ?? [] };
  }

  test("[AH-14] an offer with a cipher, without integrity or without sequence numbers is no AH", () => {
    const offer = (transforms: readonly { type: number; id: number; keyBits?: number }[]) =>
      connected([espProposal(0xc0ffee01, { protocolId: 2, transforms })]).payloads;
    const cipher = { type: 1, id: 11 };
    for (const wrong of [[cipher, ...AH_TRANSFORMS], AH_TRANSFORMS.slice(1), AH_TRANSFORMS.slice(0, 1)])
      expect(notifyTypes(offer(wrong))).toEqual([NotifyType.NO_PROPOSAL_CHOSEN]);
    const chosen = find(offer(AH_TRANSFORMS), "SA")?.proposals[0];
    expect(chosen).toMatchObject({ protocolId: ProtocolId.AH, transforms: AH_TRANSFORMS });
  });

  test("[AH-14] [CHILD-10] a rekey or Delete under ESP's number means another SA", () => {
    const { peer, node } = connected();
    const rekeyed = (protocolId: number) =>
      peer.ask(ExchangeType.CREATE_CHILD_SA, [
        {
          kind: "N",
          protocolId,
          notifyType: NotifyType.REKEY_SA,
          spi: spiOctets(0xc0ffee01),
          data: new Uint8Array(0),
        },
        { kind: "SA", proposals: [espProposal(0xc0ffee02, { protocolId: 2, transforms: AH_TRANSFORMS })] },
        { kind: "Nonce", data: new Uint8Array(32).fill(7) },
        { kind: "TSi", selectors: [OUR_NET] },
        { kind: "TSr", selectors: [NODE_NET] },
      ])!.payloads;
    const deleted = (protocolId: number) =>
      peer.ask(ExchangeType.INFORMATIONAL, [{ kind: "D", protocolId, spis: [spiOctets(0xc0ffee01)] }])!
        .payloads;

    expect(findNotify(rekeyed(ProtocolId.ESP), NotifyType.CHILD_SA_NOT_FOUND)).toBeDefined();
    expect(deleted(ProtocolId.ESP)).toEqual([]);
    expect(node.dataPlane.pairs.size).toBe(1);
    expect(find(rekeyed(ProtocolId.AH), "SA")?.proposals[0]?.protocolId).toBe(ProtocolId.AH);
    expect(find(deleted(ProtocolId.AH), "D")).toMatchObject({ protocolId: ProtocolId.AH });
  });
});
