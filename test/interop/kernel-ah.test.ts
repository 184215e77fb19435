/** AH with the Linux kernel under manual keys: tunnel and transport mode, IPv4 and IPv6, extended sequence numbers, several lanes. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Capture } from "./harness/capture.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { TrafficAgent } from "./harness/traffic.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";
import { introduceNeighbours, serveTcp } from "./kernel-peer/kernel-host.ts";
import { KernelPeer } from "./kernel-peer/kernel-peer.ts";
import {
  configureKernel,
  IN_SPI,
  kernelCounters,
  kernelFailures,
  type ManualSuite,
  OUT_SPI,
  ourSide,
} from "./kernel-peer/manual-keys.ts";

function suite(word: string, digest: string, integrityLength: number, icvBits: number): ManualSuite {
  return {
    ours: `ah: ${word}`,
    keyLength: 0,
    integrityLength,
    kernel: (_key, integrityKey) => `auth-trunc '${digest}' 0x${integrityKey} ${icvBits}`,
  };
}

interface Case {
  readonly name: string;
  readonly suite: ManualSuite;
  readonly mode: "tunnel" | "transport";
  readonly outer: 4 | 6;
  readonly esn: boolean;
  /** Our SPIs are of the second one. */
  readonly lanes?: number;
}

const SHA_256 = suite("sha256", "hmac(sha256)", 32, 128);
const CASES: readonly Case[] = [
  { name: "HMAC-SHA2-256, tunnel", suite: SHA_256, mode: "tunnel", outer: 4, esn: false },
  { name: "HMAC-SHA2-256, tunnel over IPv6", suite: SHA_256, mode: "tunnel", outer: 6, esn: false },
  { name: "HMAC-SHA2-256, transport", suite: SHA_256, mode: "transport", outer: 4, esn: false },
  { name: "HMAC-SHA2-256, transport over IPv6", suite: SHA_256, mode: "transport", outer: 6, esn: false },
  {
    name: "HMAC-SHA2-256, tunnel, two lanes",
    suite: SHA_256,
    mode: "tunnel",
    outer: 4,
    esn: false,
    lanes: 2,
  },
  {
    name: "HMAC-SHA2-256, transport over IPv6, four lanes",
    suite: SHA_256,
    mode: "transport",
    outer: 6,
    esn: false,
    lanes: 4,
  },
  {
    name: "HMAC-SHA2-512 with ESN, tunnel",
    suite: suite("sha512-esn", "hmac(sha512)", 64, 256),
    mode: "tunnel",
    outer: 4,
    esn: true,
  },
  {
    name: "HMAC-SHA1, transport",
    suite: suite("sha1", "hmac(sha1)", 20, 96),
    mode: "transport",
    outer: 4,
    esn: false,
  },
];

const LAN_4 = "10.2.0.1";
const LAN_6 = "2001:db8:2::1";
const PORT = 5001;
const OCTETS = 1_000_000;
const AH = 51;

describeWith(["tun", "build", "tcpdump", "kernelPeer"], "the Linux kernel's AH, manual keys", () => {
  let sites: TwoSites;
  let peer: KernelPeer;
  let ours: Gateway;
  let agent: TrafficAgent;

  beforeAll(async () => {
    sites = await TwoSites.create({ withWire: false });
    peer = await KernelPeer.boot(sites.a.gateway, join(sites.folder, "peer"));
    await sites.a.gateway.ip(`
      addr add ${SITE_A.outer4}/24 dev wan0
      addr add ${SITE_A.outer6}/64 dev wan0 nodad
      route add default via ${SITE_B.outer4}
      route add default via ${SITE_B.outer6}`);
    await peer.run(`
      /run/modprobe ah4; /run/modprobe ah6
      ip addr add ${SITE_B.outer4}/24 dev eth0
      ip addr add ${SITE_B.outer6}/64 dev eth0 nodad
      ip addr add ${LAN_4}/32 dev lo
      ip addr add ${LAN_6}/128 dev lo nodad
      ip route add ${SITE_A.lan4} via ${SITE_A.outer4} src ${LAN_4}
      ip route add ${SITE_A.lan6} via ${SITE_A.outer6} src ${LAN_6}`);
    await introduceNeighbours(sites.a.gateway, peer);
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

  async function start(one: Case): Promise<void> {
    const [own, other] = one.outer === 4 ? [SITE_A.outer4, SITE_B.outer4] : [SITE_A.outer6, SITE_B.outer6];
    const nets: readonly (readonly [string, string])[] = [
      [SITE_B.lan4, SITE_A.lan4],
      [SITE_B.lan6, SITE_A.lan6],
    ];
    const selectors = one.mode === "tunnel" ? nets : [[other, own] as const];
    await configureKernel(peer, {
      ...one,
      protocol: "ah",
      encapsulation: "esp",
      own: other,
      other: own,
      selectors,
    });
    const list = (side: 0 | 1) => JSON.stringify(selectors.map((pair) => pair[side]));
    const settings = `version: 1
gateway: { listen: ["${own}"], lanes: ${one.lanes ?? process.env["TUNGATE_TEST_LANES"] ?? "auto"} }
connections:
  kernel:
    remote: { address: "${other}" }
    encapsulation: esp
    manual:
      site:
        local: ${list(1)}
        remote: ${list(0)}
        mode: ${one.mode}
        out: ${ourSide(one.suite, OUT_SPI, "out")}
        in: ${ourSide(one.suite, IN_SPI, "in")}
`;
    ours.launch(settings, { before: `chown 64997:64997 "$CONFIGURATION"; chmod 600 "$CONFIGURATION"` });
    await ours.isReady();
  }

  test.each([4, 6] as const)(
    "[AH-11] transport mode over IPv%s: datagrams longer than the path, both ways",
    async (outer) => {
      await start({ name: "", suite: SHA_256, mode: "transport", outer, esn: false });
      const [own, other] = outer === 4 ? [SITE_A.outer4, SITE_B.outer4] : [SITE_A.outer6, SITE_B.outer6];
      const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));
      const lengths = [3000, 12_000];
      for (const length of lengths)
        expect(await sites.a.gateway.ping(other, ["-s", String(length)]), `${length} octets`).toBe(true);
      await peer.run(`ping -q -c 3 -i 0.2 -W 2 -s 12000 ${own}`);
      const frames = await capture.stop();
      const datagrams = 3 * lengths.length + 3;
      expect(await kernelCounters(peer)).toEqual(
        new Map([
          [IN_SPI, datagrams],
          [OUT_SPI, datagrams],
        ]),
      );
      // Each begins with a fragment that names AH, and nothing goes in clear.
      expect(frames.length).toBeGreaterThan(2 * datagrams);
      expect(Math.max(...frames.map(({ length }) => length))).toBeLessThanOrEqual(1514);
      expect(await kernelFailures(peer)).toBe("");
      expect((await ours.status()).drops).not.toHaveProperty("notAuthentic");
    },
  );

  test.each(CASES.map((one) => [one.name, one] as const))("[AH-13] %s", async (_name, one) => {
    await start(one);
    const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));

    if (one.mode === "tunnel") {
      expect(await sites.a.host.ping(LAN_4, ["-s", "1200"])).toBe(true);
      expect(await sites.a.host.ping(LAN_6)).toBe(true);
      await peer.run(
        `ping -q -c 3 -i 0.2 -W 2 ${SITE_A.host4} && ping -q -c 3 -i 0.2 -W 2 -s 1200 ${SITE_A.host6}`,
      );
    } else {
      const [own, other] = one.outer === 4 ? [SITE_A.outer4, SITE_B.outer4] : [SITE_A.outer6, SITE_B.outer6];
      expect(await sites.a.gateway.ping(other, ["-s", "1200"])).toBe(true);
      await peer.run(`ping -q -c 3 -i 0.2 -W 2 -s 1200 ${own}`);
    }
    const frames = await capture.stop();
    const each = one.mode === "tunnel" ? 12 : 6;
    expect(await kernelCounters(peer)).toEqual(
      new Map([
        [IN_SPI, each],
        [OUT_SPI, each],
      ]),
    );
    expect(frames.filter(({ protocol }) => protocol === AH)).toHaveLength(2 * each);
    expect(frames.filter(({ kind, protocol }) => kind === "clear" && protocol !== AH)).toEqual([]);

    const from = one.mode === "tunnel" ? await sites.a.traffic() : agent;
    const host = one.mode === "tunnel" ? LAN_4 : one.outer === 4 ? SITE_B.outer4 : SITE_B.outer6;
    const transfer = await from.tcpSend({ host, port: PORT, octets: OCTETS });
    expect(transfer.received).toEqual({ octets: OCTETS, digest: transfer.digest });
    expect((await kernelCounters(peer)).get(OUT_SPI)).toBeGreaterThan(each + OCTETS / 1500);

    expect(await kernelFailures(peer)).toBe("");
    const { stdout: status } = await ours.cli("status");
    const outer = one.mode === "tunnel" ? " - [24]0 \\(IPv[46]\\)" : "";
    expect(status).toMatch(
      new RegExp(`inner MTU 14[0-9]{2} = 1500${outer} - [234][0-9] \\(AH\\), from the interface`),
    );
    const { drops } = await ours.status();
    expect(drops).not.toHaveProperty("notAuthentic");
    expect(drops).not.toHaveProperty("selectorMismatch");
  });
});
