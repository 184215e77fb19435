/** Presets: each is a configuration, the operator wins, and what comes from one says so. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { effectiveText } from "../../../src/cli/effective-text.ts";
import { CHILD_DEFAULTS, CONNECTION_DEFAULTS, GATEWAY_DEFAULTS } from "../../../src/config/defaults.ts";
import { effectiveConfiguration } from "../../../src/config/effective.ts";
import { PRESET_NAMES, presetNamed } from "../../../src/config/preset.ts";
import { formatSelector } from "../../../src/policy/selector-text.ts";
import { FILE, KEY, load, memoryReader, problemsOf } from "./memory-reader.ts";

const NETWORKS = "lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16 }";

function withPreset(name: string, more = "", children = `children: { ${NETWORKS} }`): string {
  return `connections:
  peer:
    preset: ${name}
    remote: { address: 198.51.100.2 }
    psk: { file: secrets/paris }
    ${children}
    ${more}
`;
}

/** As {@link load}, and the whole of what holds. */
function effective(text: string) {
  const files = { "secrets/paris": `${KEY}\n`, "tungate.yaml": text };
  return effectiveConfiguration(load(text), memoryReader({ files }));
}

test("every data file is a preset, and every preset has one", () => {
  const files = readdirSync(join(import.meta.dirname, "../../../presets")).sort();
  expect(files).toEqual([...PRESET_NAMES].map((name) => `${name}.yaml`).sort());
});

describe.each(PRESET_NAMES)("%s", (name) => {
  test("is a configuration, with sources and what is peculiar", () => {
    const { connections } = load(withPreset(name));
    expect(connections[0]).toMatchObject({ preset: name });
    const { sources, peculiar, date } = presetNamed(name);
    expect(sources.length).toBeGreaterThan(0);
    expect(peculiar.length).toBeGreaterThan(2);
    expect(date).toMatch(/^2026-/);
  });

  test("names only what is a default: no addresses, identities or secrets", () => {
    const { connection, child } = presetNamed(name);
    const keys = [...Object.keys(connection), ...Object.keys(child)];
    for (const key of ["psk", "local.id", "ppk", "manual", "interface"]) expect(keys).not.toContain(key);
    expect(connection["remote"] ?? {}).not.toHaveProperty("address");
  });

  test("what holds with it is a configuration of the same meaning without it", () => {
    const text = effectiveText(FILE, effective(withPreset(name)));
    const written = load(text.replace(/^ *preset: .*\n/m, ""));
    const [one, other] = [load(withPreset(name)), written].map(({ connections }) =>
      withoutPlaces(connections[0]!),
    );
    expect({ ...other, preset: name }).toEqual(one);
  });
});

/** Left away means the same. */
const USUAL_OF_IKE: Readonly<Record<string, unknown>> = {
  mobike: true,
  unique: "replace",
  childless: "allow",
};

function withoutPlaces(value: object): object {
  return JSON.parse(
    JSON.stringify(value, (key, one: unknown) => {
      if (key === "place" || USUAL_OF_IKE[key] === one) return undefined;
      return one instanceof Uint8Array ? [...one] : one;
    }),
  ) as object;
}

test("what the operator writes wins, key by key", () => {
  const { connections } = load(
    withPreset(
      "aws",
      "ike: { liveness: 45s }",
      "children: { lan: { local: 10.1.0.0/16, rekey: 30m, mss: off } }",
    ),
  );
  const { ike, children } = connections[0]!.connection;
  expect(ike).toMatchObject({ liveness: 45_000, rekey: { time: 7 * 3_600_000, jitter: 0.05 } });
  const [lan] = children;
  expect(lan).toMatchObject({
    rekey: { time: 30 * 60_000, jitter: 0.1 },
    handling: { mss: "off", innerMtu: 1446 },
  });
  expect(lan!.selectors.local.map(formatSelector)).toEqual(["10.1.0.0/16"]);
  expect(lan!.selectors.remote.map(formatSelector)).toEqual(["0.0.0.0/0"]);
});

test("a route-based preset brings its child along, and makes way for the operator's own", () => {
  const alone = load(withPreset("aws", "", "")).connections[0]!.connection.children;
  expect(alone.map(({ name }) => name)).toEqual(["any"]);
  const own = load(withPreset("aws", "", "children: { mine: {} }")).connections[0]!.connection.children;
  expect(own.map(({ name }) => name)).toEqual(["mine"]);
  const empty = load(withPreset("aws", "", "children: { mine: }")).connections[0]!.connection.children;
  expect(empty[0]!.selectors).toEqual(own[0]!.selectors);
});

test("what excludes a default takes its place", () => {
  const ah = load(`gateway: { listen: [192.0.2.1] }
${withPreset("strongswan", "", "children: { lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16, ah: sha256 } }")}`);
  expect(ah.connections[0]!.connection.children[0]!.proposals[0]!.protocol).toBe("ah");
  const classes = load(
    withPreset(
      "fortigate",
      "",
      "children: { lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16, dscp_sas: [ef] } }",
    ),
  );
  expect(classes.connections[0]!.connection.children[0]).not.toHaveProperty("saPer");
});

test("a preset that there is not: did you mean", () => {
  const of = (name: string) =>
    problemsOf(withPreset(name)).map(({ line, column, message }) => [line, column, message]);
  expect(of("fortigat")).toEqual([[3, 13, 'there is no preset "fortigat"; did you mean "fortigate"?']]);
  expect(of("zyxel")).toEqual([[3, 13, expect.stringContaining("there are aws, azure, gcp")]]);
  expect(problemsOf(withPreset("[aws]"))[0]).toMatchObject({ code: "CONFIG_WRONG_TYPE", line: 3 });
});

test("a conflict with a key of the preset names the preset, at its place", () => {
  const [problem, ...more] = problemsOf(
    withPreset(
      "fortigate",
      "",
      "children: { lan: { local: [10.1.0.0/17, 10.1.128.0/17, 10.3.0.0/16, 10.5.0.0/16, 10.7.0.0/16, 10.9.0.0/16, 10.11.0.0/16, 10.13.0.0/16, 10.15.0.0/16], remote: [10.2.0.0/17, 10.2.128.0/17, 10.4.0.0/16, 10.6.0.0/16, 10.8.0.0/16, 10.10.0.0/16, 10.12.0.0/16, 10.14.0.0/16] } }",
    ),
  );
  expect(more).toEqual([]);
  expect(problem).toMatchObject({
    code: "CONFIG_CONFLICT",
    line: 3,
    path: "connections.peer.children.lan.sa_per",
  });
  expect(problem!.message).toMatch(/makes 72 SAs.*as preset fortigate has it/);
});

test("manual children have no preset", () => {
  const manual =
    'manual: { m: { local: 10.1.0.0/16, remote: 10.2.0.0/16, out: { spi: 256, esp: aes128-sha256, key: "0x00112233445566778899aabbccddeeff", integrity_key: "0x00" }, in: { spi: 257, esp: aes128-sha256, key: "0x01112233445566778899aabbccddeeff", integrity_key: "0x01" } } }';
  expect(problemsOf(withPreset("aws", "", manual)).map(({ path }) => path)).toContain(
    "connections.peer.preset",
  );
});

test("azure's and mikrotik's weak groups are warned of, at the preset", () => {
  for (const name of ["azure", "mikrotik"]) {
    const [warning] = load(withPreset(name)).warnings;
    expect(warning).toMatchObject({ code: "CONFIG_PROPOSAL_WEAK", line: 3 });
    expect(warning!.message).toContain(`as preset ${name} has it`);
  }
});

test("each key has its origin: file with line, preset, default", () => {
  const { value, originOf } = effective(withPreset("aws", "", "children: { lan: { rekey: 30m } }"));
  expect(value).toMatchObject({
    connections: { peer: { children: { lan: { rekey: { time: "30m", jitter: "10%" } } } } },
  });
  const at = (...keys: string[]) => originOf(["connections", "peer", ...keys]);
  expect(at("remote", "address")).toEqual({ kind: "file", line: 4 });
  expect(at("children", "lan", "rekey", "time")).toEqual({ kind: "file", line: 6 });
  expect(at("children", "lan", "rekey", "jitter")).toEqual({ kind: "preset", preset: "aws" });
  expect(at("children", "lan", "mode")).toEqual({ kind: "default" });
  expect(originOf(["gateway", "listen"])).toEqual({ kind: "default" });
});

test("secrets are no part of what is printed", () => {
  const manual = `connections:
  lab:
    remote: { address: 198.51.100.9 }
    manual:
      m:
        local: 10.1.0.0/16
        remote: 10.2.0.0/16
        out: { spi: 256, esp: aes128-sha256, key: "0x00112233445566778899aabbccddeeff", integrity_key: "0x${"aa".repeat(32)}" }
        in: { spi: 257, esp: aes128-sha256, key: "0x11112233445566778899aabbccddeeff", integrity_key: "0x${"bb".repeat(32)}" }
`;
  const text = effectiveText(FILE, effective(manual));
  expect(text).toContain("(not shown)");
  expect(text).not.toMatch(/0x[0-9a-f]{16}/);
  expect(effectiveText(FILE, effective(withPreset("aws")))).not.toContain(KEY);
});

test("the defaults that are told are those that are filled in", () => {
  const json = (value: object) => JSON.stringify(value);
  const children = `children: { lan: ${json({ local: "10.1.0.0/16", remote: "10.2.0.0/16", ...CHILD_DEFAULTS })} }`;
  const { remote, ...rest } = CONNECTION_DEFAULTS;
  const written = `gateway: ${json(GATEWAY_DEFAULTS)}
connections:
  peer: ${json({ ...rest, remote: { address: "198.51.100.2", ...remote }, psk: { file: "secrets/paris" } }).slice(0, -1)}, ${children} }
`;
  const plain = `connections:
  peer: { remote: { address: 198.51.100.2 }, psk: { file: secrets/paris }, children: { ${NETWORKS} } }
`;
  const [told, usual] = [load(written), load(plain)];
  const gatewayOf = ({ gateway }: typeof told) => withoutPlaces(gateway);
  expect(gatewayOf(told)).toEqual(gatewayOf(usual));
  expect(withoutPlaces(told.connections[0]!)).toEqual(withoutPlaces(usual.connections[0]!));
});
