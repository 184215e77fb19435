/**
 * Measures gateways against each other: host A, gateway A, gateway B, host B in four namespaces, all on this machine.
 *
 *   npm run bench -- [--rounds N] [--seconds S] [--peers plain,ours,strongswan,wireguard-go] [--quick] [--no-udp]
 *                    [--cipher aes256gcm16] [--wireguard-go PROGRAM] [--wire offload|frames] [--json FILE]
 *
 * Rounds are interleaved: each peer once, then again, so that what else the machine does hits all of them. Figures are
 * medians over the rounds; ratios say how many times better ours is. A peer that is missing or fails is named.
 * `--wire offload`: veth as it is, which carries and merges segments larger than the MTU like a NIC with offloads;
 * `--wire frames`: segmentation and merging switched off on every interface, each packet is one that fits a frame.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { run } from "../../test/interop/harness/command.ts";
import { removeNamespaces } from "../../test/interop/harness/namespace.ts";
import { PEERS, type Peer } from "./peers.ts";
import { METRICS, type Sample, table } from "./report.ts";
import { measureRound, type RoundOptions } from "./round.ts";

/** Above this the machine did something else before, and probably still does. */
const BUSY_LOAD = 0.7;
const USAGE_END = " */";

function usage(problem: string): never {
  const words = readFileSync(import.meta.filename, "utf8").split(USAGE_END, 1)[0]!;
  console.error(`bench: ${problem}\n${words.replace(/^\/\*\*\n/, "").replaceAll(/^ \* ?/gm, "")}`);
  process.exit(2);
}

function positive(text: string, name: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) usage(`--${name} wants a number from 1`);
  return value;
}

function options() {
  try {
    const { values } = parseArgs({
      options: {
        rounds: { type: "string" },
        seconds: { type: "string" },
        peers: { type: "string", default: PEERS.map(({ name }) => name).join(",") },
        cipher: { type: "string", default: "aes256gcm16" },
        "wireguard-go": { type: "string", default: "wireguard-go" },
        wire: { type: "string", default: "offload" },
        json: { type: "string" },
        quick: { type: "boolean", default: false },
        "no-udp": { type: "boolean", default: false },
      },
    });
    return values;
  } catch (error) {
    return usage(error instanceof Error ? error.message : String(error));
  }
}

const words = options();
const rounds = positive(words.rounds ?? (words.quick ? "1" : "3"), "rounds");
const seconds = positive(words.seconds ?? (words.quick ? "2" : "5"), "seconds");
if (words.wire !== "offload" && words.wire !== "frames") usage("--wire wants offload or frames");
if (process.getuid?.() !== 0) usage("network namespaces need root");

const roundOptions: RoundOptions = {
  wireguard: words["wireguard-go"],
  cipher: words.cipher,
  seconds,
  udpSteps: words["no-udp"] ? 0 : words.quick ? 4 : 7,
  offload: words.wire === "offload",
  say: (said) => console.error(`  ${said}`),
};

const remarks: string[] = [];
const loadBefore = loadavg()[0]!;
if (loadBefore > BUSY_LOAD)
  remarks.push(
    `the machine was busy before (load ${loadBefore.toFixed(1)}): figures are too low and times too long`,
  );
const peers = words.peers.split(",").flatMap((name): Peer[] => {
  const peer = PEERS.find((one) => one.name === name);
  if (peer === undefined)
    return usage(`there is no peer ${name}; there are ${PEERS.map((one) => one.name).join(", ")}`);
  const missing = peer.missing(roundOptions);
  if (missing === undefined) return [peer];
  remarks.push(`${name} is not measured: ${missing} is missing`);
  return [];
});

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

async function versionOf(argv: readonly string[]): Promise<string> {
  const outcome = await run(argv, { mayFail: true }).catch(() => undefined);
  return outcome === undefined ? "absent" : `${outcome.stdout}${outcome.stderr}`.trim().split("\n")[0]!;
}

const samples: Record<string, Sample[]> = Object.fromEntries(peers.map(({ name }) => [name, []]));
for (let round = 1; round <= rounds; round += 1) {
  for (const peer of peers) {
    if (isStopping) break;
    console.error(`round ${round} of ${rounds}: ${peer.name}`);
    try {
      samples[peer.name]!.push(await measureRound(peer, roundOptions));
    } catch (error) {
      if (isStopping) break;
      const why = error instanceof Error ? error.message : String(error);
      remarks.push(`round ${round} of ${peer.name} failed and does not count: ${why}`);
      console.error(`  ${why}`);
    }
  }
}

await removeNamespaces();
if (isStopping) process.exitCode = 130;
else {
  const names = peers.map(({ name }) => name).filter((name) => samples[name]!.length > 0);
  const reference = names.includes("ours") ? "ours" : names[0];
  const environment = {
    date: new Date().toISOString(),
    loadBefore,
    kernel: (await run(["uname", "-r"])).stdout.trim(),
    processor: `${cpus().length} x ${cpus()[0]?.model ?? "unknown"}`,
    node: process.version,
    openssl: process.versions.openssl,
    wireguard: await versionOf([words["wireguard-go"], "--version"]),
    strongswan: await versionOf(["/usr/lib/ipsec/charon", "--version"]),
    iperf3: await versionOf(["iperf3", "--version"]),
    commit: await versionOf(["git", "-C", import.meta.dirname, "rev-parse", "--short", "HEAD"]),
  };
  if (reference !== undefined) {
    console.log(table(names, samples, reference));
    console.log(
      `\n${rounds} rounds, ${seconds} s per transfer, cipher ${words.cipher} (wireguard-go: ChaCha20-Poly1305), wire: ${words.wire}, ` +
        `${environment.processor}, Linux ${environment.kernel}, Node ${environment.node}`,
    );
    if (names.length > 1) console.log(`In brackets: how many times better ${reference} is.`);
  }
  for (const remark of remarks) console.log(remark);
  if (words.json !== undefined) {
    const { wire, cipher } = words;
    writeFileSync(
      words.json,
      `${JSON.stringify({ environment, options: { rounds, seconds, wire, cipher }, metrics: METRICS, samples, remarks }, undefined, 2)}\n`,
    );
  }
  process.exitCode = names.length === peers.length && peers.length > 0 ? 0 : 1;
}
