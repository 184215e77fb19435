/** Blocks a lane's thread until one of its descriptors is readable, another thread wakes it, or time is up. */
import { type Fd, loadAddon } from "./native.ts";
import { ioError } from "./native-error.ts";

/** Bits of {@link Waiter.ready}. */
export const READY_READ = 1;
/** An error or a hang-up is pending on the descriptor. */
export const READY_ERROR = 2;

/** The longest that one wait blocks whatever it was told, so that a lost wake-up can only delay a thread's end. */
export const WAIT_MS_MAX = 1000;

/** Positions in {@link Waiter.times}. */
const TIMEOUT = 0;
export const NOW = 1;

export interface Waiter {
  /** Per descriptor, in the order given; one more at the end for the wake-up. Overwritten by each wait. */
  readonly ready: Uint8Array;
  /** The moment when the last wait returned, or when the waiter was made, at {@link NOW}. */
  readonly times: Float64Array;
  /**
   * Returns at once when something is ready already; wake-ups are consumed.
   * @param timeoutMs - may hold a fraction; 0 or less only looks
   * @returns how many entries of `ready` are set
   */
  wait(timeoutMs: number): number;
  close(): void;
}

/** Makes a descriptor for {@link wake}; any thread of the process may use its number. @throws {IoError} */
export function createWake(): Fd {
  const fd = loadAddon().createWake();
  if (fd < 0) throw ioError("make a wake-up descriptor", "eventfd", fd);
  return fd;
}

/** Ends the wait of whoever waits on `fd`, or their next one. @throws {IoError} */
export function wake(fd: Fd): void {
  const result = loadAddon().wake(fd);
  if (result < 0) throw ioError("wake a lane", "write", result);
}

/** Made in the thread that waits. */
export function createWaiter(fds: readonly Fd[], wakeFd: Fd): Waiter {
  const addon = loadAddon();
  const { handle, ready, times } = addon.createWaiter(Int32Array.from(fds), wakeFd);
  return {
    ready,
    times,
    wait(timeoutMs) {
      times[TIMEOUT] = Math.min(timeoutMs, WAIT_MS_MAX);
      const count = addon.wait(handle);
      if (count < 0) throw ioError("wait for packets", "ppoll", count);
      return count;
    },
    close: () => addon.closeWaiter(handle),
  };
}
