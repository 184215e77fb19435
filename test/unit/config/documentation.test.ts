/** The configuration guide: its examples load, it names every key, and the defaults it tells are the ones there are. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { z } from "zod";
import { childSchema, connectionSchemas, fileSchema, manualSchema } from "../../../src/config/schema.ts";
import type { SecretSettings } from "../../../src/config/secret.ts";
import {
  DEFAULT_ESP_PROPOSALS,
  DEFAULT_IKE_PROPOSALS,
  formatSuite,
  proposalKeywords,
} from "../../../src/policy/proposal-keyword.ts";
import { load, memoryReader } from "./memory-reader.ts";

const GUIDE = readFileSync(join(import.meta.dirname, "../../../docs/configuration.md"), "utf8");
const examples = [...GUIDE.matchAll(/^```yaml\n(.*?)^```$/gms)].map((match) => match[1]!);
const key = (digit: string, octets: number) => digit.repeat(octets * 2);
const world = {
  environment: { CREDENTIALS_DIRECTORY: "/run/credentials/tungate" },
  files: {
    "secrets/branches": key("1", 16),
    "/run/credentials/tungate/branch7": key("2", 16),
    "secrets/branch1": key("9", 16),
    "secrets/branch2": key("a", 16),
    "secrets/branch3": key("b", 16),
    "secrets/lab-out": key("3", 36),
    "secrets/lab-in": key("4", 36),
    "secrets/lab-old-out": key("5", 16),
    "secrets/lab-old-in": key("6", 16),
    "secrets/lab-old-out-auth": key("7", 32),
    "secrets/lab-old-in-auth": key("8", 32),
  },
};

test("there are examples, and each of them is a configuration without warnings", () => {
  expect(examples.length).toBeGreaterThanOrEqual(5);
  for (const example of examples) expect(load(example, world).warnings).toEqual([]);
});

test("the first example is the whole of the second where it says so: defaults are what the guide shows", () => {
  const { gateway } = load(
    examples[1]!.replace(", group: tungate", "").replace("  metrics: 127.0.0.1:9464\n", ""),
    world,
  );
  const place = { place: expect.anything() };
  const usual = load(examples[0]!, world).gateway;
  const withoutPlaces = (settings: typeof gateway) => ({
    ...settings,
    lines: expect.anything(),
    interfaces: settings.interfaces.map((one) => ({ ...one, ...place })),
  });
  expect(withoutPlaces(gateway)).toEqual(withoutPlaces(usual));
  const child = load(examples[0]!, world).connections[0]!.connection.children[0]!;
  const shown = load(examples[1]!, world).connections[0]!.connection.children[0]!;
  expect(shown.handling).toEqual(child.handling);
  expect(shown.rekey).toEqual(child.rekey);
});

test("the proposals that default stands for are told as they are", () => {
  for (const suite of [...DEFAULT_IKE_PROPOSALS, ...DEFAULT_ESP_PROPOSALS])
    expect(GUIDE).toContain(`\`${formatSuite(suite)}\``);
  const spellings = new Set([
    "aes",
    "sha",
    "curve25519",
    "curve448",
    "modpnone",
    "sha2_256",
    "sha2_384",
    "sha2_512",
  ]);
  const words = proposalKeywords().filter(
    (word) => !spellings.has(word) && !/(gcm|ccm)(128|96|64)?$|cbc$/.test(word),
  );
  for (const word of words) expect(GUIDE, word).toContain(`\`${word}\``);
});

/** Names of all keys below a schema, whatever is wrapped around it. */
function keysBelow(schema: unknown, into: Set<string> = new Set()): Set<string> {
  const { def } = schema as z.core.$ZodType & { readonly def?: Record<string, unknown> };
  if (def === undefined) return into;
  for (const inner of ["innerType", "in", "out", "element"])
    if (def[inner] !== undefined) keysBelow(def[inner], into);
  for (const [name, value] of Object.entries((def["shape"] as object | undefined) ?? {})) {
    into.add(name);
    keysBelow(value, into);
  }
  return into;
}

test("every key of the schema is in the guide", () => {
  const secrets: SecretSettings = {
    reader: memoryReader({}),
    directory: "/",
    read: [],
    files: new Set(),
    secretFiles: new Set(),
    certificates: new Map(),
  };
  const { connection, oneOfMany } = connectionSchemas(secrets);
  const schemas = [fileSchema, connection, oneOfMany, childSchema, manualSchema(secrets)];
  const keys = new Set(schemas.flatMap((schema) => [...keysBelow(schema)]));
  expect(keys.size).toBeGreaterThan(40);
  for (const name of keys) expect(GUIDE, name).toMatch(new RegExp(`(\`|\\b)${name}(\`|:|\\b)`));
});
