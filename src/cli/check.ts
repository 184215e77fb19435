/** `tungate check`: whether the configuration is one. */
import { ConfigError, type ConfigProblem, formatConfigProblem } from "../config/config-error.ts";
import type { Configuration } from "../config/configuration.ts";
import { createFileReader } from "../config/file-reader.ts";
import { loadConfiguration } from "../config/load.ts";
import type { CommandContext } from "./command-context.ts";

/** @returns the exit status */
export function check(file: string, isJson: boolean, context: CommandContext): number {
  try {
    const configuration = loadConfiguration(file, createFileReader(context.environment));
    report(file, configuration, isJson, context);
    return 0;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    if (isJson)
      context.write(`${JSON.stringify({ ok: false, problems: error.problems, warnings: [] }, null, 2)}\n`);
    else writeProblems(error.problems, "", context);
    return 1;
  }
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
  if (isJson) {
    const summary = { ok: true, connections: names.size, children: childCount, problems: [], warnings };
    context.write(`${JSON.stringify(summary, null, 2)}\n`);
    return;
  }
  writeProblems(warnings, "warning: ", context);
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
