/** Two sites and a router between their gateways, which is the wire: what crosses it is what a real one would carry. */
import type { Namespace } from "../../test/interop/harness/namespace.ts";
import { connect, Namespace as NetworkNamespace } from "../../test/interop/harness/namespace.ts";
import { SITE_A, SITE_B, TwoSites } from "../../test/interop/harness/two-sites.ts";

/**
 * `offloads`: segments that no frame could hold pass the wire, as between NICs that cut and merge them.
 * `plain`: nothing above 1500 octets crosses. The sender's kernel cuts, the receiver's merges (GRO), as with a NIC that
 * does neither; checksums are the NIC's work in both.
 */
export type Wire = "plain" | "offloads";
export const WIRES: readonly Wire[] = ["plain", "offloads"];

export const ROUTER = "192.0.2.254";
const CUTS_OFF = ["tso", "off", "gso", "off", "tx-udp-segmentation", "off"];

export class World {
  readonly sites: TwoSites;
  readonly router: Namespace;

  private constructor(sites: TwoSites, router: Namespace) {
    this.sites = sites;
    this.router = router;
  }

  static async create(wire: Wire): Promise<World> {
    const sites = await TwoSites.create({ lanOffload: true, withWire: false });
    const router = await NetworkNamespace.create("rt");
    await router.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"]);
    for (const [site, name, other] of [
      [sites.a, "toa", SITE_B],
      [sites.b, "tob", SITE_A],
    ] as const) {
      await connect(
        { namespace: site.gateway, name: "wan0" },
        { namespace: router, name },
        { offload: true },
      );
      if (wire === "plain") {
        await site.gateway.run(["ethtool", "-K", "wan0", ...CUTS_OFF, "gro", "on"]);
        await router.run(["ethtool", "-K", name, ...CUTS_OFF, "gro", "off"]);
      }
      // Each gateway has the other one behind the router alone; the rest of the other site is not reachable in clear.
      await site.gateway.ip(`
        addr add ${site.addresses.outer4}/32 dev wan0
        route add ${ROUTER} dev wan0
        route add ${other.outer4} via ${ROUTER}
        route add unreachable ${other.lan4} metric 4294967295`);
      await router.ip(`
        addr add ${ROUTER}/32 dev ${name}
        route add ${site.addresses.outer4} dev ${name}`);
    }
    await router.ip(`
      route add ${SITE_A.lan4} via ${SITE_A.outer4}
      route add ${SITE_B.lan4} via ${SITE_B.outer4}`);
    return new World(sites, router);
  }

  async remove(): Promise<void> {
    await this.router.remove();
    await this.sites.remove();
  }
}
