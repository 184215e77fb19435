/** The JSON Schema for editors: the file in docs is what the program prints, and it agrees with the reader. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { schemaText } from "../../../src/cli/schema.ts";
import { configurationJsonSchema } from "../../../src/config/json-schema.ts";
import { KEY_DESCRIPTIONS } from "../../../src/config/key-descriptions.ts";
import { PRESET_NAMES } from "../../../src/config/preset.ts";
import { load, paris, problemsOf } from "./memory-reader.ts";
import { schemaProblems } from "./schema-validator.ts";

const ROOT = join(import.meta.dirname, "../../..");

test("docs/tungate.schema.json is what tungate schema prints", () => {
  expect(readFileSync(join(ROOT, "docs/tungate.schema.json"), "utf8")).toBe(schemaText());
});

/** Every `description` of the schema. */
function descriptions(value: unknown): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, one]) =>
    key === "description" && typeof one === "string" ? [one] : descriptions(one),
  );
}

test("every key has a description, and no description is of a key that there is not", () => {
  const found = new Set(descriptions(configurationJsonSchema()));
  expect(found.size).toBeGreaterThan(100);
  for (const [path, { description }] of Object.entries(KEY_DESCRIPTIONS))
    expect(found, path).toContain(description);
});

test("every configuration in the documents is one to the schema too", () => {
  const documents = [
    join(ROOT, "README.md"),
    ...readdirSync(join(ROOT, "docs"))
      .filter((name) => name.endsWith(".md"))
      .map((name) => join(ROOT, "docs", name)),
  ];
  const examples = documents.flatMap((path) =>
    [...readFileSync(path, "utf8").matchAll(/^```yaml\n(.*?)^```$/gms)].map((match) => ({
      path,
      text: match[1]!,
    })),
  );
  const whole = examples.filter(({ text }) => /^connections:/m.test(text));
  expect(whole.length).toBeGreaterThan(10);
  for (const { path, text } of whole) expect(schemaProblems(text), `${path}: ${text}`).toEqual([]);
});

test("every preset alone, where it brings its child along", () => {
  for (const name of PRESET_NAMES) {
    const text = `connections: { p: { preset: ${name}, remote: { address: 192.0.2.2 }, psk: { file: x }, children: { lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16 } } } }`;
    expect(schemaProblems(text)).toEqual([]);
  }
  expect(
    schemaProblems("connections: { p: { preset: aws, remote: { address: 192.0.2.2 }, psk: { file: x } } }"),
  ).toEqual([]);
});

test.each<[string, string]>([
  ["a misspelt key", paris("kep: up")],
  ["a misspelt key of a child", paris("", "lan: { local: 10.1.0.0/16, remote: 10.2.0.0/16, mod: tunnel }")],
  ["a word that there is not", paris("keep: upp")],
  ["a preset that there is not", paris("preset: awz")],
  ["a number without unit", paris("ike: { liveness: 30 }")],
  ["a time that is none", paris("ike: { rekey: soon }")],
  ["a key in the file", paris().replace("{ file: secrets/paris }", "hunter2hunter2hunter2")],
  ["two sources of a key", paris().replace("{ file: secrets/paris }", "{ file: secrets/paris, env: X }")],
  ["no remote address", paris().replace("{ address: 198.51.100.2 }", "{ id: gw.test }")],
  ["no networks", paris("", "lan: { local: 10.1.0.0/16 }")],
  ["no children", paris().replace(/ {4}children:\n.*\n/, "")],
  ["a port that is none", paris().replace("198.51.100.2", "198.51.100.2, port: 70000")],
  ["an identity that is a number", paris("local: { id: 12345 }")],
  ["a name with a slash", paris().replace("paris:", "a/b:")],
  ["a policy without action", `${paris()}policies: [{ local: 10.1.0.0/16 }]\n`],
  ["an unknown version", `version: 2\n${paris()}`],
  ["a list of connections", "connections: [1]"],
  ["no mapping at all", "- 1\n- 2\n"],
])("%s is refused by both", (_, text) => {
  expect(problemsOf(text).length).toBeGreaterThan(0);
  expect(schemaProblems(text).length).toBeGreaterThan(0);
});

test("what both accept is the same", () => {
  expect(load(paris()).connections).toHaveLength(1);
  expect(schemaProblems(paris())).toEqual([]);
});
