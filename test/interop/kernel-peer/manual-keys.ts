/** Manual keys for both ends of an SA pair between the gateway and a kernel peer, in our notation and in that of `ip xfrm`. */
import { createHash } from "node:crypto";
import type { KernelPeer } from "./kernel-peer.ts";

export interface ManualSuite {
  /** What stands in `out` and `in` beside the SPI and the keys. */
  readonly ours: string;
  readonly keyLength: number;
  readonly integrityLength: number;
  readonly kernel: (key: string, integrityKey: string) => string;
}

export const GCM_256: ManualSuite = {
  ours: "esp: aes256gcm16",
  keyLength: 36,
  integrityLength: 0,
  kernel: (key) => `aead 'rfc4106(gcm(aes))' 0x${key} 128`,
};
export const GCM_256_ESN: ManualSuite = { ...GCM_256, ours: "esp: aes256gcm16-esn" };
export const CBC_256_SHA_256: ManualSuite = {
  ours: "esp: aes256-sha256",
  keyLength: 32,
  integrityLength: 32,
  kernel: (key, integrityKey) => `enc 'cbc(aes)' 0x${key} auth-trunc 'hmac(sha256)' 0x${integrityKey} 128`,
};

export const OUT_SPI = 0x1002;
export const IN_SPI = 0x1001;

export function keyOf(name: string, length: number): string {
  return createHash("sha512")
    .update(name)
    .digest("hex")
    .padEnd(length * 2, "5a")
    .slice(0, length * 2);
}

/** The value of `out` or `in` in a manual child. */
export function ourSide(suite: ManualSuite, spi: number, direction: "in" | "out"): string {
  const key = suite.keyLength === 0 ? "" : `, key: "${keyOf(`${direction} key`, suite.keyLength)}"`;
  const integrity =
    suite.integrityLength === 0
      ? ""
      : `, integrity_key: "${keyOf(`${direction} integrity`, suite.integrityLength)}"`;
  return `{ spi: ${spi}, ${suite.ours}${key}${integrity} }`;
}

export interface KernelSide {
  readonly suite: ManualSuite;
  readonly protocol: "esp" | "ah";
  readonly mode: "tunnel" | "transport";
  readonly encapsulation: "esp" | "udp";
  /** Outer addresses: the kernel's and ours. */
  readonly own: string;
  readonly other: string;
  readonly esn: boolean;
  /** What is protected, as the kernel sees it: [its side, ours]. */
  readonly selectors: readonly (readonly [string, string])[];
  /** More words for its outbound SA. */
  readonly outbound?: string;
}

/** Replaces all states and policies of the kernel. */
export async function configureKernel(peer: KernelPeer, side: KernelSide): Promise<void> {
  const { suite, protocol, mode, own, other } = side;
  const anywhere = own.includes(":") ? "::" : "0.0.0.0";
  const extra = [
    side.encapsulation === "udp" ? `encap espinudp 4500 4500 ${anywhere}` : "",
    side.esn ? "replay-window 64 flag esn" : "replay-window 32",
    mode === "tunnel" ? "flag af-unspec" : "",
    // Without it Linux pads AH to eight octets over IPv4 too, which RFC 4302 does not.
    protocol === "ah" ? "flag align4" : "",
  ].join(" ");
  const state = (from: string, to: string, spi: number, direction: string) =>
    `ip xfrm state add src ${from} dst ${to} proto ${protocol} spi ${spi} reqid 1 mode ${mode} ${suite.kernel(
      keyOf(`${direction} key`, suite.keyLength),
      keyOf(`${direction} integrity`, suite.integrityLength),
    )} ${extra}`;
  // Else the outer UDP, which is between the same hosts, would have to be protected itself.
  const ports = "proto udp sport 4500 dport 4500";
  const bypasses =
    mode === "transport" && side.encapsulation === "udp"
      ? [`ip xfrm policy add src ${other} dst ${own} ${ports} dir in priority 1 action allow`]
      : [];
  const template = (from: string, to: string) =>
    `tmpl src ${from} dst ${to} proto ${protocol} reqid 1 mode ${mode}`;
  const policies = side.selectors.flatMap(([theirs, ours]) => [
    `ip xfrm policy add src ${theirs} dst ${ours} dir out priority 9 ${template(own, other)}`,
    `ip xfrm policy add src ${ours} dst ${theirs} dir in priority 9 ${template(other, own)}`,
  ]);
  await peer.run(
    [
      "set -e",
      "ip xfrm state flush",
      "ip xfrm policy flush",
      `${state(own, other, IN_SPI, "in")} ${side.outbound ?? ""}`,
      state(other, own, OUT_SPI, "out"),
      ...bypasses,
      ...policies,
    ].join("\n"),
  );
}

/** Packets by SPI. */
export async function kernelCounters(peer: KernelPeer): Promise<Map<number, number>> {
  const { stdout } = await peer.run("ip -s xfrm state");
  return new Map(
    [
      ...stdout.matchAll(
        /proto (?:esp|ah) spi (0x[0-9a-f]+)[\s\S]*?lifetime current:\s+\d+\(bytes\), (\d+)\(packets\)/g,
      ),
    ].map(([, spi, packets]) => [Number(spi), Number(packets)]),
  );
}

/** Lines of the kernel's counters of failures that are not zero. */
export async function kernelFailures(peer: KernelPeer): Promise<string> {
  const { stdout } = await peer.run(
    "awk '$2 != 0 && /Error|Invalid|Mismatch|NoStates|NoPols|Seq/' /proc/net/xfrm_stat",
  );
  return stdout;
}

/** The kernel takes ESP in UDP from a socket with UDP_ENCAP (100) = ESPINUDP (2) only; perl is in every Debian. */
const UDP_SOCKETS = `use Socket; use Socket qw(inet_pton pack_sockaddr_in6);
for my $family (AF_INET, AF_INET6) {
  socket(my $socket, $family, SOCK_DGRAM, 0) or die;
  setsockopt($socket, 41, 26, pack("i", 1)) if $family == AF_INET6;
  bind($socket, $family == AF_INET ? pack_sockaddr_in(4500, INADDR_ANY) : pack_sockaddr_in6(4500, inet_pton(AF_INET6, "::"))) or die $!;
  setsockopt($socket, 17, 100, pack("i", 2)) or die $!;
  push @sockets, $socket;
}
sleep;`;

export async function openEncapsulationSockets(peer: KernelPeer): Promise<void> {
  await peer.start(`perl -e ${JSON.stringify(UDP_SOCKETS.replaceAll("\n", " ")).replaceAll("$", "\\$")}`);
}
