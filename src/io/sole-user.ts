/** Memory that outlives its process has one user at a time: two that take sequence numbers and read keys at once would be a mistake of the supervisor. */
import { closeSync, constants, openSync } from "node:fs";
import type { Fd } from "./native.ts";
import { lockFile } from "./native-process.ts";

/**
 * Claims memory for this process, until it ends, however that happens.
 * @returns `false` when another process has it still
 */
export function claimMemory(fd: Fd): boolean {
  // A descriptor that was passed on shares the lock with the one that it came from; one that is opened anew has its own.
  const own = openAnew(fd);
  if (own === undefined || lockFile(own)) return true;
  closeSync(own);
  return false;
}

/** `undefined` for what is no file, or where there is no /proc: nobody can say then whose it is. */
function openAnew(fd: Fd): Fd | undefined {
  try {
    return openSync(`/proc/self/fd/${fd}`, constants.O_RDWR);
  } catch {
    return undefined;
  }
}
