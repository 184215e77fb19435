/** Events of two gateways that negotiate: states as they change, notices in words, sums of drops, limits. */
import { expect, test } from "vitest";
import { type GatewayEvent, gatewayEvent } from "../../../src/control/events-schema.ts";
import { EventSource } from "../../../src/daemon/event-source.ts";
import { GatewayWorld } from "../../sim/gateway-world.ts";
import { endpoint } from "../dataplane/gateway-fixture.ts";

const yaml = (own: number, other: number, keep: string) => `version: 1
connections:
  paris:
    local: { id: gw-${own}.example.net }
    remote: { address: ${other === 2 ? "198.51.100.2" : "192.0.2.1"}, id: gw-${other}.example.net }
    psk: { env: KEY }
    keep: ${keep}
    children:
      lan: { local: 10.${own}.0.0/16, remote: 10.${other}.0.0/16 }
`;

function watched() {
  const world = new GatewayWorld({ seed: 3, yaml: { a: yaml(1, 2, "up"), b: yaml(2, 1, "respond") } });
  const { gateway } = world.node("a");
  const drops: Record<string, number> = {};
  const source = new EventSource({ now: () => world.now }, "t");
  source.attach({ describe: (only) => gateway.describe(world.now, only), drops: () => ({ ...drops }) });
  const reader = source.stream.read("t-0", undefined);
  const events = (): GatewayEvent[] => {
    for (const notice of world.notices.a.splice(0)) source.onNotice(notice);
    source.onTurn();
    const found: GatewayEvent[] = [];
    for (let event = reader.take(); event !== undefined; event = reader.take())
      found.push(gatewayEvent.parse(event));
    return found;
  };
  return { world, source, events, drops };
}

test("a tunnel that comes up and goes down says so, as notices and as states", () => {
  const { world, events, source } = watched();
  world.run(3_000);
  const up = events();
  expect(up).toContainEqual(
    expect.objectContaining({ type: "notice", code: "childSaUp", connection: "paris", child: "lan" }),
  );
  expect(up.filter(({ type }) => type === "state").map((one) => ({ ...one, id: "", at: "" }))).toEqual([
    { type: "state", id: "", at: "", connection: "paris", from: "connecting", to: "up" },
    { type: "state", id: "", at: "", connection: "paris", child: "lan", from: expect.any(String), to: "up" },
  ]);
  expect(events()).toEqual([]);
  world.kill("b");
  world.run(1_000_000);
  const down = events();
  expect(down).toContainEqual(expect.objectContaining({ type: "state", child: "lan", from: "up" }));
  expect(down).toContainEqual(expect.objectContaining({ code: "noAnswer", level: "warn" }));
  source.detach();
});

test("drops are summed, and told when there are any", () => {
  const { source, events, drops } = watched();
  drops["replayed"] = 3;
  source.sumDrops();
  source.sumDrops();
  drops["replayed"] = 5;
  drops["noPolicy"] = 1;
  source.sumDrops();
  expect(events().filter(({ type }) => type === "drops")).toMatchObject([
    { drops: { replayed: 3 } },
    { drops: { replayed: 2, noPolicy: 1 } },
  ]);
  source.detach();
});

test("what strangers cause is limited, and a move names both ends", () => {
  const { source, events } = watched();
  events();
  for (let i = 0; i < 500; i++)
    source.onNotice({ code: "noConnectionFor", remote: endpoint(`203.0.113.${i % 250}`, 500) });
  expect(
    events().filter((one) => "code" in one && one.code === "noConnectionFor").length,
  ).toBeLessThanOrEqual(20);
  source.onNotice({
    code: "peerMoved",
    connection: "paris",
    from: endpoint("198.51.100.2", 4500),
    to: endpoint("198.51.100.9", 1024),
  });
  expect(events()).toContainEqual(
    expect.objectContaining({
      type: "moved",
      what: "peer",
      from: "198.51.100.2:4500",
      to: "198.51.100.9:1024",
    }),
  );
  source.detach();
});
