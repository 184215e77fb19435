/** wireguard-go: the system's, and another one that is given; they differ by years and by several times in speed. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BackgroundProcess, run, until } from "../../test/interop/harness/command.ts";
import type { TwoSites } from "../../test/interop/harness/two-sites.ts";
import { ends, LOG_TAIL, type Peer, type RunningPeer, type Side, there } from "./peer.ts";

const PORT = 51_820;
const MTU = 1420;
/** The month from which on it uses offloads. */
const OFFLOADS_SINCE = "202304";
export const WIREGUARD = "wireguard-go";

/** wireguard-go's sockets are files with the device's name, whatever the namespace is. */
const deviceOf = (side: Side): string => `tgb${process.pid}${side}`;

async function start(sites: TwoSites, side: Side, program: string): Promise<RunningPeer> {
  const [own, other] = ends(sites, side);
  const keys = await keysFor(sites);
  const device = deviceOf(side);
  const folder = join(sites.folder, side);
  mkdirSync(folder, { recursive: true });
  const daemon = new BackgroundProcess(
    own.gateway.command([program, "-f", device]),
    join(folder, "wireguard.log"),
    { LOG_LEVEL: "error" },
  );
  await until(
    "wireguard-go answers",
    () => {
      if (daemon.exitStatus !== undefined) throw new Error(`wireguard-go ended: ${daemon.log()}`);
      return existsSync(`/var/run/wireguard/${device}.sock`);
    },
    5_000,
    () => daemon.log(),
  );
  const keyPath = join(folder, "key");
  writeFileSync(keyPath, keys[side].privateKey, { mode: 0o600 });
  await own.gateway.run([
    ...["wg", "set", device, "listen-port", `${PORT}`, "private-key", keyPath],
    ...["peer", keys[side === "a" ? "b" : "a"].publicKey, "allowed-ips", other.addresses.lan4],
    ...["endpoint", `${other.addresses.outer4}:${PORT}`],
  ]);
  await own.gateway.ip(`link set ${device} mtu ${MTU} up\nroute add ${other.addresses.lan4} dev ${device}`);
  return {
    pids: () => [daemon.pid],
    log: () => daemon.log().slice(-LOG_TAIL),
    stop: async () => void (await daemon.stop("SIGTERM")),
  };
}

interface KeyPair {
  readonly privateKey: string;
  readonly publicKey: string;
}
const keysOf = new WeakMap<TwoSites, { readonly a: KeyPair; readonly b: KeyPair }>();

async function keysFor(sites: TwoSites): Promise<{ readonly a: KeyPair; readonly b: KeyPair }> {
  const known = keysOf.get(sites);
  if (known !== undefined) return known;
  const pair = async (): Promise<KeyPair> => {
    const privateKey = (await run(["wg", "genkey"])).stdout;
    return { privateKey, publicKey: (await run(["wg", "pubkey"], { input: privateKey })).stdout.trim() };
  };
  const keys = { a: await pair(), b: await pair() };
  keysOf.set(sites, keys);
  return keys;
}

/** `20250522` of `wireguard-go v0.0.20250522`; `undefined` when it does not say. */
function dateOf(program: string): string | undefined {
  const { stdout } = spawnSync(program, ["--version"], { encoding: "utf8" });
  return / v\d+\.\d+\.(\d{8})/.exec(stdout ?? "")?.[1];
}

export interface Wireguard extends Peer {
  /** It uses segmentation offloads, as those of 2023 and later do. */
  readonly hasOffloads: boolean;
}

/** @param given  a program besides the system's */
export function wireguards(given: string | undefined): readonly Wireguard[] {
  return [WIREGUARD, ...(given === undefined ? [] : [given])].map((program) => {
    const date = there(program) ? dateOf(program) : undefined;
    return {
      name: date === undefined ? WIREGUARD : `${WIREGUARD} ${date.slice(0, 4)}`,
      hasOffloads: date !== undefined && date >= OFFLOADS_SINCE,
      handshakePort: PORT,
      missing: () =>
        !there(program)
          ? `${program} (scripts/setup --tests)`
          : !there("wg")
            ? "wg (scripts/setup --tests)"
            : undefined,
      prepare: (sites) => start(sites, "b", program),
      start: (sites) => start(sites, "a", program),
    };
  });
}
