/** Transport mode through a NAT with the Linux kernel's ESP: the kernel behind it and calling, then we (RFC 7296 section 2.23.1). */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { connect, Namespace } from "./harness/namespace.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { IKE, SECRET } from "./harness/settings.ts";
import { TrafficAgent } from "./harness/traffic.ts";
import { TwoSites } from "./harness/two-sites.ts";
import { charonLogInside, startCharonInside, swanctlInside } from "./kernel-peer/charon.ts";
import { KernelPeer } from "./kernel-peer/kernel-peer.ts";

const INSIDE = "10.9.0.1";
const INSIDE_ROUTER = "10.9.0.254";
/** The NAT, and whoever is in front of it. */
const OUTSIDE = "192.0.2.2";
const OTHER = "192.0.2.1";
const PORT = 5001;
const OCTETS = 300_000;

describeWith(["tun", "build", "strongswan", "kernelPeer", "nft"], "transport mode through a NAT", () => {
  let sites: TwoSites;
  let nat: Namespace;
  let peer: KernelPeer;
  let ours: Gateway;
  let agent: TrafficAgent;

  beforeAll(async () => {
    sites = await TwoSites.create({ withWire: false });
    nat = await Namespace.create("nat");
    peer = await KernelPeer.boot(nat, join(sites.folder, "peer"));
    await connect({ namespace: sites.a.gateway, name: "wan0" }, { namespace: nat, name: "ours" });
    await nat.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"]);
    const script = peer.putFile(join(import.meta.dirname, "harness/traffic-agent.mjs"));
    await peer.start(
      `(echo '{"id":1,"command":"tcpServe","port":${PORT}}'; sleep 600) | ${process.execPath} ${script}`,
    );
    ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
    agent = await TrafficAgent.start(sites.a.gateway);
    await until(
      "the receiver listens",
      async () => (await peer.run(`ss -Hltn 'sport = :${PORT}'`)).stdout !== "",
    );
  });
  afterEach(async () => {
    await ours.stop();
    await swanctlInside(peer, "--terminate --ike peer --timeout 5");
  });
  afterAll(async () => {
    await agent.stop();
    await ours.kill();
    await peer.stop();
    await nat.remove();
    await sites.remove();
  });

  /** One end inside the NAT, the other in front of it. */
  async function place(inside: "ours" | "peer"): Promise<void> {
    const [innerPort, outerPort] = inside === "ours" ? ["ours", "wan0"] : ["wan0", "ours"];
    const [own, other] = inside === "ours" ? [INSIDE, OTHER] : [OTHER, INSIDE];
    const route = (address: string) =>
      address === INSIDE ? `ip route replace default via ${INSIDE_ROUTER}` : "true";
    await sites.a.gateway.run([
      "sh",
      "-c",
      `ip addr flush dev wan0; ip addr add ${own}/24 dev wan0; ${route(own)}`,
    ]);
    await peer.run(`ip addr flush dev eth0; ip addr add ${other}/24 dev eth0; ${route(other)}`);
    await nat.run([
      "sh",
      "-c",
      `
      ip addr flush dev wan0; ip addr flush dev ours
      ip addr add ${INSIDE_ROUTER}/24 dev ${innerPort}; ip addr add ${OUTSIDE}/24 dev ${outerPort}
      nft flush ruleset
      nft add table ip nat
      nft add chain ip nat post '{ type nat hook postrouting priority 100; }'
      nft add rule ip nat post oifname ${outerPort} masquerade`,
    ]);
  }

  const swanctl = (local: string, remote: string) => ({
    local,
    remote,
    localId: "b.test",
    remoteId: "a.test",
    secret: SECRET,
    ike: IKE,
    esp: "aes256gcm16",
    localTs: ["dynamic"],
    remoteTs: ["dynamic"],
    childSettings: "mode = transport",
  });

  async function start(own: string, remote: string, keep: "up" | "respond"): Promise<void> {
    ours.writeSecret("secret", `${SECRET}\n`);
    await ours.start(`version: 1
gateway: { listen: ["${own}"] }
connections:
  peer:
    local: { id: a.test }
    remote: { address: "${remote}", id: b.test }
    psk: { file: secret }
    keep: ${keep}
    ike: { proposals: [${IKE}] }
    children:
      lan: { local: "${own}", remote: "${remote}", esp: [aes256gcm16], mode: transport }
`);
  }

  /** Checksums of TCP hold in both directions, or nothing would be acknowledged. */
  async function expectTransfer(remote: string): Promise<void> {
    const { stdout } = await peer.run("ip xfrm state");
    expect(stdout).toContain("mode transport");
    expect(stdout).toContain("encap type espinudp");
    const transfer = await agent.tcpSend({ host: remote, port: PORT, octets: OCTETS });
    expect(transfer.received).toEqual({ octets: OCTETS, digest: transfer.digest });
    const { counters } = (await ours.connection("peer")).children[0]!;
    expect(counters!.outboundOctets).toBeGreaterThan(OCTETS);
    expect((await ours.status()).drops).not.toHaveProperty("selectorMismatch");
  }

  test("[NAT-08] [NAT-09] the kernel is behind the NAT and calls", async () => {
    await place("peer");
    await startCharonInside(peer, swanctl(INSIDE, OTHER));
    await start(OTHER, OUTSIDE, "respond");
    const outcome = await swanctlInside(peer, "--initiate --child lan --timeout 20");
    expect(outcome.status, await charonLogInside(peer)).toBe(0);
    await ours.isUp("peer");
    await expectTransfer(OUTSIDE);
  });

  test("[NAT-08] [NAT-09] we are behind the NAT and call; a rekey keeps it", async () => {
    await place("ours");
    await startCharonInside(peer, swanctl(OTHER, "%any"));
    await start(INSIDE, OTHER, "up");
    await ours.isUp("peer");
    await expectTransfer(OTHER);
    const spi = async () => (await ours.connection("peer")).children[0]?.inboundSpi;
    const before = await spi();
    await ours.command("rekey", "peer", "lan");
    await until("child SA rekeyed", async () => (await spi()) !== before);
    await expectTransfer(OTHER);
  });
});
