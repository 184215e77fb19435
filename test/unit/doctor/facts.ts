/** Facts of a host where all is well, to be changed by tests. */
import { parsePrefix } from "../../../src/base/address-range.ts";
import { parseIpAddress } from "../../../src/base/ip-address.ts";
import { loadConfiguration } from "../../../src/config/load.ts";
import type { StatusDocument } from "../../../src/control/schema.ts";
import type { Facts, ProcessFacts } from "../../../src/doctor/facts.ts";
import { known } from "../../../src/doctor/finding.ts";
import type { Reach } from "../../../src/ike/probe/reach.ts";
import { FILE, KEY, memoryReader, NOW, type World } from "../config/memory-reader.ts";

export const ip = (text: string) => parseIpAddress(text)!;
export const prefix = (text: string) => parsePrefix(text)!;

export const YAML = `version: 1
gateway: { listen: [192.0.2.1] }
connections:
  paris:
    local: { id: a.test }
    remote: { address: 198.51.100.2, id: b.test }
    psk: { env: KEY }
    children:
      lan: { local: [10.1.0.0/16], remote: [10.2.0.0/16] }
`;

export const configured = (yaml = YAML, world: World = {}) =>
  loadConfiguration(
    FILE,
    memoryReader({ ...world, files: { "tungate.yaml": yaml, ...world.files }, environment: { KEY } }),
  );

const address = (text: string, link: number) => ({ address: ip(text), bits: 24, link, isUsable: true });

export const PROCESS: ProcessFacts = {
  pid: 77,
  capabilities: (1n << 12n) | (1n << 13n) | (1n << 10n),
  lockedOctets: 4096,
  limits: { files: 65_536, core: 0, lockedOctets: 64 * 2 ** 20 },
};

export const STATUS: StatusDocument = {
  apiVersion: 1,
  version: "0.1.0",
  uptimeSeconds: 5,
  configurationFile: FILE,
  interfaces: [{ name: "tungate0", mtu: 1422 }],
  lanes: 1,
  engine: "libipsec-mb 1.3.0 (avx2)",
  totals: { connections: 0, connectionsUp: 0, children: 0, childrenUp: 0, inTrouble: 0 },
  omitted: 0,
  connections: [],
  drops: {},
  offloads: { tso: "on", uso: "on" },
  transfers: {},
  advice: [],
};

export const running = (status: Partial<StatusDocument> = {}, process = PROCESS): Facts["daemon"] => ({
  kind: "running",
  status: { ...STATUS, ...status },
  process: known(process),
});

const answered = { kind: "otherMethod", method: 31 } as const;
export const reached = (reach: Partial<Reach> = {}): Facts["asked"] =>
  known([
    {
      connection: "paris",
      remote: { address: ip("198.51.100.2"), port: 500 },
      reach: known({
        ike: answered,
        nat: answered,
        whole: { packetOctets: 1500, reply: answered },
        fragments: { packetOctets: 1900, reply: answered },
        local: { address: ip("192.0.2.1"), port: 40_000 },
        ...reach,
      }),
    },
  ]);

export const MACHINE: Facts["machine"] = {
  wallClock: NOW,
  isClockSynchronised: true,
  reversePaths: [
    { device: "wan0", mode: 0 },
    { device: "tungate0", mode: 2 },
  ],
  isSysctlReadOnly: false,
  hasSwap: false,
  architecture: "x64",
  processorFlags: ["aes", "avx2"],
};

export const HEALTHY: Facts = {
  file: FILE,
  configuration: configured(),
  problems: [],
  daemon: running(),
  controlPath: "/run/tungate/control.sock",
  controlModes: { socket: 0o660, directory: 0o750 },
  network: known({
    links: [
      { index: 2, name: "wan0", mtu: 1500, isUp: true },
      { index: 3, name: "lan0", mtu: 1500, isUp: true },
    ],
    addresses: [address("192.0.2.1", 2), address("10.1.0.1", 3)],
  }),
  switches: known([
    { one: { family: 4, path: "/proc/sys/net/ipv4/conf/lan0/forwarding", where: "lan0" }, isOn: true },
  ]),
  tun: { devices: [{ name: "tungate0", flags: 0x5101 }], kernel: "6.12.1" },
  routing: known({
    prefixesLeftOut: 0,
    prefixes: [
      {
        prefix: prefix("10.2.0.0/16"),
        device: "tungate0",
        found: { address: ip("10.2.0.1"), device: "tungate0" },
      },
    ],
    peers: [
      {
        connection: "paris",
        address: ip("198.51.100.2"),
        marked: { address: ip("198.51.100.2"), device: "wan0" },
        unmarked: { address: ip("198.51.100.2"), device: "wan0" },
        source: ip("192.0.2.1"),
      },
    ],
    rules: known([
      { family: 4, priority: 0, text: "from all lookup local", table: "255", isOurs: false },
      {
        family: 4,
        priority: 220,
        text: "not from all fwmark 0x54470000/0xffff0000 lookup 220",
        table: "220",
        isOurs: true,
      },
      { family: 4, priority: 32_766, text: "from all lookup main", table: "254", isOurs: false },
    ]),
  }),
  ruleset: known({ chains: new Map(), unread: [], clearPackets: 0 }),
  ports: known([
    { port: 500, family: 4, pids: [1, 77], who: "node (pid 77)" },
    { port: 4500, family: 4, pids: [1, 77], who: "node (pid 77)" },
  ]),
  kernelPolicies: known([]),
  machine: MACHINE,
  crypto: { name: "libipsec-mb 1.3.0 (avx2)" },
  asked: reached(),
  names: [],
  namesLeftOut: 0,
  peersLeftOut: 0,
};
