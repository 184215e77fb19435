/** First steps: an IKE SA with a child comes up between two machines, carries packets and goes away. */
import { expect, test } from "vitest";
import { minutes, seconds } from "../../src/base/instant.ts";
import { keyOf } from "./ike-data-plane.ts";
import { pair, World } from "./ike-world.ts";

test("an IKE SA with its child comes up, and both ends agree on keys", () => {
  const world = new World();
  const [a, b] = pair(world);
  world.run(seconds(2));
    a.notices.map((n) => JSON.stringify(n).slice(0, 200)),
    b.notices.map((n) => n.code),
  );
  expect(a.state().state).toBe("up");
  expect(b.state().state).toBe("up");
  const [pa] = [...a.dataPlane.pairs.values()];
  const [pb] = [...b.dataPlane.pairs.values()];
  expect(pa && pb && keyOf(pa.inbound) === keyOf(pb.outbound!)).toBe(true);
  expect(a.sendPacket("net/lan", 1)).toBe(true);
  world.run(minutes(1));
  expect(b.dataPlane.delivered).toEqual([1]);
  a.shutDown();
  world.run(minutes(2));
  expect(a.machine.ikeSaCount()).toBe(0);
  expect(b.machine.ikeSaCount()).toBe(0);
  expect(a.dataPlane.pairs.size + b.dataPlane.pairs.size).toBe(0);
});
