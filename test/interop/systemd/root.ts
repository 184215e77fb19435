/** A minimal Debian root with systemd: made once by debootstrap, kept outside the project. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { run } from "../harness/command.ts";

/** Without nftables: the inbound filter's absence is what is met here. */
const PACKAGES = "systemd,systemd-sysv,dbus,udev,kmod,iproute2,iputils-ping,procps,libstdc++6";
const BUILD_MS = 600_000;

const cacheFolder = (): string =>
  join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "tungate-test");

/** @returns the folder of the root; whoever boots it writes into a layer above */
export async function systemdRoot(): Promise<string> {
  const suite = /^VERSION_CODENAME=(\S+)/m.exec(readFileSync("/etc/os-release", "utf8"))?.[1];
  if (suite === undefined)
    throw new Error("/etc/os-release names no suite: debootstrap does not know what to build");
  const mirror = await debianMirror(suite);
  const key = createHash("sha256").update(`${suite} ${PACKAGES}`).digest("hex").slice(0, 12);
  const root = join(cacheFolder(), `systemd-${suite}-${key}`);
  if (existsSync(root)) return root;
  const building = `${root}.${process.pid}`;
  mkdirSync(cacheFolder(), { recursive: true });
  try {
    await run(["debootstrap", "--variant=minbase", `--include=${PACKAGES}`, suite, building, mirror], {
      timeoutMs: BUILD_MS,
    });
    // Each boot is another machine, with names of its own.
    writeFileSync(join(building, "etc/machine-id"), "");
    writeFileSync(join(building, "etc/hostname"), "gateway\n");
    for (const path of ["etc/resolv.conf", "var/cache/apt/archives", "var/lib/apt/lists"])
      rmSync(join(building, path), { recursive: true, force: true });
    renameSync(building, root);
  } finally {
    rmSync(building, { recursive: true, force: true });
  }
  return root;
}

/** The mirror that this machine's own apt uses. */
async function debianMirror(suite: string): Promise<string> {
  const { stdout } = await run(
    [
      "apt-get",
      "indextargets",
      "--format",
      "$(REPO_URI)",
      "Identifier: Packages",
      `Codename: ${suite}`,
      "Component: main",
    ],
    { mayFail: true },
  );
  const mirror = stdout.split("\n").find((line) => !/security/.test(line) && line !== "");
  if (mirror === undefined)
    throw new Error(`apt has no source for ${suite} main, which debootstrap could use`);
  return mirror;
}
