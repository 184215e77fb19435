/** Everything that is compared. */
import { SITE_A, SITE_B } from "../../test/interop/harness/two-sites.ts";
import type { Peer, RunningPeer } from "./peer.ts";
import { nativeLoop } from "./peer-native-loop.ts";
import { openVpn } from "./peer-openvpn.ts";
import { ours } from "./peer-ours.ts";
import { strongSwan } from "./peer-strongswan.ts";
import { wireguards } from "./peer-wireguard.ts";
import { ROUTER } from "./world.ts";

const NOTHING: RunningPeer = { pids: () => [], log: () => "", stop: () => Promise.resolve() };

/** No tunnel at all: what the machine's own forwarding and the load take. */
const plain: Peer = {
  name: "plain forwarding",
  missing: () => undefined,
  prepare: async (sites) => {
    await sites.b.gateway.ip(`route add ${SITE_A.lan4} via ${ROUTER}`);
    return NOTHING;
  },
  start: async (sites) => {
    await sites.a.gateway.ip(`route add ${SITE_B.lan4} via ${ROUTER}`);
    return NOTHING;
  },
};

/** @param wireguard  program of a wireguard-go besides the system's */
export function allPeers(wireguard: string | undefined): readonly Peer[] {
  return [plain, nativeLoop, ...ours, ...wireguards(wireguard), strongSwan, openVpn];
}
