/** Tungate and strongSwan with many connections, each of which can be brought up when the bench wants it. */
import { join } from "node:path";
import { until } from "../../test/interop/harness/command.ts";
import { Gateway } from "../../test/interop/harness/gateway.ts";
import { StrongSwan } from "../../test/interop/harness/strongswan.ts";
import { SITE_B, type TwoSites } from "../../test/interop/harness/two-sites.ts";
import { addressesOf } from "./handshake-peers.ts";
import { ends, LOG_TAIL, processesOf, SECRET, type Side } from "./peer.ts";
import { ViciClient } from "./vici.ts";

const IKE = "aes256gcm16-prfsha384-x25519";
const ESP = "aes256gcm16";
const WAIT_SECONDS = 30;

export interface RunningProgram {
  readonly pid: number;
  /** Sets tunnel `index` up; false when it did not come. */
  up(index: number): Promise<boolean>;
  /** Tunnels that stand. */
  established(): Promise<number>;
  log(): string;
  stop(): Promise<void>;
}

export interface Program {
  readonly name: string;
  /** Ready to call (side a) or to answer (side b), with nothing negotiated. */
  start(sites: TwoSites, side: Side, tunnels: number): Promise<RunningProgram>;
}

const indices = (count: number) => Array.from({ length: count }, (_, index) => index);

function tungateSettings(side: Side, tunnels: number): string {
  const connection = (index: number) => {
    const { outer, innerA, innerB } = addressesOf(index);
    const [a, b] = [`a${index}.test`, `b${index}.test`];
    const [own, other] =
      side === "a"
        ? [`{ address: ${outer}, id: ${a} }`, `{ address: ${SITE_B.outer4}, id: ${b} }`]
        : [`{ address: ${SITE_B.outer4}, id: ${b} }`, `{ address: ${outer}, id: ${a} }`];
    const [from, to] = side === "a" ? [innerA, innerB] : [innerB, innerA];
    return `  t${index}:
    local: ${own}
    remote: ${other}
    psk: { file: key }
    keep: ${side === "a" ? "on-demand" : "respond"}
    ike: { proposals: [${IKE}] }
    children: { lan: { local: ["${from}/32"], remote: ["${to}/32"], esp: [${ESP}] } }`;
  };
  return `version: 1\nconnections:\n${indices(tunnels).map(connection).join("\n")}\n`;
}

const tungate: Program = {
  name: "Tungate",
  async start(sites, side, tunnels) {
    const [own] = ends(sites, side);
    const gateway = new Gateway(own.gateway, join(sites.folder, side));
    gateway.writeSecret("key", SECRET);
    await gateway.start(tungateSettings(side, tunnels));
    return {
      pid: gateway.process.pid,
      up: async (index) =>
        (await gateway.command("up", `t${index}`, undefined, WAIT_SECONDS)).outcome === "done",
      established: async () =>
        (await gateway.status()).connections.filter(({ state }) => state === "up").length,
      log: () => gateway.log().slice(-LOG_TAIL),
      stop: () => gateway.kill(),
    };
  },
};

/** As its documentation has it for gateways with many tunnels; no routes, for they are not what is measured. */
const CHARON =
  "ikesa_table_size = 4096\n    ikesa_table_segments = 16\n    threads = 64\n    install_routes = no";

function swanctlSettings(side: Side, tunnels: number): string {
  const connection = (index: number) => {
    const { outer, innerA, innerB } = addressesOf(index);
    const [local, remote] = side === "a" ? [outer, SITE_B.outer4] : [SITE_B.outer4, outer];
    const [id, other] = side === "a" ? [`a${index}`, `b${index}`] : [`b${index}`, `a${index}`];
    const [from, to] = side === "a" ? [innerA, innerB] : [innerB, innerA];
    return `t${index} {
      version = 2
      local_addrs = ${local}
      remote_addrs = ${remote}
      proposals = ${IKE}
      local { auth = psk
        id = ${id}.test }
      remote { auth = psk
        id = ${other}.test }
      children { c${index} { local_ts = ${from}/32
        remote_ts = ${to}/32
        esp_proposals = ${ESP} } }
    }`;
  };
  return `connections {\n${indices(tunnels).map(connection).join("\n")}\n}\nsecrets { ike { secret = "${SECRET}" } }\n`;
}

const strongSwan: Program = {
  name: "strongSwan",
  async start(sites, side, tunnels) {
    const [own] = ends(sites, side);
    const folder = join(sites.folder, side);
    const charon = await new StrongSwan(own.gateway, folder).start(CHARON, "default = 0");
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

export const PROGRAMS: readonly Program[] = [tungate, strongSwan];
