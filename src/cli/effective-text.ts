/** `tungate check --effective`: the whole configuration as YAML, with the origin of each key behind it. */
import { basename } from "node:path";
import { Document, isCollection } from "yaml";
import type { EffectiveConfiguration, Origin } from "../config/effective.ts";

/** Comments stand in one column as far as lines are shorter than this. */
const COMMENT_COLUMN = 56;

export function effectiveText(file: string, { value, originOf }: EffectiveConfiguration): string {
  const lines: string[] = [];
  const add = (name: string, one: unknown, path: readonly PropertyKey[], indent: string) => {
    if (isMapping(one) && Object.keys(one).length > 0 && !isSecret(one)) {
      lines.push(`${indent}${keyText(name)}:`);
      for (const [key, below] of Object.entries(one)) add(key, below, [...path, key], `${indent}  `);
      return;
    }
    const line = `${indent}${keyText(name)}: ${flowText(one)}`;
    lines.push(`${line.padEnd(COMMENT_COLUMN)}  # ${originText(file, originOf(path))}`);
  };
  for (const [key, one] of Object.entries(value)) add(key, one, [key], "");
  return `${lines.join("\n")}\n`;
}

/** By formatted path, for JSON. */
export function originsOf({ value, originOf }: EffectiveConfiguration): Record<string, Origin> {
  const origins: Record<string, Origin> = {};
  const visit = (one: unknown, path: readonly string[]) => {
    if (isMapping(one) && Object.keys(one).length > 0 && !isSecret(one))
      for (const [key, below] of Object.entries(one)) visit(below, [...path, key]);
    else origins[path.join(".")] = originOf(path);
  };
  visit(value, []);
  return origins;
}

function originText(file: string, origin: Origin): string {
  switch (origin.kind) {
    case "file":
      return `${basename(file)}:${origin.line}`;
    case "preset":
      return `preset ${origin.preset}`;
    case "default":
      return "default";
    default:
      return origin satisfies never;
  }
}

/** Where a secret is: one line is enough. */
function isSecret(value: Readonly<Record<string, unknown>>): boolean {
  return ["file", "env", "credential"].some((key) => typeof value[key] === "string");
}

function keyText(key: string): string {
  return flowText(key);
}

function flowText(value: unknown): string {
  const document = new Document(value, { version: "1.2" });
  if (isCollection(document.contents)) document.contents.flow = true;
  return document.toString({ lineWidth: 0, flowCollectionPadding: true }).trimEnd();
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
