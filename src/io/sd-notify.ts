/** Tells the service manager how the daemon is doing (sd_notify(3)); silent where there is none. */
import { type DescriptorStore, openDescriptorStore } from "./descriptor-store.ts";
import { IoError } from "./io-error.ts";
import { notifyServiceManager } from "./native-process.ts";

export interface ServiceManager {
  /** Half of the watchdog's time, in which a sign of life is due; absent: it does not watch. */
  readonly watchdogMs?: number;
  ready(status: string): void;
  status(status: string): void;
  /** The configuration is being read anew; `ready` follows, whatever becomes of it. */
  reloading(status: string): void;
  alive(): void;
  stopping(status: string): void;
  /** Name of our unit, where systemd can be asked about it. */
  readonly unit?: string;
  /** What it keeps of ours. */
  readonly store: DescriptorStore;
}

/** @param environment - takes out what is meant for this process alone, so that no child of ours has it */
export function connectServiceManager(environment: NodeJS.ProcessEnv, pid: number): ServiceManager {
  const path = environment["NOTIFY_SOCKET"] === "" ? undefined : environment["NOTIFY_SOCKET"];
  const unit = environment["TUNGATE_UNIT"] ?? "";
  const watchdogMs = watchdogOf(environment, pid);
  for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "TUNGATE_UNIT"])
    delete environment[name];
  const send = (message: string) => {
    if (path === undefined) return;
    try {
      notifyServiceManager(path, message);
    } catch (error) {
      // A service manager that restarts misses a message; that must not end the gateway.
      if (!(error instanceof IoError)) throw error;
    }
  };
  return {
    ...(watchdogMs === undefined ? {} : { watchdogMs }),
    ...(unit === "" ? {} : { unit }),
    ready: (status) => send(`READY=1\nSTATUS=${line(status)}`),
    status: (status) => send(`STATUS=${line(status)}`),
    reloading: (status) =>
      send(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}\nSTATUS=${line(status)}`),
    alive: () => send("WATCHDOG=1"),
    stopping: (status) => send(`STOPPING=1\nSTATUS=${line(status)}`),
    store: openDescriptorStore(path, environment, pid),
  };
}

function line(text: string): string {
  return text.replaceAll("\n", " ");
}

function watchdogOf(environment: NodeJS.ProcessEnv, pid: number): number | undefined {
  const microseconds = Number(environment["WATCHDOG_USEC"] ?? "");
  const meant = environment["WATCHDOG_PID"];
  if (!Number.isFinite(microseconds) || microseconds <= 0) return undefined;
  return meant === undefined || meant === `${pid}` ? microseconds / 2000 : undefined;
}
