/** Whatever other implementations once sent, good or bad, does a running machine no harm. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { minutes, seconds } from "../../src/base/instant.ts";
import { CAPTURES, hasCaptures, hasMalformed, MALFORMED } from "../unit/wire/captures.ts";
import { readDatagrams } from "../unit/wire/pcap.ts";
import { expectConverged } from "./ike-invariants.ts";
import { pair, World } from "./ike-world.ts";

function datagramsBelow(folder: string): readonly Uint8Array[] {
  const files = readdirSync(folder).filter((name) => /\.pcap$/.test(name));
  return files.flatMap((name) => readDatagrams(join(folder, name)).map(({ payload }) => payload));
}

test.skipIf(!hasCaptures || !hasMalformed)(
  "captures fed to a machine in the midst of its work change nothing",
  () => {
    const datagrams = [...datagramsBelow(CAPTURES), ...datagramsBelow(MALFORMED)];
    expect(datagrams.length).toBeGreaterThan(40);
    const world = new World(9);
    const [a, b] = pair(world);
    world.run(seconds(3));
    for (const payload of datagrams) {
      // With and without the non-ESP marker of port 4500 in front.
      for (const bytes of [payload, payload.subarray(4)])
        for (const node of [a, b]) {
          const remote = { address: node === a ? b.address : a.address, port: 4500 };
          node.feed({ kind: "datagram", local: { address: node.address, port: 4500 }, remote, bytes });
        }
      world.run(100);
    }
    world.run(minutes(2));
    expectConverged(a, b, ["lan"]);
    expect(a.count("ikeSaDown") + b.count("ikeSaDown")).toBe(0);
  },
);
