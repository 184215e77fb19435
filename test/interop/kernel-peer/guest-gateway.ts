/** Our own daemon inside a kernel peer: this checkout on an older kernel, unprivileged, with the unit's capabilities. */
import { realpathSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { StatusDocument } from "../../../src/control/schema.ts";
import { until } from "../harness/command.ts";
import { UNPRIVILEGED } from "../harness/gateway.ts";
import { ROOT } from "../harness/prerequisites.ts";
import type { TcpTransfer } from "../harness/traffic.ts";
import type { KernelPeer } from "./kernel-peer.ts";

/** A Node process on one emulated processor takes its time. */
const SLOW_MS = 60_000;
const FOLDER = "/run/tungate";
const CONTROL = `${FOLDER}/control/control.sock`;
const NODE_SOURCE = realpathSync(process.execPath);
const CAPABILITIES = "-all,+net_admin,+net_raw,+net_bind_service";
/** Where the guest finds the tree and Node: it has a /tmp of its own, and not everybody may look into root's folder. */
const TREE = "/run/tree";
const NODE = `/run/node/${basename(NODE_SOURCE)}`;
const PROGRAM = `${NODE} ${TREE}/dist/cli/main.js`;
const AGENT = `${NODE} ${TREE}/test/interop/harness/traffic-agent.mjs`;

export class GuestGateway {
  readonly #peer: KernelPeer;

  private constructor(peer: KernelPeer) {
    this.#peer = peer;
  }

  /** @param folder  of the host, for the files that the guest is shown */
  static async start(
    peer: KernelPeer,
    folder: string,
    settings: { readonly configuration: string; readonly secret: string },
  ): Promise<GuestGateway> {
    for (const [name, text] of [
      ["tungate.yaml", settings.configuration],
      ["secret", `${settings.secret}\n`],
    ] as const) {
      writeFileSync(join(folder, name), text);
      peer.putFile(join(folder, name));
    }
    await peer.run(`
      set -e
      mkdir ${TREE} /run/node
      mount -t hostfs -o ro,${ROOT} none ${TREE}
      mount -t hostfs -o ro,${dirname(NODE_SOURCE)} none /run/node
      /run/modprobe tun
      mkdir -p /dev/net ${FOLDER}
      [ -e /dev/net/tun ] || mknod /dev/net/tun c 10 200
      chmod 666 /dev/net/tun
      cp /run/exchange/tungate.yaml /run/exchange/secret ${FOLDER}
      chmod 600 ${FOLDER}/secret
      chown -R ${UNPRIVILEGED}:${UNPRIVILEGED} ${FOLDER}`);
    await peer.start(`
      unset NODE_OPTIONS NODE_PATH NODE_EXTRA_CA_CERTS
      HOME=/ exec setpriv --reuid ${UNPRIVILEGED} --regid ${UNPRIVILEGED} --clear-groups \\
        --inh-caps=${CAPABILITIES} --ambient-caps=${CAPABILITIES} --bounding-set=${CAPABILITIES} --no-new-privs \\
        ${PROGRAM} run -c ${FOLDER}/tungate.yaml --control ${CONTROL} >${FOLDER}/log 2>&1`);
    const guest = new GuestGateway(peer);
    await guest.logSays(/is running/);
    return guest;
  }

  async log(): Promise<string> {
    return (await this.#peer.run(`cat ${FOLDER}/log 2>/dev/null || :`)).stdout;
  }

  async logSays(pattern: RegExp): Promise<void> {
    let log = "";
    await until(
      `the guest's log says ${pattern}`,
      async () => {
        log = await this.log();
        return pattern.test(log);
      },
      SLOW_MS,
      () => log.slice(-4000),
    );
  }

  async status(): Promise<StatusDocument> {
    return JSON.parse(await this.cli("status --json")) as StatusDocument;
  }

  /** What a command of the command line prints. */
  async cli(words: string): Promise<string> {
    return (await this.#peer.run(`${PROGRAM} ${words} --control ${CONTROL}`, { timeoutMs: SLOW_MS })).stdout;
  }

  /** Waits until all children of the connection are up. */
  async isUp(name: string): Promise<void> {
    const outcome = await this.#peer.run(`${PROGRAM} up ${name} --control ${CONTROL}`, {
      timeoutMs: SLOW_MS,
      mayFail: true,
    });
    if (outcome.status !== 0)
      throw new Error(`${outcome.stdout}${outcome.stderr}\n${(await this.log()).slice(-4000)}`);
  }

  /** A server that takes TCP transfers of our traffic agents until the guest ends. */
  async tcpServe(port: number): Promise<void> {
    await this.#peer.start(
      `(echo '{"id":1,"command":"tcpServe","port":${port}}'; sleep 3600) | ${AGENT} >/run/serve-${port}`,
    );
    // The file is there once the shell has got so far.
    const answers = () => this.#peer.run(`cat /run/serve-${port}`, { mayFail: true });
    await until("the guest listens", async () => (await answers()).stdout.includes('"id":1'), SLOW_MS);
  }

  /** Sends to a server of a traffic agent elsewhere. */
  async tcpSend(words: { host: string; port: number; octets: number }): Promise<TcpTransfer> {
    const order = JSON.stringify({ id: 1, command: "tcpSend", timeoutMs: SLOW_MS, ...words });
    const { stdout } = await this.#peer.run(
      `: >/run/sent
      (echo '${order}'; until grep -q '"id":1' /run/sent; do sleep 0.2; done) | timeout ${SLOW_MS / 1000} ${AGENT} >/run/sent
      cat /run/sent`,
      { timeoutMs: SLOW_MS },
    );
    const answers = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Answer);
    const answer = answers.find(({ id }) => id === 1);
    if (answer?.value === undefined) throw new Error(`the guest could not send: ${answer?.error ?? stdout}`);
    return answer.value;
  }
}

interface Answer {
  readonly id: number;
  readonly value?: TcpTransfer;
  readonly error?: string;
}
