/** What is compared: how each peer is started on both gateways, and what is missing for it. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BackgroundProcess, run, until } from "../../test/interop/harness/command.ts";
import { Gateway } from "../../test/interop/harness/gateway.ts";
import { type PeerConnection, StrongSwan } from "../../test/interop/harness/strongswan.ts";
import { SITE_A, SITE_B, type Site, type TwoSites } from "../../test/interop/harness/two-sites.ts";

const ROOT = join(import.meta.dirname, "../..");
const LOG_OCTETS = 2000;
const SECRET = "a key for measuring and for nothing else";

export interface PeerOptions {
  readonly wireguard: string;
  /** Strongswan's keyword of an AEAD, for ours and for strongSwan. */
  readonly cipher: string;
}

/** A tunnel that is being set up; `pids` are the gateway processes once they run. */
export interface RunningPeer {
  /** @throws Error when one of them has ended */
  pids(): readonly number[];
  /** The last words of its log. */
  log(): string;
  stop(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  /** The UDP port of its handshake on the wire; absent where there is none. */
  readonly handshakePort?: number;
  /** In words what it needs and is not there. */
  missing(options: PeerOptions): string | undefined;
  /** Makes gateway B ready to answer. */
  prepare(sites: TwoSites, options: PeerOptions): Promise<RunningPeer>;
  /** Starts gateway A, which begins the handshake; waits for no more than the peer makes necessary. */
  start(sites: TwoSites, options: PeerOptions): Promise<RunningPeer>;
}

const there = (program: string): boolean =>
  program.includes("/")
    ? existsSync(program)
    : ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin"].some((folder) =>
        existsSync(join(folder, program)),
      );

const NOTHING: RunningPeer = { pids: () => [], log: () => "", stop: () => Promise.resolve() };

const plain: Peer = {
  name: "plain",
  missing: () => undefined,
  prepare: async (sites) => {
    await sites.b.gateway.ip(`route add ${SITE_A.lan4} via ${SITE_A.outer4}`);
    return NOTHING;
  },
  start: async (sites) => {
    await sites.a.gateway.ip(`route add ${SITE_B.lan4} via ${SITE_B.outer4}`);
    return NOTHING;
  },
};

function ourConfiguration(own: Site, other: Site, isInitiator: boolean, cipher: string): string {
  return `version: 1
gateway:
  listen: [${own.addresses.outer4}]
connections:
  bench:
    local: { id: "ip:${own.addresses.outer4}" }
    remote: { address: ${other.addresses.outer4}, id: "ip:${other.addresses.outer4}" }
    psk: { file: key }
    keep: ${isInitiator ? "up" : "respond"}
    children:
      lan: { local: [${own.addresses.lan4}], remote: [${other.addresses.lan4}], esp: [${cipher}-x25519] }
`;
}

async function ourGateway(sites: TwoSites, side: "a" | "b", options: PeerOptions): Promise<RunningPeer> {
  const [own, other] = side === "a" ? [sites.a, sites.b] : [sites.b, sites.a];
  const gateway = new Gateway(own.gateway, join(sites.folder, side));
  gateway.writeSecret("key", SECRET);
  const configuration = ourConfiguration(own, other, side === "a", options.cipher);
  if (side === "b") await gateway.start(configuration);
  else gateway.launch(configuration);
  const { process } = gateway;
  return {
    pids: () => {
      if (process.exitStatus !== undefined)
        throw new Error(`gateway ${side} ended: ${gateway.log().slice(-LOG_OCTETS)}`);
      return [process.pid];
    },
    log: () => gateway.log().slice(-LOG_OCTETS),
    stop: async () => void (await gateway.stop()),
  };
}

const ours: Peer = {
  name: "ours",
  handshakePort: 500,
  missing: () =>
    existsSync(join(ROOT, "dist/cli/main.js")) && existsSync(join(ROOT, "native/build/Release/tungate.node"))
      ? undefined
      : "the build (scripts/setup)",
  prepare: (sites, options) => ourGateway(sites, "b", options),
  start: (sites, options) => ourGateway(sites, "a", options),
};

function strongSwanConnection(own: Site, other: Site, cipher: string): PeerConnection {
  return {
    local: own.addresses.outer4,
    remote: other.addresses.outer4,
    localId: own.addresses.outer4,
    remoteId: other.addresses.outer4,
    secret: SECRET,
    ike: "aes256gcm16-prfsha384-x25519",
    esp: `${cipher}-x25519`,
    localTs: [own.addresses.lan4],
    remoteTs: [other.addresses.lan4],
  };
}

async function startStrongSwan(sites: TwoSites, side: "a" | "b", options: PeerOptions): Promise<RunningPeer> {
  const [own, other] = side === "a" ? [sites.a, sites.b] : [sites.b, sites.a];
  const charon = await new StrongSwan(own.gateway, join(sites.folder, side)).start();
  await charon.load(strongSwanConnection(own, other, options.cipher));
  if (side === "a" && !(await charon.initiate()))
    throw new Error(`strongSwan did not bring the tunnel up: ${charon.log().slice(-LOG_OCTETS)}`);
  const pids = await processesOf(own, "charon");
  return { pids: () => pids, log: () => charon.log().slice(-LOG_OCTETS), stop: () => charon.stop() };
}

const strongSwan: Peer = {
  name: "strongswan",
  handshakePort: 500,
  missing: () =>
    existsSync("/usr/lib/ipsec/charon") &&
    existsSync("/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so") &&
    there("swanctl")
      ? undefined
      : "strongSwan with kernel-libipsec (scripts/setup --tests)",
  prepare: (sites, options) => startStrongSwan(sites, "b", options),
  start: (sites, options) => startStrongSwan(sites, "a", options),
};

/** Processes of this program in the gateway's namespace. */
async function processesOf(site: Site, program: string): Promise<number[]> {
  const { stdout } = await run(["ip", "netns", "pids", site.gateway.name]);
  const pids = stdout.split("\n").filter(Boolean);
  const { stdout: names } = await run(["ps", "-o", "pid=,comm=", "-p", pids.join(",")]);
  return names
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, name]) => name === program)
    .map(([pid]) => Number(pid));
}

const WIREGUARD_PORT = 51_820;
const WIREGUARD_MTU = 1420;
/** wireguard-go's sockets are files with the device's name, whatever the namespace is. */
const wireguardDevice = (side: "a" | "b"): string => `tgb${process.pid}${side}`;

async function startWireguard(sites: TwoSites, side: "a" | "b", options: PeerOptions): Promise<RunningPeer> {
  const [own, other] = side === "a" ? [sites.a, sites.b] : [sites.b, sites.a];
  const keys = await wireguardKeys(sites);
  const device = wireguardDevice(side);
  const folder = join(sites.folder, side);
  mkdirSync(folder, { recursive: true });
  const daemon = new BackgroundProcess(
    own.gateway.command([options.wireguard, "-f", device]),
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
    ...["wg", "set", device, "listen-port", `${WIREGUARD_PORT}`, "private-key", keyPath],
    ...["peer", keys[side === "a" ? "b" : "a"].publicKey, "allowed-ips", other.addresses.lan4],
    ...["endpoint", `${other.addresses.outer4}:${WIREGUARD_PORT}`],
  ]);
  await own.gateway.ip(
    `link set ${device} mtu ${WIREGUARD_MTU} up\nroute add ${other.addresses.lan4} dev ${device}`,
  );
  return {
    pids: () => [daemon.pid],
    log: () => daemon.log().slice(-LOG_OCTETS),
    stop: async () => void (await daemon.stop("SIGTERM")),
  };
}

interface KeyPair {
  readonly privateKey: string;
  readonly publicKey: string;
}
const keysOf = new WeakMap<TwoSites, { readonly a: KeyPair; readonly b: KeyPair }>();

async function wireguardKeys(sites: TwoSites): Promise<{ readonly a: KeyPair; readonly b: KeyPair }> {
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

const wireguard: Peer = {
  name: "wireguard-go",
  handshakePort: WIREGUARD_PORT,
  missing: (options) =>
    !there(options.wireguard)
      ? `${options.wireguard} (scripts/setup --tests)`
      : !there("wg")
        ? "wg (scripts/setup --tests)"
        : undefined,
  prepare: (sites, options) => startWireguard(sites, "b", options),
  start: (sites, options) => startWireguard(sites, "a", options),
};

export const PEERS: readonly Peer[] = [plain, ours, strongSwan, wireguard];
