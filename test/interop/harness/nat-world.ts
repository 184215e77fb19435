/** Sites A and C behind a router that masquerades them, site B in front of it or behind a router of its own that forwards IKE's ports. */
import { connect, Namespace } from "./namespace.ts";
import { type Addresses, createSite, SITE_A, SITE_B, type Site, TwoSites } from "./two-sites.ts";

/** Site A as it is behind the router. */
export const INSIDE_A: Addresses = { ...SITE_A, outer4: "10.9.1.1" };
export const INSIDE_C: Addresses = {
  outer4: "10.9.2.1",
  outer6: "2001:db8:ff::3",
  gateway4: "10.3.0.1",
  gateway6: "2001:db8:3::1",
  host4: "10.3.0.10",
  host6: "2001:db8:3::10",
  lan4: "10.3.0.0/16",
  lan6: "2001:db8:3::/48",
};
/** What A and C look like from outside, one after the other. */
export const OUTSIDE = ["192.0.2.9", "192.0.2.10"] as const;
/** Where B is, or its router. */
export const CALLED = SITE_B.outer4;
/** Where B is behind a router of its own. */
export const INSIDE_B = "10.8.0.1";

export class NatWorld {
  readonly sites: TwoSites;
  readonly c: Site;
  readonly router: Namespace;
  readonly #far: Namespace | undefined;
  #outside: string = OUTSIDE[0];

  private constructor(sites: TwoSites, c: Site, router: Namespace, far: Namespace | undefined) {
    this.sites = sites;
    this.c = c;
    this.router = router;
    this.#far = far;
  }

  /** @param isDoubled  B has a router too */
  static async create(isDoubled = false): Promise<NatWorld> {
    const sites = await TwoSites.create({ withWire: false });
    const c = await createSite("c", INSIDE_C);
    const router = await Namespace.create("nat");
    const far = isDoubled ? await Namespace.create("far") : undefined;
    await connect(
      { namespace: router, name: "out0" },
      far === undefined ? wanOf(sites.b) : { namespace: far, name: "out0" },
    );
    await inside(router, sites.a, INSIDE_A.outer4);
    await inside(router, c, INSIDE_C.outer4);
    await router.ip(`addr add ${OUTSIDE[0]}/24 dev out0`);
    const world = new NatWorld(sites, c, router, far);
    await world.remap();
    if (far === undefined)
      await sites.b.gateway.ip(`addr add ${CALLED}/24 dev wan0\nroute add default via ${OUTSIDE[0]}`);
    else {
      await inside(far, sites.b, INSIDE_B);
      await far.ip(`addr add ${CALLED}/24 dev out0`);
      await far.run(["nft", "-f", "-"], {
        input: `table ip nat {
          chain pre { type nat hook prerouting priority -100; iifname "out0" udp dport { 500, 4500 } dnat to ${INSIDE_B}; }
          chain post { type nat hook postrouting priority 100; oifname "out0" masquerade; }
        }`,
      });
    }
    return world;
  }

  /** What the router knows is gone, as after its restart: what leaves next gets another port, of these where they are given. */
  async remap(ports?: string): Promise<void> {
    await this.router.run(["nft", "-f", "-"], {
      input: `table ip nat {}
        flush table ip nat
        table ip nat {
          chain post {
            type nat hook postrouting priority 100;
            oifname "out0" meta l4proto udp masquerade${ports === undefined ? "" : ` to :${ports}`}
            oifname "out0" masquerade
          }
        }`,
    });
    await this.#readdress(this.#outside);
  }

  /** The router gets the other one of its two addresses. */
  async renumber(): Promise<void> {
    await this.#readdress(this.#outside === OUTSIDE[0] ? OUTSIDE[1] : OUTSIDE[0]);
  }

  /** Masquerading forgets what it did with an address that goes. */
  async #readdress(address: string): Promise<void> {
    await this.router.ip(`addr del ${this.#outside}/24 dev out0\naddr add ${address}/24 dev out0`);
    this.#outside = address;
  }

  async remove(): Promise<void> {
    await this.c.remove();
    await this.router.remove();
    await this.#far?.remove();
    await this.sites.remove();
  }
}

const wanOf = ({ gateway }: Site) => ({ namespace: gateway, name: "wan0" });

/** A gateway and its way out through a router, alone in a network. */
async function inside(router: Namespace, site: Site, address: string): Promise<void> {
  const name = `in-${site.gateway.name.slice(-1)}`;
  const routerAddress = address.replace(/\d+$/, "254");
  await connect(wanOf(site), { namespace: router, name });
  await router.ip(`addr add ${routerAddress}/24 dev ${name}`);
  await router.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"]);
  await site.gateway.ip(`addr add ${address}/24 dev wan0\nroute add default via ${routerAddress}`);
}
