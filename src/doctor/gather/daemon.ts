/** What a running gateway says of itself, over its control socket and by /proc. */
import { statSync } from "node:fs";
import { dirname } from "node:path";
import { createControlClient } from "../../control/client.ts";
import { ControlError } from "../../control/error.ts";
import type { DaemonFacts, Facts } from "../facts.ts";
import { unknown } from "../finding.ts";
import { gatherProcess, listenerOf } from "./process.ts";

export async function gatherDaemon(controlPath: string): Promise<DaemonFacts> {
  try {
    const status = await createControlClient(controlPath).status();
    const pid = listenerOf(controlPath);
    const process =
      pid === undefined
        ? unknown("the running gateway's process is not visible; run doctor as root")
        : gatherProcess(pid);
    return { kind: "running", status, process };
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    const { code, message } = error;
    return code === "CONTROL_NOT_RUNNING"
      ? { kind: "notRunning" }
      : { kind: "unusable", code, reason: message };
  }
}

export function controlModes(controlPath: string): Facts["controlModes"] {
  const socket = modeOf(controlPath);
  const directory = modeOf(dirname(controlPath));
  return { ...(socket === undefined ? {} : { socket }), ...(directory === undefined ? {} : { directory }) };
}

function modeOf(path: string): number | undefined {
  try {
    return statSync(path).mode & 0o1777;
  } catch {
    return undefined;
  }
}
