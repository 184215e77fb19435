/** native/native-loop.cc on both gateways: what is left when nothing but moving and encrypting is done. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { BackgroundProcess, until } from "../../test/interop/harness/command.ts";
import type { TwoSites } from "../../test/interop/harness/two-sites.ts";
import { nativeProgram } from "./native-program.ts";
import { ends, LOG_TAIL, type Peer, type RunningPeer, type Side, there } from "./peer.ts";

const PORT = 4500;
const DEVICE = "loop0";
/** 1500 less IPv4, UDP, and what the loop adds; in whole blocks of four as ESP's would be. */
const MTU = 1436;
const KEY = "42".repeat(32);

async function start(sites: TwoSites, side: Side): Promise<RunningPeer> {
  const [own, other] = ends(sites, side);
  const program = await nativeProgram("native-loop", ["IPSec_MB", "crypto"]);
  const folder = join(sites.folder, side);
  mkdirSync(folder, { recursive: true });
  const loop = new BackgroundProcess(
    own.gateway.command([
      program,
      DEVICE,
      own.addresses.outer4,
      other.addresses.outer4,
      `${PORT}`,
      // Both directions use it with the same nonces: nothing but the bench may do that.
      KEY,
    ]),
    join(folder, "loop.log"),
  );
  const pids = () => {
    if (loop.exitStatus !== undefined) throw new Error(`native-loop ended: ${loop.log()}`);
    return [loop.pid];
  };
  await until("the native loop runs", () => pids().length > 0 && loop.log().includes("ready"), 5_000);
  await own.gateway.ip(
    `link set ${DEVICE} mtu ${MTU} txqueuelen 250 up\nroute add ${other.addresses.lan4} dev ${DEVICE}`,
  );
  return {
    pids,
    log: () => loop.log().slice(-LOG_TAIL),
    stop: async () => void (await loop.stop("SIGTERM")),
  };
}

export const NATIVE_LOOP = "native loop";
export const nativeLoop: Peer = {
  name: NATIVE_LOOP,
  missing: () => (there("g++") ? undefined : "g++ (scripts/setup)"),
  prepare: (sites) => start(sites, "b"),
  start: (sites) => start(sites, "a"),
};
