/** strongSwan with ESP in its own process (kernel-libipsec). */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type PeerConnection, StrongSwan } from "../../test/interop/harness/strongswan.ts";
import type { Site, TwoSites } from "../../test/interop/harness/two-sites.ts";
import {
  ends,
  LOG_TAIL,
  type Peer,
  type PeerOptions,
  processesOf,
  type RunningPeer,
  SECRET,
  type Side,
  there,
} from "./peer.ts";

function connectionOf(own: Site, other: Site, cipher: string): PeerConnection {
  return {
    local: own.addresses.outer4,
    remote: other.addresses.outer4,
    localId: own.addresses.outer4,
    remoteId: other.addresses.outer4,
    secret: SECRET,
    ike: "aes256gcm16-prfsha384-x25519",
    esp: `${cipher}-x25519`,
    localTs: [own.addresses.lan4],
    remoteTs: [other.addresses.lan4],
  };
}

async function run(sites: TwoSites, side: Side, options: PeerOptions): Promise<RunningPeer> {
  const [own, other] = ends(sites, side);
  const charon = await new StrongSwan(own.gateway, join(sites.folder, side)).start();
  await charon.load(connectionOf(own, other, options.cipher));
  if (side === "a" && !(await charon.initiate()))
    throw new Error(`strongSwan did not bring the tunnel up: ${charon.log().slice(-LOG_TAIL)}`);
  const pids = await processesOf(own, "charon");
  return { pids: () => pids, log: () => charon.log().slice(-LOG_TAIL), stop: () => charon.stop() };
}

export const STRONGSWAN = "strongSwan";
export const strongSwan: Peer = {
  name: STRONGSWAN,
  handshakePort: 500,
  missing: () =>
    existsSync("/usr/lib/ipsec/charon") &&
    existsSync("/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so") &&
    there("swanctl")
      ? undefined
      : "strongSwan with kernel-libipsec (scripts/setup --tests)",
  prepare: (sites, options) => run(sites, "b", options),
  start: (sites, options) => run(sites, "a", options),
};
