/** What may be said behind `tungate blackbox` and `tungate log`. */
import { Argument, type Command, InvalidArgumentError, Option } from "commander";
import { LOG_SECONDS_MAX } from "../control/log-schema.ts";
import { LOG_LEVELS, type LogLevel } from "../observe/log-level.ts";
import type { CommandContext } from "./command-context.ts";
import type { LogOptions } from "./log.ts";

interface Options {
  readonly control: () => Option;
  readonly json: () => Option;
}

export function addLookBack(
  program: Command,
  context: CommandContext,
  { control, json }: Options,
  setStatus: (status: number) => void,
): void {
  program
    .command("blackbox")
    .description("what IKE did in the last ten minutes: messages by type and size, and what was decided")
    .argument("[name]", "of this connection only")
    .addOption(control())
    .addOption(json())
    .action(async (name: string | undefined, options: { control: string; json: boolean }) => {
      const { blackbox } = await import("./blackbox.ts");
      setStatus(await blackbox(name, options, context));
    });
  program
    .command("log")
    .description(
      "how much the running gateway logs, of everything or of one connection; without a level: what differs",
    )
    .addArgument(new Argument("[level]", "least level that is logged").choices(LOG_LEVELS))
    .argument("[name]", "of this connection only")
    .addOption(
      new Option("--seconds <number>", "end after this time; else when the gateway ends").argParser(
        parseSpan,
      ),
    )
    .addOption(control())
    .addOption(json())
    .action(async (level: LogLevel | undefined, name: string | undefined, options: LogOptions) => {
      const { log } = await import("./log.ts");
      const of = name === undefined ? {} : { connection: name };
      setStatus(await log({ ...(level === undefined ? {} : { level }), ...of }, options, context));
    });
}

function parseSpan(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !(value > 0 && value <= LOG_SECONDS_MAX))
    throw new InvalidArgumentError(`It is a number of seconds up to ${LOG_SECONDS_MAX}.`);
  return value;
}
