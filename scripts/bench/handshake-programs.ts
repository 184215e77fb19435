/** Tungate and strongSwan with many connections, each of which can be brought up when the bench wants it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { until } from "../../test/interop/harness/command.ts";
import { Gateway } from "../../test/interop/harness/gateway.ts";
import { StrongSwan } from "../../test/interop/harness/strongswan.ts";
import { SITE_A, SITE_B, type TwoSites } from "../../test/interop/harness/two-sites.ts";
import { type Auth, type Credentials, GATEWAY, peerName } from "./handshake-keys.ts";
import { addressesOf } from "./handshake-peers.ts";
import { ends, LOG_TAIL, processesOf, SECRET, type Side } from "./peer.ts";
import { ViciClient } from "./vici.ts";

const IKE = "aes256gcm16-prfsha384-x25519";
const HYBRID = `${IKE}-ke1_mlkem768`;
const ESP = "aes256gcm16";
const WAIT_SECONDS = 60;

export interface Tunnels {
  readonly count: number;
  readonly auth: Auth;
  /** ML-KEM-768 behind X25519. */
  readonly isHybrid?: boolean;
  /** With `ecdsa` and `rsa`. */
  readonly credentials?: Credentials;
  /** All peers have one name and one certificate; strongSwan only. */
  readonly isOneIdentity?: boolean;
  /** Beside them a connection `lan` between the sites, which is up from the start; Tungate only. */
  readonly withLan?: boolean;
}

export interface RunningProgram {
  readonly pid: number;
  /** Sets tunnel `index` up; false when it did not come. */
  up(index: number): Promise<boolean>;
  /** Takes it down again, at the peer as well. */
  down(index: number): Promise<void>;
  /** Tunnels with child SAs that stand, that of the sites' networks not counted. */
  established(): Promise<number>;
  log(): string;
  stop(): Promise<void>;
}

export interface Program {
  readonly name: string;
  /** Ready to call (side a) or to answer (side b), with nothing negotiated. */
  start(sites: TwoSites, side: Side, tunnels: Tunnels): Promise<RunningProgram>;
}

interface Ends {
  readonly addresses: readonly [own: string, other: string];
  readonly names: readonly [own: string, other: string];
  readonly inner: readonly [own: string, other: string];
}

/** The gateway has one name for all its peers. */
function endsOf(side: Side, index: number, isOneIdentity = false): Ends {
  const { outer, innerA, innerB } = addressesOf(index);
  const turned = <Value>(a: Value, b: Value): readonly [Value, Value] => (side === "a" ? [a, b] : [b, a]);
  return {
    addresses: turned(outer, SITE_B.outer4),
    names: turned(peerName(isOneIdentity ? 0 : index), GATEWAY),
    inner: turned(innerA, innerB),
  };
}

const indices = (count: number) => Array.from({ length: count }, (_, index) => index);

function tungateSettings(side: Side, { count, auth, isHybrid = false, withLan = false }: Tunnels): string {
  const keep = side === "a" ? "on-demand" : "respond";
  const connection = (index: number) => {
    const { addresses, names, inner } = endsOf(side, index);
    const own = auth === "psk" ? "" : `, certificate: ${names[0]}.pem, private_key: own.key`;
    const other = auth === "psk" ? "" : ", ca: ca.pem";
    return `  t${index}:
    local: { address: ${addresses[0]}, id: ${names[0]}${own} }
    remote: { address: ${addresses[1]}, id: ${names[1]}${other} }
${auth === "psk" ? "    psk: { file: key }\n" : ""}    keep: ${keep}
    ike: { proposals: [${isHybrid ? HYBRID : IKE}], mobike: false }
    children: { lan: { local: ["${inner[0]}/32"], remote: ["${inner[1]}/32"], esp: [${ESP}] } }`;
  };
  const [own, other] = side === "a" ? [SITE_A, SITE_B] : [SITE_B, SITE_A];
  const lan = `  lan:
    local: { address: ${own.outer4}, id: lan-${side}.test }
    remote: { address: ${other.outer4}, id: lan-${side === "a" ? "b" : "a"}.test }
    psk: { file: key }
    keep: ${side === "a" ? "up" : "respond"}
    children: { lan: { local: ["${own.lan4}"], remote: ["${other.lan4}"], esp: [${ESP}] } }`;
  const connections = [...(withLan ? [lan] : []), ...indices(count).map(connection)];
  return `version: 1\nconnections:\n${connections.join("\n")}\n`;
}

/** Certificates of the tunnels on this side. */
function ownCertificates(
  side: Side,
  { count, credentials, isOneIdentity = false }: Tunnels,
): readonly (readonly [string, string])[] {
  if (credentials === undefined) return [];
  const names = side === "a" ? indices(isOneIdentity ? 1 : count).map(peerName) : [GATEWAY];
  return names.map((name) => [`${name}.pem`, credentials.certificates.get(name)!] as const);
}

export const tungate: Program = {
  name: "Tungate",
  async start(sites, side, tunnels) {
    const [own] = ends(sites, side);
    const gateway = new Gateway(own.gateway, join(sites.folder, side));
    const { credentials } = tunnels;
    gateway.writeSecret("key", SECRET);
    if (credentials !== undefined) {
      gateway.writeSecret("own.key", credentials.keys[side]);
      gateway.writeSecret("ca.pem", credentials.ca);
    }
    for (const [file, text] of ownCertificates(side, tunnels)) gateway.writeSecret(file, text);
    await gateway.start(tungateSettings(side, tunnels));
    return {
      pid: gateway.process.pid,
      up: async (index) =>
        (await gateway.command("up", `t${index}`, undefined, WAIT_SECONDS)).outcome === "done",
      down: async (index) => {
        await gateway.command("down", `t${index}`, undefined, WAIT_SECONDS);
      },
      // One child each. One by one status tells of no more than some thousands; its totals are of all.
      established: async () =>
        (await gateway.status()).totals.childrenUp - (tunnels.withLan === true ? 1 : 0),
      log: () => gateway.log().slice(-LOG_TAIL),
      stop: () => gateway.kill(),
    };
  },
};

/** As its documentation has it for gateways with many tunnels; no routes, for they are not what is measured. */
const CHARON =
  "ikesa_table_size = 4096\n    ikesa_table_segments = 16\n    threads = 64\n    install_routes = no";

function swanctlSettings(side: Side, { count, auth, isOneIdentity }: Tunnels): string {
  const connection = (index: number) => {
    const { addresses, names, inner } = endsOf(side, index, isOneIdentity);
    return `t${index} {
      version = 2
      mobike = no
      ${isOneIdentity ? "unique = never" : ""}
      local_addrs = ${addresses[0]}
      remote_addrs = ${addresses[1]}
      proposals = ${IKE}
      local { auth = ${auth === "psk" ? "psk" : "pubkey"}
        ${auth === "psk" ? "" : `certs = ${names[0]}.pem`}
        id = ${names[0]} }
      remote { auth = ${auth === "psk" ? "psk" : "pubkey"}
        id = ${names[1]} }
      children { c${index} { local_ts = ${inner[0]}/32
        remote_ts = ${inner[1]}/32
        esp_proposals = ${ESP} } }
    }`;
  };
  return `connections {\n${indices(count).map(connection).join("\n")}\n}\nsecrets { ike { secret = "${SECRET}" } }\n`;
}

export const strongSwan: Program = {
  name: "strongSwan",
  async start(sites, side, tunnels) {
    const [own] = ends(sites, side);
    const folder = join(sites.folder, side);
    const charon = await new StrongSwan(own.gateway, folder).start(CHARON, "default = 0");
    const write = (place: string, file: string, text: string) => {
      mkdirSync(join(charon.credentials, place), { recursive: true });
      writeFileSync(join(charon.credentials, place, file), text, { mode: 0o600 });
    };
    const { credentials } = tunnels;
    if (credentials !== undefined) {
      write("private", "own.key", credentials.keys[side]);
      write("x509ca", "ca.pem", credentials.ca);
    }
    for (const [file, text] of ownCertificates(side, tunnels)) write("x509", file, text);
    await charon.loadText(swanctlSettings(side, tunnels));
    const [pid] = await processesOf(own, "charon");
    if (pid === undefined) throw new Error(`charon ended: ${charon.log().slice(-LOG_TAIL)}`);
    const idle: ViciClient[] = [];
    // Its socket lets few wait.
    const open = () =>
      until("strongSwan takes a control connection", () =>
        ViciClient.open(join(folder, "vici")).catch(() => undefined),
      );
    const asked = async (name: string, values: Readonly<Record<string, string>> = {}) => {
      const client = idle.pop() ?? (await open());
      const answer = await client.request(name, values);
      idle.push(client);
      return answer;
    };
    return {
      pid,
      up: async (index) => {
        const timeout = String(WAIT_SECONDS * 1000);
        const answer = await asked("initiate", {
          child: `c${index}`,
          ike: `t${index}`,
          timeout,
          loglevel: "-1",
        });
        return answer.get("success") === "yes";
      },
      down: async (index) => {
        await asked("terminate", { ike: `t${index}`, timeout: String(WAIT_SECONDS * 1000), loglevel: "-1" });
      },
      established: async () => {
        const answer = await asked("stats");
        return Number(answer.get("ikesas.total")) - Number(answer.get("ikesas.half-open"));
      },
      log: () => charon.log().slice(-LOG_TAIL),
      stop: async () => {
        for (const client of idle) client.close();
        await charon.kill();
      },
    };
  },
};
