/** What Node does not offer about the process: the boot clock, the service manager's socket, no memory dumps. */
import { Instant } from "../base/instant.ts";
import { type Fd, loadAddon } from "./native.ts";
import { ioError, systemCallFailure } from "./native-error.ts";

/** CLOCK_BOOTTIME in milliseconds with fraction. */
export function bootTime(): Instant {
  return Instant(loadAddon().bootTime());
}

/**
 * Sends a message to the service manager (sd_notify(3)).
 * @param path - value of NOTIFY_SOCKET: a path, or `@name` for an abstract socket
 * @param fds - descriptors to hand over, with `FDSTORE=1` in the message; at most 253
 * @throws {IoError}
 */
export function notifyServiceManager(path: string, message: string, fds: readonly Fd[] = []): void {
  const result = loadAddon().notify(path, message, Int32Array.from(fds));
  if (result < 0) throw ioError(`reach the service manager at ${path}`, "sendmsg", result);
}

/** Waits until the service manager has read all messages before this one. @throws {IoError} also when that takes too long */
export function notifyBarrier(path: string, milliseconds: number): void {
  const result = loadAddon().notifyBarrier(path, milliseconds);
  if (result < 0) throw ioError(`wait for the service manager at ${path}`, "poll", result);
}

/** Keeps the memory of this process out of core dumps and away from debuggers of the same user. @throws {IoError} */
export function forbidDumps(): void {
  const result = loadAddon().forbidDumps();
  if (result < 0) throw ioError("forbid memory dumps", "prctl", result);
}

/** Marks a descriptor that the service manager gave us, so that programs we start do not get it. @throws {IoError} */
export function setCloseOnExec(fd: Fd): void {
  const result = loadAddon().setCloseOnExec(fd);
  if (result < 0) throw ioError(`keep descriptor ${fd} to ourselves`, "fcntl", result);
}

/**
 * Locks an open file until it is closed or the process ends, however that happens.
 * @returns `false` when another open file has the lock
 * @throws {IoError}
 */
export function lockFile(fd: Fd): boolean {
  const result = loadAddon().lockFile(fd);
  if (result === 0) return true;
  if (systemCallFailure("flock", result).code === "EAGAIN") return false;
  throw ioError("lock a file", "flock", result);
}

/** Who is at the other end of a Unix socket, by SO_PEERCRED; `undefined` where the system does not tell. */
export function peerCredentials(socket: Fd): { readonly pid: number; readonly uid: number } | undefined {
  const result = loadAddon().peerCredentials(socket);
  return typeof result === "number" ? undefined : result;
}
