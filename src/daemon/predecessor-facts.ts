/** What IKE is to know of the process before. */
import { equal, wipe } from "../base/bytes.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import type { GatewaySettings } from "../config/configuration.ts";
import type { GatewayPredecessor } from "../gateway/gateway.ts";
import type { DaemonLog } from "./daemon-log.ts";
import type { TakenOver } from "./take-over.ts";

export function predecessorOf(
  taken: TakenOver | undefined,
  { listen, ports }: GatewaySettings,
): GatewayPredecessor | undefined {
  if (taken === undefined) return undefined;
  const { state, ikeSas } = taken;
  const isOurs = ({ address, port }: UdpEndpoint) =>
    [0, ports.ike, ports.nat].includes(port) &&
    (listen.length === 0 || listen.some((one) => equal(one, address)));
  return { ikeSas, fingerprints: state.fingerprints, isOurs };
}

/** @param waiting - pairs among `all` whose IKE SA is not there */
export function sayTaken(taken: TakenOver | undefined, all: number, waiting: number, log: DaemonLog): void {
  if (taken === undefined) return;
  // What was in them is in the machine now.
  wipe(...taken.ikeSas);
  const lost = waiting === 0 ? "" : `, ${waiting} of them without their IKE SA, which is made anew`;
  log.info(`went on with ${all === 1 ? "1 SA pair" : `${all} SA pairs`} of the process before${lost}`);
}
