/** Why systemd stops its service: it sends the same signal for a restart and for a stop. */
import { type ExecFileException, execFile } from "node:child_process";

/** A machine that goes down has much to do; lanes carry on meanwhile, and TimeoutStopSec= leaves time for goodbyes. */
const PATIENCE_MS = 30_000;

/** systemd signals whatever is in our control group, and looks until it finds nobody new: who asks early is asked to end as well. */
const TRIES_MAX = 10;

/**
 * @param unit - name of our unit
 * @param ask - prints the jobs of a unit
 * @returns whether a start follows
 * @throws Error with the words of systemctl when nobody says so
 */
export async function isRestart(unit: string, ask = listJobs): Promise<boolean> {
  for (let tries = 1; ; tries++) {
    try {
      return saysRestart(await ask(unit), unit);
    } catch (error) {
      if (tries === TRIES_MAX || !wasEndedByOthers(error as ExecFileException)) throw error;
    }
  }
}

function listJobs(unit: string): Promise<string> {
  const words = ["list-jobs", "--plain", "--no-legend", "--no-pager", unit];
  return new Promise((resolve, reject) => {
    execFile("systemctl", words, { timeout: PATIENCE_MS, env: { PATH: "/usr/bin:/bin" } }, (error, text) => {
      if (error === null) resolve(text);
      else reject(error);
    });
  });
}

function wasEndedByOthers({ signal, killed }: ExecFileException): boolean {
  return signal === "SIGTERM" && killed !== true;
}

/** Lines of `JOB UNIT TYPE STATE`; one who sends the signal himself has no job, and wants an end. */
export function saysRestart(text: string, unit: string): boolean {
  const jobs = text.split("\n").map((line) => line.trim().split(/\s+/));
  return jobs.some(([, name, type]) => name === unit && type === "restart");
}
