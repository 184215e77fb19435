/** What a test file needs of the machine: missing things skip it and are listed, or fail it where CI=true. */
import { spawnSync } from "node:child_process";
import { accessSync, appendFileSync, constants, existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, describe, test } from "vitest";
import { removeNamespaces } from "./namespace.ts";
import { testimony } from "./witness.ts";

export const ROOT = join(import.meta.dirname, "../../..");
/** Without options, as in bin/tungate and as the code beside dist/ was compiled. */
export const PROGRAM: readonly string[] = [process.execPath, join(ROOT, "dist/cli/main.js")];

const command = (name: string) => () =>
  ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/bin"].some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

const MOUNTS_OF_CONTAINERS = `
  mount -t cgroup2 cgroup2 /mnt
  mount -t tmpfs tmpfs /mnt
  mkdir /mnt/upper /mnt/work /mnt/new
  mount -t overlay -o lowerdir=/usr,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/new`;

const NEEDS = {
  root: { words: "root (network namespaces)", isThere: () => process.getuid?.() === 0 },
  namespaces: {
    words: "the right to make network namespaces",
    isThere: () => spawnSync("unshare", ["-n", "true"]).status === 0,
  },
  tun: { words: "/dev/net/tun", isThere: () => existsSync("/dev/net/tun") },
  nft: { words: "nft (package nftables)", isThere: command("nft") },
  dnsmasq: { words: "dnsmasq (scripts/setup --tests)", isThere: command("dnsmasq") },
  prometheus: {
    words: "prometheus and promtool (scripts/setup --tests)",
    isThere: () => command("prometheus")() && command("promtool")(),
  },
  tcpdump: { words: "tcpdump", isThere: command("tcpdump") },
  tshark: { words: "tshark (scripts/setup --tests)", isThere: command("tshark") },
  build: {
    words: "the build (scripts/setup)",
    isThere: () =>
      existsSync(join(ROOT, "dist/cli/main.js")) && existsSync(join(ROOT, "native/build/Release")),
  },
  load: {
    words: "iperf3 and g++ (scripts/setup --tests)",
    isThere: () => command("iperf3")() && command("g++")(),
  },
  strongswan: {
    words: "strongSwan with kernel-libipsec (scripts/setup --tests)",
    isThere: () =>
      existsSync("/usr/lib/ipsec/charon") &&
      existsSync("/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so") &&
      command("swanctl")(),
  },
  kernelPeer: {
    words: "user-mode-linux (scripts/setup --tests)",
    isThere: () => command("linux.uml")() && existsSync("/usr/lib/uml/modules"),
  },
  containers: {
    words: "the right to mount cgroup2 and an overlay",
    isThere: () => spawnSync("unshare", ["--mount", "sh", "-ec", MOUNTS_OF_CONTAINERS]).status === 0,
  },
  debootstrap: { words: "debootstrap (scripts/setup --tests)", isThere: command("debootstrap") },
} as const;

export type Need = keyof typeof NEEDS;

/** A `describe` for a test file that needs these things besides root; removes all namespaces at its end. */
export function describeWith(needs: readonly Need[], name: string, body: () => void): void {
  const missing = (["root", "namespaces", ...needs] as Need[]).filter((need) => !NEEDS[need].isThere());
  const reason = `${name}: needs ${missing.map((need) => NEEDS[need].words).join(", ")}`;
  if (missing.length > 0 && process.env["CI"] === "true") {
    test(name, () => {
      throw new Error(reason);
    });
    return;
  }
  const list = process.env["TUNGATE_SKIPPED"];
  if (missing.length > 0 && list !== undefined) appendFileSync(list, `${reason}\n`);
  describe.skipIf(missing.length > 0)(name, () => {
    afterAll(removeNamespaces);
    afterEach(({ task }) => {
      if (task.result?.state === "fail") console.error(`${task.name}\n${testimony()}`);
    });
    body();
  });
}
