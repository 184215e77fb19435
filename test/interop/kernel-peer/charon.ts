/** strongSwan inside a kernel peer, with that kernel's ESP. */
import type { Outcome } from "../harness/command.ts";
import { charonSettings, type PeerConnection, swanctlSettings } from "../harness/strongswan.ts";
import type { KernelPeer } from "./kernel-peer.ts";

const FOLDER = "/run/ike";

/** Starts charon in the peer, once per boot, and loads the connection in place of what was there. */
export async function startCharonInside(peer: KernelPeer, connection: PeerConnection): Promise<void> {
  await peer.run(
    `mkdir -p ${FOLDER}
cat >${FOLDER}/strongswan.conf <<'END'
${charonSettings(FOLDER, "kernel-netlink")}
END
cat >${FOLDER}/swanctl.conf <<'END'
${swanctlSettings(connection)}
END
chmod 600 ${FOLDER}/swanctl.conf
if ! [ -S ${FOLDER}/vici ]; then
  STRONGSWAN_CONF=${FOLDER}/strongswan.conf setsid /usr/lib/ipsec/charon </dev/null >${FOLDER}/output 2>&1 &
  for _ in $(seq 200); do [ -S ${FOLDER}/vici ] && break; sleep 0.1; done
fi
swanctl --load-all --clear --file ${FOLDER}/swanctl.conf --uri unix://${FOLDER}/vici`,
    { timeoutMs: 60_000 },
  );
}

/** swanctl with these words, in the peer. */
export function swanctlInside(peer: KernelPeer, words: string): Promise<Outcome> {
  return peer.run(`swanctl ${words} --uri unix://${FOLDER}/vici`, { mayFail: true, timeoutMs: 60_000 });
}

export async function charonLogInside(peer: KernelPeer): Promise<string> {
  return (await peer.run(`cat ${FOLDER}/charon.log ${FOLDER}/output`, { mayFail: true })).stdout;
}
