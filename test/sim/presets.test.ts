/** Each preset opposite a peer that plays what is peculiar about its kind; what is not verified there is not played. */
import { describe, expect, test } from "vitest";
import { hours, minutes, seconds } from "../../src/base/instant.ts";
import type { ChildConfiguration, Connection } from "../../src/policy/connection.ts";
import { parseProposal } from "../../src/policy/proposal-keyword.ts";
import { formatSelectors } from "../../src/policy/selector-text.ts";
import { ExchangeType, NotifyType } from "../../src/wire/ike/registries.ts";
import { load } from "../unit/config/memory-reader.ts";
import { type Asked, isSingle, Vendor } from "./ike-vendor.ts";
import {
  type ConnectionChanges,
  child,
  connection,
  ESP_GCM_NO_PFS,
  type IkeNode,
  World,
} from "./ike-world.ts";

const SECRET = { "secrets/paris": "a secret for both" };

/** The connection `net` to 192.0.2.2 with the preset, as the configuration has it. */
function ours(preset: string, more = ""): Connection {
  const text = `connections:\n  net: { preset: ${preset}, remote: { address: 192.0.2.2 }, psk: { file: secrets/paris }${more} }\n`;
  return load(text, { files: SECRET }).connections[0]!.connection;
}

const suites = (protocol: "ike" | "esp", ...texts: string[]) =>
  texts.map((text) => parseProposal(text, protocol));

/** What a vendor's gateway has configured, played by a gateway of ours. */
interface Played extends ConnectionChanges {
  readonly ikeProposals: readonly string[];
  readonly espProposals: readonly string[];
  readonly ofChild?: Partial<ChildConfiguration>;
  /** Its own network and the other one. */
  readonly networks?: readonly [string, string];
}

function played({ ikeProposals, espProposals, ofChild, networks, ...changes }: Played): Connection {
  const [own, other] = networks ?? ["0.0.0.0/0", "0.0.0.0/0"];
  const keep = changes.keep ?? "respond";
  const proposals = suites("esp", ...espProposals);
  const only = child("any", own, other, { keep, proposals, ...ofChild });
  const ike = { proposals: suites("ike", ...ikeProposals), ...changes.ike };
  return connection("192.0.2.1", [only], { ...changes, keep, ike });
}

function opposite(own: Connection, theirs: Connection): { world: World; a: IkeNode; b: IkeNode } {
  const world = new World();
  const a = world.add("A", "192.0.2.1", [own]);
  const b = world.add("B", "192.0.2.2", [theirs]);
  return { world, a, b };
}

/** Requests of an exchange that a node has sent. */
function requests(node: IkeNode, exchangeType: number): number {
  return node.actions.filter(
    (action) =>
      action.kind === "send" && action.bytes[18] === exchangeType && (action.bytes[19]! & 0x20) === 0,
  ).length;
}

function expectUp(...nodes: IkeNode[]): void {
  for (const node of nodes) {
    expect(node.state().state).toBe("up");
    expect(node.state().children.map(({ state }) => state)).toEqual(["up"]);
    expect(node.dataPlane.pairs.size).toBe(1);
  }
}

describe("aws", () => {
  const AWS = {
    ikeProposals: [
      "aes128-aes256-sha1-sha256-sha384-modp1024-modp2048-ecp384",
      "aes128gcm16-aes256gcm16-prfsha384-modp2048-ecp384",
    ],
    espProposals: [
      "aes128-aes256-sha1-sha256-modp1024-modp2048-ecp384",
      "aes128gcm16-aes256gcm16-modp2048-ecp384",
    ],
  };

  test("it waits for the call, and has nothing to choose from: one transform of each kind", () => {
    const own = ours("aws");
    for (const { encr, integ, prf, ke } of own.ike.proposals)
      expect([encr.length, integ.length, prf.length, ke.length]).toEqual([1, 0, 1, 1]);
    expect(own.ike.proposals).toHaveLength(1);
    const { world, a, b } = opposite(own, played(AWS));
    world.run(seconds(5));
    expectUp(a, b);
    expect(requests(b, ExchangeType.IKE_SA_INIT)).toBe(0);
  });

  test("it asks for another key exchange once (INVALID_KE_PAYLOAD): nothing to fall back to, and that is said", () => {
    const { world, a } = opposite(
      ours("aws"),
      played({ ...AWS, ikeProposals: ["aes256gcm16-prfsha384-modp2048"] }),
    );
    world.run(seconds(5));
    expect(a.state().lastFailure?.code).toBe("proposalRejectedByPeer");
  });

  test("its rekey begins 540 to 1080 s before the end: ours is always first, and one SA pair stands at a time", () => {
    const rekeyAt = (lifetime: number) => ({ time: seconds(lifetime - 540), jitter: 540 / (lifetime - 540) });
    const { world, a, b } = opposite(
      ours("aws"),
      played({ ...AWS, ike: { rekey: rekeyAt(28_800) }, ofChild: { rekey: rekeyAt(3600) } }),
    );
    world.run(hours(48));
    expectUp(a, b);
    expect(requests(a, ExchangeType.CREATE_CHILD_SA)).toBeGreaterThan(48);
    expect(requests(b, ExchangeType.CREATE_CHILD_SA)).toBe(0);
  });

  test("no SA beside the first, whatever the number of lanes", () => {
    expect(ours("aws").children[0]).toMatchObject({
      hasNoLaneSas: true,
      handling: { innerMtu: 1446, mss: 1406 },
    });
  });
});

describe("azure", () => {
  const OFFERS = [
    "aes256-sha1-modp1024",
    "3des-sha1-modp1024",
    "aes256-sha256-modp1024",
    "aes128-sha1-modp1024",
  ];
  const AZURE = {
    ikeProposals: OFFERS,
    espProposals: ["aes256gcm16", "aes256-sha1", "3des-sha1", "aes256-sha256", "aes128-sha1"],
    ike: { liveness: hours(1), rekey: { time: seconds(28_800), jitter: 0 } },
    ofChild: { rekey: { time: seconds(27_000), jitter: 0 } },
  } satisfies Played;

  test("its default policy: group 2 at the second try, without PFS, and all of a day in both roles", () => {
    for (const keep of ["up", "respond"] as const) {
      const { world, a, b } = opposite(ours("azure"), played({ ...AZURE, keep }));
      world.run(hours(25));
      expectUp(a, b);
      expect(a.state().ikeSa?.suite.ke).toBe(2);
    }
  });

  test("of its list as initiator 3DES is never taken", () => {
    const { world, a, b } = opposite(
      ours("azure", ", keep: respond"),
      played({ ...AZURE, keep: "up", ikeProposals: ["3des-sha1-modp1024"] }),
    );
    world.run(seconds(20));
    expect(a.state().state).not.toBe("up");
    expect(b.state().lastFailure?.code).toBe("proposalRejectedByPeer");
  });

  test("custom selectors, which it proposes when it calls, are narrowed to", () => {
    const { world, a } = opposite(
      ours("azure", ", keep: respond"),
      played({ ...AZURE, keep: "up", networks: ["10.2.0.0/16", "10.1.0.0/16"] }),
    );
    world.run(seconds(5));
    expect(formatSelectors(a.state().children[0]!.sa!.selectors.remote)).toBe("10.2.0.0/16");
  });

  test("it sends no signs of life: ours are answered, and a dead one is noticed", () => {
    const { world, a, b } = opposite(ours("azure"), played(AZURE));
    world.run(minutes(10));
    expect(requests(b, ExchangeType.INFORMATIONAL)).toBe(0);
    expectUp(a, b);
    b.isUp = false;
    world.run(minutes(10));
    expect(a.state().state).not.toBe("up");
  });
});

describe("gcp", () => {
  test("both call and both rekey: one IKE SA and one child remain, of the one cipher that either may choose", () => {
    const { world, a, b } = opposite(
      ours("gcp"),
      played({
        keep: "up",
        ikeProposals: [
          "aes128gcm16-prfsha256-modp2048",
          "aes256gcm16-prfsha512-modp4096",
          "aes256-sha256-modp2048",
        ],
        espProposals: ["aes128gcm16-modp2048", "aes256gcm16-modp8192", "aes256-sha256-modp2048"],
        ike: { rekey: { time: seconds(36_000), jitter: 0.1 } },
        ofChild: { rekey: { time: seconds(10_800), jitter: 0.2 } },
      }),
    );
    world.run(hours(11));
    expectUp(a, b);
    expect(a.state().children[0]!.sa!.suite).toMatchObject({ encr: 20, encrKeyBits: 256 });
  });
});

/** The child of a preset as the vendor's scripted peer gets it, with networks of its own. */
function childOf(preset: string): Partial<ChildConfiguration> {
  const [only] = ours(preset, ", children: { lan: { local: 10.2.0.0/16, remote: 10.1.0.0/16 } }").children;
  const { name: _, selectors: _s, keep: _k, ...rest } = only!;
  return { ...rest, proposals: [ESP_GCM_NO_PFS] };
}

const all = ({ local, remote }: Asked) => ({ local, remote });

describe.each([
  ["cisco-ios", NotifyType.TS_UNACCEPTABLE],
  ["cisco-asa", NotifyType.TS_UNACCEPTABLE],
  ["fortigate", NotifyType.NO_PROPOSAL_CHOSEN],
  ["paloalto", NotifyType.TS_UNACCEPTABLE],
  ["mikrotik", NotifyType.TS_UNACCEPTABLE],
] as const)("%s takes one pair of networks in an SA", (preset, refusal) => {
  test("and is never asked for more, rekeys included", () => {
    const vendor = new Vendor((asked) => (isSingle(asked) ? all(asked) : refusal), 2, 2, childOf(preset));
    vendor.run(minutes(1));
    vendor.node.command({ kind: "rekey", target: { connection: "net", child: "lan" } });
    vendor.run(minutes(1));
    expect(vendor.asked.every(isSingle)).toBe(true);
    expect(new Set(vendor.carried()).size).toBe(4);
    expect(vendor.asked.filter(({ isRekey }) => isRekey)).toHaveLength(4);
  });
});

describe("cisco-ios", () => {
  test("its smart defaults meet ours, and its default transform set has no PFS", () => {
    const { world, a, b } = opposite(
      ours("cisco-ios"),
      played({
        ikeProposals: ["aes256-sha512-sha384-ecp256-modp2048-ecp521"],
        espProposals: ["aes128-sha1"],
        ike: { rekey: { time: hours(24), jitter: 0 } },
        ofChild: { rekey: { time: hours(1), jitter: 0 } },
      }),
    );
    world.run(hours(5));
    expectUp(a, b);
    expect(requests(b, ExchangeType.CREATE_CHILD_SA)).toBe(0);
  });
});

describe("cisco-asa", () => {
  test("AES-CBC with SHA-1 for the child, and we rekey before its eight hours are over", () => {
    const { world, a, b } = opposite(
      ours("cisco-asa", ", keep: up, children: { lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16 } }"),
      played({
        ikeProposals: ["aes256-sha256-modp2048", "aes256-sha384-ecp384"],
        espProposals: ["aes256-sha1-noesn"],
        networks: ["10.2.0.0/16", "10.1.0.0/16"],
        ike: { liveness: hours(1), rekey: { time: seconds(86_400), jitter: 0 } },
        ofChild: { rekey: { time: seconds(28_800), jitter: 0 } },
      }),
    );
    world.run(hours(9));
    expectUp(a, b);
    expect(requests(b, ExchangeType.CREATE_CHILD_SA)).toBe(0);
  });
});

describe("fortigate", () => {
  test("its defaults meet ours; two days of rekeys", () => {
    const { world, a, b } = opposite(
      ours("fortigate"),
      played({
        ikeProposals: ["aes128-sha256-modp2048", "aes256-sha256-modp2048", "aes128-sha1-modp2048"],
        espProposals: ["aes128-sha1-modp2048", "aes256-sha256-modp2048", "aes256gcm16-modp2048"],
        ike: { rekey: { time: seconds(86_400), jitter: 0 } },
        ofChild: { rekey: { time: seconds(43_200), jitter: 0 } },
      }),
    );
    world.run(hours(48));
    expectUp(a, b);
    expect(requests(b, ExchangeType.CREATE_CHILD_SA)).toBe(0);
  });

  test("a child that it deletes in place of a rekey is back at once", () => {
    const vendor = new Vendor(
      (asked) => (isSingle(asked) ? all(asked) : NotifyType.NO_PROPOSAL_CHOSEN),
      1,
      1,
      childOf("fortigate"),
    );
    vendor.run(minutes(1));
    const [before] = vendor.node.dataPlane.pairs.values();
    const spi = before!.outbound!.spi;
    const octets = Uint8Array.of(spi >>> 24, (spi >>> 16) & 255, (spi >>> 8) & 255, spi & 255);
    vendor.peer.ask(ExchangeType.INFORMATIONAL, [{ kind: "D", protocolId: 3, spis: [octets] }]);
    vendor.run(seconds(1));
    const [after, ...more] = vendor.node.dataPlane.pairs.values();
    expect(more).toEqual([]);
    expect(after!.outbound!.spi).not.toBe(spi);
    expect(vendor.lan().state).toBe("up");
  });
});

describe("paloalto", () => {
  test("Suite-B profiles meet ours; a request every five seconds for a day is answered", () => {
    for (const [ike, esp] of [
      ["aes256-sha384-ecp384", "aes256gcm16-ecp384"],
      ["aes128-sha256-ecp256", "aes128gcm16-ecp256"],
    ] as const) {
      const { world, a, b } = opposite(
        ours("paloalto"),
        played({
          ikeProposals: [ike],
          espProposals: [esp],
          ike: { liveness: seconds(5), rekey: { time: hours(8), jitter: 0 } },
          ofChild: { rekey: { time: hours(1), jitter: 0 } },
        }),
      );
      world.run(hours(3));
      expectUp(a, b);
      expect(requests(b, ExchangeType.INFORMATIONAL)).toBeGreaterThan(1000);
      expect(requests(b, ExchangeType.CREATE_CHILD_SA)).toBe(0);
    }
  });
});

describe("mikrotik", () => {
  const networks = ", children: { lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16 } }";

  test("extended sequence numbers are not offered", () => {
    for (const { esn } of ours("mikrotik", networks).children[0]!.proposals) expect(esn).toEqual([0]);
  });

  test("its default proposal: no key exchange in IKE_AUTH, PFS of 1024 bits from the first rekey on", () => {
    const { world, a, b } = opposite(
      ours("mikrotik", networks),
      played({
        ikeProposals: ["aes128-sha1-modp2048-modp1024"],
        espProposals: ["aes256-aes192-aes128-sha1-modp1024-noesn"],
        networks: ["10.2.0.0/16", "10.1.0.0/16"],
        ofChild: { rekey: { time: minutes(30), jitter: 0 } },
      }),
    );
    world.run(hours(4));
    expectUp(a, b);
    expect(requests(a, ExchangeType.CREATE_CHILD_SA)).toBeGreaterThan(8);
    expect(a.count("proposalRejectedByPeer")).toBe(0);
  });
});

describe("cloudflare", () => {
  test("all of the call is between the NAT ports, from the first message on", () => {
    const { world, a, b } = opposite(
      ours("cloudflare"),
      played({
        ikeProposals: ["aes256gcm16-prfsha256-ecp384", "aes256-sha256-ecp384"],
        espProposals: ["aes256gcm16-ecp384-noesn"],
      }),
    );
    world.run(hours(2));
    expectUp(a, b);
    expect(world.wire.length).toBeGreaterThan(8);
    expect(new Set(world.wire.flatMap(({ from, to }) => [from.port, to.port]))).toEqual(new Set([4500]));
  });

  test("extended sequence numbers are not offered, and MOBIKE is not", () => {
    const own = ours("cloudflare");
    for (const { esn } of own.children[0]!.proposals) expect(esn).toEqual([0]);
    expect(own.ike.mobike).toBe(false);
    expect(own.children[0]!.handling.replayWindow).toBe(65_536);
  });
});

describe("strongswan", () => {
  test("its rekey begins up to a tenth before 4 h and 1 h: ours is always first", () => {
    const { world, a, b } = opposite(
      ours("strongswan", ", keep: up, children: { lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16 } }"),
      played({
        ikeProposals: ["aes256-sha256-prfsha256-x25519", "aes256gcm16-prfsha256-x25519"],
        espProposals: ["aes256gcm16", "aes256-sha256"],
        networks: ["10.2.0.0/16", "10.1.0.0/16"],
        ike: { rekey: { time: hours(4), jitter: 0.1 } },
        ofChild: { rekey: { time: hours(1), jitter: 0.1 } },
      }),
    );
    world.run(hours(12));
    expectUp(a, b);
    expect(requests(a, ExchangeType.CREATE_CHILD_SA)).toBeGreaterThan(15);
    expect(requests(b, ExchangeType.CREATE_CHILD_SA)).toBe(0);
  });
});

describe("libreswan", () => {
  test("exactly its networks, a rekey before its salifetime, and MOBIKE is off", () => {
    const own = ours("libreswan", ", children: { lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16 } }");
    const { world, a, b } = opposite(
      own,
      played({
        networks: ["10.2.0.0/16", "10.1.0.0/16"],
        ikeProposals: ["aes256gcm16-prfsha512-prfsha256-modp2048-ecp256"],
        espProposals: ["aes256gcm16", "chacha20poly1305"],
        ike: { rekey: { time: hours(8), jitter: 0 } },
        ofChild: { rekey: { time: hours(8), jitter: 0 } },
      }),
    );
    world.run(hours(24));
    expectUp(a, b);
    expect(requests(b, ExchangeType.CREATE_CHILD_SA)).toBe(0);
    expect(own.ike.mobike).toBe(false);
  });

  test("networks that it does not have are refused and named, not asked for without end", () => {
    const vendor = new Vendor(() => NotifyType.TS_UNACCEPTABLE, 1, 1, childOf("libreswan"));
    vendor.run(minutes(10));
    expect(vendor.lan().lastFailure?.code).toBe("selectorsUnacceptable");
    expect(vendor.asked.length).toBeLessThan(30);
  });
});
