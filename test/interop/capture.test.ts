/** `tungate capture` against a live pair: what tshark reads in it, with keys and without; what is in the way of it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { run } from "./harness/command.ts";
import type { Gateway } from "./harness/gateway.ts";
import { describeWith } from "./harness/prerequisites.ts";
import { startGateway } from "./harness/settings.ts";
import { SITE_A, SITE_B, type TwoSites } from "./harness/two-sites.ts";
import { oppositeOurselves } from "./harness/worlds.ts";

describeWith(["tun", "build", "tshark"], "a capture", () => {
  let sites: TwoSites;
  let a: Gateway;
  let b: Gateway;

  oppositeOurselves((world) => {
    ({ sites, a, b } = world);
  });

  async function pair(): Promise<void> {
    await startGateway(b, { site: SITE_B, keep: "respond" });
    await startGateway(a, { site: SITE_A, keep: "respond" });
  }

  const read = async (
    file: string,
    filter: string,
    fields: readonly string[],
    words: readonly string[] = [],
  ) => {
    const options = fields.flatMap((field) => ["-e", field]);
    const { stdout } = await run([
      "tshark",
      "-n",
      "-r",
      file,
      ...words,
      "-Y",
      filter,
      "-T",
      "fields",
      ...options,
    ]);
    return stdout.split("\n").filter((line) => line !== "");
  };

  test("outer and inner packets and IKE in clear lie on interfaces of their own", async () => {
    await pair();
    const file = join(sites.folder, "plain.pcapng");
    const capturing = a.cli("capture", "-w", file, "--seconds", "4");
    await a.logSays(/a capture begins/);
    await a.cli("up", "peer");
    await sites.a.host.run(["ping", "-n", "-c", "3", "-i", "0.2", SITE_B.host4]);
    await sites.a.host.run(["ping", "-n", "-c", "1", "-W", "1", "10.66.0.1"], { mayFail: true });
    const outcome = await capturing;
    console.log(outcome.stderr);
    console.log(
      (
        await run([
          "tshark",
          "-n",
          "-r",
          file,
          "-T",
          "fields",
          "-e",
          "frame.interface_name",
          "-e",
          "frame.packet_flags_direction",
          "-e",
          "_ws.col.Info",
          "-e",
          "frame.comment",
        ])
      ).stdout,
    );
    console.log(existsSync(file), readFileSync(file).length, a.log(), read, outcome.status);
    expect(outcome.status).toBe(0);
  });
});
