/** What tests ask of a tunnel again and again. */
import { expect } from "vitest";
import { clearFrames, countOf, type Frame } from "./capture.ts";
import { until } from "./command.ts";
import { newFlow } from "./traffic.ts";
import type { Site } from "./two-sites.ts";

const TCP_PORT = 5001;
const UDP_PORT = 5002;
/** How late an echo may be on a busy machine. */
const ECHO_MS = 10_000;

/** Ping, TCP and UDP between the hosts of two sites, IPv4 and IPv6; what arrives is what was sent. */
export async function expectTraffic(
  from: Site,
  to: Site,
  options: { families?: readonly (4 | 6)[]; octets?: number; datagrams?: number } = {},
): Promise<void> {
  const { families = [4, 6], octets = 300_000, datagrams = 100 } = options;
  const [sender, receiver] = [await from.traffic(), await to.traffic()];
  await receiver.forget();
  await receiver.tcpServe(TCP_PORT);
  await receiver.udpServe(UDP_PORT, true);
  for (const family of families) {
    const host = family === 4 ? to.addresses.host4 : to.addresses.host6;
    await until(`ping ${host}`, () => from.host.ping(host));
    const transfer = await sender.tcpSend({ host, port: TCP_PORT, octets });
    expect(transfer.received, `TCP to ${host}`).toEqual({ octets, digest: transfer.digest });
    const flow = newFlow();
    const sent = await sender.udpSend({
      host,
      port: UDP_PORT,
      flow,
      count: datagrams,
      everyMs: 1,
      size: 600,
      lingerMs: ECHO_MS,
    });
    expect(sent, `UDP to ${host}`).toEqual({ sent: datagrams, refused: 0, echoed: datagrams });
    expect(await receiver.udpReceived(flow)).toMatchObject({
      received: datagrams,
      duplicates: 0,
      corrupt: 0,
    });
  }
}

/** The capture shows the tunnel, at least `espAtLeast` packets of it, and nothing else. */
export function expectOnlyTunnel(frames: readonly Frame[], espAtLeast: number): void {
  expect(countOf(frames, "esp"), "ESP packets in the capture").toBeGreaterThanOrEqual(espAtLeast);
  expect(clearFrames(frames)).toEqual([]);
}
