/** The configuration as it holds: what the file says, what presets give, what is usual, and which of them each key has. */
import { resolve } from "node:path";
import { fromStrictUtf8 } from "../base/bytes.ts";
import type { Connection } from "../policy/connection.ts";
import type { Configuration } from "./configuration.ts";
import { CHILD_DEFAULTS, CONNECTION_DEFAULTS, GATEWAY_DEFAULTS } from "./defaults.ts";
import { CONFIGURATION_OCTETS_MAX } from "./load.ts";
import { isMapping, type Preset, presetNamed } from "./preset.ts";
import { below, withPreset } from "./preset-merge.ts";
import type { ConfigurationReader } from "./reader.ts";
import { formatPath, type Path, readYaml, type YamlText } from "./yaml-text.ts";

type Mapping = Readonly<Record<string, unknown>>;

/** Where the value of a key is from. */
export type Origin =
  | { readonly kind: "file"; readonly line: number }
  | { readonly kind: "preset"; readonly preset: string }
  | { readonly kind: "default" };

export interface EffectiveConfiguration {
  readonly value: Mapping;
  /** Of a value that is no mapping. */
  originOf(path: Path): Origin;
}

/** In place of keys that stand in the file itself. */
const NOT_SHOWN = "(not shown)";
const KEYS_IN_THE_FILE = ["key", "integrity_key"];

/** @param configuration - what `reader` was read to before, so that the file is known to be right */
export function effectiveConfiguration(
  { file, connections }: Configuration,
  reader: ConfigurationReader,
): EffectiveConfiguration {
  const reading = reader.readFile(resolve(file), CONFIGURATION_OCTETS_MAX);
  const yaml = readYaml(reading.kind === "file" ? (fromStrictUtf8(reading.bytes) ?? "") : "");
  const root = isMapping(yaml.value) ? yaml.value : {};
  const origins = new Origins(yaml);
  const found = new Map(
    connections.map(({ connection: { name, oneOf, keep, encapsulation } }) => [
      oneOf?.connection ?? name,
      { keep, encapsulation },
    ]),
  );
  const device = deviceOf(root);
  const written = isMapping(root["connections"]) ? root["connections"] : {};
  const merged = Object.entries(written).map(([name, connection]) => [
    name,
    isMapping(connection)
      ? whole(connection, ["connections", name], found.get(name), device, origins)
      : connection,
  ]);
  const gateway = isMapping(root["gateway"]) ? root["gateway"] : {};
  const value = {
    version: 1,
    gateway: origins.usual(gateway, GATEWAY_DEFAULTS, ["gateway"]),
    ...(merged.length === 0 ? {} : { connections: Object.fromEntries(merged) }),
    ...(root["policies"] === undefined ? {} : { policies: root["policies"] }),
  };
  if (root["version"] === undefined) origins.add("default", [["version"]]);
  return { value: withoutKeys(value) as Mapping, originOf: (path) => origins.of(path) };
}

function deviceOf(root: Mapping): string {
  const gateway = isMapping(root["gateway"]) ? root["gateway"] : {};
  const tun = isMapping(gateway["tun"]) ? gateway["tun"] : {};
  return typeof tun["name"] === "string" ? tun["name"] : GATEWAY_DEFAULTS.tun.name;
}

function whole(
  written: Mapping,
  path: Path,
  found: Pick<Connection, "keep" | "encapsulation"> | undefined,
  device: string,
  origins: Origins,
): Mapping {
  const preset = written["preset"] === undefined ? undefined : presetNamed(written["preset"]);
  const own = preset === undefined ? written : ofPreset(written, preset, path, origins);
  const { encapsulation, routes, ike, remote } = CONNECTION_DEFAULTS;
  const shared = { encapsulation, routes, interface: { name: device } };
  // Raw ESP cannot follow to where a NAT is.
  const ofIke = { ...ike, mobike: found?.encapsulation !== "esp" };
  const usual = found === undefined ? shared : { ...shared, ...found, remote, ike: ofIke };
  const merged = origins.usual(own, usual, path);
  const children = merged["children"];
  if (!isMapping(children)) return merged;
  const { esp, ...others } = CHILD_DEFAULTS;
  const entries = Object.entries(children).map(([name, child]) => {
    if (!isMapping(child)) return [name, child];
    const inherited = merged["keep"] === undefined ? {} : { keep: merged["keep"] };
    const ofChild = { ...(child["ah"] === undefined ? { esp } : {}), ...others, ...inherited };
    return [name, origins.usual(child, ofChild, [...path, "children", name])];
  });
  return { ...merged, children: Object.fromEntries(entries) };
}

function ofPreset(written: Mapping, preset: Preset, path: Path, origins: Origins): Mapping {
  const { value, given } = withPreset(written, preset);
  origins.add(
    { preset: preset.name },
    given.map((one) => [...path, ...one]),
  );
  return value;
}

class Origins {
  readonly #yaml: YamlText;
  readonly #known = new Map<string, Origin>();

  constructor(yaml: YamlText) {
    this.#yaml = yaml;
  }

  add(from: "default" | { readonly preset: string }, paths: readonly Path[]): void {
    const origin: Origin = from === "default" ? { kind: "default" } : { kind: "preset", preset: from.preset };
    for (const path of paths) this.#known.set(formatPath(path), origin);
  }

  usual(own: Mapping, base: Mapping, path: Path): Mapping {
    const given: Path[] = [];
    const merged = below(own, base, path, given);
    this.add("default", given);
    return merged;
  }

  of(path: Path): Origin {
    for (let length = path.length; length > 0; length--) {
      const known = this.#known.get(formatPath(path.slice(0, length)));
      if (known !== undefined) return known;
    }
    return { kind: "file", line: this.#yaml.keyPlace(path).line };
  }
}

function withoutKeys(value: unknown, name = ""): unknown {
  if (Array.isArray(value)) return value.map((one) => withoutKeys(one));
  if (isMapping(value))
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, withoutKeys(one, key)]));
  return typeof value === "string" && KEYS_IN_THE_FILE.includes(name) ? NOT_SHOWN : value;
}
