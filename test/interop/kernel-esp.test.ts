/** ESP with the Linux kernel under manual keys: raw and in UDP, three kinds of cipher, extended sequence numbers. */
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Capture } from "./harness/capture.ts";
import { expectOnlyTunnel } from "./harness/checks.ts";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";
import { serveTcp } from "./kernel-peer/kernel-host.ts";
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

const GCM_128: ManualSuite = { ...GCM_256, ours: "esp: aes128gcm16", keyLength: 20 };
const CHACHA: ManualSuite = {
  ours: "esp: chacha20poly1305",
  keyLength: 36,
  integrityLength: 0,
  kernel: (key) => `aead 'rfc7539esp(chacha20,poly1305)' 0x${key} 128`,
};
const CBC_SHA512: ManualSuite = {
  ours: "esp: aes128-sha512",
  keyLength: 16,
  integrityLength: 64,
  kernel: (key, integrityKey) => `enc 'cbc(aes)' 0x${key} auth-trunc 'hmac(sha512)' 0x${integrityKey} 256`,
};
const CBC_ESN: ManualSuite = { ...CBC_256_SHA_256, ours: "esp: aes256-sha256-esn" };

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
  { name: "AES-128-GCM, raw ESP over IPv6", suite: GCM_128, encapsulation: "esp", outer: 6, esn: false },
  { name: "AES-256-GCM, ESP in UDP over IPv6", suite: GCM_256, encapsulation: "udp", outer: 6, esn: false },
  { name: "ChaCha20-Poly1305, raw ESP", suite: CHACHA, encapsulation: "esp", outer: 4, esn: false },
  { name: "ChaCha20-Poly1305, ESP in UDP", suite: CHACHA, encapsulation: "udp", outer: 4, esn: false },
  {
    name: "AES-256-CBC with HMAC-SHA2-256, raw ESP",
    suite: CBC_256_SHA_256,
    encapsulation: "esp",
    outer: 4,
    esn: false,
  },
  {
    name: "AES-256-CBC with HMAC-SHA2-256, ESP in UDP",
    suite: CBC_256_SHA_256,
    encapsulation: "udp",
    outer: 4,
    esn: false,
  },
  {
    name: "AES-128-CBC with HMAC-SHA2-512, raw ESP over IPv6",
    suite: CBC_SHA512,
    encapsulation: "esp",
    outer: 6,
    esn: false,
  },
  { name: "AES-256-GCM, ESN, raw ESP", suite: GCM_256_ESN, encapsulation: "esp", outer: 4, esn: true },
  {
    name: "AES-256-CBC with HMAC-SHA2-256, ESN, ESP in UDP",
    suite: CBC_ESN,
    encapsulation: "udp",
    outer: 4,
    esn: true,
  },
];

const LAN_4 = "10.2.0.1";
const LAN_6 = "2001:db8:2::1";
const PORT = 5001;

describeWith(["tun", "build", "tcpdump", "kernelPeer"], "the Linux kernel's ESP, manual keys", () => {
  let sites: TwoSites;
  let peer: KernelPeer;
  let ours: Gateway;

  beforeAll(async () => {
    sites = await TwoSites.create({ withWire: false });
    peer = await KernelPeer.boot(sites.a.gateway, join(sites.folder, "peer"));
    await sites.a.gateway.ip(`
      addr add ${SITE_A.outer4}/24 dev wan0
      addr add ${SITE_A.outer6}/64 dev wan0 nodad
      route add default via ${SITE_B.outer4}
      route add default via ${SITE_B.outer6}`);
    await peer.run(`
      ip addr add ${SITE_B.outer4}/24 dev eth0
      ip addr add ${SITE_B.outer6}/64 dev eth0 nodad
      ip addr add ${LAN_4}/32 dev lo
      ip addr add ${LAN_6}/128 dev lo nodad
      ip route add ${SITE_A.lan4} via ${SITE_A.outer4} src ${LAN_4}
      ip route add ${SITE_A.lan6} via ${SITE_A.outer6} src ${LAN_6}`);
    await openEncapsulationSockets(peer);
    ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
  });
  afterEach(() => ours.stop());
  afterAll(async () => {
    await ours.kill();
    await peer.stop();
    await sites.remove();
  });

  const ends = ({ outer }: Case): readonly [own: string, other: string] =>
    outer === 4 ? [SITE_A.outer4, SITE_B.outer4] : [SITE_A.outer6, SITE_B.outer6];

  /** @param outbound - more of the kernel's outbound SA */
  async function configure(one: Case, outbound = ""): Promise<void> {
    const [own, other] = ends(one);
    const selectors = [
      [SITE_B.lan4, SITE_A.lan4],
      [SITE_B.lan6, SITE_A.lan6],
    ] as const;
    const between = { own: other, other: own, selectors, outbound };
    await configureKernel(peer, { ...one, ...between, protocol: "esp", mode: "tunnel" });
  }

  /** @param more - a line of the child */
  function settings(one: Case, more: string): string {
    const [own, other] = ends(one);
    return `version: 1
gateway: { listen: ["${own}"] }
connections:
  kernel:
    remote: { address: "${other}" }
    encapsulation: ${one.encapsulation}
    manual:
      lan:
        local: ["${SITE_A.lan4}", "${SITE_A.lan6}"]
        remote: ["${SITE_B.lan4}", "${SITE_B.lan6}"]
        out: ${ourSide(one.suite, OUT_SPI, "out")}
        in: ${ourSide(one.suite, IN_SPI, "in")}
        state: sequence-numbers
        ${more}
`;
  }

  /** A configuration with keys inside is a secret. `used`: the keys were in use before, and the state file knows. */
  async function start(one: Case, used = false, more = ""): Promise<void> {
    if (!used) ours.writeSecret("sequence-numbers", "next 1\n");
    ours.launch(settings(one, more), {
      before: `chown 64997:64997 "$CONFIGURATION"; chmod 600 "$CONFIGURATION"`,
    });
    await ours.isReady();
  }

  test.each(CASES.map((one) => [one.name, one] as const))("%s", async (_name, one) => {
    await configure(one);
    await start(one);
    const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));

    expect(await sites.a.host.ping(LAN_4)).toBe(true);
    expect(await sites.a.host.ping(LAN_6, ["-s", "1300"])).toBe(true);
    await peer.run(
      `ping -q -c 3 -i 0.2 -W 2 ${SITE_A.host4} && ping -q -c 3 -i 0.2 -W 2 -s 1300 ${SITE_A.host6}`,
    );
    const frames = await capture.stop();

    expectOnlyTunnel(frames, 24);
    expect(
      frames
        .filter((frame) => frame.kind === "esp")
        .every((frame) => frame.isEncapsulated === (one.encapsulation === "udp")),
    ).toBe(true);
    expect(await kernelCounters(peer)).toEqual(
      new Map([
        [IN_SPI, 12],
        [OUT_SPI, 12],
      ]),
    );
    expect(await kernelFailures(peer)).toBe("");
  });

  test("a TCP transfer through the kernel's ESP arrives whole", async () => {
    await configure(CASES[0]!);
    await start(CASES[0]!);

    await serveTcp(peer, PORT);

    const transfer = await (await sites.a.traffic()).tcpSend({ host: LAN_4, port: PORT, octets: 4_000_000 });

    expect(transfer.received).toEqual({ octets: 4_000_000, digest: transfer.digest });
  });

  test("after a crash the numbers go on beyond all that were used", async () => {
    await configure(CASES[9]!);
    await start(CASES[9]!);
    const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));
    expect(await sites.a.host.ping(LAN_4)).toBe(true);

    await ours.kill();
    await start(CASES[9]!, true);
    expect(await sites.a.host.ping(LAN_4)).toBe(true);

    const numbers = (await capture.stop())
      .filter((frame) => frame.kind === "esp" && frame.source === SITE_A.outer4)
      .map((frame) => frame.payload.readUInt32BE(4));
    expect(numbers).toHaveLength(6);
    expect(new Set(numbers).size).toBe(6);
    expect(Math.min(...numbers.slice(3))).toBeGreaterThan(Math.max(...numbers.slice(0, 3)));
  });

  test("keys that do not fit are dropped and counted on our side, and nothing passes", async () => {
    await configure(CASES[0]!);
    const wrong = {
      ...CASES[0]!,
      suite: { ...GCM_256, kernel: (key: string) => GCM_256.kernel(key.replaceAll("0", "1"), "") },
    };
    await configure(wrong);
    await start(CASES[0]!);

    await peer.run(`ping -q -c 3 -i 0.2 -W 1 ${SITE_A.host4}`, { mayFail: true });

    expect((await ours.status()).drops["notAuthentic"]).toBe(3);
    expect(await sites.a.host.ping(LAN_4)).toBe(false);
  });

  // The last one: the kernel counts dummies as errors, and other tests look for errors.
  test("[ESP-10] [ESP-11] padding both ways, and dummies, which the kernel drops", async () => {
    const errors = async () =>
      Number(
        (await peer.run("awk '$1 == \"XfrmInStateProtoError\" { print $2 }' /proc/net/xfrm_stat")).stdout,
      );
    await configure(CASES[0]!, "tfcpad 1200");
    await start(CASES[0]!, false, "tfc: { pad: mtu, dummies: 20 }");
    const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));
    const before = await errors();

    for (const words of [[], ["-s", "1000"]]) expect(await sites.a.host.ping(LAN_4, words)).toBe(true);
    expect(await sites.a.host.ping(LAN_6, ["-s", "300"])).toBe(true);
    await until("the kernel has seen 20 dummies", async () => (await errors()) >= before + 20);
    const esp = (await capture.stop()).filter(({ kind }) => kind === "esp");

    const lengths = (source: string) => [
      ...new Set(esp.filter((one) => one.source === source).map(({ length }) => length)),
    ];
    expect(lengths(SITE_A.outer4)).toHaveLength(1);
    expect(lengths(SITE_A.outer4)[0]).toBeGreaterThan(1480);
    expect(lengths(SITE_B.outer4)).toHaveLength(1);
    expect(lengths(SITE_B.outer4)[0]).toBeGreaterThan(1200);
  });
});
