/** What figures were measured on: without it they mean nothing. */
import { cpus, release } from "node:os";
import { run } from "../../test/interop/harness/command.ts";

/** The first line that a program says when asked for its version; `absent` where it is not there. */
export async function versionOf(argv: readonly string[]): Promise<string> {
  const outcome = await run(argv, { mayFail: true }).catch(() => undefined);
  return outcome === undefined ? "absent" : `${outcome.stdout}${outcome.stderr}`.trim().split("\n")[0]!;
}

/** The machine, and the peer that every bench has. */
export async function machineAndPeer() {
  return {
    date: new Date().toISOString().slice(0, 10),
    kernel: release(),
    processor: `${cpus().length} cores of ${cpus()[0]?.model.trim() ?? "an unknown processor"}`,
    node: process.version,
    // The daemon itself: `swanctl --version` asks one that runs.
    strongswan: await versionOf(["/usr/lib/ipsec/charon", "--version"]),
  };
}
