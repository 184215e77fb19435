/** The wall clock: plausible, and kept right by somebody. Certificates are judged by it. */
import type { Facts } from "../facts.ts";
import { type Finding, notChecked, ok, problem, warning } from "../finding.ts";

/** This was written after the one, and will hardly run after the other. */
const EARLIEST = Date.UTC(2026, 0, 1);
const LATEST = Date.UTC(2060, 0, 1);

export function checkClock({
  machine,
  configuration,
}: Pick<Facts, "machine" | "configuration">): readonly Finding[] {
  const { wallClock, isClockSynchronised } = machine;
  const shown = new Date(wallClock).toISOString().slice(0, 16).replace("T", " ");
  if (wallClock < EARLIEST || wallClock > LATEST)
    return [
      problem(
        `the clock says ${shown} UTC, which cannot be`,
        "set it, and have it kept right: timedatectl set-ntp true",
      ),
    ];
  const usesCertificates =
    configuration?.connections.some(
      ({ connection: { local, remote } }) =>
        local.auth.kind === "certificate" || remote.auth.kind === "certificate",
    ) === true;
  if (isClockSynchronised === true) return [ok(`the clock says ${shown} UTC, and is synchronised`)];
  if (isClockSynchronised === undefined)
    return [
      notChecked(
        `the clock says ${shown} UTC; neither timedatectl nor chronyc nor systemd-timesyncd tells whether it is synchronised`,
      ),
    ];
  const text = `the clock says ${shown} UTC, and nobody keeps it right`;
  const advice = "timedatectl set-ntp true, or install chrony";
  return usesCertificates
    ? [warning(`${text}: certificates are judged by it`, advice)]
    : [ok(`${text}; no certificate depends on it`)];
}
