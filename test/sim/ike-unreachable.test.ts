/** ICMP about IKE messages: told in status and in the notice, and believed in nothing. */
import { expect, test } from "vitest";
import { minutes, seconds } from "../../src/base/instant.ts";
import type { UnreachableReason, UnreachableReport } from "../../src/base/unreachable-report.ts";
import { connection, type Datagram, type IkeNode, ip, LAN_A, pair, World } from "./ike-world.ts";

const ROUTER = ip("203.0.113.9");

/** About a message of ours, as a router that quotes it sends it. */
function about(
  { to, bytes }: Datagram,
  reason: UnreachableReason,
  reporter = ROUTER,
  quoted = 40,
): UnreachableReport {
  return { reason, remote: to, reporter, quoted: bytes.subarray(0, quoted) };
}

/** Every datagram is answered by ICMP. */
function refuse(world: World, node: IkeNode, report: (datagram: Datagram) => UnreachableReport): void {
  world.network = (datagram) => {
    world.later(2, () => node.feed({ kind: "unreachable", report: report(datagram) }));
    return [];
  };
}

function alone(): { world: World; a: IkeNode } {
  const world = new World();
  return { world, a: world.add("A", "192.0.2.1", [connection("192.0.2.2", [LAN_A])]) };
}

const givenUpAt = (world: World, a: IkeNode): number => {
  while (a.find("noAnswer") === undefined) world.run(10);
  return world.now;
};

test("a request that nobody listens to says so while it waits, and when it is given up", () => {
  const { world, a } = alone();
  refuse(world, a, (datagram) => about(datagram, "port", datagram.to.address));
  world.run(seconds(5));
  const remote = { address: ip("192.0.2.2"), port: 500 };
  expect(a.state().unreachable).toMatchObject({ reason: "port", by: "peer", remote });
  expect(a.state().unreachable!.count).toBe(world.wire.length);
  givenUpAt(world, a);
  const notice = a.find("noAnswer")!;
  expect(notice.unreachable).toMatchObject({ reason: "port", by: "peer", count: notice.tries });
  expect(notice.unreachable!.before).toBeGreaterThan(0);
  expect(a.state().lastFailure).toEqual(notice);
});

test("it ends nothing and changes no timer: requests go as without it", () => {
  const times = [true, false].map((isRefused) => {
    const { world, a } = alone();
    const sent: number[] = [];
    world.network = (datagram) => {
      sent.push(world.now);
      if (isRefused)
        for (let i = 0; i < 20; i++)
          world.later(1, () => a.feed({ kind: "unreachable", report: about(datagram, "port") }));
      return [];
    };
    givenUpAt(world, a);
    return { sent, end: world.now };
  });
  expect(times[0]!.sent.length).toBeGreaterThan(2);
  expect(times[0]).toEqual(times[1]);
});

test("an answer makes it void", () => {
  const { world, a } = alone();
  refuse(world, a, (datagram) => about(datagram, "host"));
  world.run(100);
  expect(a.state().unreachable).toMatchObject({ reason: "host", by: "router", reporter: ROUTER, count: 1 });
  const other = new World();
  const [up] = pair(other);
  other.run(seconds(5));
  expect(up.state().state).toBe("up");
  const last = other.wire.findLast(({ from }) => from.address === up.address)!;
  up.feed({ kind: "unreachable", report: about(last, "port") });
  expect(up.state().unreachable).toBeUndefined();
});

test("an IKE SA that stands says what is said of its liveness check, and stands until that is given up", () => {
  const world = new World();
  const [a] = pair(world);
  world.run(seconds(5));
  refuse(world, a, (datagram) => about(datagram, "net"));
  while (a.state().unreachable === undefined) world.run(1000);
  expect(a.state()).toMatchObject({ state: "up", unreachable: { reason: "net", by: "router" } });
  world.run(minutes(10));
  // Meanwhile the peer was called beside it.
  const given = a.notices.filter(({ code }) => code === "noAnswer");
  expect(given.find((one) => "exchange" in one && one.exchange === "INFORMATIONAL")).toMatchObject({
    unreachable: { reason: "net", by: "router", reporter: ROUTER },
  });
});

test("what quotes another message, or is about another address or port, is nobody's", () => {
  const { world, a } = alone();
  world.run(50);
  const sent = world.wire[0]!;
  const report = about(sent, "port");
  const others: readonly UnreachableReport[] = [
    { ...report, quoted: Uint8Array.from(report.quoted, (octet) => octet ^ 1) },
    { ...report, remote: { ...report.remote, port: 4500 } },
    { ...report, remote: { ...report.remote, address: ip("192.0.2.3") } },
    { ...report, remote: { ...report.remote, address: ip("192.0.2.3") }, quoted: new Uint8Array(0) },
  ];
  for (const other of others) a.feed({ kind: "unreachable", report: other });
  expect(a.state().unreachable).toBeUndefined();
  // Old routers quote the UDP header and no more (RFC 792).
  a.feed({ kind: "unreachable", report: { ...report, quoted: new Uint8Array(0) } });
  expect(a.state().unreachable).toMatchObject({ count: 1 });
});

test("thousands of forged reports leave one record, the last one's, and no action", () => {
  const { world, a } = alone();
  world.run(50);
  const sent = world.wire[0]!;
  const before = a.actions.length;
  for (let i = 0; i < 5000; i++)
    a.feed({ kind: "unreachable", report: about(sent, "host", ip(`10.0.${i >> 8}.${i & 255}`)) });
  expect(a.actions.length).toBe(before);
  expect(a.state().unreachable).toMatchObject({ count: 1, reporter: ip("10.0.19.135") });
});

test("this host's own word is its own, also as ICMP of its own address", () => {
  const { world, a } = alone();
  world.run(50);
  const { reporter: _, ...own } = about(world.wire[0]!, "noRoute");
  a.feed({ kind: "unreachable", report: own });
  expect(a.state().unreachable).toMatchObject({ reason: "noRoute", by: "host" });
  a.feed({ kind: "unreachable", report: about(world.wire[0]!, "host", a.address) });
  expect(a.state().unreachable).toMatchObject({ reason: "host", by: "host", count: 1 });
  expect(a.state().unreachable!.reporter).toBeUndefined();
});
