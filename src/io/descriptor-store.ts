/** Descriptors that the service manager keeps for the process after this one (sd_notify(3), FDSTORE=1), and gives it (sd_listen_fds(3)). */
import { IoError } from "./io-error.ts";
import type { Fd } from "./native.ts";
import { notifyBarrier, notifyServiceManager, setCloseOnExec } from "./native-process.ts";

/** sd_listen_fds(3): the first of those that a service manager gives. */
const FIRST_FD = 3;
/** More than a gateway with 64 lanes has; what somebody passes beyond that is none of ours. */
const GIVEN_MAX = 4096;

export interface DescriptorStore {
  /** Whether somebody keeps descriptors for us: `FDSTORE` in the environment says how many. */
  readonly isThere: boolean;
  /** Descriptors that this process was started with, by name, those with the same one in their order. */
  readonly given: ReadonlyMap<string, readonly Fd[]>;
  /** Has a descriptor kept under a name of its own. @throws {IoError} when the manager cannot be reached */
  put(name: string, fd: Fd): void;
  /** Nothing is kept under this name any more. */
  remove(name: string): void;
  /** Waits until the manager has seen all of that. @returns `false` when it takes too long */
  settle(milliseconds: number): boolean;
}

/**
 * @param path - of the service manager's socket; absent: there is none
 * @param environment - takes LISTEN_FDS and its like, and FDSTORE, out
 * @throws {IoError} when a descriptor is not there that the environment names
 */
export function openDescriptorStore(
  path: string | undefined,
  environment: NodeJS.ProcessEnv,
  pid: number,
): DescriptorStore {
  const given = takeGiven(environment, pid);
  const isThere = path !== undefined && Number(environment["FDSTORE"] ?? "0") > 0;
  delete environment["FDSTORE"];
  const send = (message: string, fds: readonly Fd[] = []) => {
    if (isThere) notifyServiceManager(path, message, fds);
  };
  return {
    isThere,
    given,
    // Without FDPOLL=0 systemd throws out what has an error pending: a socket that ICMP came back to, for instance.
    put: (name, fd) => send(`FDSTORE=1\nFDPOLL=0\nFDNAME=${name}`, [fd]),
    remove: (name) => send(`FDSTOREREMOVE=1\nFDNAME=${name}`),
    settle(milliseconds) {
      try {
        if (isThere) notifyBarrier(path, milliseconds);
        return true;
      } catch (error) {
        if (error instanceof IoError) return false;
        throw error;
      }
    },
  };
}

function takeGiven(environment: NodeJS.ProcessEnv, pid: number): ReadonlyMap<string, readonly Fd[]> {
  const { LISTEN_PID: meant, LISTEN_FDS: count, LISTEN_FDNAMES: words } = environment;
  for (const name of ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"])
    delete environment[name];
  const given = new Map<string, Fd[]>();
  if (meant !== `${pid}` || !/^\d{1,5}$/.test(count ?? "")) return given;
  const names = (words ?? "").split(":");
  for (let i = 0; i < Math.min(Number(count), GIVEN_MAX); i++) {
    const fd = FIRST_FD + i;
    setCloseOnExec(fd);
    const name = names[i] ?? "";
    given.set(name, [...(given.get(name) ?? []), fd]);
  }
  return given;
}
