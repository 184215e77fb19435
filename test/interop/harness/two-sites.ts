/** The world of most tests: host A, gateway A, gateway B, host B in a row, IPv4 and IPv6 everywhere. */
import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, Namespace } from "./namespace.ts";
import { TrafficAgent } from "./traffic.ts";

export interface Addresses {
  readonly outer4: string;
  readonly outer6: string;
  readonly gateway4: string;
  readonly gateway6: string;
  readonly host4: string;
  readonly host6: string;
  readonly lan4: string;
  readonly lan6: string;
}

export const SITE_A: Addresses = {
  outer4: "192.0.2.1",
  outer6: "2001:db8:ff::1",
  gateway4: "10.1.0.1",
  gateway6: "2001:db8:1::1",
  host4: "10.1.0.10",
  host6: "2001:db8:1::10",
  lan4: "10.1.0.0/16",
  lan6: "2001:db8:1::/48",
};
export const SITE_B: Addresses = {
  outer4: "192.0.2.2",
  outer6: "2001:db8:ff::2",
  gateway4: "10.2.0.1",
  gateway6: "2001:db8:2::1",
  host4: "10.2.0.10",
  host6: "2001:db8:2::10",
  lan4: "10.2.0.0/16",
  lan6: "2001:db8:2::/48",
};

export interface WorldOptions {
  readonly lanOffload?: boolean;
  readonly wanOffload?: boolean;
  /** `false`: whoever asks joins the gateways himself. */
  readonly withWire?: boolean;
}

export class Site {
  readonly addresses: Addresses;
  readonly host: Namespace;
  readonly gateway: Namespace;
  #traffic: TrafficAgent | undefined;

  constructor(addresses: Addresses, host: Namespace, gateway: Namespace) {
    this.addresses = addresses;
    this.host = host;
    this.gateway = gateway;
  }

  /** Sends and receives on the host; started at first use. */
  async traffic(): Promise<TrafficAgent> {
    this.#traffic ??= await TrafficAgent.start(this.host);
    return this.#traffic;
  }

  async remove(): Promise<void> {
    await this.#traffic?.stop();
    await this.host.remove();
    await this.gateway.remove();
  }
}

export class TwoSites {
  readonly a: Site;
  readonly b: Site;
  /** Files of this world, readable for every user; secrets in it have their own rights. */
  readonly folder: string;

  private constructor(a: Site, b: Site, folder: string) {
    this.a = a;
    this.b = b;
    this.folder = folder;
  }

  /** Without offloads, which is the default, every packet of a capture is one that could be on a wire. */
  static async create(options: WorldOptions = {}): Promise<TwoSites> {
    const folder = mkdtempSync(join(tmpdir(), "tungate-"));
    chmodSync(folder, 0o755);
    const a = await createSite("a", SITE_A, options);
    const b = await createSite("b", SITE_B, options);
    if (options.withWire !== false) {
      const wire = { offload: options.wanOffload === true };
      await connect({ namespace: a.gateway, name: "wan0" }, { namespace: b.gateway, name: "wan0" }, wire);
      for (const one of [a, b]) await addOuterAddresses(one);
    }
    return new TwoSites(a, b, folder);
  }

  async remove(): Promise<void> {
    await this.a.remove();
    await this.b.remove();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function createSite(role: string, own: Addresses, options: WorldOptions = {}): Promise<Site> {
  const host = await Namespace.create(`h${role}`);
  const gateway = await Namespace.create(`g${role}`);
  const lan = { offload: options.lanOffload === true };
  await connect({ namespace: host, name: "lan0" }, { namespace: gateway, name: "lan0" }, lan);
  await host.ip(`
    addr add ${own.host4}/16 dev lan0
    addr add ${own.host6}/48 dev lan0 nodad
    route add default via ${own.gateway4}
    route add default via ${own.gateway6}`);
  await gateway.ip(`
    addr add ${own.gateway4}/16 dev lan0
    addr add ${own.gateway6}/48 dev lan0 nodad`);
  await gateway.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
  return new Site(own, host, gateway);
}

/** In clear, the other site is one hop away: what a gateway does not hold back does arrive. */
export async function addOuterAddresses(one: Site): Promise<void> {
  const own = one.addresses;
  const other = own === SITE_A ? SITE_B : SITE_A;
  await one.gateway.ip(`
    addr add ${own.outer4}/24 dev wan0
    addr add ${own.outer6}/64 dev wan0 nodad
    route add default via ${other.outer4}
    route add default via ${other.outer6}`);
}
