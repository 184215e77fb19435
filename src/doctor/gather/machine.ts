/** The machine: clock, sysctls, processor, container, TUN driver. */
import { closeSync, existsSync, openSync, readFileSync, statSync } from "node:fs";
import { arch, release } from "node:os";
import type { MachineFacts, TunFacts } from "../facts.ts";
import { look } from "./run.ts";

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** @param devices - whose reverse path filters matter */
export async function gatherMachine(devices: readonly string[]): Promise<MachineFacts> {
  const isSynchronised = await clockState();
  const container = containerName();
  return {
    wallClock: Date.now(),
    ...(isSynchronised === undefined ? {} : { isClockSynchronised: isSynchronised }),
    reversePaths: devices.flatMap(reversePath),
    isSysctlReadOnly: isSysctlReadOnly(),
    ...(container === undefined ? {} : { container }),
    hasSwap: (textOf("/proc/swaps") ?? "").split("\n").length > 1,
    architecture: arch(),
    processorFlags: /^flags\s*:\s*(.*)$/m.exec(textOf("/proc/cpuinfo") ?? "")?.[1]?.split(" ") ?? [],
  };
}

/** As systemd says it, which asks the kernel (adjtimex); else as chrony does, or a file of systemd-timesyncd. */
async function clockState(): Promise<boolean | undefined> {
  const shown = await look("timedatectl", ["show", "--property=NTPSynchronized", "--value"]);
  if ("value" in shown && /^(yes|no)$/.test(shown.value.trim())) return shown.value.trim() === "yes";
  const tracking = await look("chronyc", ["-n", "tracking"]);
  const leap = "value" in tracking ? /^Leap status\s*:\s*(.+)$/m.exec(tracking.value)?.[1] : undefined;
  if (leap !== undefined) return leap.trim() !== "Not synchronised";
  return wasSetLately(TIMESYNC_FILE, Date.now()) ? true : undefined;
}

/** Touched whenever systemd-timesyncd has set the clock (systemd-timesyncd.service(8)), and left behind when it ends. */
const TIMESYNC_FILE = "/run/systemd/timesync/synchronized";
/** It asks every 34 minutes at the latest, unless that was changed. */
const TIMESYNC_LATELY_MS = 2 * 3_600_000;

/** A file that is older, or of the future, tells nothing. */
export function wasSetLately(file: string, now: number): boolean {
  try {
    const age = now - statSync(file).mtimeMs;
    return age >= 0 && age < TIMESYNC_LATELY_MS;
  } catch {
    return false;
  }
}

function reversePath(device: string) {
  const mode = (name: string) => textOf(`/proc/sys/net/ipv4/conf/${name}/rp_filter`);
  // A device that is not there yet will begin as the default says.
  const found = Math.max(...[mode("all"), mode(device) ?? mode("default")].map((text) => Number(text)));
  return Number.isNaN(found) ? [] : [{ device, mode: found }];
}

function isSysctlReadOnly(): boolean {
  const mounts = (textOf("/proc/self/mountinfo") ?? "").split("\n").map((line) => line.split(" "));
  const below = mounts.filter((words) => words[4] === "/proc/sys" || words[4] === "/proc");
  const last = below.findLast((words) => words[4] === "/proc/sys") ?? below.at(-1);
  return last?.[5]?.split(",").includes("ro") === true;
}

function containerName(): string | undefined {
  const named = textOf("/run/systemd/container");
  if (named !== undefined && named !== "") return named.replace(/[^\x20-\x7e]/g, "?").slice(0, 40);
  if (existsSync("/.dockerenv")) return "docker";
  return existsSync("/run/.containerenv") ? "podman" : undefined;
}

/** Opening the device makes nothing: an interface would need a request more. */
export function gatherTun(devices: readonly string[]): TunFacts {
  let failure: string | undefined;
  try {
    closeSync(openSync("/dev/net/tun", "r+"));
  } catch (error) {
    failure = error instanceof Error && "code" in error ? String(error.code) : String(error);
  }
  return {
    ...(failure === undefined ? {} : { failure }),
    devices: devices.map((name) => {
      if (!existsSync(`/sys/class/net/${name}`) && !existsSync(`/proc/sys/net/ipv4/conf/${name}`))
        return { name };
      const flags = textOf(`/sys/class/net/${name}/tun_flags`);
      return flags === undefined ? { name, isOther: true as const } : { name, flags: Number(flags) };
    }),
    kernel: release(),
  };
}
