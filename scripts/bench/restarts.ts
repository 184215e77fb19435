/**
 * For how long no packet moves when a gateway is started again under a service manager that keeps its descriptors: from the last
 * ESP packet of the one process to the first of the next, on the wire, under a packet each millisecond in each direction.
 *
 *   npm exec tsx scripts/bench/restarts.ts -- [--rounds N]
 */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { START_LASTS_MS } from "../../src/daemon/starts.ts";
import { Capture } from "../../test/interop/harness/capture.ts";
import { BackgroundProcess } from "../../test/interop/harness/command.ts";
import { Gateway } from "../../test/interop/harness/gateway.ts";
import { removeNamespaces } from "../../test/interop/harness/namespace.ts";
import { SECRET, startGateway, tungateSettings } from "../../test/interop/harness/settings.ts";
import { SITE_A, SITE_B, TwoSites } from "../../test/interop/harness/two-sites.ts";
import { machineAndPeer } from "./environment.ts";
import { numberOf, readOptions } from "./options.ts";
import { percentile } from "./statistics.ts";

const words = readOptions(import.meta.filename, { rounds: { type: "string", default: "5" } });
const rounds = numberOf(import.meta.filename, "rounds", words.rounds, 1);

const sites = await TwoSites.create();
try {
  const a = new Gateway(sites.a.gateway, join(sites.folder, "a"));
  const b = new Gateway(sites.b.gateway, join(sites.folder, "b"));
  a.writeSecret("secret", `${SECRET}\n`);
  await startGateway(b, { site: SITE_B, keep: "respond" });
  await a.start(tungateSettings({ site: SITE_A }), { isSupervised: true });
  await a.isUp("peer");
  const { processor, kernel, node } = await machineAndPeer();
  console.log(`${processor}, Linux ${kernel}, Node.js ${node}`);
  for (const how of ["clean", "kill"] as const) {
    const gaps: number[] = [];
    for (let round = 0; round < rounds; round++) gaps.push(await gapOf(a, how));
    console.log(
      `${how === "clean" ? "clean restart" : "SIGKILL"}: no packet for ${percentile(gaps, 0.5)?.toFixed(0)} ms (median of ${rounds}), ${Math.max(...gaps).toFixed(0)} ms at most`,
    );
  }
  await a.stop();
  await b.stop();
} finally {
  await sites.remove();
  await removeNamespaces();
}

async function gapOf(a: Gateway, how: "clean" | "kill"): Promise<number> {
  const capture = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wire.pcap"));
  const pings = new BackgroundProcess(
    sites.a.host.command(["ping", "-q", "-n", "-i", "0.001", "-W", "1", SITE_B.host4]),
    join(sites.folder, "pings.log"),
  );
  await sleep(500);
  await a.restart(how);
  await a.isUp("peer");
  await pings.stop("SIGINT");
  const times = (await capture.stop())
    .filter(({ kind, source }) => kind === "esp" && source === SITE_A.outer4)
    .map(({ at }) => at * 1000);
  // Many in a row that did not last would be taken for a crash loop.
  await sleep(START_LASTS_MS + 500);
  return times.reduce((most, at, i) => (i === 0 ? 0 : Math.max(most, at - times[i - 1]!)), 0);
}
