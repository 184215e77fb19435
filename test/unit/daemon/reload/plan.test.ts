/** What a reload would change, in numbers and words: two configurations and states in, a plan out. */
import { expect, test } from "vitest";
import { reloadLines } from "../../../../src/cli/reload-text.ts";
import type { Configuration } from "../../../../src/config/configuration.ts";
import { reloadPlan } from "../../../../src/control/reload-schema.ts";
import { planReload } from "../../../../src/daemon/reload/plan.ts";
import type { ConnectionState } from "../../../../src/ike/connection-state.ts";
import { load } from "../../config/memory-reader.ts";

const connection = (name: string, more = "", lan = "", extra = "") => `  ${name}:
    remote: { address: 198.51.100.${name.length} }
    psk: { file: secrets/${name} }
${more}    children:
      lan: { local: 10.1.0.0/16, remote: 10.${name.length}.0.0/16${lan} }
${extra}`;
const file = (connections: string, gateway = "", rest = "") =>
  `${gateway}connections:\n${connections}${rest}`;
const files = Object.fromEntries(
  ["paris", "rome", "oslo", "berlin"].map((name) => [
    `secrets/${name}`,
    "0123456789abcdefghijklmnopqrstuv\n",
  ]),
);
const read = (text: string, key = "") =>
  load(text, { files: key === "" ? files : { ...files, "secrets/paris": key } });

/** Everything is up, each child with so many SAs as it has peers. */
const allUp = ({ connections }: Configuration): ConnectionState[] =>
  connections.map(({ connection: { name, children } }) => ({
    connection: name,
    name,
    keep: "up",
    state: "up",
    failures: 0,
    ikeSa: {} as never,
    children: children.map((child) => ({
      name: child.name,
      policy: `${name}/${child.name}` as never,
      keep: "up",
      state: "up",
      sa: {} as never,
      old: [],
    })),
  }));

function plan(
  before: Configuration,
  after: Configuration,
  more: { moved?: string[]; states?: ConnectionState[] } = {},
) {
  const made = planReload({
    running: before,
    fresh: after,
    states: more.states ?? allUp(before),
    movedAway: new Set(more.moved),
    lanesOf: (configured) => (configured === "auto" ? 2 : configured),
  });
  expect(reloadPlan.parse(made)).toEqual(made);
  return made;
}
const BASE = read(file(connection("paris") + connection("berlin")));
const changeOf = (made: ReturnType<typeof plan>, name: string) =>
  made.connections.find((one) => one.name === name);

test("the same file, or the same with other lines, changes nothing", () => {
  expect(plan(BASE, read(file(connection("paris") + connection("berlin"))))).toMatchObject({
    isEmpty: true,
    summary: "nothing changes",
  });
  const moved = read(`# a comment\n\n${file(connection("berlin") + connection("paris"))}`);
  expect(plan(BASE, moved)).toMatchObject({ isEmpty: true, counts: { tunnelsTouched: 0 } });
});

test("a connection more touches no tunnel; one less touches its own", () => {
  const more = plan(BASE, read(file(connection("paris") + connection("berlin") + connection("oslo"))));
  expect(more.summary).toBe("+1 connection, 0 tunnels touched");
  expect(changeOf(more, "oslo")).toMatchObject({
    change: "added",
    isUp: false,
    children: [{ name: "lan", change: "added" }],
  });
  const less = plan(BASE, read(file(connection("paris"))));
  expect(less.summary).toBe("-1 connection, 1 tunnel touched");
  expect(changeOf(less, "berlin")).toMatchObject({ change: "removed", isUp: true });
});

test.each([
  ["    encapsulation: esp\n", "encapsulation"],
  ["    local: { id: a.test }\n", "local.id"],
])("what an IKE SA rests on ends it: %s", (more, key) => {
  const made = plan(BASE, read(file(connection("paris", more) + connection("berlin"))));
  expect(made.counts).toEqual({ added: 0, removed: 0, tunnelsTouched: 1, rekeys: 0, reauthentications: 0 });
  expect(changeOf(made, "paris")).toMatchObject({
    change: "reconnects",
    reasons: [`${key}: the IKE SA rests on it`],
  });
});

test("other IKE proposals come by a repeated authentication, and the tunnel stays meanwhile", () => {
  const more = "    ike: { proposals: [aes256gcm16-prfsha384-x25519] }\n";
  const after = read(file(connection("paris", more) + connection("berlin")));
  const made = plan(BASE, after);
  expect(made.summary).toBe(
    "1 connection changed, 0 tunnels touched, 1 connection will be authenticated anew",
  );
  expect(changeOf(made, "paris")).toMatchObject({
    change: "reauthenticates",
    reasons: ["ike.proposals: the IKE SA serves until one with the new setting stands, at most 60 s"],
  });
  // What is down has nothing to authenticate anew.
  expect(plan(BASE, after, { states: [] }).counts.reauthentications).toBe(0);
});

test("with something that ends the IKE SA beside it, it ends", () => {
  const more = "    local: { id: a.test }\n    ike: { proposals: [aes256gcm16-prfsha384-x25519] }\n";
  const made = plan(BASE, read(file(connection("paris", more) + connection("berlin"))));
  expect(made.counts).toMatchObject({ tunnelsTouched: 1, reauthentications: 0 });
  expect(changeOf(made, "paris")?.change).toBe("reconnects");
});

test("another secret comes by a repeated authentication, and shows nothing of itself", () => {
  const made = plan(
    BASE,
    read(file(connection("paris") + connection("berlin")), "a very different secret, 32 octets\n"),
  );
  expect(changeOf(made, "paris")?.reasons).toEqual([
    "local.auth: the IKE SA serves until one with the new setting stands, at most 60 s",
    "remote.auth: the IKE SA serves until one with the new setting stands, at most 60 s",
  ]);
  expect(JSON.stringify(made)).not.toMatch(/0123456789abcdef|very different/);
});

test.each([
  ["    ike: { liveness: 7s }\n", "ike.liveness"],
  ["    keep: on-demand\n", "keep"],
])("other settings count without interruption: %s", (more, key) => {
  const made = plan(BASE, read(file(connection("paris", more) + connection("berlin"))));
  expect(made.counts).toEqual({ added: 0, removed: 0, tunnelsTouched: 0, rekeys: 0, reauthentications: 0 });
  expect(changeOf(made, "paris")?.reasons).toContain(`${key}: from now on, nothing is interrupted`);
});

test.each([
  [", esp: [aes128gcm16]", "esp, ah"],
  [", rekey: { bytes: 1GiB }", "rekey (octets, packets)"],
  [", df: set", "df"],
  [", mtu: 1300", "mtu"],
  [", replay_window: 2048", "replay_window"],
])("a child's settings that a rekey can bring are brought by one: %s", (lan, key) => {
  const made = plan(BASE, read(file(connection("paris", "", lan) + connection("berlin"))));
  expect(made.summary).toBe("1 connection changed, 0 tunnels touched, 1 child will rekey");
  expect(changeOf(made, "paris")?.children).toEqual([
    {
      name: "lan",
      change: "rekeys",
      isUp: true,
      reasons: [`${key}: comes with new keys; the old ones serve until then`],
    },
  ]);
});

test("other networks end a child's SAs and leave its sibling and the IKE SA alone", () => {
  const dmz = "      dmz: { local: 10.9.0.0/16, remote: 10.5.0.0/24 }\n";
  const before = read(file(connection("paris", "", "", dmz) + connection("berlin")));
  const after = read(file(connection("paris", "", "", dmz.replace("10.9.", "10.8.")) + connection("berlin")));
  const made = plan(before, after);
  expect(made.counts).toEqual({ added: 0, removed: 0, tunnelsTouched: 1, rekeys: 0, reauthentications: 0 });
  expect(changeOf(made, "paris")).toMatchObject({
    change: "changed",
    children: [{ name: "dmz", change: "reconnects" }],
  });
  expect(plan(before, BASE).summary).toBe("1 connection changed, 1 tunnel touched");
});

test("what is not up is not counted", () => {
  const after = read(
    file(connection("paris", "    encapsulation: esp\n", ", esp: [aes128gcm16]") + connection("berlin")),
  );
  const made = plan(BASE, after, { states: allUp(BASE).map((one) => ({ ...one, children: [] })) });
  expect(made.counts).toMatchObject({ tunnelsTouched: 0, rekeys: 0, reauthentications: 0 });
});

test("a peer that is where the file no longer looks loses its tunnel; one that is elsewhere anyway does not", () => {
  const after = read(
    file(connection("paris").replace("198.51.100.5", "198.51.100.99") + connection("berlin")),
  );
  expect(plan(BASE, after, { moved: ["paris"] })).toMatchObject({ counts: { tunnelsTouched: 1 } });
  expect(plan(BASE, after).counts.tunnelsTouched).toBe(0);
});

test("what a running gateway cannot take over is said with its reason", () => {
  const gateway = "gateway:\n  lanes: 4\n  on_exit: open\n  listen: 192.0.2.1\n";
  const made = plan(BASE, read(file(connection("paris") + connection("berlin"), gateway)));
  const restarts = made.settings.filter(({ needsRestart }) => needsRestart).map(({ key }) => key);
  expect(restarts).toContain("gateway.lanes");
  expect(made.settings.find(({ key }) => key === "gateway.on_exit")).toMatchObject({ needsRestart: false });
  expect(made.summary).toContain("only by a restart");
  // Of a file that no longer says anything of it there is no line.
  const [lanes, listen] = ["gateway.lanes", "gateway.listen"].map((key) =>
    made.settings.find((one) => one.key === key),
  );
  expect([lanes?.line, listen?.line]).toEqual([2, 4]);
  const back = plan(read(file(connection("paris") + connection("berlin"), gateway)), BASE);
  expect(back.settings.find(({ key }) => key === "gateway.listen")).toMatchObject({ needsRestart: true });
  expect(back.settings.filter((one) => "line" in one)).toEqual([]);
  // As many as run already.
  const same = read(file(connection("paris") + connection("berlin"), "gateway: { lanes: 2 }\n"));
  expect(plan(BASE, same).isEmpty).toBe(true);
});

test("a new device and the first child with AH are named by their lines", () => {
  const text = file(
    connection("paris", "    interface: tungate1\n", ", ah: [sha256]") + connection("berlin"),
  );
  const { settings } = plan(BASE, read(text));
  const lineOf = (words: string) => text.split("\n").findIndex((line) => line.includes(words)) + 1;
  expect(settings.find(({ key }) => key === "interfaces")?.line).toBe(lineOf("interface: tungate1"));
  expect(settings.find(({ key }) => key === "ah")?.line).toBe(lineOf("ah: [sha256]"));
});

test("policies are told by number", () => {
  const policies = "policies:\n  - { remote: 10.99.0.0/16, action: discard }\n";
  const made = plan(BASE, read(file(connection("paris") + connection("berlin"), "", policies)));
  expect(made.settings).toEqual([{ key: "policies", text: "1 new; replaced in place", needsRestart: false }]);
});

test("peers of one connection keep their numbers whatever comes before them, and only who changed is touched", () => {
  // Numbers are the daemon's affair: it gives both configurations the names that run.
  const hub = (ids: string) => `connections:
  hub:
    remote: { ids: { ${ids} } }
    psk: { file: secrets/paris }
    children: { lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16 } }
`;
  const before = read(hub('"a.test": {}, "b.test": {}'));
  const made = plan(before, read(hub('"a.test": {}, "b.test": {}, "c.test": {}')));
  expect(made).toMatchObject({ counts: { added: 1, tunnelsTouched: 0 } });
});

test("a screenful of words says it all, and no more than fits", () => {
  const after = read(file(connection("paris", "", ", esp: [aes128gcm16]") + connection("oslo")));
  const made = plan(BASE, after);
  expect(reloadLines({ outcome: "planned", plan: made, lines: [] })).toEqual([
    "+1 connection, -1 connection, 1 connection changed, 1 tunnel touched, 1 child will rekey",
    "  paris (up) goes on",
    "    lan (up) gets new keys, nothing is interrupted",
    "      esp, ah: comes with new keys; the old ones serve until then",
    "  berlin (up) is removed",
    "    lan (up) is removed",
    "  oslo is new",
    "    lan is new",
  ]);
  const many = { ...made, connections: Array.from({ length: 5000 }, () => made.connections[0]!) };
  expect(reloadLines({ outcome: "planned", plan: many, lines: [] }).length).toBeLessThan(210);
});
