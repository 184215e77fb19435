/** Worlds of two sites with one connection, and what must be true of them in the end. */
import { expect } from "vitest";
import { Instant } from "../../src/base/instant.ts";
import { FINE, GatewayWorld, type Side, type Weather } from "./gateway-world.ts";

export interface SiteOptions {
  readonly keep: "up" | "on-demand" | "respond";
  readonly rekey?: string;
  readonly ikeRekey?: string;
  readonly encapsulation?: "auto" | "udp" | "esp";
  readonly esp?: string;
  readonly ike?: string;
}

function yaml(side: Side, options: SiteOptions): string {
  const [own, other] = side === "a" ? ["1", "2"] : ["2", "1"];
  return `version: 1
connections:
  net:
    local: { id: gw-${side}.example.net }
    remote: { address: ${side === "a" ? "198.51.100.2" : "192.0.2.1"}, id: gw-${side === "a" ? "b" : "a"}.example.net }
    psk: { env: KEY }
    keep: ${options.keep}
    encapsulation: ${options.encapsulation ?? "auto"}
    ike: { proposals: [${options.ike ?? "aes256gcm16-prfsha256-x25519"}], rekey: ${options.ikeRekey ?? "4h"}, liveness: 10s }
    children:
      lan:
        local: [10.${own}.0.0/16]
        remote: [10.${other}.0.0/16]
        esp: [${options.esp ?? "aes256gcm16-x25519"}]
        rekey: ${options.rekey ?? "1h"}
`;
}

export function makeWorld(
  seed: number,
  a: SiteOptions,
  b: SiteOptions,
  weather: Weather = FINE,
  lanes: Readonly<Record<Side, number>> = { a: 1, b: 1 },
): GatewayWorld {
  return new GatewayWorld({ seed, yaml: { a: yaml("a", a), b: yaml("b", b) }, weather, lanes });
}

/** Nothing is lost, but packets overtake each other. */
export const JITTER: Weather = { loss: 0, duplication: 0, delay: [5, 80] };
/** 20 % lost, 10 % doubled, and delays that reorder. */
export const STORM: Weather = { loss: 0.2, duplication: 0.1, delay: [1, 120] };

/** Before anything was sent. */
export const START = Instant(0);

const only = process.env["SEED"];
export function seeds(count: number): readonly number[] {
  return only === undefined ? Array.from({ length: count }, (_, i) => i + 1) : [Number(only)];
}

/** Hosts on both sides send at this interval, for so long. */
export function traffic(world: GatewayWorld, every: number, span: number): void {
  for (let at = 0; at < span; at += every) {
    world.at(at, () => world.sendInner("a"));
    world.at(at + every / 2, () => world.sendInner("b"));
  }
}

/** One IKE SA and one child on each side, each other's SPIs, nothing left over; else what is there instead. */
export function picture(world: GatewayWorld): string {
  return (["a", "b"] as const)
    .map((side) => {
      const states = world.node(side).gateway.describe(world.now);
      const ikeSas = states.flatMap(({ ikeSa }) => (ikeSa === undefined ? [] : [ikeSa.initiatorSpi]));
      const children = states.flatMap((state) => state.children.map((child) => child.state));
      const pairs = world.node(side).gateway.pairs();
      return `${ikeSas.length} IKE SA, children ${children.join()}, ${pairs.length} pair`;
    })
    .join(" | ");
}
export const CONVERGED = "1 IKE SA, children up, 1 pair | 1 IKE SA, children up, 1 pair";

function spisMatch(world: GatewayWorld): boolean {
  const [a] = world.node("a").gateway.pairs();
  const [b] = world.node("b").gateway.pairs();
  return (
    a !== undefined && b !== undefined && a.inboundSpi === b.outboundSpi && b.inboundSpi === a.outboundSpi
  );
}

export function expectConverged(world: GatewayWorld, limit: number): void {
  world.runUntil(limit, () => picture(world) === CONVERGED && spisMatch(world));
  expect(picture(world), `SEED=${world.seed}`).toBe(CONVERGED);
  expect(spisMatch(world), `SEED=${world.seed}`).toBe(true);
}
