/** Who holds sockets, and what the kernel says of a process: out of /proc. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { PortHolder, ProcessFacts } from "../facts.ts";
import { type Known, known, unknown } from "../finding.ts";

const UDP_FILES = [
  ["/proc/net/udp", 4],
  ["/proc/net/udp6", 6],
] as const;

/** Sockets on these ports in this network namespace, and the processes that have them open, as far as they can be seen. */
export function gatherPorts(ports: readonly number[]): Known<readonly PortHolder[]> {
  try {
    const bound = UDP_FILES.flatMap(([file, family]) => boundSockets(file, family, ports));
    const owners = ownersOf(new Set(bound.map(({ inode }) => inode)));
    return known(
      bound.map(({ inode, port, family }) => {
        const pids = owners.get(inode) ?? [];
        const [first] = pids;
        return {
          ...{ port, family, pids },
          ...(first === undefined ? {} : { who: `${nameOf(first)} (pid ${first})` }),
        };
      }),
    );
  } catch (error) {
    return unknown(`/proc/net/udp cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

function boundSockets(file: string, family: 4 | 6, ports: readonly number[]) {
  return linesOf(file).flatMap((line) => {
    const words = line.trim().split(/\s+/);
    const port = Number.parseInt(words[1]?.split(":")[1] ?? "", 16);
    const inode = words[9];
    return inode !== undefined && ports.includes(port) ? [{ port, family, inode }] : [];
  });
}

/** Without its first line; none where the file is missing. */
function linesOf(file: string): readonly string[] {
  try {
    return readFileSync(file, "latin1").trim().split("\n").slice(1);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
}

/** The process that listens on a Unix socket. */
export function listenerOf(path: string): number | undefined {
  const rows = linesOf("/proc/net/unix").map((line) => line.trim().split(/\s+/));
  const inode = rows.find((words) => words[7] === path && words[3] === "00010000")?.[6];
  return inode === undefined ? undefined : ownersOf(new Set([inode])).get(inode)?.[0];
}

/** Service managers, which keep sockets of others, come last. */
function ownersOf(inodes: ReadonlySet<string>): ReadonlyMap<string, readonly number[]> {
  const found = new Map<string, number[]>();
  if (inodes.size === 0) return found;
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const [managers, others] = [pids.filter(isManager), pids.filter((pid) => !isManager(pid))];
  for (const pid of [...others, ...managers])
    for (const inode of new Set(socketsOf(pid)))
      if (inodes.has(inode)) found.set(inode, [...(found.get(inode) ?? []), Number(pid)]);
  return found;
}

/** The first process, and systemd's for a user. */
function isManager(pid: string): boolean {
  return pid === "1" || nameOf(Number(pid)) === "systemd";
}

/** None of a process that has ended, or of another user's. */
function socketsOf(pid: string): readonly string[] {
  const folder = `/proc/${pid}/fd`;
  try {
    return readdirSync(folder).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`${folder}/${fd}`))?.[1] ?? [];
      } catch {
        return [];
      }
    });
  } catch {
    return [];
  }
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8")
      .trim()
      .replace(/[^\x20-\x7e]/g, "?");
  } catch {
    return "a process";
  }
}

export function gatherProcess(pid: number): Known<ProcessFacts> {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const limits = readFileSync(`/proc/${pid}/limits`, "latin1");
    const field = (name: string) => new RegExp(`^${name}:\\s*(\\S+)`, "m").exec(status)?.[1];
    const limit = (name: string) => {
      const soft = new RegExp(`^${name}\\s+(\\S+)`, "m").exec(limits)?.[1];
      return soft === "unlimited" ? Number.POSITIVE_INFINITY : Number(soft);
    };
    return known({
      pid: Number(field("Pid")),
      capabilities: BigInt(`0x${field("CapEff") ?? "0"}`),
      lockedOctets: Number(field("VmLck") ?? 0) * 1024,
      limits: {
        files: limit("Max open files"),
        core: limit("Max core file size"),
        lockedOctets: limit("Max locked memory"),
      },
    });
  } catch {
    return unknown(`what the kernel says of process ${pid} cannot be read; run doctor as root`);
  }
}
