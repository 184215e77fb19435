/** Debian's strongSwan as the peer, with ESP in userspace (kernel-libipsec): a /run, a vici socket and a log of its own. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BackgroundProcess, type Outcome, run, until } from "./command.ts";
import type { Namespace } from "./namespace.ts";
import { addWitness } from "./witness.ts";

const CHARON = "/usr/lib/ipsec/charon";
const PLUGINS =
  "random nonce openssl aes sha1 sha2 hmac xcbc cmac kdf gcm ccm ctr chapoly curve25519 gmp pem pkcs1 x509 pubkey socket-default vici updown";

/** The parts of a connection that tests vary; the rest is as an operator would leave it. */
export interface PeerConnection {
  readonly local: string;
  readonly remote: string;
  readonly localId: string;
  readonly remoteId: string;
  readonly secret: string;
  readonly ike: string;
  readonly esp: string;
  /** AH in place of ESP. */
  readonly ah?: string;
  readonly localTs: readonly string[];
  readonly remoteTs: readonly string[];
  /** More lines of the connection. */
  readonly settings?: string;
  /** More lines of the child. */
  readonly childSettings?: string;
}

/** strongswan.conf with vici and log below `folder`. */
export function charonSettings(
  folder: string,
  kernel: "kernel-libipsec kernel-netlink" | "kernel-netlink",
  more = "",
  levels = "default = 1\n            cfg = 2",
): string {
  return `charon {
    load = ${PLUGINS} ${kernel}
    install_virtual_ip = no
    retransmit_timeout = 0.6
    retransmit_base = 1.3
    retransmit_tries = 4
    ${more}
    filelog {
        log {
            path = ${folder}/charon.log
            ${levels}
            flush_line = yes
        }
    }
    plugins {
        vici {
            socket = unix://${folder}/vici
        }
    }
}
`;
}

/** swanctl.conf of one connection `peer` with one child `lan`. */
export function swanctlSettings(connection: PeerConnection): string {
  return `connections {
    peer {
        version = 2
        local_addrs = ${connection.local}
        remote_addrs = ${connection.remote}
        proposals = ${connection.ike}
        ${connection.settings ?? ""}
        local {
            auth = psk
            id = ${connection.localId}
        }
        remote {
            auth = psk
            id = ${connection.remoteId}
        }
        children {
            lan {
                local_ts = ${connection.localTs.join(",")}
                remote_ts = ${connection.remoteTs.join(",")}
                ${connection.ah === undefined ? `esp_proposals = ${connection.esp}` : `ah_proposals = ${connection.ah}`}
                ${connection.childSettings ?? ""}
            }
        }
    }
}
secrets {
    ike-peer {
        id-1 = ${connection.localId}
        id-2 = ${connection.remoteId}
        secret = "${connection.secret}"
    }
}
`;
}

export class StrongSwan {
  readonly #namespace: Namespace;
  readonly #folder: string;
  #process: BackgroundProcess | undefined;

  /** @param folder  a folder of this instance alone; made when it is not there */
  constructor(namespace: Namespace, folder: string) {
    this.#namespace = namespace;
    this.#folder = folder;
    addWitness(`strongSwan in ${namespace.name}`, () => this.log());
  }

  /** @param levels  of its log, where a test or a bench wants other ones */
  async start(more = "", levels?: string): Promise<this> {
    mkdirSync(this.#folder, { recursive: true });
    const settings = join(this.#folder, "strongswan.conf");
    writeFileSync(settings, charonSettings(this.#folder, "kernel-libipsec kernel-netlink", more, levels));
    // The path of charon's pid file is fixed: each instance sees a /run of its own.
    this.#process = new BackgroundProcess(
      this.#namespace.command(["sh", "-c", `mount -t tmpfs tmpfs /run && exec ${CHARON}`]),
      join(this.#folder, "output"),
      { STRONGSWAN_CONF: settings },
    );
    await until(
      "charon answers",
      async () => existsSync(join(this.#folder, "vici")) && (await this.#swanctl(["--stats"])).status === 0,
      undefined,
      () => this.log(),
    );
    return this;
  }

  /** Loads one connection and its secret in place of what was there. */
  load(connection: PeerConnection): Promise<void> {
    return this.loadText(swanctlSettings(connection));
  }

  /** Loads a swanctl.conf in place of what was there. */
  async loadText(settings: string): Promise<void> {
    const path = join(this.#folder, "swanctl.conf");
    writeFileSync(path, settings, { mode: 0o600 });
    const outcome = await this.#swanctl(["--load-all", "--clear", "--file", path]);
    if (outcome.status !== 0) throw new Error(`swanctl --load-all: ${outcome.stdout}${outcome.stderr}`);
  }

  /** Loads a swanctl.conf where it lies, with the certificates and keys beside it, in place of what was there. */
  async loadFile(path: string): Promise<void> {
    const outcome = await this.#swanctl(["--load-all", "--clear", "--file", path]);
    if (outcome.status !== 0) throw new Error(`swanctl --load-all: ${outcome.stdout}${outcome.stderr}`);
  }

  /** Brings the child up; says whether that worked. */
  async initiate(timeoutSeconds = 30, connection = "peer"): Promise<boolean> {
    const words = ["--initiate", "--ike", connection, "--child", "lan", "--timeout", String(timeoutSeconds)];
    return (await this.#swanctl(words)).status === 0;
  }

  /** Where swanctl looks for keys and certificates: `private`, `x509`, `x509ca`, `pubkey`, `pkcs12` below it. */
  get credentials(): string {
    return this.#folder;
  }

  async terminate(connection = "peer"): Promise<void> {
    await this.#swanctl(["--terminate", "--ike", connection, "--timeout", "10"]);
  }

  async terminateChild(child: string): Promise<void> {
    await this.#swanctl(["--terminate", "--child", child, "--timeout", "10"]);
  }

  async rekey(what: "child" | "ike"): Promise<void> {
    const words = what === "child" ? ["--child", "lan"] : ["--ike", "peer"];
    const outcome = await this.#swanctl(["--rekey", ...words]);
    if (outcome.status !== 0) throw new Error(`swanctl --rekey: ${outcome.stdout}${outcome.stderr}`);
  }

  /** Has the authentication repeated; does not wait for it. */
  async reauthenticate(): Promise<void> {
    const outcome = await this.#swanctl(["--rekey", "--ike", "peer", "--reauth"]);
    if (outcome.status !== 0) throw new Error(`swanctl --rekey: ${outcome.stdout}${outcome.stderr}`);
  }

  /** What `swanctl --list-sas` prints. */
  async associations(): Promise<string> {
    return (await this.#swanctl(["--list-sas"])).stdout;
  }

  log(): string {
    const path = join(this.#folder, "charon.log");
    const output = existsSync(path) ? readFileSync(path, "utf8") : "";
    return `${output}${this.#process?.exitStatus === undefined ? "" : this.#process.log()}`;
  }

  async logSays(pattern: RegExp, timeoutMs = 40_000): Promise<void> {
    await until(
      `strongSwan's log says ${pattern}`,
      () => pattern.test(this.log()),
      timeoutMs,
      () => this.log().slice(-3000),
    );
  }

  /** Ends it without a word to the peer. */
  async kill(): Promise<void> {
    await this.#process?.stop("SIGKILL");
    this.#process = undefined;
  }

  async stop(): Promise<void> {
    await this.#process?.stop("SIGTERM");
    this.#process = undefined;
  }

  #swanctl(words: readonly string[]): Promise<Outcome> {
    return run(["swanctl", ...words, "--uri", `unix://${join(this.#folder, "vici")}`], {
      mayFail: true,
      timeoutMs: 60_000,
    });
  }
}
