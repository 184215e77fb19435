/** ESP with the Linux kernel under manual keys: raw and in UDP, three kinds of cipher, extended sequence numbers. */
import { createHash } from "node:crypto";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { Capture } from "./harness/capture.ts";
import { expectOnlyTunnel } from "./harness/checks.ts";
import { until } from "./harness/command.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";
import { KernelPeer } from "./kernel-peer/kernel-peer.ts";

interface Suite {
  readonly esp: string;
  /** Octets of each key, in our notation and in that of `ip xfrm`. */
  readonly keyLength: number;
  readonly integrityLength: number;
  readonly kernel: (key: string, integrityKey: string) => string;
}

const GCM: Suite = {
  esp: "aes256gcm16",
  keyLength: 36,
  integrityLength: 0,
  kernel: (key) => `aead 'rfc4106(gcm(aes))' 0x${key} 128`,
};
const GCM_128: Suite = { ...GCM, esp: "aes128gcm16", keyLength: 20 };
const CHACHA: Suite = {
  esp: "chacha20poly1305",
  keyLength: 36,
  integrityLength: 0,
  kernel: (key) => `aead 'rfc7539esp(chacha20,poly1305)' 0x${key} 128`,
};
const CBC: Suite = {
  esp: "aes256-sha256",
  keyLength: 32,
  integrityLength: 32,
  kernel: (key, integrityKey) => `enc 'cbc(aes)' 0x${key} auth-trunc 'hmac(sha256)' 0x${integrityKey} 128`,
};
const CBC_SHA512: Suite = {
  esp: "aes128-sha512",
  keyLength: 16,
  integrityLength: 64,
  kernel: (key, integrityKey) => `enc 'cbc(aes)' 0x${key} auth-trunc 'hmac(sha512)' 0x${integrityKey} 256`,
};

interface Case {
  readonly name: string;
  readonly suite: Suite;
  readonly encapsulation: "esp" | "udp";
  readonly outer: 4 | 6;
  readonly esn: boolean;
}

const CASES: readonly Case[] = [
  { name: "AES-256-GCM, raw ESP", suite: GCM, encapsulation: "esp", outer: 4, esn: false },
  { name: "AES-256-GCM, ESP in UDP", suite: GCM, encapsulation: "udp", outer: 4, esn: false },
  { name: "AES-128-GCM, raw ESP over IPv6", suite: GCM_128, encapsulation: "esp", outer: 6, esn: false },
  { name: "AES-256-GCM, ESP in UDP over IPv6", suite: GCM, encapsulation: "udp", outer: 6, esn: false },
  { name: "ChaCha20-Poly1305, raw ESP", suite: CHACHA, encapsulation: "esp", outer: 4, esn: false },
  { name: "ChaCha20-Poly1305, ESP in UDP", suite: CHACHA, encapsulation: "udp", outer: 4, esn: false },
  { name: "AES-256-CBC with HMAC-SHA2-256, raw ESP", suite: CBC, encapsulation: "esp", outer: 4, esn: false },
  {
    name: "AES-256-CBC with HMAC-SHA2-256, ESP in UDP",
    suite: CBC,
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
  { name: "AES-256-GCM, ESN, raw ESP", suite: GCM, encapsulation: "esp", outer: 4, esn: true },
  {
    name: "AES-256-CBC with HMAC-SHA2-256, ESN, ESP in UDP",
    suite: CBC,
    encapsulation: "udp",
    outer: 4,
    esn: true,
  },
];

const OUT_SPI = 0x1002;
const IN_SPI = 0x1001;
const LAN_4 = "10.2.0.1";
const LAN_6 = "2001:db8:2::1";
/** The kernel takes ESP in UDP from a socket with UDP_ENCAP (100) = ESPINUDP (2) only; perl is in every Debian. */
const UDP_SOCKETS = `use Socket; use Socket qw(inet_pton pack_sockaddr_in6);
for my $family (AF_INET, AF_INET6) {
  socket(my $socket, $family, SOCK_DGRAM, 0) or die;
  setsockopt($socket, 41, 26, pack("i", 1)) if $family == AF_INET6;
  bind($socket, $family == AF_INET ? pack_sockaddr_in(4500, INADDR_ANY) : pack_sockaddr_in6(4500, inet_pton(AF_INET6, "::"))) or die $!;
  setsockopt($socket, 17, 100, pack("i", 2)) or die $!;
  push @sockets, $socket;
}
sleep;`;

const keyOf = (name: string, length: number): string =>
  createHash("sha512")
    .update(name)
    .digest("hex")
    .padEnd(length * 2, "5a")
    .slice(0, length * 2);

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
    await peer.start(`perl -e ${JSON.stringify(UDP_SOCKETS.replaceAll("\n", " ")).replaceAll("$", "\\$")}`);
    ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
  });
  afterEach(() => ours.stop());
  afterAll(async () => {
    await ours.kill();
    await peer.stop();
    await sites.remove();
  });

  /** @param more - of the kernel's outbound SA */
  async function configureKernel(one: Case, more = ""): Promise<void> {
    const [own, other] = one.outer === 4 ? [SITE_B.outer4, SITE_A.outer4] : [SITE_B.outer6, SITE_A.outer6];
    const extra = [
      one.encapsulation === "udp" ? `encap espinudp 4500 4500 ${one.outer === 4 ? "0.0.0.0" : "::"}` : "",
      one.esn ? "replay-window 64 flag esn" : "replay-window 32",
      "flag af-unspec",
    ].join(" ");
    const state = (from: string, to: string, spi: number, direction: string) =>
      `ip xfrm state add src ${from} dst ${to} proto esp spi ${spi} reqid 1 mode tunnel ${one.suite.kernel(
        keyOf(`${direction} key`, one.suite.keyLength),
        keyOf(`${direction} integrity`, one.suite.integrityLength),
      )} ${extra.replace("flag esn flag af-unspec", "flag esn flag af-unspec")}`;
    const template = (from: string, to: string) => `tmpl src ${from} dst ${to} proto esp reqid 1 mode tunnel`;
    const policies = [
      [SITE_A.lan4, SITE_B.lan4],
      [SITE_A.lan6, SITE_B.lan6],
    ].flatMap(([a, b]) => [
      `ip xfrm policy add src ${b} dst ${a} dir out ${template(own, other)}`,
      `ip xfrm policy add src ${a} dst ${b} dir in ${template(other, own)}`,
    ]);
    await peer.run(
      [
        "set -e",
        "ip xfrm state flush",
        "ip xfrm policy flush",
        `${state(own, other, IN_SPI, "in")} ${more}`,
        state(other, own, OUT_SPI, "out"),
        ...policies,
      ].join("\n"),
    );
  }

  /** @param more - a line of the child */
  function settings(one: Case, more: string): string {
    const side = (spi: number, direction: string) => {
      const integrity =
        one.suite.integrityLength === 0
          ? ""
          : `, integrity_key: "${keyOf(`${direction} integrity`, one.suite.integrityLength)}"`;
      return `{ spi: ${spi}, esp: ${one.suite.esp}${one.esn ? "-esn" : ""}, key: "${keyOf(`${direction} key`, one.suite.keyLength)}"${integrity} }`;
    };
    const [own, other] = one.outer === 4 ? [SITE_A.outer4, SITE_B.outer4] : [SITE_A.outer6, SITE_B.outer6];
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
        out: ${side(OUT_SPI, "out")}
        in: ${side(IN_SPI, "in")}
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

  const counters = async (): Promise<Map<number, number>> => {
    const { stdout } = await peer.run("ip -s xfrm state");
    return new Map(
      [
        ...stdout.matchAll(
          /proto esp spi (0x[0-9a-f]+)[\s\S]*?lifetime current:\s+\d+\(bytes\), (\d+)\(packets\)/g,
        ),
      ].map(([, spi, packets]) => [Number(spi), Number(packets)]),
    );
  };

  test.each(CASES.map((one) => [one.name, one] as const))("%s", async (_name, one) => {
    await configureKernel(one);
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
    expect(await counters()).toEqual(
      new Map([
        [IN_SPI, 12],
        [OUT_SPI, 12],
      ]),
    );
    const failures = await peer.run(
      "awk '$2 != 0 && /Error|Invalid|Mismatch|NoStates|NoPols|Seq/' /proc/net/xfrm_stat",
    );
    expect(failures.stdout).toBe("");
  });

  test("a TCP transfer through the kernel's ESP arrives whole", async () => {
    await configureKernel(CASES[0]!);
    await start(CASES[0]!);

    const agent = peer.putFile(join(import.meta.dirname, "harness/traffic-agent.mjs"));
    await peer.start(
      `(echo '{"id":1,"command":"tcpServe","port":5001}'; sleep 60) | ${process.execPath} ${agent}`,
    );
    await until(
      "the receiver listens",
      async () => (await peer.run("ss -Hltn 'sport = :5001'")).stdout !== "",
    );

    const transfer = await (await sites.a.traffic()).tcpSend({ host: LAN_4, port: 5001, octets: 4_000_000 });

    expect(transfer.received).toEqual({ octets: 4_000_000, digest: transfer.digest });
  });

  test("after a crash the numbers go on beyond all that were used", async () => {
    await configureKernel(CASES[9]!);
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
    await configureKernel(CASES[0]!);
    const wrong = {
      ...CASES[0]!,
      suite: { ...GCM, kernel: (key: string) => GCM.kernel(key.replaceAll("0", "1"), "") },
    };
    await configureKernel(wrong);
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
    await configureKernel(CASES[0]!, "tfcpad 1200");
    await start(CASES[0]!, false, "tfc: { pad: mtu, dummies: 20 }");
    const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));
    const before = await errors();

    for (const words of [[], ["-s", "1000"]]) expect(await sites.a.host.ping(LAN_4, words)).toBe(true);
    expect(await sites.a.host.ping(LAN_6, ["-s", "300"])).toBe(true);
    await until("the kernel has seen 20 dummies", async () => (await errors()) >= before + 20, 10_000);
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
