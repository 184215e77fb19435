/** `tungate check`: whether the configuration is one. */
import { ConfigError, type ConfigProblem, formatConfigProblem } from "../config/config-error.ts";
import type { Configuration } from "../config/configuration.ts";
import { type EffectiveConfiguration, effectiveConfiguration } from "../config/effective.ts";
import { createFileReader } from "../config/file-reader.ts";
import { loadConfiguration } from "../config/load.ts";
import type { CommandContext } from "./command-context.ts";
import { effectiveText, originsOf } from "./effective-text.ts";

export interface CheckOptions {
  readonly config: string;
  readonly json: boolean;
  /** Also print what holds, with the origin of each key. */
  readonly effective: boolean;
}

/** @returns the exit status */
export function check(
  { config: file, json: isJson, effective }: CheckOptions,
  context: CommandContext,
): number {
  try {
    const reader = createFileReader(context.environment);
    const configuration = loadConfiguration(file, reader);
    if (effective)
      reportEffective(file, configuration, effectiveConfiguration(configuration, reader), isJson, context);
    else report(file, configuration, isJson, context);
    return 0;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    if (isJson)
      context.write(`${JSON.stringify({ ok: false, problems: error.problems, warnings: [] }, null, 2)}\n`);
    else writeProblems(error.problems, "", context);
    return 1;
  }
}

function reportEffective(
  file: string,
  { warnings }: Configuration,
  effective: EffectiveConfiguration,
  isJson: boolean,
  context: CommandContext,
) {
  if (isJson) {
    const document = { ok: true, configuration: effective.value, origins: originsOf(effective), warnings };
    context.write(`${JSON.stringify(document, null, 2)}\n`);
    return;
  }
  writeProblems(warnings, "warning: ", context);
  context.write(effectiveText(file, effective));
}

function report(
  file: string,
  { connections, manual, warnings }: Configuration,
  isJson: boolean,
  context: CommandContext,
) {
  const childCount = connections.reduce(
    (sum, { connection }) => sum + connection.children.length,
    manual.length,
  );
  const names = new Set([
    ...connections.map(({ connection }) => connection.name),
    ...manual.map((one) => one.connection),
  ]);
  const presets = new Map(
    connections.flatMap(({ connection: { oneOf, name }, preset }) =>
      preset === undefined ? [] : [[oneOf?.connection ?? name, preset]],
    ),
  );
  if (isJson) {
    const summary = {
      ...{ ok: true, connections: names.size, children: childCount, problems: [], warnings },
      ...(presets.size === 0 ? {} : { presets: Object.fromEntries(presets) }),
    };
    context.write(`${JSON.stringify(summary, null, 2)}\n`);
    return;
  }
  writeProblems(warnings, "warning: ", context);
  for (const [name, preset] of presets)
    context.write(`${name}: defaults of preset ${preset}; check --effective shows them\n`);
  context.write(
    `${file}: ok, ${counted(names.size, "connection")}, ${counted(childCount, "child", "children")}\n`,
  );
}

function writeProblems(problems: readonly ConfigProblem[], prefix: string, context: CommandContext): void {
  for (const problem of problems) context.writeError(`${prefix}${formatConfigProblem(problem)}\n`);
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
