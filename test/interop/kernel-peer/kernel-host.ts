/** What tests want of a kernel peer as a host: neighbours that it need not ask for, and a server. */
import { join } from "node:path";
import { until } from "../harness/command.ts";
import type { Namespace } from "../harness/namespace.ts";
import { SITE_A, SITE_B } from "../harness/two-sites.ts";
import type { KernelPeer } from "./kernel-peer.ts";

/** Neighbour discovery between the two outer addresses would fall under policies for these very addresses. */
export async function introduceNeighbours(gateway: Namespace, peer: KernelPeer): Promise<void> {
  const mine = (await gateway.run(["cat", "/sys/class/net/wan0/address"])).stdout.trim();
  const theirs = (await peer.run("cat /sys/class/net/eth0/address")).stdout.trim();
  await gateway.ip(`neigh replace ${SITE_B.outer6} lladdr ${theirs} dev wan0 nud permanent`);
  await peer.run(`ip neigh replace ${SITE_A.outer6} lladdr ${mine} dev eth0 nud permanent`);
}

/** Receives TCP transfers on this port from now on. */
export async function serveTcp(peer: KernelPeer, port: number): Promise<void> {
  const agent = peer.putFile(join(import.meta.dirname, "../harness/traffic-agent.mjs"));
  await peer.start(
    `(echo '{"id":1,"command":"tcpServe","port":${port}}'; sleep 600) | ${process.execPath} ${agent}`,
  );
  await until(
    "the receiver listens",
    async () => (await peer.run(`ss -Hltn 'sport = :${port}'`)).stdout !== "",
  );
}

/** Sends datagrams of any length back from this port from now on. */
export async function serveUdpEcho(peer: KernelPeer, port: number): Promise<void> {
  await peer.start(`${process.execPath} -e '${UDP_ECHO.replace("PORT", `${port}`)}'`);
  await until("the echo listens", async () => (await peer.run(`ss -Hlun 'sport = :${port}'`)).stdout !== "");
}

const UDP_ECHO = [
  `const socket = require("node:dgram").createSocket("udp6")`,
  `socket.on("message", (bytes, { address, port }) => socket.send(bytes, port, address))`,
  `socket.bind(PORT)`,
].join("; ");
