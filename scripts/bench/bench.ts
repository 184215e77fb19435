/**
 * Measures gateways against each other: host A, gateway A, router, gateway B, host B in five namespaces, all on this machine.
 *
 *   npm run bench -- [--wire plain|offloads|both] [--rounds N] [--seconds S] [--peers NAME,NAME] [--quick] [--no-udp]
 *                    [--cipher aes256gcm16] [--wireguard-go PROGRAM] [--json FILE] [--write]
 *
 * Rounds are interleaved: each peer once, the order turned by one from round to round, so that what else the machine does
 * hits all of them. Of the peers that targets compare, round trips of packets that come alone are measured side by side.
 * Figures are medians over the rounds; ratios say how many times better ours is. A peer that is missing or fails is named.
 * With --quick it takes about twelve minutes for both wires, without it about three times that; --peers and
 * --no-udp make it shorter.
 * --peers       only those whose names begin so: "ours", "wireguard-go", "native loop" ...
 * --wire        plain: frames of at most 1500 octets cross the router; offloads: NICs that cut and merge; both
 * --wireguard-go  one more binary, for instance of a newer Debian (dpkg-deb -x), besides the one that is installed
 * --write       docs/bench/ and the section of the README
 */
import { rmSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { cryptoProvider } from "../../src/io/crypto-provider.ts";
import { run } from "../../test/interop/harness/command.ts";
import { removeNamespaces } from "../../test/interop/harness/namespace.ts";
import { machineAndPeer, versionOf } from "./environment.ts";
import { measureIdleSideBySide } from "./idle.ts";
import type { Sample } from "./metrics.ts";
import { buildFolder } from "./native-program.ts";
import { usage as failUsage, numberOf, readOptions } from "./options.ts";
import { writePages } from "./pages.ts";
import type { Peer } from "./peer.ts";
import { NATIVE_LOOP } from "./peer-native-loop.ts";
import { OURS } from "./peer-ours.ts";
import { wireguards } from "./peer-wireguard.ts";
import { allPeers } from "./peers.ts";
import { aligned, rowsOf } from "./report.ts";
import type { Results } from "./results.ts";
import { measureRound } from "./round.ts";
import { verdictRows } from "./targets.ts";
import { WIRES, type Wire } from "./world.ts";

/** Above this the machine did something else before, and probably still does. */
const BUSY_LOAD = 0.7;
const TOOLS = ["iperf3", "ping", "ethtool", "tcpdump", "g++", "setpriv"] as const;

const usage = (problem: string): never => failUsage(import.meta.filename, problem);
const positive = (text: string, name: string) => numberOf(import.meta.filename, name, text, 1);

const words = readOptions(import.meta.filename, {
  rounds: { type: "string" },
  seconds: { type: "string", default: "2" },
  peers: { type: "string" },
  cipher: { type: "string", default: "aes256gcm16" },
  "wireguard-go": { type: "string" },
  wire: { type: "string", default: "both" },
  json: { type: "string" },
  quick: { type: "boolean", default: false },
  "no-udp": { type: "boolean", default: false },
  write: { type: "boolean", default: false },
});
const rounds = positive(words.rounds ?? (words.quick ? "1" : "3"), "rounds");
const seconds = positive(words.seconds, "seconds");
const wires = words.wire === "both" ? WIRES : WIRES.filter((wire) => wire === words.wire);
if (wires.length === 0) usage("--wire wants plain, offloads or both");
if (process.getuid?.() !== 0) usage("network namespaces need root");

const remarks: string[] = [];
const loadBefore = loadavg()[0]!;
if (loadBefore > BUSY_LOAD)
  remarks.push(
    `the machine was busy before (load ${loadBefore.toFixed(1)}): figures are too low and times too long`,
  );
for (const tool of TOOLS)
  if ((await run(["sh", "-c", `command -v ${tool}`], { mayFail: true })).status !== 0)
    usage(`${tool} is missing: scripts/setup --tests`);

const known = allPeers(words["wireguard-go"]);
const wanted = words.peers?.split(",").map((name) => name.trim().toLowerCase());
for (const name of wanted ?? [])
  if (!known.some((peer) => peer.name.toLowerCase().startsWith(name)))
    usage(`there is no peer ${name}; there are ${known.map((peer) => peer.name).join("; ")}`);
const chosen = known.filter(
  ({ name }) => wanted?.some((one) => name.toLowerCase().startsWith(one)) !== false,
);
const absent = chosen.flatMap((peer) => {
  const why = peer.missing();
  return why === undefined ? [] : [{ name: peer.name, why }];
});
const peers = chosen.filter(({ name }) => !absent.some((one) => one.name === name));
for (const { name, why } of absent) console.error(`${name} is not there: ${why} is missing`);

let isStopping = false;
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    if (isStopping) return;
    isStopping = true;
    console.error("bench: stopping");
    // Whatever runs is in a namespace of ours and goes with it; the round then fails, and puts its files away.
    setInterval(() => void removeNamespaces(), 300).unref();
  });
}

/** One round of one peer; `null` when it failed, which is said. */
async function sampleOf(peer: Peer, wire: Wire, round: number): Promise<Sample | null> {
  console.error(`round ${round} of ${rounds}, ${wire} wire: ${peer.name}`);
  const isFirstWire = wire === wires[0];
  try {
    return await measureRound(peer, wire, {
      cipher: words.cipher,
      seconds,
      // What does not depend on offloads of the wire is measured once.
      udpSteps: words["no-udp"] || !isFirstWire ? 0 : words.quick ? 4 : 6,
      withGarbage: isFirstWire && round === 1 && peer.name === OURS,
      say: (said) => console.error(`  ${said}`),
    });
  } catch (error) {
    if (isStopping) return null;
    const why = error instanceof Error ? error.message : String(error);
    remarks.push(`round ${round} of ${peer.name} on the ${wire} wire failed and does not count: ${why}`);
    console.error(`  ${why}`);
    return null;
  }
}

/** Adds to the samples of this round what the peers that targets compare show side by side. */
async function addIdle(samples: Record<string, (Sample | null)[]>, wire: Wire, round: number): Promise<void> {
  const { wireguardWithOffloads, wireguardWithout } = roles;
  const compared = [OURS, NATIVE_LOOP, wireguardWithOffloads ?? wireguardWithout];
  const standing = peers.filter(({ name }) => compared.includes(name) && samples[name]?.at(-1));
  console.error(`round ${round} of ${rounds}, ${wire} wire: packets that come alone`);
  try {
    const found = await measureIdleSideBySide(standing, wire, { cipher: words.cipher });
    for (const [name, sample] of Object.entries(found))
      samples[name]!.push({ ...samples[name]!.pop(), ...sample });
  } catch (error) {
    if (isStopping) return;
    const why = error instanceof Error ? error.message : String(error);
    remarks.push(`round ${round} on the ${wire} wire: no round trips of packets that come alone: ${why}`);
    console.error(`  ${why}`);
  }
}

async function measureAll(): Promise<Results["samples"]> {
  const samples: Record<string, Record<string, (Sample | null)[]>> = {};
  for (const wire of wires)
    samples[wire] = Object.fromEntries(peers.map(({ name }) => [name, [] as (Sample | null)[]]));
  for (let round = 1; round <= rounds; round += 1) {
    const turned = peers.map((_, i) => peers[(i + round - 1) % peers.length]!);
    for (const wire of wires) {
      for (const peer of turned)
        if (!isStopping) samples[wire]![peer.name]!.push(await sampleOf(peer, wire, round));
      if (!isStopping) await addIdle(samples[wire]!, wire, round);
    }
  }
  return samples;
}

async function environment(): Promise<Results["environment"]> {
  return {
    ...(await machineAndPeer()),
    loadBefore: Math.round(loadBefore * 100) / 100,
    openssl: process.versions.openssl,
    esp: cryptoProvider().name,
    openvpn: await versionOf(["openvpn", "--version"]),
    iperf3: await versionOf(["iperf3", "--version"]),
    commit: await versionOf(["git", "-C", import.meta.dirname, "rev-parse", "--short", "HEAD"]),
  };
}

function rolesOf(): Results["roles"] {
  const present = wireguards(words["wireguard-go"]).filter(({ name }) =>
    peers.some((one) => one.name === name),
  );
  const recent = present.findLast(({ hasOffloads }) => hasOffloads)?.name;
  const old = present.find(({ hasOffloads }) => !hasOffloads)?.name;
  return {
    ...(recent === undefined ? {} : { wireguardWithOffloads: recent }),
    ...(old === undefined ? {} : { wireguardWithout: old }),
  };
}

const roles = rolesOf();
const samples = await measureAll();
await removeNamespaces();
rmSync(buildFolder(), { recursive: true, force: true });
if (isStopping) process.exitCode = 130;
else {
  const results: Results = {
    environment: await environment(),
    options: { rounds, seconds, cipher: words.cipher },
    wires,
    peers: peers.map(({ name }) => name),
    absent,
    roles,
    samples,
    remarks,
  };
  for (const wire of wires) console.log(`\nWire: ${wire}\n${aligned(rowsOf(results, wire))}`);
  console.log(`\nIn brackets: how many times better ours is.\n\n${aligned(verdictRows(results))}\n`);
  console.log(JSON.stringify(results.environment));
  for (const remark of remarks) console.log(remark);
  if (words.json !== undefined) writeFileSync(words.json, `${JSON.stringify(results, undefined, 2)}\n`);
  if (words.write) writePages(results);
  const failed = peers.some(({ name }) =>
    wires.every((wire) => samples[wire]![name]!.every((one) => one === null)),
  );
  process.exitCode = failed || peers.length === 0 ? 1 : 0;
}
