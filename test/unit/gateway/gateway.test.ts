/** The gateway puts machine, data plane and policy together: order, ports, manual children. */
import { describe, expect, test, vi } from "vitest";
import { utf8 } from "../../../src/base/bytes.ts";
import { Instant } from "../../../src/base/instant.ts";
import { Spi } from "../../../src/base/spi.ts";
import { createDataPlane } from "../../../src/dataplane/data-plane.ts";
import { createTwinKeyStore } from "../../../src/esp/twin-engine.ts";
import { Gateway, type GatewayEffect } from "../../../src/gateway/gateway.ts";
import type { GatewayConfiguration, GatewayManualChild } from "../../../src/gateway/gateway-configuration.ts";
import { SUCCESSION_SKIP } from "../../../src/gateway/manual-sa.ts";
import { createPathTable } from "../../../src/gateway/path-table.ts";
import type { DescribedIkeMachine } from "../../../src/ike/ike-machine.ts";
import type { IkeAction, IkeEvent } from "../../../src/ike/machine.ts";
import type { InboundSa, OutboundSa } from "../../../src/policy/data-plane.ts";
import { formatSaTable, Slot, saTableRegions } from "../../../src/policy/sa-table.ts";
import { slotOffset } from "../../../src/policy/sad.ts";
import { Encr, IdType } from "../../../src/wire/ike/registries.ts";
import { child, connection } from "../../sim/ike-world.ts";
import { endpoint, HANDLING, keysOf, SUITES, seededRandom, selectors } from "../dataplane/gateway-fixture.ts";

const NOW = Instant(1000);
const PAIR = selectors("10.1.0.0/16", "10.2.0.0/16");
const ENCR_KEY = new Uint8Array(36).fill(7);

/** A gateway over a machine that answers every event with what `respond` says. */
function makeGateway(respond: (event: IkeEvent) => readonly IkeAction[] = () => []) {
  const size = { slots: 16, endpoints: 16, policies: 8, lanes: 1 };
  const table = formatSaTable(new ArrayBuffer(saTableRegions(size).total), size);
  const dataPlane = createDataPlane({ table, keys: createTwinKeyStore(table), random: seededRandom(1) });
  const seen: IkeEvent[] = [];
  const machine: DescribedIkeMachine = {
    handle(event) {
      seen.push(event);
      return event.kind === "probePath" ? [] : respond(event);
    },
    nextTimeout: () => undefined,
    describe: () => [],
    setConnections: () => [],
    movedAway: () => new Set(),
    drops: () => new Map(),
    exportKeys: () => [],
    ikeSaCount: () => 0,
    ikeSaCounts: () => ({ halfOpen: 0, initiating: 0, authenticating: 0, established: 0, leaving: 0 }),
    claims: () => false,
    isOutdated: () => false,
    exportState: () => [],
  };
  const paths = createPathTable([]);
  /** Another process over the same table. */
  const next = () => new Gateway({ machine, dataPlane, paths, natPort: 4500 });
  return { gateway: next(), dataPlane, seen, next, table };
}

function saOf(spi: number): InboundSa {
  return {
    spi: Spi(spi),
    policy: "paris/lan",
    suite: SUITES.aes256gcm16,
    keys: { encr: ENCR_KEY, integ: new Uint8Array(0) },
    encapsulation: "udp",
    local: endpoint("192.0.2.1"),
    remote: endpoint("198.51.100.2"),
    selectors: PAIR,
    lifetime: {},
    handling: HANDLING,
  };
}

const inbound = saOf(0x1001);
const outbound: OutboundSa = { ...saOf(0x2002), inboundSpi: Spi(0x1001) };
const datagram = {
  kind: "datagram",
  datagram: { local: endpoint("192.0.2.1"), remote: endpoint("198.51.100.2"), bytes: Uint8Array.of(1) },
} as const;

function sendFrom(port: number): IkeAction {
  return {
    kind: "send",
    local: endpoint("192.0.2.1", port),
    remote: endpoint("198.51.100.2", port),
    bytes: Uint8Array.of(1, 2, 3),
  };
}

function effectsOf(gateway: Gateway, event: Parameters<Gateway["handle"]>[0]): GatewayEffect[] {
  const effects: GatewayEffect[] = [];
  gateway.handle(event, NOW, (effect) => effects.push(effect));
  return effects;
}

test("the inbound SA is there when the answer leaves, the outbound one only after it", () => {
  const { gateway, dataPlane } = makeGateway(() => [
    { kind: "dataPlane", command: { kind: "addInboundSa", sa: inbound } },
    sendFrom(4500),
    { kind: "dataPlane", command: { kind: "addOutboundSa", sa: outbound } },
  ]);
  const seen: string[] = [];
  gateway.handle(datagram, NOW, (effect) => {
    const [pair] = dataPlane.pairs();
    seen.push(`${effect.kind} with ${pair?.inboundSpi} and ${pair?.outboundSpi}`);
  });
  expect(seen).toEqual([`send with ${0x1001} and undefined`, `wakeLanes with ${0x1001} and ${0x2002}`]);
});

test("[NAT-04] IKE from the NAT port has the non-ESP marker, IKE from port 500 has none", () => {
  const octetsFrom = (port: number) => {
    const [effect] = effectsOf(makeGateway(() => [sendFrom(port)]).gateway, datagram);
    return effect?.kind === "send" ? [...effect.bytes] : undefined;
  };
  expect(octetsFrom(4500)).toEqual([0, 0, 0, 0, 1, 2, 3]);
  expect(octetsFrom(500)).toEqual([1, 2, 3]);
});

test("[NAT-06] a keepalive is one octet, without a marker", () => {
  const keepalive: IkeAction = {
    kind: "sendKeepalive",
    local: endpoint("192.0.2.1"),
    remote: endpoint("198.51.100.2"),
  };
  const [effect] = effectsOf(makeGateway(() => [keepalive]).gateway, { kind: "timeout" });
  expect(effect).toMatchObject({ kind: "send", bytes: Uint8Array.of(0xff) });
});

test("lanes are woken once for all table changes of an event, and not without one", () => {
  const changes: readonly IkeAction[] = [
    { kind: "dataPlane", command: { kind: "addInboundSa", sa: inbound } },
    { kind: "dataPlane", command: { kind: "addOutboundSa", sa: outbound } },
  ];
  expect(effectsOf(makeGateway(() => changes).gateway, datagram)).toEqual([{ kind: "wakeLanes" }]);
  expect(effectsOf(makeGateway().gateway, datagram)).toEqual([]);
});

test("what the SA table refuses is told, and what follows is still done", () => {
  const twice: readonly IkeAction[] = [
    { kind: "dataPlane", command: { kind: "addInboundSa", sa: inbound } },
    { kind: "dataPlane", command: { kind: "addInboundSa", sa: inbound } },
    sendFrom(500),
  ];
  expect(effectsOf(makeGateway(() => twice).gateway, datagram).map(({ kind }) => kind)).toEqual([
    "tableRefused",
    "send",
    "wakeLanes",
  ]);
});

test("an effect that calls the gateway again is refused", () => {
  const { gateway } = makeGateway(() => [sendFrom(500)]);
  expect(() =>
    gateway.handle(datagram, NOW, () => gateway.handle({ kind: "timeout" }, NOW, () => undefined)),
  ).toThrow("from within");
});

test("after an effect that failed the gateway goes on", () => {
  const { gateway } = makeGateway(() => [sendFrom(500)]);
  const fail = () => {
    throw new Error("no socket");
  };
  expect(() => gateway.handle(datagram, NOW, fail)).toThrow("no socket");
  expect(effectsOf(gateway, datagram)).toHaveLength(1);
});

test("an acquire reaches the machine with the policy's name", () => {
  const { gateway, dataPlane, seen } = makeGateway();
  const packet = { local: PAIR.local[0]!, remote: PAIR.remote[0]! };
  effectsOf(gateway, {
    kind: "upcall",
    upcall: { kind: "acquire", policy: dataPlane.policyIndex("paris/lan"), packet },
  });
  expect(seen).toEqual([
    { kind: "dataPlane", event: expect.objectContaining({ kind: "acquire", policy: "paris/lan" }) },
  ]);
});

test("an audit is passed on, and is none of the machine's business", () => {
  const { gateway, seen } = makeGateway();
  const audit = {
    kind: "audit",
    reason: "notAuthentic",
    spi: 0x1001,
    sequenceNumber: 5,
    local: endpoint("192.0.2.1"),
    remote: endpoint("198.51.100.2"),
  } as const;
  expect(effectsOf(gateway, { kind: "upcall", upcall: audit })).toEqual([{ kind: "audit", audit }]);
  expect(seen).toEqual([]);
});

describe("manual children", () => {
  const child: GatewayManualChild = {
    policy: "paris/lan",
    selectors: PAIR,
    priority: 0,
    interface: "tungate0",
    routes: "auto",
    remoteAddress: endpoint("198.51.100.2").address,
    encapsulation: "esp",
    remotePort: 4500,
    outbound: { spi: Spi(0x2002), suite: SUITES.aes256gcm16, keys: inbound.keys },
    inbound: { spi: Spi(0x1001), suite: SUITES.aes256gcm16, keys: inbound.keys },
    handling: { ...HANDLING, replayWindow: 0 },
    place: { file: "t.yaml", line: 1 },
  };
  const add = (gateway: Gateway) =>
    effectsOf(gateway, {
      kind: "addManual",
      child,
      local: endpoint("192.0.2.1").address,
      numbers: { first: 101, last: 200 },
    });

  test("[ESP-02] the outbound SA begins with the first reserved number", () => {
    const { gateway, dataPlane } = makeGateway();
    expect(add(gateway)).toEqual([{ kind: "wakeLanes" }]);
    expect(dataPlane.pairs()).toEqual([
      expect.objectContaining({
        policy: "paris/lan",
        inboundSpi: 0x1001,
        outboundSpi: 0x2002,
        usage: expect.objectContaining({ nextSequenceNumber: 101 }),
      }),
    ]);
  });

  test("near the end of the reservation more is asked for; the machine hears nothing", () => {
    const { gateway, seen } = makeGateway();
    add(gateway);
    const upcall = { kind: "softLimit", inboundSpi: 0x1001, reason: "sequenceNumbers" } as const;
    expect(effectsOf(gateway, { kind: "upcall", upcall })).toEqual([
      { kind: "reserveSequence", policy: "paris/lan" },
    ]);
    expect(effectsOf(gateway, { kind: "sequenceReserved", policy: "paris/lan", last: 300 })).toEqual([]);
    expect(seen).toEqual([]);
  });

  test("its end is told, and a packet that asks for an SA afterwards is answered at once", () => {
    const { gateway, dataPlane, seen } = makeGateway();
    add(gateway);
    const upcall = { kind: "hardLimit", inboundSpi: 0x1001, reason: "sequenceNumbers" } as const;
    expect(effectsOf(gateway, { kind: "upcall", upcall })).toEqual([
      { kind: "manualEnded", policy: "paris/lan", reason: "sequenceNumbers" },
    ]);
    const packet = { local: PAIR.local[0]!, remote: PAIR.remote[0]! };
    const acquire = { kind: "acquire", policy: dataPlane.policyIndex("paris/lan"), packet } as const;
    expect(effectsOf(gateway, { kind: "upcall", upcall: acquire })).toEqual([]);
    expect(seen).toEqual([]);
  });

  describe("that another process left", () => {
    const taken = (changes: Partial<GatewayManualChild>) => {
      const { gateway, dataPlane, next } = makeGateway();
      add(gateway);
      const configured = (one: GatewayManualChild): GatewayConfiguration => ({
        gateway: { listen: [], ports: { ike: 500, nat: 4500 }, interfaces: [{ name: "tungate0" }] },
        connections: [],
        policies: [],
        manual: [one],
      });
      const fingerprints = gateway.fingerprints(configured(child));
      const after = next();
      const effects: GatewayEffect[] = [];
      const now = configured({ ...child, ...changes });
      after.setPolicies(now);
      const before = { ikeSas: [], fingerprints, isOurs: () => true };
      after.setConnections(now, NOW, (effect) => effects.push(effect), before);
      const local = endpoint("192.0.2.1").address;
      const numbers = { first: 301, last: 400 };
      effectsOf(after, { kind: "addManual", child: { ...child, ...changes }, local, numbers });
      return { effects, next: dataPlane.pairs().map(({ usage }) => usage.nextSequenceNumber) };
    };

    test("[ESP-02] go on with their own numbers, which lie before those that are reserved now", () => {
      expect(taken({ place: { file: "t.yaml", line: 9 } })).toEqual({
        effects: [{ kind: "wakeLanes" }],
        next: [101],
      });
    });

    test("[ESP-02] with other keys begin with the first number that is reserved now", () => {
      const keys = { encr: ENCR_KEY.map((octet) => octet + 1), integ: new Uint8Array() };
      const { effects, next } = taken({ outbound: { ...child.outbound, keys } });
      expect(effects).toContainEqual(expect.objectContaining({ kind: "inherited", what: "unfit" }));
      expect(next).toEqual([301]);
    });
  });

  describe("replaced by a reload", () => {
    const SENT = 70;
    const CBC = { spi: Spi(0x2002), suite: SUITES.aes128sha256esn, keys: keysOf(SUITES.aes128sha256esn, 1) };
    const local = endpoint("192.0.2.1").address;
    /** The number that the next packet has when `then` follows `first`, which has sent some. */
    const nextAfter = (first: GatewayManualChild, then: GatewayManualChild, reserved = 1): number => {
      const { gateway, dataPlane, table } = makeGateway();
      const numbers = { first: 1, last: 2 ** 32 - 1 };
      effectsOf(gateway, { kind: "addManual", child: first, local, numbers });
      const word = (slot: number, field: number) => (slotOffset(table, slot) + field) / 4;
      const slot = [0, 1].find((one) => table.u32[word(one, Slot.DIRECTION)] === 1)!;
      table.u32[word(slot, Slot.SEQUENCE)] = SENT;
      effectsOf(gateway, { kind: "removeManual", policy: first.policy });
      effectsOf(gateway, { kind: "addManual", child: then, local, numbers: { ...numbers, first: reserved } });
      return dataPlane.pairs()[0]!.usage.nextSequenceNumber;
    };
    const cbc = { ...child, outbound: CBC, inbound: { ...CBC, spi: Spi(0x1001) } };

    test("[ESP-02] with the same SPI the numbers go on, also where no file keeps them", () => {
      expect(nextAfter(cbc, { ...cbc, priority: 3 })).toBe(SENT + 1 + SUCCESSION_SKIP);
    });

    test("[ESP-02] with the same keys too, whatever child and SPI have them", () => {
      const other = { ...child, policy: "paris/other", outbound: { ...child.outbound, spi: Spi(0x3003) } };
      expect(nextAfter(child, other)).toBe(SENT + 1 + SUCCESSION_SKIP);
    });

    test("with another SPI and other keys they begin anew, and what was reserved behind them counts as it is", () => {
      const other = {
        ...cbc,
        outbound: { ...CBC, spi: Spi(0x3003), keys: keysOf(SUITES.aes128sha256esn, 2) },
      };
      expect(nextAfter(cbc, other)).toBe(1);
      expect(nextAfter(child, child, 5000)).toBe(5000);
    });
  });

  test("removed, its SAs are gone", () => {
    const { gateway, dataPlane } = makeGateway();
    add(gateway);
    effectsOf(gateway, { kind: "removeManual", policy: "paris/lan" });
    expect(dataPlane.pairs()).toEqual([]);
  });
});

describe("configuration", () => {
  const configuration = (names: readonly string[]): GatewayConfiguration => ({
    gateway: {
      listen: [],
      ports: { ike: 500, nat: 4500 },
      interfaces: [{ name: "tungate0" }, { name: "tun1" }],
    },
    connections: [],
    policies: [],
    manual: names.map((name, i) => ({
      policy: name,
      selectors: selectors(`10.1.${i}.0/24`, "10.2.0.0/16"),
      priority: 0,
      interface: "tungate0",
      routes: "auto",
      remoteAddress: endpoint("198.51.100.2").address,
      encapsulation: "esp",
      remotePort: 4500,
      outbound: {
        spi: Spi(0x2002),
        suite: { ...SUITES.aes256gcm16, encr: Encr.AES_GCM_16 },
        keys: inbound.keys,
      },
      inbound: { spi: Spi(0x1001), suite: SUITES.aes256gcm16, keys: inbound.keys },
      handling: HANDLING,
      place: { file: "t.yaml", line: 1 },
    })),
  });

  test("there is one SPD per TUN device, with the policies' indices of the table", () => {
    const { gateway, dataPlane } = makeGateway();
    const [first, second] = gateway.setPolicies(configuration(["a/x", "a/y"]));
    const indices = [...first!.policy].filter((index) => index !== 0xffffffff);
    expect(indices.sort()).toEqual([dataPlane.policyIndex("a/x"), dataPlane.policyIndex("a/y")].sort());
    expect([...second!.policy].every((index) => index === 0xffffffff)).toBe(true);
  });

  test("policies that a new configuration does not name give their place back", () => {
    const { gateway } = makeGateway();
    for (let round = 0; round < 20; round++) {
      const names = Array.from({ length: 4 }, (_, i) => `round${round}/child${i}`);
      gateway.setPolicies(configuration(names));
    }
    expect(gateway.pairs()).toEqual([]);
  });
});

test("policies keep the numbers of their peers when the file has another order", () => {
  const { gateway, dataPlane } = makeGateway();
  const peers = (...letters: readonly string[]): GatewayConfiguration => ({
    gateway: { listen: [], ports: { ike: 500, nat: 4500 }, interfaces: [{ name: "tun0" }] },
    connections: letters.map((letter, i) => ({
      connection: {
        ...connection("198.51.100.2", [child("lan", "10.1.0.0/16", `10.${letter.charCodeAt(0)}.0.0/16`)], {
          remote: { id: { idType: IdType.FQDN, data: utf8(letter) } },
        }),
        name: `hub#${i + 1}`,
        oneOf: { connection: "hub", networks: "own" },
      },
      interface: "tun0",
      routes: "auto",
      priorities: new Map(),
    })),
    policies: [],
    manual: [],
  });
  const asked = vi.spyOn(dataPlane, "policyIndex");
  const take = (configuration: GatewayConfiguration) => {
    asked.mockClear();
    gateway.setPolicies(configuration);
    gateway.setConnections(configuration, NOW, () => undefined);
    return asked.mock.calls.map(([name]) => name);
  };
  expect(take(peers("a", "b"))).toEqual(["hub#1/lan", "hub#2/lan"]);
  expect(take(peers("b", "c"))).toEqual(["hub#2/lan", "hub#3/lan"]);
  expect(take(peers("c", "b", "a"))).toEqual(["hub#3/lan", "hub#2/lan", "hub#4/lan"]);
});
