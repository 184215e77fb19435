/** From the start of gateway A to the first packet that arrives on the other side, seen on the wires. */
import { join } from "node:path";
import { Capture, type Frame } from "../../test/interop/harness/capture.ts";
import { BackgroundProcess, until } from "../../test/interop/harness/command.ts";
import { SITE_A, SITE_B, type TwoSites } from "../../test/interop/harness/two-sites.ts";
import type { Peer, PeerOptions, RunningPeer } from "./peer.ts";

/** A packet every so often asks whether the tunnel is there; this is the grain of both figures. */
const PROBE_MS = 1;
const UP_MS = 20_000;
const UDP = 17;
const ICMP = 1;

export interface Startup {
  readonly running: RunningPeer;
  /** From the first datagram of the handshake to the first delivered packet. */
  readonly handshakeMs?: number;
  /** From the start of the program to the first delivered packet. */
  readonly startMs: number;
}

/** Starts gateway A under a stream of probes from host A to host B. */
export async function measureStartup(sites: TwoSites, peer: Peer, options: PeerOptions): Promise<Startup> {
  const wire = await Capture.start(sites.a.gateway, "wan0", join(sites.folder, "wire.pcap"));
  const far = await Capture.start(sites.b.host, "lan0", join(sites.folder, "far.pcap"));
  const probes = new BackgroundProcess(
    sites.a.host.command(["ping", "-q", "-n", "-i", `${PROBE_MS / 1000}`, "-W", "0.1", SITE_B.host4]),
    join(sites.folder, "probes.log"),
  );
  const startedAt = Date.now() / 1000;
  let running: RunningPeer | undefined;
  try {
    running = await peer.start(sites, options);
    const { pids, log } = running;
    await until(
      `${peer.name}: the tunnel carries`,
      () => {
        pids();
        return sites.a.host.ping(SITE_B.host4, ["-c", "1", "-W", "0.2"]);
      },
      UP_MS,
      log,
    );
  } catch (error) {
    await running?.stop();
    throw error;
  } finally {
    await probes.stop("SIGINT");
  }
  const [onWire, arrived] = [await wire.stop(), await far.stop()];
  const delivered = arrived.find(
    ({ protocol, source, payload }) => protocol === ICMP && source === SITE_A.host4 && payload[0] === 8,
  );
  if (delivered === undefined) throw new Error(`${peer.name}: no probe arrived`);
  const first = peer.handshakePort === undefined ? undefined : firstDatagram(onWire, peer.handshakePort);
  return {
    running,
    startMs: (delivered.at - startedAt) * 1000,
    ...(first === undefined ? {} : { handshakeMs: (delivered.at - first.at) * 1000 }),
  };
}

function firstDatagram(frames: readonly Frame[], port: number): Frame | undefined {
  return frames.find(
    (frame) =>
      (frame.protocol === UDP && frame.kind === "ike") ||
      (frame.protocol === UDP && frame.kind === "clear" && frame.payload.readUInt16BE(2) === port),
  );
}
