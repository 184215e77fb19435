/** `tungate check --effective`: the whole configuration as YAML, with the origin of each key behind it. */
import { basename } from "node:path";
import type { EffectiveConfiguration, Origin } from "../config/effective.ts";
import { isMapping } from "../config/preset.ts";
import { isSecret, yamlLines } from "../config/yaml-lines.ts";

export function effectiveText(file: string, { value, originOf }: EffectiveConfiguration): string {
  const lines = yamlLines(value, { behind: (path) => originText(file, originOf(path)) });
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
