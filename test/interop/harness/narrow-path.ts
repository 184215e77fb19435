/** A router between the two gateways whose far side carries less than theirs, with or without ICMP. */
import type { Namespace } from "./namespace.ts";
import { connect, Namespace as Namespaces } from "./namespace.ts";
import { SITE_A, SITE_B, type Site, type TwoSites } from "./two-sites.ts";

const ROUTER4 = "192.0.2.254";
const ROUTER6 = "2001:db8:ff::fe";

export class NarrowPath {
  readonly router: Namespace;

  private constructor(router: Namespace) {
    this.router = router;
  }

  /** Joins two sites that were made without a wire. */
  static async between(sites: TwoSites): Promise<NarrowPath> {
    const router = await Namespaces.create("router");
    await router.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"]);
    // Every packet has a right to its ICMP here.
    await router.run(["sysctl", "-q", "-w", "net.ipv4.icmp_ratelimit=0", "net.ipv6.icmp.ratelimit=0"]);
    const path = new NarrowPath(router);
    await path.#join(sites.a, "wa");
    await path.#join(sites.b, "wb");
    await path.widen();
    return path;
  }

  async #join({ gateway, addresses }: Site, name: string): Promise<void> {
    await connect({ namespace: gateway, name: "wan0" }, { namespace: this.router, name });
    await this.router.ip(`
      addr add ${ROUTER4}/32 dev ${name}
      addr add ${ROUTER6}/128 dev ${name} nodad`);
    await gateway.ip(`
      addr add ${addresses.outer4}/32 dev wan0
      addr add ${addresses.outer6}/128 dev wan0 nodad
      route add ${ROUTER4} dev wan0 src ${addresses.outer4}
      route add ${ROUTER6} dev wan0
      route add default via ${ROUTER4} src ${addresses.outer4}
      route add default via ${ROUTER6}`);
  }

  /** Packets of more octets do not pass, in either direction. */
  async narrow(octets: number): Promise<void> {
    await this.#routes(` mtu lock ${octets}`);
  }

  async widen(): Promise<void> {
    await this.#routes("");
  }

  async #routes(mtu: string): Promise<void> {
    await this.router.ip(`
      route replace ${SITE_A.outer4} dev wa${mtu}
      route replace ${SITE_B.outer4} dev wb${mtu}
      route replace ${SITE_A.outer6} dev wa${mtu}
      route replace ${SITE_B.outer6} dev wb${mtu}`);
  }

  /** `false`: the router keeps to itself that a packet was too big. */
  async setIcmp(isSent: boolean): Promise<void> {
    await this.router.run(["nft", "flush", "ruleset"]);
    if (isSent) return;
    await this.router.run(["nft", "-f", "-"], {
      input: `table inet silence {
        chain out {
          type filter hook output priority 0
          icmp type destination-unreachable counter drop
          icmpv6 type packet-too-big counter drop
        }
      }`,
    });
  }

  /** How many reports the router has kept to itself. */
  async silenced(): Promise<number> {
    const { stdout } = await this.router.run(["nft", "list", "ruleset"]);
    return [...stdout.matchAll(/packets (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);
  }

  /** Sends IPv4 packets as they are, header included; the kernel fills in lengths and checksums of the header. */
  async inject(packets: readonly Uint8Array[]): Promise<void> {
    await this.router.run(["python3", "-c", INJECT], {
      input: packets.map((packet) => Buffer.from(packet).toString("hex")).join("\n"),
    });
  }

  async remove(): Promise<void> {
    await this.router.remove();
  }
}

/** Python is what node-gyp needs too. */
const INJECT = `
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for line in sys.stdin:
    packet = bytes.fromhex(line.strip())
    s.sendto(packet, (socket.inet_ntoa(packet[16:20]), 0))
`;
