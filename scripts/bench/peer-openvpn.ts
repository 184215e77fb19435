/** OpenVPN point to point over UDP, AES-256-GCM, its data channel in its own process (no DCO). */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { BackgroundProcess, run, until } from "../../test/interop/harness/command.ts";
import type { TwoSites } from "../../test/interop/harness/two-sites.ts";
import { ends, LOG_TAIL, type Peer, type RunningPeer, type Side, there } from "./peer.ts";

const PORT = 1194;
const DEVICE = "ovpn0";
const UP_MS = 15_000;
const INNER = { a: "10.99.0.1", b: "10.99.0.2" } as const;

interface Certificate {
  readonly path: string;
  readonly key: string;
  readonly fingerprint: string;
}
const certificatesOf = new WeakMap<TwoSites, Readonly<Record<Side, Certificate>>>();

async function certificate(folder: string, side: Side): Promise<Certificate> {
  const path = join(folder, `openvpn-${side}.pem`);
  const key = join(folder, `openvpn-${side}.key`);
  await run([
    ...["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ...["-keyout", key, "-out", path, "-days", "2", "-subj", `/CN=${side}`],
  ]);
  const { stdout } = await run(["openssl", "x509", "-in", path, "-noout", "-fingerprint", "-sha256"]);
  return { path, key, fingerprint: stdout.trim().split("=")[1]! };
}

async function certificatesFor(sites: TwoSites): Promise<Readonly<Record<Side, Certificate>>> {
  const known = certificatesOf.get(sites);
  if (known !== undefined) return known;
  const made = { a: await certificate(sites.folder, "a"), b: await certificate(sites.folder, "b") };
  certificatesOf.set(sites, made);
  return made;
}

async function start(sites: TwoSites, side: Side): Promise<RunningPeer> {
  const [own, other] = ends(sites, side);
  const far = side === "a" ? "b" : "a";
  const certificates = await certificatesFor(sites);
  const folder = join(sites.folder, side);
  mkdirSync(folder, { recursive: true });
  const daemon = new BackgroundProcess(
    own.gateway.command([
      ...["openvpn", "--dev", DEVICE, "--dev-type", "tun", "--proto", "udp4", "--port", `${PORT}`],
      ...["--local", own.addresses.outer4, "--remote", other.addresses.outer4, `${PORT}`],
      ...["--ifconfig", INNER[side], INNER[far], side === "a" ? "--tls-client" : "--tls-server"],
      ...(side === "a" ? [] : ["--dh", "none"]),
      ...["--cert", certificates[side].path, "--key", certificates[side].key],
      ...["--peer-fingerprint", certificates[far].fingerprint],
      ...["--disable-dco", "--data-ciphers", "AES-256-GCM", "--cipher", "AES-256-GCM", "--verb", "1"],
    ]),
    join(folder, "openvpn.log"),
  );
  await until(
    "openvpn has its device",
    async () => {
      if (daemon.exitStatus !== undefined) throw new Error(`openvpn ended: ${daemon.log()}`);
      const words = ["ip", "-o", "link", "show", "dev", DEVICE, "up"];
      return (await own.gateway.run(words, { mayFail: true })).stdout.includes(DEVICE);
    },
    UP_MS,
    () => daemon.log(),
  );
  await own.gateway.ip(`route add ${other.addresses.lan4} dev ${DEVICE}`);
  return {
    pids: () => [daemon.pid],
    log: () => daemon.log().slice(-LOG_TAIL),
    stop: async () => void (await daemon.stop("SIGTERM")),
  };
}

export const openVpn: Peer = {
  name: "OpenVPN",
  handshakePort: PORT,
  missing: () =>
    !there("openvpn")
      ? "openvpn (scripts/setup --tests)"
      : !there("openssl")
        ? "openssl (scripts/setup --tests)"
        : undefined,
  prepare: (sites) => start(sites, "b"),
  start: (sites) => start(sites, "a"),
};
