/** Transport mode with the Linux kernel under manual keys: raw and in UDP, IPv4 and IPv6, extended sequence numbers. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Capture, countOf } from "./harness/capture.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { TrafficAgent } from "./harness/traffic.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";
import { introduceNeighbours, serveTcp } from "./kernel-peer/kernel-host.ts";
import { KernelPeer } from "./kernel-peer/kernel-peer.ts";
import {
  CBC_256_SHA_256,
  configureKernel,
  GCM_256,
  GCM_256_ESN,
  IN_SPI,
  kernelCounters,
  kernelFailures,
  type ManualSuite,
  OUT_SPI,
  openEncapsulationSockets,
  ourSide,
} from "./kernel-peer/manual-keys.ts";

interface Case {
  readonly name: string;
  readonly suite: ManualSuite;
  readonly encapsulation: "esp" | "udp";
  readonly outer: 4 | 6;
  readonly esn: boolean;
}

const CASES: readonly Case[] = [
  { name: "AES-256-GCM, raw ESP", suite: GCM_256, encapsulation: "esp", outer: 4, esn: false },
  { name: "AES-256-GCM, ESP in UDP", suite: GCM_256, encapsulation: "udp", outer: 4, esn: false },
  { name: "AES-256-GCM, raw ESP over IPv6", suite: GCM_256, encapsulation: "esp", outer: 6, esn: false },
  { name: "AES-256-GCM, ESP in UDP over IPv6", suite: GCM_256, encapsulation: "udp", outer: 6, esn: false },
  {
    name: "AES-256-CBC with HMAC-SHA2-256, raw ESP",
    suite: CBC_256_SHA_256,
    encapsulation: "esp",
    outer: 4,
    esn: false,
  },
  { name: "AES-256-GCM, ESN, raw ESP", suite: GCM_256_ESN, encapsulation: "esp", outer: 4, esn: true },
];

const PORT = 5001;
const OCTETS = 1_000_000;

describeWith(
  ["tun", "build", "tcpdump", "kernelPeer"],
  "the Linux kernel's transport mode, manual keys",
  () => {
    let sites: TwoSites;
    let peer: KernelPeer;
    let ours: Gateway;
    let agent: TrafficAgent;

    beforeAll(async () => {
      sites = await TwoSites.create({ withWire: false });
      peer = await KernelPeer.boot(sites.a.gateway, join(sites.folder, "peer"));
      await sites.a.gateway.ip(`
      addr add ${SITE_A.outer4}/24 dev wan0
      addr add ${SITE_A.outer6}/64 dev wan0 nodad`);
      await peer.run(`
      ip addr add ${SITE_B.outer4}/24 dev eth0
      ip addr add ${SITE_B.outer6}/64 dev eth0 nodad`);
      await introduceNeighbours(sites.a.gateway, peer);
      await openEncapsulationSockets(peer);
      await serveTcp(peer, PORT);
      ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
      agent = await TrafficAgent.start(sites.a.gateway);
    });
    afterEach(() => ours.stop());
    afterAll(async () => {
      await agent.stop();
      await ours.kill();
      await peer.stop();
      await sites.remove();
    });

    const ends = ({ outer }: Case) =>
      outer === 4 ? [SITE_A.outer4, SITE_B.outer4] : [SITE_A.outer6, SITE_B.outer6];

    async function start(one: Case): Promise<void> {
      const [own, other] = ends(one) as [string, string];
      await configureKernel(peer, {
        ...one,
        protocol: "esp",
        mode: "transport",
        own: other,
        other: own,
        selectors: [[other, own]],
      });
      ours.writeSecret("sequence-numbers", "next 1\n");
      const settings = `version: 1
gateway: { listen: ["${own}"] }
connections:
  kernel:
    remote: { address: "${other}" }
    encapsulation: ${one.encapsulation}
    manual:
      host:
        local: "${own}"
        remote: "${other}"
        mode: transport
        out: ${ourSide(one.suite, OUT_SPI, "out")}
        in: ${ourSide(one.suite, IN_SPI, "in")}
        state: sequence-numbers
`;
      ours.launch(settings, { before: `chown 64997:64997 "$CONFIGURATION"; chmod 600 "$CONFIGURATION"` });
      await ours.isReady();
    }

    test.each(CASES.map((one) => [one.name, one] as const))("%s", async (_name, one) => {
      await start(one);
      const [own, other] = ends(one) as [string, string];
      const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));

      expect(await sites.a.gateway.ping(other, ["-s", "1200"])).toBe(true);
      await peer.run(`ping -q -c 3 -i 0.2 -W 2 -s 1200 ${own}`);
      const frames = await capture.stop();
      expect(await kernelCounters(peer)).toEqual(
        new Map([
          [IN_SPI, 6],
          [OUT_SPI, 6],
        ]),
      );
      const esp = frames.filter((frame) => frame.kind === "esp");
      expect(esp.length).toBe(
        [...(await kernelCounters(peer)).values()].reduce((sum, count) => sum + count, 0),
      );
      expect(esp.every((frame) => frame.isEncapsulated === (one.encapsulation === "udp"))).toBe(true);
      // 1208 octets of ICMP and no second IP header.
      const headers = (one.outer === 4 ? 20 : 40) + (one.encapsulation === "udp" ? 8 : 0);
      const blocks = one.suite === CBC_256_SHA_256 ? 8 + 16 + 1216 + 16 : 8 + 8 + 1212 + 16;
      expect(esp.map((frame) => frame.length)).toEqual(new Array(12).fill(headers + blocks));
      expect(countOf(frames, "clear")).toBe(0);

      const transfer = await agent.tcpSend({ host: other, port: PORT, octets: OCTETS });
      expect(transfer.received).toEqual({ octets: OCTETS, digest: transfer.digest });
      expect((await kernelCounters(peer)).get(OUT_SPI)).toBeGreaterThan(6 + OCTETS / 1500);
      expect(await kernelFailures(peer)).toBe("");
      const { drops } = await ours.status();
      expect(drops).not.toHaveProperty("selectorMismatch");
      expect(drops).not.toHaveProperty("notAuthentic");
    });
  },
);
