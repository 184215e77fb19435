/** Transport mode with the Linux kernel under manual keys: raw and in UDP, IPv4 and IPv6, extended sequence numbers. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Capture, countOf } from "./harness/capture.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { TrafficAgent } from "./harness/traffic.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";
import { introduceNeighbours, serveTcp, serveUdpEcho } from "./kernel-peer/kernel-host.ts";
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
const UDP_PORT = 5002;
/** Of datagrams that are fragmented. */
const LONG = [4000, 20_000];

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
      await serveUdpEcho(peer, UDP_PORT);
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

    /** Datagrams that are longer than the wire takes, both ways: ICMP, and UDP with every octet compared. */
    async function expectFragments(one: Case): Promise<void> {
      const [own, other] = ends(one) as [string, string];
      // Later fragments of ESP in UDP look like clear text to our filter, unless the kernel tracks connections.
      await sites.a.gateway.run(["nft", "-f", "-"], { input: TRACKING });
      // The first long packet of a raw socket only makes it read longer ones.
      await sites.a.gateway.ping(other, ["-s", `${LONG.at(-1)}`]);
      const before = await kernelCounters(peer);
      for (const size of LONG) {
        expect([size, await sites.a.gateway.ping(other, ["-s", `${size}`])]).toEqual([size, true]);
        await peer.run(`ping -q -c 3 -i 0.2 -W 2 -s ${size} ${own}`);
        const { stdout } = await sites.a.gateway.run(["python3", "-c", UDP_ECHO_CLIENT, other, `${size}`]);
        expect(stdout.trim()).toBe("5 of 5 came back as they were");
      }
      // Whole datagrams were protected: as many packets as datagrams, each way.
      const after = await kernelCounters(peer);
      const whole = LONG.length * (3 + 3 + 5);
      expect(after.get(OUT_SPI)! - before.get(OUT_SPI)!).toBe(whole);
      expect(after.get(IN_SPI)! - before.get(IN_SPI)!).toBe(whole);
    }

    test.each(CASES.map((one) => [one.name, one] as const))("[ESP-14] %s", async (_name, one) => {
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

      await expectFragments(one);

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

const TRACKING = `
table inet tracking {
  chain arriving { type filter hook prerouting priority 0; ct state invalid accept; }
}`;

/** Sends five datagrams of a size and waits for each to come back. */
const UDP_ECHO_CLIENT = `
import os, socket, sys
host, size = sys.argv[1], int(sys.argv[2])
s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(3)
s.connect((host, ${UDP_PORT}))
good = 0
for _ in range(5):
    sent = os.urandom(size)
    s.send(sent)
    try:
        good += s.recv(65535) == sent
    except TimeoutError:
        pass
print(good, "of 5 came back as they were")
`;
