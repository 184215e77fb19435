/** The two worlds that most tests want: ourselves opposite strongSwan, and opposite ourselves. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll } from "vitest";
import { Gateway } from "./gateway.ts";
import { StrongSwan } from "./strongswan.ts";
import { TwoSites } from "./two-sites.ts";

/** Site A is ours, site B strongSwan's, which runs from the first test to the last. */
export interface StrongSwanWorld {
  readonly sites: TwoSites;
  readonly ours: Gateway;
  readonly peer: StrongSwan;
}

/** Makes it before the tests around the call and removes it after them; after each test our gateway stops and the peer has no SA. */
export function oppositeStrongSwan(take: (world: StrongSwanWorld) => void): void {
  let world: StrongSwanWorld;
  beforeAll(async () => {
    const sites = await TwoSites.create();
    const peer = await new StrongSwan(sites.b.gateway, join(sites.folder, "strongswan")).start();
    world = { sites, peer, ours: new Gateway(sites.a.gateway, join(sites.folder, "tungate")) };
    take(world);
  });
  afterEach(async () => {
    await world.ours.stop();
    await world.peer.terminate();
  });
  afterAll(async () => {
    await world.ours.kill();
    await world.peer.stop();
    await world.sites.remove();
  });
}

/** Both sites are ours. */
export interface OwnWorld {
  readonly sites: TwoSites;
  readonly a: Gateway;
  readonly b: Gateway;
}

/** As {@link oppositeStrongSwan}; after each test both gateways stop. */
export function oppositeOurselves(take: (world: OwnWorld) => void): void {
  let world: OwnWorld;
  beforeAll(async () => {
    const sites = await TwoSites.create();
    world = {
      sites,
      a: new Gateway(sites.a.gateway, join(sites.folder, "a")),
      b: new Gateway(sites.b.gateway, join(sites.folder, "b")),
    };
    take(world);
  });
  afterEach(async () => {
    await Promise.all([world.a.stop(), world.b.stop()]);
  });
  afterAll(async () => {
    await world.a.kill();
    await world.b.kill();
    await world.sites.remove();
  });
}
