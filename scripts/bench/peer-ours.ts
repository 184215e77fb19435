/** Tungate itself: with the bench's settings, with raw ESP, with two lanes, and as a configuration without any setting leaves it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Gateway } from "../../test/interop/harness/gateway.ts";
import type { Site, TwoSites } from "../../test/interop/harness/two-sites.ts";
import { ends, LOG_TAIL, type Peer, type PeerOptions, type RunningPeer, SECRET, type Side } from "./peer.ts";

const ROOT = join(import.meta.dirname, "../..");
/** Of --trace-gc: the isolate, then what it did. */
const COLLECTION = /^\[\d+:(0x[0-9a-f]+)\].*: (\S+(?: Mark-\S+)?) /gm;
const MINOR_COLLECTION = /^(?:Scavenge|Minor Mark-(?:Compact|Sweep))$/;

type Settings = (own: Site, other: Site, side: Side, options: PeerOptions) => string;

const chosen =
  (encapsulation: "auto" | "esp", lanes: "auto" | number = "auto"): Settings =>
  (own, other, side, { cipher }) =>
    `version: 1
gateway:
  listen: [${own.addresses.outer4}]
  lanes: ${lanes}
connections:
  bench:
    local: { id: "ip:${own.addresses.outer4}" }
    remote: { address: ${other.addresses.outer4}, id: "ip:${other.addresses.outer4}" }
    psk: { file: key }
    keep: ${side === "a" ? "up" : "respond"}
    encapsulation: ${encapsulation}
    children:
      lan: { local: [${own.addresses.lan4}], remote: [${other.addresses.lan4}], esp: [${cipher}-x25519] }
`;

/** Remote address, key and the networks of both sides: nothing else, on both sides. */
const untouched: Settings = (own, other) => `connections:
  bench:
    remote: { address: ${other.addresses.outer4} }
    psk: { file: key }
    children:
      lan: { local: ${own.addresses.lan4}, remote: ${other.addresses.lan4} }
`;

async function run(
  sites: TwoSites,
  side: Side,
  settings: Settings,
  options: PeerOptions,
): Promise<RunningPeer> {
  const [own, other] = ends(sites, side);
  const gateway = new Gateway(own.gateway, join(sites.folder, side));
  gateway.writeSecret("key", SECRET);
  const configuration = settings(own, other, side, options);
  const words = { nodeWords: ["--trace-gc"] };
  if (side === "b") await gateway.start(configuration, words);
  else gateway.launch(configuration, words);
  const { process } = gateway;
  return {
    pids: () => {
      if (process.exitStatus !== undefined)
        throw new Error(`gateway ${side} ended: ${gateway.log().slice(-LOG_TAIL)}`);
      return [process.pid];
    },
    log: () => gateway.log().slice(-LOG_TAIL),
    minorCollections: () => collectionsOfThreads(process.log()),
    stop: async () => void (await gateway.stop()),
  };
}

/** Collections of young objects in every thread but the main one, whose isolate is the first that collects anything. */
function collectionsOfThreads(log: string): number {
  const all = [...log.matchAll(COLLECTION)];
  const main = all[0]?.[1];
  return all.filter(([, isolate, kind]) => isolate !== main && MINOR_COLLECTION.test(kind!)).length;
}

const variant = (name: string, settings: Settings): Peer => ({
  name,
  // Where both sides call, the first call comes before there is someone to answer.
  ...(settings === untouched ? {} : { handshakePort: 500 }),
  missing: () =>
    existsSync(join(ROOT, "dist/cli/main.js")) && existsSync(join(ROOT, "native/build/Release/tungate.node"))
      ? undefined
      : "the build (scripts/setup)",
  prepare: (sites, options) => run(sites, "b", settings, options),
  start: (sites, options) => run(sites, "a", settings, options),
});

export const OURS = "ours";
export const OURS_DEFAULT = "ours, default";
export const ours: readonly Peer[] = [
  variant(OURS, chosen("auto")),
  variant("ours, raw ESP", chosen("esp")),
  variant("ours, two lanes", chosen("auto", 2)),
  variant(OURS_DEFAULT, untouched),
];
