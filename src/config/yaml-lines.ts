/** Values as YAML: mappings in lines of their own, everything else on the line of its key, with comments. */
import { Document, isCollection } from "yaml";
import { isMapping } from "./preset.ts";

export interface YamlComments {
  /** Above the key at a path. */
  readonly above?: (path: readonly string[]) => readonly string[];
  /** Behind a value that is no mapping. */
  readonly behind?: (path: readonly string[]) => string | undefined;
}

/** Comments behind values stand in one column as far as lines are shorter than this. */
const COMMENT_COLUMN = 56;

export function yamlLines(value: Readonly<Record<string, unknown>>, comments: YamlComments = {}): string[] {
  const lines: string[] = [];
  const add = (name: string, one: unknown, path: readonly string[], indent: string) => {
    for (const comment of comments.above?.(path) ?? []) lines.push(`${indent}# ${comment}`);
    if (isMapping(one) && Object.keys(one).length > 0 && !isSecret(one)) {
      lines.push(`${indent}${onOneLine(name)}:`);
      for (const [key, below] of Object.entries(one)) add(key, below, [...path, key], `${indent}  `);
      return;
    }
    const line = `${indent}${onOneLine(name)}: ${onOneLine(one)}`;
    const behind = comments.behind?.(path);
    lines.push(behind === undefined ? line : `${line.padEnd(COMMENT_COLUMN)}  # ${behind}`);
  };
  for (const [key, one] of Object.entries(value)) add(key, one, [key], "");
  return lines;
}

/** Where a secret is: one line is enough. */
export function isSecret(value: Readonly<Record<string, unknown>>): boolean {
  return ["file", "env", "credential"].some((key) => typeof value[key] === "string");
}

function onOneLine(value: unknown): string {
  const document = new Document(value, { version: "1.2" });
  if (isCollection(document.contents)) document.contents.flow = true;
  return document.toString({ lineWidth: 0, flowCollectionPadding: true }).trimEnd();
}
