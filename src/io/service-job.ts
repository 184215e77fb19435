/** Why systemd stops its service: it sends the same signal for a restart and for a stop. */
import { execFile } from "node:child_process";

/** A machine that goes down has much to do; lanes carry on meanwhile, and TimeoutStopSec= leaves time for goodbyes. */
const PATIENCE_MS = 30_000;

/**
 * @param unit - name of our unit
 * @returns whether a start follows
 * @throws Error with the words of systemctl when nobody says so
 */
export function isRestart(unit: string): Promise<boolean> {
  const words = ["list-jobs", "--plain", "--no-legend", "--no-pager", unit];
  return new Promise((resolve, reject) => {
    execFile("systemctl", words, { timeout: PATIENCE_MS, env: { PATH: "/usr/bin:/bin" } }, (error, text) => {
      if (error === null) resolve(saysRestart(text, unit));
      else reject(error);
    });
  });
}

/** Lines of `JOB UNIT TYPE STATE`; one who sends the signal himself has no job, and wants an end. */
export function saysRestart(text: string, unit: string): boolean {
  const jobs = text.split("\n").map((line) => line.trim().split(/\s+/));
  return jobs.some(([, name, type]) => name === unit && type === "restart");
}
