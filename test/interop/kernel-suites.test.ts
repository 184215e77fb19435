/** Every ESP suite that the Linux kernel has too, under manual keys: one child each, all of them at once in one guest. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CRYPTO_VARIABLE } from "../../src/io/crypto-provider.ts";
import { addonPath } from "../../src/io/native.ts";
import { Capture, type Frame } from "./harness/capture.ts";
import { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { SITE_A, SITE_B, TwoSites } from "./harness/two-sites.ts";
import { KernelPeer } from "./kernel-peer/kernel-peer.ts";

interface Suite {
  readonly esp: string;
  /** Octets of the cipher's key with its salt, and of the integrity algorithm's. */
  readonly keyLength: number;
  readonly integrityLength: number;
  /** In the words of `ip xfrm`. */
  readonly kernel: (key: string, integrityKey: string) => string;
  readonly esn: boolean;
  /** Octets around and in front of the payload: IV, and check value. */
  readonly ivLength: number;
  readonly icvLength: number;
  readonly blockSize: number;
}

function combined(esp: string, name: string, keyLength: number, icvLength: number, esn = false): Suite {
  const kernel = (key: string) => `aead ${name} 0x${key} ${icvLength * 8}`;
  return { esp, keyLength, integrityLength: 0, kernel, esn, ivLength: 8, icvLength, blockSize: 4 };
}

interface Cipher {
  readonly word: string;
  readonly name: string;
  readonly keyLength: number;
  readonly ivLength: number;
  readonly blockSize: number;
}
interface Mac {
  readonly word: string;
  readonly name: string;
  readonly keyLength: number;
  readonly icvLength: number;
}

const cbc = (bits: number): Cipher => ({
  word: `aes${bits}`,
  name: "cbc(aes)",
  keyLength: bits / 8,
  ivLength: 16,
  blockSize: 16,
});
const ctr = (bits: number): Cipher => ({
  word: `aes${bits}ctr`,
  name: "rfc3686(ctr(aes))",
  keyLength: bits / 8 + 4,
  ivLength: 8,
  blockSize: 4,
});
const TRIPLE_DES: Cipher = { word: "3des", name: "cbc(des3_ede)", keyLength: 24, ivLength: 8, blockSize: 8 };
const SHA1: Mac = { word: "sha1", name: "hmac(sha1)", keyLength: 20, icvLength: 12 };
const SHA256: Mac = { word: "sha256", name: "hmac(sha256)", keyLength: 32, icvLength: 16 };
const SHA384: Mac = { word: "sha384", name: "hmac(sha384)", keyLength: 48, icvLength: 24 };
const SHA512: Mac = { word: "sha512", name: "hmac(sha512)", keyLength: 64, icvLength: 32 };
const XCBC: Mac = { word: "aesxcbc", name: "xcbc(aes)", keyLength: 16, icvLength: 12 };
const CMAC: Mac = { word: "aescmac", name: "cmac(aes)", keyLength: 16, icvLength: 12 };

function paired(cipher: Cipher, mac: Mac, esn = false): Suite {
  return {
    esp: `${cipher.word}-${mac.word}`,
    keyLength: cipher.keyLength,
    integrityLength: mac.keyLength,
    kernel: (key, integrityKey) =>
      `enc ${cipher.name} 0x${key} auth-trunc ${mac.name} 0x${integrityKey} ${mac.icvLength * 8}`,
    esn,
    ivLength: cipher.ivLength,
    icvLength: mac.icvLength,
    blockSize: cipher.blockSize,
  };
}

const GCM = "rfc4106(gcm(aes))";
const CCM = "rfc4309(ccm(aes))";
const GMAC = "rfc4543(gcm(aes))";
const SUITES: readonly Suite[] = [
  combined("aes128gcm8", GCM, 20, 8),
  combined("aes192gcm12", GCM, 28, 12),
  combined("aes256gcm16", GCM, 36, 16, true),
  combined("aes128ccm8", CCM, 19, 8),
  combined("aes192ccm12", CCM, 27, 12, true),
  combined("aes256ccm16", CCM, 35, 16),
  combined("aes128gmac", GMAC, 20, 16),
  combined("aes192gmac", GMAC, 28, 16),
  combined("aes256gmac", GMAC, 36, 16, true),
  paired(ctr(128), SHA1),
  paired(ctr(256), SHA256, true),
  paired(ctr(192), XCBC),
  paired(cbc(128), SHA1, true),
  paired(cbc(192), SHA384),
  paired(cbc(256), SHA512, true),
  paired(cbc(128), XCBC, true),
  paired(cbc(256), CMAC),
  paired(TRIPLE_DES, SHA1),
  paired(TRIPLE_DES, SHA256),
];

const SMALL = 56;
const LARGE = 1300;
const address = (index: number) => `10.2.${100 + index}.1`;
const spiOf = (index: number, direction: "in" | "out") => 0x2000 + 2 * index + (direction === "out" ? 1 : 0);
const keyOf = (index: number, name: string, length: number): string =>
  createHash("shake256", { outputLength: Math.max(1, length) })
    .update(`${name} ${index}`)
    .digest("hex")
    .slice(0, 2 * length);

/** Octets of an ESP packet with a ping of `size` octets inside [ESP-09]. */
function espLength({ ivLength, icvLength, blockSize }: Suite, size: number): number {
  const inner = 20 + 8 + size + 2;
  return 8 + ivLength + Math.ceil(inner / blockSize) * blockSize + icvLength;
}

function settings(): string {
  const side = (suite: Suite, index: number, direction: "in" | "out") => {
    const key = keyOf(index, `${direction} key`, suite.keyLength);
    const integrity = keyOf(index, `${direction} integrity`, suite.integrityLength);
    const more = integrity === "" ? "" : `, integrity_key: "${integrity}"`;
    const esp = `${suite.esp}${suite.esn ? "-esn" : ""}`;
    return `{ spi: ${spiOf(index, direction)}, esp: ${esp}, key: "${key}"${more} }`;
  };
  const children = SUITES.map(
    (suite, index) => `      s${index}:
        local: ["${SITE_A.lan4}"]
        remote: ["${address(index)}"]
        out: ${side(suite, index, "out")}
        in: ${side(suite, index, "in")}
        state: numbers-${index}
`,
  );
  return `version: 1
gateway: { listen: ["${SITE_A.outer4}"] }
connections:
  kernel:
    remote: { address: "${SITE_B.outer4}" }
    encapsulation: esp
    manual:
${children.join("")}`;
}

/** For `ip -batch`: a process for each line takes a guest long. */
function kernelBatch(): string {
  const state = (suite: Suite, index: number, direction: "in" | "out") => {
    const [from, to] = direction === "out" ? [SITE_A.outer4, SITE_B.outer4] : [SITE_B.outer4, SITE_A.outer4];
    const algorithms = suite.kernel(
      keyOf(index, `${direction} key`, suite.keyLength),
      keyOf(index, `${direction} integrity`, suite.integrityLength),
    );
    const window = suite.esn ? "replay-window 64 flag esn" : "replay-window 32";
    return `xfrm state add src ${from} dst ${to} proto esp spi ${spiOf(index, direction)} reqid ${index + 1} mode tunnel ${algorithms} ${window}`;
  };
  const lines = SUITES.flatMap((suite, index) => {
    const own = `${address(index)}/32`;
    const template = `proto esp reqid ${index + 1} mode tunnel`;
    return [
      `addr add ${own} dev lo`,
      state(suite, index, "out"),
      state(suite, index, "in"),
      `xfrm policy add src ${own} dst ${SITE_A.lan4} dir out tmpl src ${SITE_B.outer4} dst ${SITE_A.outer4} ${template}`,
      `xfrm policy add src ${SITE_A.lan4} dst ${own} dir in tmpl src ${SITE_A.outer4} dst ${SITE_B.outer4} ${template}`,
    ];
  });
  return [
    `addr add ${SITE_B.outer4}/24 dev eth0`,
    `route add ${SITE_A.lan4} via ${SITE_A.outer4}`,
    ...lines,
  ].join("\n");
}

describeWith(["tun", "build", "tcpdump", "kernelPeer"], "the Linux kernel's suites, manual keys", () => {
  let sites: TwoSites;
  let peer: KernelPeer;
  let ours: Gateway;
  /** Of each suite: whether three small and three large pings were answered. */
  let answered: readonly (readonly boolean[])[];
  let frames: readonly Frame[];
  let counters: string;

  beforeAll(async () => {
    sites = await TwoSites.create({ withWire: false });
    peer = await KernelPeer.boot(sites.a.gateway, join(sites.folder, "peer"));
    ours = new Gateway(sites.a.gateway, join(sites.folder, "tungate"));
    await sites.a.gateway.ip(`
      addr add ${SITE_A.outer4}/24 dev wan0
      route add default via ${SITE_B.outer4}`);
    await peer.run(`ip -batch - <<'END'\n${kernelBatch()}\nEND\n`, { timeoutMs: 100_000 });
    for (const index of SUITES.keys()) ours.writeSecret(`numbers-${index}`, "next 1\n");
    // A configuration with keys inside is a secret.
    ours.launch(settings(), {
      before: `chown 64997:64997 "$CONFIGURATION"; chmod 600 "$CONFIGURATION"`,
      env: { [CRYPTO_VARIABLE]: "ipsec-mb" },
    });
    await ours.isReady();
    const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wan.pcap"));
    // All of them at once: the emulated processor takes as long as it takes.
    const ping = (index: number, size: number) =>
      sites.a.host.ping(address(index), ["-s", String(size), "-W", "30"]);
    answered = await Promise.all(
      SUITES.map(async (_, index) => [await ping(index, SMALL), await ping(index, LARGE)]),
    );
    frames = (await capture.stop()).filter(({ kind }) => kind === "esp");
    counters = (await peer.run("ip -s xfrm state")).stdout;
  });
  afterAll(async () => {
    await ours.kill();
    await peer.stop();
    await sites.remove();
  });

  test.each(SUITES.map((suite, index) => ({ ...suite, index })))(
    "[ESP-19] [ESP-20] [ESP-22] [ESP-23] $esp, ESN $esn: each end opens what the other seals, of the length that it must have",
    ({ index, ...suite }) => {
      expect(answered[index]).toEqual([true, true]);
      for (const direction of ["in", "out"] as const) {
        const spi = spiOf(index, direction);
        const own = frames.filter(({ payload }) => payload.readUInt32BE(0) === spi);
        const lengths = new Set(own.map(({ payload }) => payload.length));
        expect(lengths, direction).toEqual(new Set([espLength(suite, SMALL), espLength(suite, LARGE)]));
        const hex = spi.toString(16).padStart(8, "0");
        const counted = new RegExp(`spi 0x${hex}[\\s\\S]*?current:\\s+\\d+\\(bytes\\), (\\d+)\\(packets\\)`);
        expect(counted.exec(counters)?.[1], direction).toBe("6");
      }
    },
  );

  test("libipsec-mb does all of it where it is there, and says so", async () => {
    const isBuilt = existsSync(join(dirname(addonPath()), "tungate_ipsec_mb.node"));
    expect((await ours.status()).engine).toMatch(isBuilt ? /^libipsec-mb \d/ : /^OpenSSL \d/);
  });

  test("the kernel counted no error", async () => {
    const failures = await peer.run(
      "awk '$2 != 0 && /Error|Invalid|Mismatch|NoStates|NoPols|Seq/' /proc/net/xfrm_stat",
    );
    expect(failures.stdout).toBe("");
  });

  test("[ESP-25] 3DES and what encrypts nothing were warned of at the start, nothing else was", () => {
    const warned = new Set(
      Array.from(ours.log().matchAll(/(\S+) (?:is weak|encrypts nothing)/g), ([, word]) => word),
    );
    expect(warned).toEqual(new Set(["3des", "aes128gmac", "aes192gmac", "aes256gmac"]));
  });
});
