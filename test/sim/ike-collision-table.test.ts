/** Every pair of exchanges that can cross (RFC 7296 sections 2.8.1, 2.8.2, 2.25.1 and 2.25.2), begun by both ends at once, each end either of the two. */
import { describe, expect, test } from "vitest";
import { minutes, seconds } from "../../src/base/instant.ts";
import { expectConverged, expectGone, expectMirrored } from "./ike-invariants.ts";
import { child, type IkeNode, LAN_A, LAN_B, pair, World } from "./ike-world.ts";

const LAN = { connection: "net", child: "lan" };
const DMZ = { connection: "net", child: "dmz" };
const NET = { connection: "net" };

type Deed = (node: IkeNode) => void;
const rekeyChild: Deed = (node) => node.command({ kind: "rekey", target: LAN });
const closeChild: Deed = (node) => node.command({ kind: "down", target: LAN });
const createChild: Deed = (node) => node.command({ kind: "up", target: DMZ });
const rekeyIke: Deed = (node) => node.command({ kind: "rekey", target: NET });
const closeIke: Deed = (node) => node.command({ kind: "down", target: NET });

/** What is left in the end: children, nothing at all, or what whoever wants a child may have called for anew. */
type Left = readonly string[] | "nothing" | "whatever is wanted";

const ROWS: readonly (readonly [where: string, one: string, Deed, other: string, Deed, left: Left])[] = [
  ["2.25.1", "rekeys the child", rekeyChild, "rekeys it too", rekeyChild, ["lan"]],
  ["2.25.1", "closes the child", closeChild, "rekeys it", rekeyChild, []],
  ["2.25.1", "closes the child", closeChild, "closes it too", closeChild, []],
  ["2.25.1", "creates a child", createChild, "creates it too", createChild, ["dmz", "lan"]],
  ["2.25.1", "creates a child", createChild, "rekeys another", rekeyChild, ["dmz", "lan"]],
  ["2.25.2", "rekeys the IKE SA", rekeyIke, "rekeys it too", rekeyIke, ["lan"]],
  ["2.25.2", "closes the IKE SA", closeIke, "rekeys it", rekeyIke, "nothing"],
  ["2.25.2", "closes the IKE SA", closeIke, "closes it too", closeIke, "nothing"],
  ["2.25.2", "rekeys the IKE SA", rekeyIke, "rekeys the child", rekeyChild, ["lan"]],
  ["2.25.2", "rekeys the IKE SA", rekeyIke, "creates a child", createChild, ["dmz", "lan"]],
  ["2.25.2", "rekeys the IKE SA", rekeyIke, "closes the child", closeChild, []],
  ["2.25.2", "closes the IKE SA", closeIke, "rekeys the child", rekeyChild, "nothing"],
  ["2.25.2", "closes the IKE SA", closeIke, "creates a child", createChild, "whatever is wanted"],
  ["2.25.2", "closes the IKE SA", closeIke, "closes the child", closeChild, "nothing"],
];

/** One way may be slower than the other, so that either request is there first. */
const DELAYS = [
  { name: "at once", ofA: 20, ofB: 20 },
  { name: "A's words are slow", ofA: 90, ofB: 5 },
  { name: "B's words are slow", ofA: 5, ofB: 90 },
] as const;

function established(): { world: World; a: IkeNode; b: IkeNode } {
  const world = new World(31);
  // Nobody brings back what the other has closed.
  const lanA = { ...LAN_A, keep: "on-demand" } as const;
  const dmzA = child("dmz", "10.3.0.0/16", "10.4.0.0/16", { keep: "on-demand" });
  const dmzB = child("dmz", "10.4.0.0/16", "10.3.0.0/16", { keep: "respond" });
  const [a, b] = pair(
    world,
    { keep: "on-demand", children: [lanA, dmzA] },
    { keep: "respond", children: [{ ...LAN_B, keep: "respond" }, dmzB] },
  );
  a.command({ kind: "up", target: LAN });
  world.run(seconds(40));
  expectConverged(a, b, ["lan"]);
  return { world, a, b };
}

describe.each(ROWS)("%s: one end %s", (_where, _one, deed, _other, otherDeed, left) => {
  describe.each(["A", "B"] as const)("which is %s", (first) => {
    test.each(DELAYS)("[CHILD-12] [CHILD-13] [CHILD-20] the other acts meanwhile, $name", ({ ofA, ofB }) => {
      const { world, a, b } = established();
      world.network = (datagram) => [{ datagram, delay: datagram.from.address[3] === 1 ? ofA : ofB }];
      const [one, other] = first === "A" ? [a, b] : [b, a];
      deed(one);
      otherDeed(other);
      world.run(minutes(2));
      if (left === "nothing") {
        expectGone(a);
        expectGone(b);
      } else if (left === "whatever is wanted") {
        expectMirrored(a, b);
        expectMirrored(b, a);
        expect(a.dataPlane.pairs.size).toBe(b.dataPlane.pairs.size);
        expect(one.dataPlane.reserved.size + other.dataPlane.reserved.size).toBe(0);
      } else expectConverged(a, b, left);
    });
  });
});
