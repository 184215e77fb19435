/** Many peers that `remote.ids` names: each with its own key, name and networks, and none in another's place (RFC 4301 section 4.4.3). */
import { describe, expect, test } from "vitest";
import { utf8 } from "../../src/base/bytes.ts";
import { minutes, seconds } from "../../src/base/instant.ts";
import { createIkeMachine } from "../../src/ike/ike-machine.ts";
import { OUTDATED_PATIENCE } from "../../src/ike/limits.ts";
import type { ChildConfiguration, Connection, Identification } from "../../src/policy/connection.ts";
import { parseSelector } from "../../src/policy/selector-text.ts";
import { IdType } from "../../src/wire/ike/registries.ts";
import {
  CBC_ECP256,
  type ConnectionChanges,
  child,
  connection,
  type IkeNode,
  ip,
  type NodeOptions,
  World,
} from "./ike-world.ts";

const fqdn = (name: string): Identification => ({ idType: IdType.FQDN, data: utf8(name) });
const psk = (text: string) => ({ kind: "psk", secret: utf8(text) }) as const;
const HUB = fqdn("hub");
const HUB_ADDRESS = "198.51.100.1";
const network = (number: number) => `10.${128 + number}.0.0/16`;
const ofHub = (number: number) => child("lan", "10.0.0.0/16", network(number));

interface EntryChanges {
  readonly number?: number;
  readonly key?: string;
  readonly address?: string;
  readonly networks?: "own" | "shared";
  readonly children?: readonly ChildConfiguration[];
  readonly more?: ConnectionChanges;
}

/** What the configuration makes of an entry of `hub`; by default it answers, and the peer has a network of its own. */
function entry(letter: string, changes: EntryChanges = {}): Connection {
  const {
    number = letter.charCodeAt(0) - 96,
    key = `key of ${letter}`,
    address,
    networks = "own",
    more,
  } = changes;
  const keep = address === undefined ? "respond" : "up";
  const { children = [{ ...ofHub(number), keep }] } = changes;
  const { remote, local, ...rest } = more ?? {};
  const made = connection(address ?? HUB_ADDRESS, children, {
    keep,
    ...rest,
    local: { id: HUB, auth: psk(key), ...local },
    remote: {
      id: fqdn(letter),
      auth: psk(key),
      ...(address === undefined ? { addresses: [] } : {}),
      ...remote,
    },
  });
  return { ...made, name: `hub#${number}`, oneOf: { connection: "hub", networks } };
}

/** A branch that calls the hub. */
function branch(
  world: World,
  letter: string,
  {
    key = `key of ${letter}`,
    address,
    ...changes
  }: ConnectionChanges & { key?: string; address?: string } = {},
  options: NodeOptions = {},
): IkeNode {
  const number = letter.charCodeAt(0) - 96;
  const { local, remote, children, ...rest } = changes;
  const calling = connection(HUB_ADDRESS, children ?? [child("lan", network(number), "10.0.0.0/16")], {
    ...rest,
    local: { id: fqdn(letter), auth: psk(key), ...local },
    remote: { id: HUB, auth: psk(key), ...remote },
  });
  return world.add(letter, address ?? `192.0.2.${number}`, [calling], options);
}

const LETTERS = ["a", "b", "c"];
const states = (hub: IkeNode) =>
  hub.machine.describe(hub.world.now).map(({ name, state }) => `${name} ${state}`);
const peerOf = (hub: IkeNode, name: string) => {
  const [state] = hub.machine.describe(hub.world.now, name);
  const identity = state?.ikeSa?.peerIdentity;
  return identity && new TextDecoder().decode(identity.data);
};
const spiOf = (hub: IkeNode, name: string) =>
  hub.machine.describe(hub.world.now, name)[0]?.ikeSa?.responderSpi;

function three(seed: number, entries: readonly Connection[] = LETTERS.map((one) => entry(one))) {
  const world = new World(seed);
  const hub = world.add("hub", HUB_ADDRESS, entries);
  const branches = LETTERS.map((letter) => branch(world, letter));
  world.run(seconds(5));
  return { world, hub, branches };
}

describe("who calls", () => {
  test("is the peer whose identity it proves with that one's key, whatever its address and its turn", () => {
    const world = new World(1);
    const hub = world.add(
      "hub",
      HUB_ADDRESS,
      LETTERS.map((letter) => entry(letter)),
    );
    for (const letter of ["c", "a", "b"]) branch(world, letter);
    world.run(seconds(5));
    expect(states(hub)).toEqual(["hub#1 up", "hub#2 up", "hub#3 up"]);
    expect(["hub#1", "hub#2", "hub#3"].map((name) => peerOf(hub, name))).toEqual(LETTERS);
    const policies = [...hub.dataPlane.pairs.values()].map(({ outbound }) => outbound?.policy).sort();
    expect(policies).toEqual(["hub#1/lan", "hub#2/lan", "hub#3/lan"]);
  });

  test("[AUTH-09] with another peer's key is refused, and the others are not disturbed", () => {
    const { world, hub } = three(2);
    const before = ["hub#1", "hub#2", "hub#3"].map((name) => spiOf(hub, name));
    const thief = branch(world, "b", { key: "key of a", address: "203.0.113.7" });
    world.run(seconds(3));
    expect(thief.count("ikeSaUp")).toBe(0);
    expect(thief.find("authenticationRejectedByPeer")).toBeDefined();
    expect(hub.find("authenticationFailed")).toMatchObject({ connection: "hub#2", cause: "wrongKey" });
    expect(["hub#1", "hub#2", "hub#3"].map((name) => spiOf(hub, name))).toEqual(before);
  });

  test("[AUTH-21] learns nothing of which identities are known", () => {
    const answers = ["b", "z"].map((letter) => {
      const world = new World(3);
      const hub = world.add(
        "hub",
        HUB_ADDRESS,
        LETTERS.map((one) => entry(one)),
      );
      const stranger = branch(world, letter, { key: "guessed", address: "203.0.113.7" });
      world.run(seconds(1));
      expect(hub.count("ikeSaUp")).toBe(0);
      const told = stranger.notices.map(({ code }) => code);
      return { told, wire: world.wire.map(({ bytes }) => bytes.length) };
    });
    expect(answers[0]).toEqual(answers[1]);
    expect(answers[0]!.told).toContain("authenticationRejectedByPeer");
  });

  test("is told apart by what it calls us as well", () => {
    const world = new World(4);
    const gate = {
      ...entry("a", { key: "key for gate", more: { local: { id: fqdn("gate") } } }),
      name: "gate#1",
    };
    const hub = world.add("hub", HUB_ADDRESS, [
      entry("a"),
      { ...gate, oneOf: { connection: "gate", networks: "own" } },
    ]);
    branch(world, "a", { key: "key for gate", remote: { id: fqdn("gate") } });
    world.run(seconds(3));
    expect(states(hub)).toEqual(["hub#1 down", "gate#1 up"]);
  });

  test("gets its own networks, whatever it asks for", () => {
    const world = new World(5);
    const hub = world.add(
      "hub",
      HUB_ADDRESS,
      LETTERS.map((letter) => entry(letter)),
    );
    const greedy = branch(world, "a", { children: [child("lan", "10.0.0.0/8", "10.0.0.0/16")] });
    const foreign = branch(world, "b", { children: [child("lan", network(3), "10.0.0.0/16")] });
    world.run(seconds(3));
    const [sa] = [...hub.dataPlane.pairs.values()];
    expect(hub.dataPlane.pairs.size).toBe(1);
    expect(sa!.inbound.selectors.remote).toEqual([parseSelector(network(1))]);
    expect(greedy.count("childSaUp")).toBe(1);
    expect(foreign.count("childSaUp")).toBe(0);
    expect(hub.find("selectorsUnacceptable")).toMatchObject({ connection: "hub#2" });
  });

  test("unknown to all is told of with the names that are expected, and counted with the first", () => {
    const world = new World(6);
    const letters = ["a", "b", "c", "d", "e", "f"];
    const hub = world.add(
      "hub",
      HUB_ADDRESS,
      letters.map((letter) => entry(letter)),
    );
    branch(world, "z", { key: "guessed" });
    world.run(seconds(1));
    const failure = hub.find("identityMismatch");
    expect(failure).toMatchObject({ connection: "hub", others: 2, areIds: true });
    expect(failure?.expected).toHaveLength(4);
    const told = hub.machine.describe(world.now).map(({ lastRefused }) => lastRefused?.count);
    expect(told).toEqual([1, ...letters.slice(1).map(() => undefined)]);
    branch(world, "a", { address: "192.0.2.26" });
    world.nodes[1]!.isUp = false;
    world.run(seconds(3));
    expect(hub.machine.describe(world.now)[0]).toMatchObject({ state: "up" });
    expect(hub.machine.describe(world.now)[0]!.lastRefused).toBeUndefined();
  });
});

describe("one identity twice", () => {
  test("the second IKE SA takes the first one's place, and nobody else's", () => {
    const { world, hub, branches } = three(7);
    const before = ["hub#1", "hub#3"].map((name) => spiOf(hub, name));
    const old = spiOf(hub, "hub#2");
    branches[1]!.isUp = false;
    branch(world, "b", { address: "203.0.113.7" });
    world.run(minutes(2));
    expect(states(hub)).toEqual(["hub#1 up", "hub#2 up", "hub#3 up"]);
    expect(spiOf(hub, "hub#2")).not.toBe(old);
    expect(["hub#1", "hub#3"].map((name) => spiOf(hub, name))).toEqual(before);
    expect(hub.dataPlane.pairs.size).toBe(3);
  });

  test("with unique: reject the second is refused while the first lives", () => {
    const reject = { more: { ike: { unique: "reject" } } } as const;
    const { world, hub } = three(
      8,
      LETTERS.map((letter) => entry(letter, reject)),
    );
    const before = spiOf(hub, "hub#2");
    const second = branch(world, "b", { address: "203.0.113.7", ike: { unique: "never" } });
    world.run(seconds(20));
    expect(second.count("ikeSaUp")).toBe(0);
    expect(hub.find("duplicateRefused")).toMatchObject({ connection: "hub#2" });
    expect(spiOf(hub, "hub#2")).toBe(before);
    expect(states(hub)).toEqual(["hub#1 up", "hub#2 up", "hub#3 up"]);
  });

  test("[LIFE-03] unique: reject lets a peer repeat its authentication when that is due", () => {
    const world = new World(9);
    const more = { ike: { unique: "reject", reauth: minutes(10) } } as const;
    const hub = world.add("hub", HUB_ADDRESS, [entry("a", { more })]);
    const a = branch(world, "a", { ike: { unique: "never", rekey: { time: minutes(300), jitter: 0.5 } } });
    world.run(minutes(35));
    expect(hub.count("duplicateRefused")).toBe(0);
    expect(a.count("ikeSaUp")).toBeGreaterThan(2);
    expect(a.notices.filter((one) => one.code === "ikeSaDown" && one.reason !== "reauthenticated")).toEqual(
      [],
    );
    expect(states(hub)).toEqual(["hub#1 up"]);
  });
});

describe("another configuration", () => {
  const reload = (hub: IkeNode, connections: readonly Connection[]) =>
    hub.perform(hub.machine.setConnections(connections, hub.world.now));

  test("peers that stay keep number and IKE SA; who is gone ends, and gives its number to nobody", () => {
    const { world, hub, branches } = three(10);
    const before = [spiOf(hub, "hub#1"), spiOf(hub, "hub#3")];
    // The file has another order, so that the numbers in it are others.
    reload(
      hub,
      [
        entry("c", { number: 1, children: [ofHub(3)] }),
        entry("d", { number: 2, children: [ofHub(4)] }),
        entry("a", { number: 3, children: [ofHub(1)] }),
      ].map((one) => ({
        ...one,
        children: one.children.map((child) => ({ ...child, keep: "respond" as const })),
      })),
    );
    world.run(seconds(2));
    expect(states(hub)).toEqual(["hub#3 up", "hub#4 down", "hub#1 up"]);
    expect([spiOf(hub, "hub#1"), spiOf(hub, "hub#3")]).toEqual(before);
    expect([peerOf(hub, "hub#1"), peerOf(hub, "hub#3")]).toEqual(["a", "c"]);
    expect(branches.map((node) => node.count("ikeSaDown"))).toEqual([0, 1, 0]);
    branch(world, "d");
    world.run(seconds(3));
    expect(peerOf(hub, "hub#4")).toBe("d");
  });

  test("strangers that the peers' connection refused are none of a later connection of its name", () => {
    const { world, hub } = three(21);
    branch(world, "z");
    world.run(seconds(2));
    expect(hub.machine.describe(world.now, "hub")[0]?.lastRefused).toBeDefined();
    const { oneOf: _, ...alone } = entry("a");
    reload(hub, [{ ...alone, name: "hub" }]);
    const [state] = hub.machine.describe(world.now, "hub");
    expect([state?.name, state?.lastRefused, state?.lastFailure]).toEqual(["hub", undefined, undefined]);
  });

  test("a new key ends the IKE SA of the peer that it belongs to, unless it proves itself with it in time", () => {
    const { world, hub, branches } = three(11);
    reload(hub, [entry("a"), entry("b", { key: "another" }), entry("c")]);
    world.run(seconds(10));
    expect(branches.map((node) => node.count("ikeSaDown"))).toEqual([0, 0, 0]);
    world.run(OUTDATED_PATIENCE);
    expect(branches.map((node) => node.count("ikeSaDown"))).toEqual([0, 1, 0]);
    expect(states(hub)).toEqual(["hub#1 up", "hub#2 down", "hub#3 up"]);
  });

  test("a peer that has begun to call is looked at with the addresses of now", () => {
    const world = new World(12);
    const hub = world.add("hub", HUB_ADDRESS, [entry("a")]);
    branch(world, "a");
    world.network = (datagram) => [{ datagram, delay: 100 }];
    world.run(250);
    expect(hub.machine.ikeSaCount()).toBe(1);
    const elsewhere = [{ start: ip("203.0.113.0"), end: ip("203.0.113.255") }];
    reload(hub, [entry("a", { more: { remote: { addresses: elsewhere } } })]);
    world.run(seconds(10));
    expect(hub.count("ikeSaUp")).toBe(0);
  });

  test("IKE SAs of another process are taken up by the peers that they are with", () => {
    const { world, hub } = three(13);
    const resume = hub.machine.exportState();
    const taken = createIkeMachine({
      connections: [entry("a"), entry("c", { number: 2 }), entry("d", { number: 3 })],
      random: hub.random,
      spis: hub.dataPlane,
      usage: hub.dataPlane,
      ports: { ike: 500, nat: 4500 },
      localAddressFor: () => hub.address,
      now: world.now,
      resume,
    });
    const shown = taken.describe(world.now).map(({ name, state }) => `${name} ${state}`);
    expect(shown).toEqual(["hub#1 up", "hub#2 down", "hub#3 down"]);
  });
});

describe("commands", () => {
  test("for one peer leave the others alone; for the connection they mean all", () => {
    const { world, hub, branches } = three(14);
    expect(hub.machine.describe(world.now, "hub")).toHaveLength(3);
    expect(hub.machine.describe(world.now, "hub#9")).toEqual([]);
    hub.command({ kind: "rekey", target: { connection: "hub#2", child: "lan" } });
    world.run(seconds(2));
    expect(branches.map((node) => node.count("childSaRekeyed"))).toEqual([0, 1, 0]);
    hub.command({ kind: "rekey", target: { connection: "hub" } });
    world.run(seconds(2));
    expect(branches.map((node) => node.count("ikeSaRekeyed"))).toEqual([1, 1, 1]);
    hub.command({ kind: "down", target: { connection: "hub#2" } });
    world.run(1);
    expect(states(hub)).toEqual(["hub#1 up", "hub#2 down", "hub#3 up"]);
    hub.command({ kind: "down", target: { connection: "hub" } });
    world.run(1);
    expect(states(hub)).toEqual(["hub#1 down", "hub#2 down", "hub#3 down"]);
  });
});

describe("a hub that calls", () => {
  test("keeps each peer with an address up by itself, and tries again where nobody answers", () => {
    const world = new World(15);
    const hub = world.add("hub", HUB_ADDRESS, [
      entry("a", { address: "192.0.2.1" }),
      entry("b", { address: "192.0.2.2" }),
      entry("c"),
    ]);
    const lan = child("lan", network(1), "10.0.0.0/16", { keep: "respond" });
    const a = branch(world, "a", { keep: "respond", children: [lan] });
    world.run(minutes(2));
    expect(states(hub)).toEqual(
      ["hub#1 up", "hub#2 connecting", "hub#3 down"].map((one) =>
        expect.stringMatching(one.replace("connecting", "(connecting|waiting)")),
      ),
    );
    expect(a.count("ikeSaUp")).toBe(1);
    expect(hub.find("noAnswer")).toMatchObject({ connection: "hub#2" });
    hub.command({ kind: "down", target: { connection: "hub" } });
    world.run(seconds(2));
    hub.command({ kind: "up", target: { connection: "hub" } });
    world.run(seconds(2));
    expect(states(hub)[0]).toBe("hub#1 up");
    // Whom nobody can call is not tried.
    expect(hub.count("noAddressToCall")).toBe(0);
  });
});

describe("peers with the same networks", () => {
  const shared = (letter: string, changes: EntryChanges = {}) =>
    entry(letter, {
      networks: "shared",
      children: [child("lan", "10.0.0.0/16", "10.128.0.0/9", { keep: "respond" })],
      ...changes,
    });
  const packet = {
    local: parseSelector("10.0.0.1/32")!,
    remote: parseSelector("10.130.0.1/32")!,
  };
  const acquire = (hub: IkeNode, policy: string) =>
    hub.feed({ kind: "dataPlane", event: { kind: "acquire", policy, packet } });

  test("have one policy, and a packet that no SA is for is answered at once", () => {
    const { hub } = three(
      16,
      LETTERS.map((letter) => shared(letter)),
    );
    const policies = [...hub.dataPlane.pairs.values()].map(({ outbound }) => outbound?.policy);
    expect(policies).toEqual(["hub/lan", "hub/lan", "hub/lan"]);
    acquire(hub, "hub/lan");
    expect(hub.dataPlane.failedAcquires).toEqual([]);
    hub.feed({
      kind: "dataPlane",
      event: {
        kind: "acquire",
        policy: "hub/lan",
        packet: { ...packet, remote: parseSelector("10.200.0.1/32")! },
      },
    });
    expect(hub.dataPlane.failedAcquires).toEqual(["hub/lan"]);
  });

  test("a pattern among the entries stands for many, which have numbers below its own", () => {
    const world = new World(17);
    const any = { more: { remote: { id: fqdn("*.net"), auth: psk("group"), addresses: [] } }, key: "group" };
    const hub = world.add("hub", HUB_ADDRESS, [shared("a"), shared("b", any)]);
    branch(world, "a");
    for (const name of ["x.net", "y.net"])
      branch(world, name.slice(0, 1), { key: "group", local: { id: fqdn(name) } });
    world.run(seconds(5));
    expect(states(hub)).toEqual(["hub#1 up", "hub#2.1 up", "hub#2.2 up"]);
    expect(hub.machine.describe(world.now, "hub#2.2").map(({ name }) => name)).toEqual(["hub#2.2"]);
    hub.command({ kind: "down", target: { connection: "hub#2.1" } });
    world.run(1);
    expect(states(hub)).toEqual(["hub#1 up", "hub#2.2 up"]);
  });

  test("[AUTH-09] a pattern's key is no key of who is named beside it, taken down or not", () => {
    const world = new World(19);
    const own = { address: "192.0.2.1", more: { remote: { id: fqdn("a.net") } } };
    const any = { more: { remote: { id: fqdn("*.net"), auth: psk("group"), addresses: [] } }, key: "group" };
    const hub = world.add("hub", HUB_ADDRESS, [shared("a", own), shared("b", any)]);
    const named = branch(world, "a", { key: "group", local: { id: fqdn("a.net") } });
    const other = branch(world, "x", { key: "group", local: { id: fqdn("x.net") } });
    world.run(seconds(3));
    expect([named.count("ikeSaUp"), other.count("ikeSaUp")]).toEqual([0, 1]);
    expect(hub.find("authenticationFailed")).toMatchObject({ connection: "hub#1", cause: "wrongKey" });
    hub.command({ kind: "down", target: { connection: "hub#1" } });
    const before = named.count("authenticationRejectedByPeer");
    world.run(minutes(5));
    expect(named.count("authenticationRejectedByPeer")).toBeGreaterThan(before);
    expect(states(hub)).toEqual(["hub#1 down", "hub#2.1 up"]);
  });
});

describe("[AUTH-09] whom one connection names is not let in by another that takes anybody", () => {
  const GROUP = { local: { id: HUB, auth: psk("group") } };
  const { oneOf: _, ...alone } = entry("a", { address: "192.0.2.1" });
  const named = { ...alone, name: "named" };
  const anybody = connection(
    HUB_ADDRESS,
    [child("lan", "10.0.0.0/16", "10.128.0.0/9", { keep: "respond" })],
    {
      ...GROUP,
      keep: "respond",
      remote: { id: "any", auth: psk("group"), addresses: [] },
    },
  );

  test.each([
    ["with the wrong key", named, false],
    ["while it is taken down", named, true],
    [
      "by proposals that it does not take",
      { ...named, ike: { ...named.ike, proposals: [CBC_ECP256] } },
      false,
    ],
  ])("%s", (_, first, isTakenDown) => {
    const world = new World(21);
    const hub = world.add("hub", HUB_ADDRESS, [first, anybody]);
    if (isTakenDown) hub.command({ kind: "down", target: { connection: "named" } });
    const claiming = branch(world, "a", { key: "group" });
    const other = branch(world, "b", { key: "group" });
    world.run(seconds(20));
    expect([claiming.count("ikeSaUp"), other.count("ikeSaUp")]).toEqual([0, 1]);
    expect(claiming.count("authenticationRejectedByPeer")).toBeGreaterThan(0);
  });
});

test("a packet for a connection that others use already is answered, though nobody is called for it", () => {
  const world = new World(18);
  const anybody = { addresses: [{ start: ip("192.0.2.0"), end: ip("192.0.2.255") }], id: "any" } as const;
  const lan = child("lan", "10.0.0.0/16", "10.128.0.0/9", { keep: "on-demand" });
  const addresses = [...anybody.addresses, { start: ip("203.0.113.9"), end: ip("203.0.113.9") }];
  const hub = world.add("hub", HUB_ADDRESS, [
    connection("192.0.2.0", [lan], {
      keep: "on-demand",
      local: { id: HUB, auth: psk("group") },
      remote: { addresses, id: "any", auth: psk("group") },
    }),
  ]);
  for (const letter of ["a", "b"]) branch(world, letter, { key: "group" });
  world.run(seconds(5));
  expect(hub.count("ikeSaUp")).toBe(2);
  const packet = { local: parseSelector("10.0.0.1/32")!, remote: parseSelector("10.200.0.1/32")! };
  hub.feed({ kind: "dataPlane", event: { kind: "acquire", policy: "net/lan", packet } });
  world.run(minutes(1));
  expect(hub.dataPlane.failedAcquires).toEqual(["net/lan"]);
});
