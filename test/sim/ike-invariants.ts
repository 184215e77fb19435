/** What must hold when a world has come to rest, whatever the network did before. */
import { expect } from "vitest";
import { sameEndpoint } from "../../src/base/udp-endpoint.ts";
import { keyOf } from "./ike-data-plane.ts";
import type { IkeNode } from "./ike-world.ts";

/** Whose SAs are looked at. */
interface Ends {
  readonly name: string;
  readonly dataPlane: Pick<IkeNode["dataPlane"], "pairs">;
}

/** One IKE SA on both ends, the configured children once each, and every outbound SA has the peer's inbound SA. */
export function expectConverged(a: IkeNode, b: IkeNode, children: readonly string[]): void {
  for (const node of [a, b]) {
    const label = `${node.name} ${JSON.stringify(node.machine.describe(node.world.now).map(({ state, ikeSa }) => [state, ikeSa?.initiatorSpi]))}`;
    expect(node.machine.ikeSaCount(), label).toBe(1);
    const carried = [...node.dataPlane.pairs.values()].map(({ inbound }) => inbound.policy).sort();
    expect(carried, label).toEqual(children.map((name) => `net/${name}`).sort());
    expect(node.dataPlane.reserved.size, `${label} reserved`).toBe(0);
  }
  expect(a.state().ikeSa?.initiatorSpi).toBe(b.state().ikeSa?.initiatorSpi);
  expectMirrored(a, b);
  expectMirrored(b, a);
}

export function expectMirrored(from: Ends, to: Ends): void {
  for (const { outbound } of from.dataPlane.pairs.values()) {
    expect(outbound, `${from.name} has an SA without outbound half`).toBeDefined();
    if (outbound === undefined) continue;
    const peer = to.dataPlane.pairs.get(outbound.spi);
    expect(peer, `${to.name} lacks the SA that ${from.name} sends with`).toBeDefined();
    if (peer === undefined) continue;
    expect(keyOf(peer.inbound)).toBe(keyOf(outbound));
    expect(peer.inbound.selectors.remote).toEqual(outbound.selectors.local);
    expect(peer.inbound.suite).toEqual(outbound.suite);
    expect(peer.inbound.encapsulation).toBe(outbound.encapsulation);
    expect(sameEndpoint(peer.inbound.remote, outbound.local)).toBe(true);
  }
}

/** Nothing is left of anything, and the machine wants nothing any more. */
export function expectGone(node: IkeNode): void {
  expect(node.machine.ikeSaCount(), node.name).toBe(0);
  expect(node.dataPlane.pairs.size, node.name).toBe(0);
  expect(node.dataPlane.reserved.size, node.name).toBe(0);
}
