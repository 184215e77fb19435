/** Network namespaces with names of this test run alone, removed with all that runs in them. */
import { existsSync, readdirSync } from "node:fs";
import { type Outcome, type RunOptions, run, until } from "./command.ts";

const PREFIX = "tg-";
const made = new Map<string, Namespace>();
let counter = 0;

/** What a namespace inherits of the machine must not decide a test. */
const SYSCTLS = [
  "net.ipv4.conf.all.rp_filter=0",
  "net.ipv4.conf.default.rp_filter=0",
  "net.ipv4.conf.all.accept_redirects=0",
  "net.ipv4.conf.all.send_redirects=0",
  "net.ipv4.conf.default.send_redirects=0",
  "net.ipv6.conf.all.disable_ipv6=0",
  "net.ipv6.conf.default.disable_ipv6=0",
  "net.ipv6.conf.default.accept_dad=0",
  "net.ipv6.conf.default.accept_ra=0",
  "net.ipv4.ping_group_range=0 2147483647",
];

export class Namespace {
  readonly name: string;

  private constructor(name: string) {
    this.name = name;
  }

  static async create(role: string): Promise<Namespace> {
    if (counter === 0) await sweep();
    const name = `${PREFIX}${process.pid}-${counter++}-${role}`;
    await run(["ip", "netns", "add", name]);
    const namespace = new Namespace(name);
    made.set(name, namespace);
    await namespace.run(["sysctl", "-q", "-w", ...SYSCTLS]);
    await namespace.ip("link set lo up");
    return namespace;
  }

  /** The words that run a command here; the process that starts is the command itself. */
  command(argv: readonly string[]): string[] {
    return ["ip", "netns", "exec", this.name, ...argv];
  }

  run(argv: readonly string[], options?: RunOptions): Promise<Outcome> {
    return run(this.command(argv), options);
  }

  /** `ip` with these words, here; several lines are several commands. */
  async ip(lines: string): Promise<void> {
    await run(["ip", "-n", this.name, "-batch", "-"], { input: `${lines.trim()}\n` });
  }

  async ping(target: string, words: readonly string[] = []): Promise<boolean> {
    const outcome = await this.run(
      ["ping", "-q", "-n", "-c", "3", "-i", "0.2", "-W", "2", ...words, target],
      { mayFail: true },
    );
    return outcome.status === 0 && / 0% packet loss/.test(outcome.stdout);
  }

  async remove(): Promise<void> {
    made.delete(this.name);
    await removeByName(this.name);
  }
}

async function removeByName(name: string): Promise<void> {
  if (!existsSync(`/run/netns/${name}`)) return;
  for (let attempt = 0; attempt < 40; attempt += 1) {
    const { stdout } = await run(["ip", "netns", "pids", name], { mayFail: true });
    const pids = stdout.split("\n").filter(Boolean).map(Number);
    if (pids.length === 0) break;
    for (const pid of pids) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // it ended meanwhile
      }
    }
    await until("processes end", () => pids.every((pid) => !existsSync(`/proc/${pid}/ns/net`)), 2_000).catch(
      () => undefined,
    );
  }
  await run(["ip", "netns", "delete", name], { mayFail: true });
}

/** Removes what a run left that was killed: namespaces whose test process is gone. */
async function sweep(): Promise<void> {
  if (!existsSync("/run/netns")) return;
  for (const name of readdirSync("/run/netns")) {
    const owner = /^tg-(\d+)-/.exec(name)?.[1];
    if (owner !== undefined && !existsSync(`/proc/${owner}`)) await removeByName(name);
  }
}

/** Removes every namespace that this process made and still has. */
export async function removeNamespaces(): Promise<void> {
  for (const namespace of [...made.values()]) await namespace.remove();
}

/** A veth pair between two namespaces. Without `offload` every packet on it is one that could be on a wire. */
export async function connect(
  left: { namespace: Namespace; name: string },
  right: { namespace: Namespace; name: string },
  options: { offload?: boolean } = {},
): Promise<void> {
  await left.namespace.ip(
    `link add ${left.name} type veth peer name ${right.name} netns ${right.namespace.name}`,
  );
  for (const end of [left, right]) {
    if (options.offload !== true) {
      await end.namespace.run(
        [
          "ethtool",
          "-K",
          end.name,
          "tx",
          "off",
          "tso",
          "off",
          "gso",
          "off",
          "gro",
          "off",
          "tx-udp-segmentation",
          "off",
        ],
        { mayFail: true },
      );
    }
    await end.namespace.ip(`link set ${end.name} up`);
  }
}
