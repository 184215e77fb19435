/** The addresses of many peers with one gateway: site A is all of them, site B the gateway. */
import { SITE_A, SITE_B, type TwoSites } from "../../test/interop/harness/two-sites.ts";

const HOSTS = 250;

/** One tunnel of many: outer address of the peer, and one inner address of each side. */
export interface PeerAddresses {
  readonly outer: string;
  readonly innerA: string;
  readonly innerB: string;
}

export function addressesOf(index: number): PeerAddresses {
  const [block, host] = [Math.floor(index / HOSTS), (index % HOSTS) + 1];
  return {
    outer: `198.18.${block}.${host}`,
    innerA: `10.100.${block}.${host}`,
    innerB: `10.200.${block}.${host}`,
  };
}

/** Gives both gateways what their tunnels' ends want to be their own; strongSwan refuses a selector without one. */
export async function addPeers(sites: TwoSites, count: number): Promise<void> {
  const all = Array.from({ length: count }, (_, index) => addressesOf(index));
  await sites.a.gateway.ip(
    all.map(({ outer, innerA }) => `addr add ${outer}/32 dev lo\naddr add ${innerA}/32 dev lo`).join("\n"),
  );
  await sites.b.gateway.ip(
    [
      `route add 198.18.0.0/15 via ${SITE_A.outer4} src ${SITE_B.outer4}`,
      ...all.map(({ innerB }) => `addr add ${innerB}/32 dev lo`),
    ].join("\n"),
  );
}
