/** Rekeys that change something, or that a peer does not want (RFC 7296 sections 1.3.3, 2.8 and 2.9.2). */
import { describe, expect, test } from "vitest";
import { hours, minutes, seconds } from "../../src/base/instant.ts";
import { find, invalidKe } from "../../src/ike/exchange/payload-list.ts";
import { suitesForRekey } from "../../src/ike/negotiation/proposal.ts";
import type { ChildConfiguration } from "../../src/policy/connection.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { expectConverged } from "./ike-invariants.ts";
import { espProposal, IKE_TRANSFORMS, ikeProposal, RawPeer, selector } from "./ike-raw-peer.ts";
import { Vendor } from "./ike-vendor.ts";
import {
  connection,
  ESP_CBC,
  ESP_GCM,
  ESP_GCM_NO_PFS,
  GCM_X25519,
  LAN_A,
  LAN_B,
  pair,
  World,
} from "./ike-world.ts";

const PFS_ALWAYS = { ...ESP_GCM, ke: [31] };

function two(forA: Partial<ChildConfiguration>, forB: Partial<ChildConfiguration>) {
  const world = new World();
  const [a, b] = pair(
    world,
    { children: [{ ...LAN_A, ...forA }] },
    { keep: "respond", children: [{ ...LAN_B, keep: "respond", ...forB }] },
  );
  return { world, a, b };
}

describe("a rehearsed rekey", () => {
  test("a peer without PFS is known right after set-up", () => {
    const { world, a, b } = two({ proposals: [PFS_ALWAYS], rehearse: true }, { proposals: [ESP_GCM_NO_PFS] });
    world.run(seconds(1));
    const lan = a.state().children[0];
    expect(lan?.state).toBe("up");
    expect(lan?.lastFailure).toMatchObject({
      code: "rekeyRefused",
      isRehearsal: true,
      notifyType: NotifyType.NO_PROPOSAL_CHOSEN,
    });
    // The other end sees both sides.
    expect(b.find("noCommonProposal")?.difference.find(({ type }) => type === 4)).toMatchObject({
      theirs: [{ id: 31 }],
      ours: [{ id: 0 }],
    });
    world.run(minutes(10));
    expect(a.state().children[0]?.lastFailure).toMatchObject({ code: "rekeyRefused", isRehearsal: false });
  });

  test("without it the same is known an hour later", () => {
    const { world, a } = two({ proposals: [PFS_ALWAYS] }, { proposals: [ESP_GCM_NO_PFS] });
    world.run(minutes(40));
    expect(a.count("rekeyRefused")).toBe(0);
    world.run(minutes(30));
    expect(a.count("rekeyRefused")).toBeGreaterThan(0);
  });

  test("one that succeeds leaves one SA and no complaint", () => {
    const { world, a, b } = two({ proposals: [PFS_ALWAYS], rehearse: true }, { proposals: [PFS_ALWAYS] });
    world.run(minutes(1));
    expect(a.count("childSaRekeyed")).toBe(1);
    expect(a.find("childSaRekeyed")?.changes).toEqual({});
    expect(a.dataPlane.pairs.size).toBe(1);
    expect(b.dataPlane.pairs.size).toBe(1);
    expect(a.state().children[0]?.lastFailure).toBeUndefined();
    expect(a.state().children[0]?.sa?.ke).toBe(31);
  });
});

test("a group that the peer wants in a rekey and we have not is named", () => {
  const vendor = new Vendor((asked) => (asked.isRekey ? NotifyType.NO_PROPOSAL_CHOSEN : asked), 1, 1, {
    proposals: [ESP_GCM_NO_PFS],
  });
  vendor.refusal = invalidKe(14);
  vendor.run(minutes(70));
  expect(vendor.lan().lastFailure).toMatchObject({ code: "rekeyRefused", wanted: 14, method: 0 });
});

describe("a peer that changes its mind at a rekey", () => {
  test("another cipher that we allow is taken, and told", () => {
    // The peer prefers by its own order, which may be another one in the other role (Google Cloud).
    const vendor = new Vendor((asked) => asked, 1, 1, { proposals: [ESP_GCM_NO_PFS, ESP_CBC] });
    vendor.run(minutes(1));
    vendor.proposal = (spi) =>
      espProposal(spi, {
        number: 2,
        transforms: [
          { type: 1, id: 12, keyBits: 128 },
          { type: 3, id: 12 },
          { type: 5, id: 0 },
        ],
      });
    vendor.run(hours(1));
    expect(vendor.node.find("childSaRekeyed")?.changes.suite).toMatchObject({
      before: { encr: 20 },
      after: { encr: 12, integ: 12 },
    });
  });

  test("fewer networks are taken, told, and what is left out is asked for anew", () => {
    const narrow = [selector("10.2.0.0", "10.2.255.255")];
    const vendor = new Vendor(
      (asked) => (asked.isRekey ? { local: narrow, remote: asked.remote } : asked),
      2,
      1,
      { proposals: [ESP_GCM_NO_PFS] },
    );
    vendor.run(minutes(90));
    expect(vendor.node.find("childSaRekeyed")?.changes.narrowed).toBeDefined();
    expect(vendor.texts().slice(-1)).toEqual(["10.3.0.0/16 <-> 10.1.0.0/16"]);
    expect(vendor.carried()).toHaveLength(2);
  });

  test("a peer that asks for a rekey with what we do not allow is refused, and the old SA goes on", () => {
    const vendor = new Vendor((asked) => asked, 1, 1, { proposals: [ESP_GCM_NO_PFS] });
    vendor.run(seconds(10));
    const [standing] = vendor.node.dataPlane.pairs.values();
    const spi = standing!.outbound!.spi;
    const rekey = {
      kind: "N",
      protocolId: 3,
      notifyType: NotifyType.REKEY_SA,
      spi: Uint8Array.of(spi >>> 24, (spi >>> 16) & 255, (spi >>> 8) & 255, spi & 255),
      data: new Uint8Array(0),
    } as const;
    const transforms = [
      { type: 1, id: 3 },
      { type: 3, id: 2 },
      { type: 5, id: 0 },
    ];
    const payloads = vendor.peer
      .createChild(0xc0ffee77, [rekey])
      .map((one) =>
        one.kind === "SA" ? { ...one, proposals: [espProposal(0xc0ffee77, { transforms })] } : one,
      );
    const answer = vendor.peer.ask(ExchangeType.CREATE_CHILD_SA, payloads);
    expect(find(answer?.payloads ?? [], "N")?.notifyType).toBe(NotifyType.NO_PROPOSAL_CHOSEN);
    expect(vendor.node.dataPlane.pairs.size).toBe(1);
    expect(vendor.lan().state).toBe("up");
    expect(vendor.node.find("noCommonProposal")).toMatchObject({ protocol: "esp", role: "responder" });
  });
});

test("[CHILD-14] a rekey of the IKE SA keeps its PRF, whoever begins and whatever either end likes better", () => {
  const world = new World();
  const [sha256, sha384] = [5, 6];
  const [a, b] = pair(
    world,
    { ike: { proposals: [{ ...GCM_X25519, prf: [sha384, sha256] }] } },
    { keep: "respond", ike: { proposals: [{ ...GCM_X25519, prf: [sha256, sha384] }] } },
  );
  world.run(seconds(2));
  for (const node of [a, b, a]) {
    expect([a, b].map((one) => one.state().ikeSa?.suite.prf)).toEqual([sha256, sha256]);
    node.command({ kind: "rekey", target: { connection: "net" } });
    world.run(seconds(2));
  }
  expect(a.count("ikeSaRekeyed")).toBe(3);
  world.run(minutes(1));
  expectConverged(a, b, ["lan"]);
});

test("[CHILD-14] a peer that offers several PRFs for the new IKE SA gets the one of the old", () => {
  const world = new World();
  const lan = { ...LAN_B, keep: "respond" } as const;
  const proposals = [{ ...GCM_X25519, prf: [5, 6] }];
  const b = world.add("B", "192.0.2.2", [
    connection("192.0.2.1", [lan], { keep: "respond", ike: { proposals } }),
  ]);
  const peer = new RawPeer(world, b);
  peer.connect();
  expect(b.state().ikeSa?.suite.prf).toBe(6);
  const transforms = [...IKE_TRANSFORMS, { type: 2, id: 5 }];
  const answer = peer.ask(ExchangeType.CREATE_CHILD_SA, [
    { kind: "SA", proposals: [ikeProposal({ spi: new Uint8Array(8).fill(9), transforms })] },
    { kind: "Nonce", data: new Uint8Array(32).fill(7) },
    { kind: "KE", method: 31, data: peer.pair.publicValue },
  ]);
  const chosen = find(answer!.payloads, "SA")!.proposals[0]!.transforms;
  expect(chosen.filter(({ type }) => type === 2).map(({ id }) => id)).toEqual([6]);
});

test("[CHILD-14] where the PRF of before is allowed no more, another one is offered", () => {
  const suites = [
    { ...GCM_X25519, prf: [6, 5] },
    { ...GCM_X25519, prf: [7] },
  ];
  expect(suitesForRekey(suites, { prf: 4 })).toEqual(suites);
  expect(suitesForRekey(suites, { prf: 5 }).map(({ prf }) => prf)).toEqual([[5]]);
});
