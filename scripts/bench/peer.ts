/** What the bench asks of something that it compares. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { run } from "../../test/interop/harness/command.ts";
import type { Site, TwoSites } from "../../test/interop/harness/two-sites.ts";

/** Characters of a log that a failure shows. */
export const LOG_TAIL = 2000;
export const SECRET = "a key for measuring and for nothing else";

export interface PeerOptions {
  /** strongSwan's keyword of an AEAD; for all peers whose cipher can be chosen. */
  readonly cipher: string;
}

/** A tunnel that is being set up; `pids` are the gateway processes once they run. */
export interface RunningPeer {
  /** @throws Error when one of them has ended */
  pids(): readonly number[];
  /** The last words of its log. */
  log(): string;
  /** Collections of young objects so far in the threads that carry packets; absent where there is nothing to collect. */
  readonly minorCollections?: () => number;
  stop(): Promise<void>;
}

export interface Peer {
  readonly name: string;
  /** The UDP port of its handshake on the wire; absent where there is none. */
  readonly handshakePort?: number;
  /** In words what it needs and is not there. */
  missing(): string | undefined;
  /** Makes gateway B ready to answer. */
  prepare(sites: TwoSites, options: PeerOptions): Promise<RunningPeer>;
  /** Starts gateway A, which begins the handshake; waits for no more than the peer makes necessary. */
  start(sites: TwoSites, options: PeerOptions): Promise<RunningPeer>;
}

export type Side = "a" | "b";

export const ends = (sites: TwoSites, side: Side): readonly [own: Site, other: Site] =>
  side === "a" ? [sites.a, sites.b] : [sites.b, sites.a];

export const there = (program: string): boolean =>
  program.includes("/")
    ? existsSync(program)
    : ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin"].some((folder) =>
        existsSync(join(folder, program)),
      );

/** Processes of this program in the gateway's namespace. */
export async function processesOf(site: Site, program: string): Promise<number[]> {
  const { stdout } = await run(["ip", "netns", "pids", site.gateway.name]);
  const pids = stdout.split("\n").filter(Boolean);
  const { stdout: names } = await run(["ps", "-o", "pid=,comm=", "-p", pids.join(",")]);
  return names
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, name]) => name === program)
    .map(([pid]) => Number(pid));
}
