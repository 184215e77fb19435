/** The command line: commands, options, and the exit status 0 (done), 1 (failed), 2 (wrong usage). */
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { TungateError } from "../base/errors.ts";
import { CONFIRM_SECONDS_MAX, CONFIRM_SECONDS_MIN } from "../control/reload-schema.ts";
import { WAIT_SECONDS_MAX } from "../control/schema.ts";
import { completeProvider } from "../crypto/providers/selected.ts";
import { LOG_LEVELS } from "../observe/log-level.ts";
import { addCapture } from "./capture-command.ts";
import type { CheckOptions } from "./check.ts";
import type { CommandContext } from "./command-context.ts";
import type { DoctorOptions } from "./doctor.ts";
import type { EventsOptions } from "./events.ts";
import type { ExplainOptions } from "./explain.ts";
import type { ImportOptions } from "./import.ts";
import { addLookBack } from "./look-back-commands.ts";
import type { ProbeOptions } from "./probe.ts";
import type { ReloadOptions } from "./reload.ts";
import type { RunOptions } from "./run.ts";
import type { StatusOptions } from "./status.ts";

import type { TopOptions } from "./top.ts";
import { TOP_SORTS } from "./top-history.ts";

const EXIT_DONE = 0;
const EXIT_FAILED = 1;
const EXIT_USAGE = 2;

const DEFAULT_CONFIGURATION_FILE = "/etc/tungate/tungate.yaml";
const DEFAULT_CONTROL_PATH = "/run/tungate/control.sock";
const DEFAULT_WAIT_SECONDS = 30;

/** Runs one command. Never rejects: failures become words on stderr and an exit status. */
export async function runCommandLine(args: readonly string[], context: CommandContext): Promise<number> {
  let status = EXIT_DONE;
  const program = createProgram(context, (code) => {
    status = code;
  });
  try {
    await program.parseAsync([...args], { from: "user" });
    return status;
  } catch (error) {
    return exitStatusOf(error, context);
  }
}

function exitStatusOf(error: unknown, context: CommandContext): number {
  // Commander has already said what is wrong.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_DONE : EXIT_USAGE;
  if (error instanceof TungateError) {
    context.writeError(`tungate: ${error.message}\n`);
    return EXIT_FAILED;
  }
  throw error;
}

type SetStatus = (status: number) => void;

function createProgram(context: CommandContext, setStatus: SetStatus): Command {
  const program = new Command("tungate")
    .description("A userspace IPsec gateway: IKEv2 and ESP without kernel IPsec.")
    .version(context.version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand(false)
    .exitOverride()
    .hook("preAction", completeProvider)
    .showSuggestionAfterError(true)
    .configureOutput({
      writeOut: context.write,
      writeErr: context.writeError,
      outputError: (text, write) => write(text.replace(/^error: /, "tungate: ")),
    })
    .addHelpText("after", "\nExit status: 0 done, 1 failed, 2 wrong usage.");
  addRun(program, context, setStatus);
  addCheck(program, context, setStatus);
  addStatus(program, context, setStatus);
  addCommands(program, context, setStatus);
  addEvents(program, context, setStatus);
  addExplain(program, context, setStatus);
  addTop(program, context, setStatus);
  addReload(program, context, setStatus);
  addRoutes(program, context, setStatus);
  addProbe(program, context, setStatus);
  addImport(program, context, setStatus);
  addCapture(program, context, controlOption(), setStatus);
  addDoctor(program, context, setStatus);
  addLookBack(program, context, { control: controlOption, json: jsonOption }, setStatus);
  program
    .command("schema")
    .description("print the JSON Schema of the configuration, for editors")
    .action(async () => {
      const { schemaText } = await import("./schema.ts");
      context.write(schemaText());
    });
  program
    .command("psk")
    .description("make a strong pre-shared key: 256 random bits in base64")
    .action(async () => {
      const { makePreSharedKey } = await import("./psk.ts");
      context.write(`${makePreSharedKey()}\n`);
    });
  return program;
}

const configurationOption = () =>
  new Option("-c, --config <file>", "the configuration").default(DEFAULT_CONFIGURATION_FILE);
const controlOption = () =>
  new Option("--control <path>", "socket of the running daemon").default(DEFAULT_CONTROL_PATH);
const jsonOption = () => new Option("--json", "print JSON").default(false);

function addRun(program: Command, context: CommandContext, setStatus: SetStatus): void {
  program
    .command("run")
    .description("run the gateway in the foreground, as systemd does; SIGTERM or SIGINT stops it")
    .addOption(configurationOption())
    .addOption(
      new Option("--control <path>", "make the control socket there, whatever the configuration says"),
    )
    .addOption(
      new Option("--log-level <level>", "least level that is logged").choices(LOG_LEVELS).default("info"),
    )
    .addOption(
      new Option(
        "--log-format <format>",
        "auto: pretty on a terminal, lines with priorities for the journal of systemd, JSON otherwise",
      )
        .choices(["auto", "pretty", "journal", "json"])
        .default("auto"),
    )
    .action(async (options: RunOptions) => {
      const { run } = await import("./run.ts");
      setStatus(await run(options, context));
    });
}

function addCheck(program: Command, context: CommandContext, setStatus: SetStatus): void {
  program
    .command("check")
    .description("check the configuration and the secrets that it names; change nothing")
    .addOption(configurationOption())
    .addOption(jsonOption())
    .addOption(
      new Option("--effective", "print the configuration as it holds, and where each key is from").default(
        false,
      ),
    )
    .action(async (options: CheckOptions) => {
      const { check } = await import("./check.ts");
      setStatus(check(options, context));
    });
}

function addStatus(program: Command, context: CommandContext, setStatus: SetStatus): void {
  program
    .command("status")
    .description("what the running gateway does: connections, SAs, rates, and why something waits")
    .argument("[name]", "all that is known of this connection", parseConnection)
    .addOption(controlOption())
    .addOption(new Option("--all", "every connection, also where there are many").default(false))
    .addOption(
      new Option("--check", "one line, and exit status 1 unless all that should be up is up").default(false),
    )
    .addOption(jsonOption())
    .action(async (name: string | undefined, options: StatusOptions) => {
      const { status } = await import("./status.ts");
      setStatus(await status(name, options, context));
    });
}

function addTop(program: Command, context: CommandContext, setStatus: SetStatus): void {
  program
    .command("top")
    .description("what each child carries, live; q quits, s sorts by something else")
    .addOption(new Option("--once", "print one look instead, also where there is no terminal").default(false))
    .addOption(new Option("--sort <by>", "what comes first").choices(TOP_SORTS).default("rate"))
    .addOption(controlOption())
    .action(async (options: TopOptions) => {
      const { top } = await import("./top.ts");
      setStatus(await top(options, context));
    });
}

function addExplain(program: Command, context: CommandContext, setStatus: SetStatus): void {
  program
    .command("explain")
    .description(
      "what becomes of a packet and of its answer: route, policy, SA, size, what was dropped, what to do",
    )
    .argument("<source>", "its address")
    .argument("<destination>", "its address")
    .addOption(new Option("--proto <protocol>", "tcp, udp, icmp ... or the number"))
    .addOption(new Option("--sport <port>", "its source port").argParser(parsePort))
    .addOption(new Option("--port <port>", "its destination port; with ICMP the type").argParser(parsePort))
    .addOption(controlOption())
    .addOption(jsonOption())
    .action(async (source: string, destination: string, options: ExplainOptions) => {
      const { explain } = await import("./explain.ts");
      setStatus(await explain(source, destination, options, context));
    });
}

const COMMANDS = {
  up: "bring a connection or one of its children up, and wait until it is",
  down: "take it down and do not call again until up is said; the peer may still call",
  rekey: "replace its keys, and wait until that is done",
} as const;

function addCommands(program: Command, context: CommandContext, setStatus: SetStatus): void {
  for (const kind of ["up", "down", "rekey"] as const)
    program
      .command(kind)
      .description(COMMANDS[kind])
      .argument("<name[/child]>", "as in the configuration", parseTarget)
      .addOption(controlOption())
      .addOption(jsonOption())
      .addOption(
        new Option("--timeout <seconds>", "how long to wait for the outcome; 0 does not wait")
          .argParser(parseSeconds)
          .default(DEFAULT_WAIT_SECONDS),
      )
      .action(async (target: Target, options: { control: string; json: boolean; timeout: number }) => {
        const { command } = await import("./command.ts");
        setStatus(await command(kind, target, options, context));
      });
}

function addEvents(program: Command, context: CommandContext, setStatus: SetStatus): void {
  program
    .command("events")
    .description("follow what happens: notices, changes of state, moves, drops; until interrupted")
    .argument("[name]", "of this connection alone")
    .addOption(controlOption())
    .addOption(new Option("--json", "print each event as a line of JSON").default(false))
    .addOption(new Option("--after <id>", "begin behind this event, if it is still kept"))
    .action(async (name: string | undefined, options: EventsOptions) => {
      const { events } = await import("./events.ts");
      setStatus(await events(name, options, context));
    });
}

function addReload(program: Command, context: CommandContext, setStatus: SetStatus): void {
  program
    .command("reload")
    .description(
      "take the configuration anew, as a whole or not at all; what does not change goes on undisturbed",
    )
    .addOption(controlOption())
    .addOption(jsonOption())
    .addOption(
      new Option("--plan", "only say what would change")
        .default(false)
        .conflicts(["confirm", "keep", "undo"]),
    )
    .addOption(
      new Option("--confirm <time>", "on trial: go back after this time (60s, 5m) unless --keep is said")
        .argParser(parseTrial)
        .conflicts(["keep", "undo"]),
    )
    .addOption(new Option("--keep", "keep what is on trial").default(false).conflicts("undo"))
    .addOption(new Option("--undo", "go back from what is on trial at once").default(false))
    .action(async (options: ReloadOptions) => {
      const { reload } = await import("./reload.ts");
      setStatus(await reload(options, context));
    });
}

const TRIAL_UNITS: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3600 };

function parseTrial(text: string): number {
  const [, digits = "", unit = ""] = /^(\d{1,6})([smh]?)$/.exec(text) ?? [];
  const seconds = digits === "" ? Number.NaN : Number(digits) * TRIAL_UNITS[unit]!;
  if (seconds >= CONFIRM_SECONDS_MIN && seconds <= CONFIRM_SECONDS_MAX) return seconds;
  throw new InvalidArgumentError(
    `It is a time from ${CONFIRM_SECONDS_MIN}s to ${CONFIRM_SECONDS_MAX / 3600}h.`,
  );
}

function addRoutes(program: Command, context: CommandContext, setStatus: SetStatus): void {
  program
    .command("routes")
    .description("print the routes that the configuration asks for, as scripts/tungate-routes reads them")
    .addOption(configurationOption())
    .action(async ({ config }: { config: string }) => {
      const { routes } = await import("./routes.ts");
      setStatus(routes(config, context));
    });
}

function addDoctor(program: Command, context: CommandContext, setStatus: SetStatus): void {
  program
    .command("doctor")
    .description("look for what keeps tunnels from working: on this host, and by a few messages to the peers")
    .addOption(configurationOption())
    .addOption(
      new Option("--control <path>", "socket of the running daemon, if not as the configuration says"),
    )
    .addOption(new Option("--no-ask", "send nothing to peers"))
    .addOption(new Option("-v, --verbose", "say what is well, too").default(false))
    .addOption(jsonOption())
    .action(async (options: DoctorOptions) => {
      const { doctor } = await import("./doctor.ts");
      setStatus(await doctor(options, DEFAULT_CONTROL_PATH, context));
    });
}

function addProbe(program: Command, context: CommandContext, setStatus: SetStatus): void {
  program
    .command("probe")
    .description(
      "ask a peer what it accepts: a few dozen IKE_SA_INIT messages, without keys, beside a running gateway",
    )
    .argument("<host>", "address or name")
    .addOption(new Option("--port <n>", "where it listens for IKE").argParser(parsePort).default(500))
    .addOption(new Option("--from <address>", "own address to ask from"))
    .addOption(new Option("-c, --config <file>", "compare with the connections of this configuration"))
    .addOption(new Option("--preset <name>", "say whether it takes what this preset offers for IKE"))
    .addOption(jsonOption())
    .action(async (host: string, options: ProbeOptions) => {
      const { probe } = await import("./probe.ts");
      setStatus(await probe(host, options, DEFAULT_CONFIGURATION_FILE, context));
    });
}

function addImport(program: Command, context: CommandContext, setStatus: SetStatus): void {
  program
    .command("import")
    .description("make a configuration of another product's, and say what of it could not be translated")
    .command("swanctl")
    .description("from strongSwan's swanctl.conf and the certificates and keys beside it")
    .argument("<file>", "swanctl.conf")
    .option(
      "-o, --output <dir>",
      "write tungate.yaml and secrets/ there; without it secrets are written nowhere",
    )
    .addOption(jsonOption())
    .action(async (file: string, options: ImportOptions) => {
      const { importCommand } = await import("./import.ts");
      setStatus(importCommand(file, options, context));
    });
}

export interface Target {
  readonly connection: string;
  readonly child?: string;
}

function parseTarget(text: string): Target {
  const [connection, child, ...more] = text.split("/");
  if (connection === undefined || connection === "" || child === "" || more.length > 0 || /\s/.test(text))
    throw new InvalidArgumentError("It is NAME or NAME/CHILD.");
  return child === undefined ? { connection } : { connection, child };
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > 65_535)
    throw new InvalidArgumentError("It is a number from 1 to 65535.");
  return port;
}

function parseConnection(text: string): string {
  if (text === "" || text.includes("/") || /\s/.test(text))
    throw new InvalidArgumentError("It is the NAME of a connection, or one peer of it: NAME#2.");
  return text;
}

function parseSeconds(text: string): number {
  const seconds = Number(text.replace(/s$/, ""));
  if (text === "" || !(seconds >= 0 && seconds <= WAIT_SECONDS_MAX))
    throw new InvalidArgumentError(`It is a number of seconds from 0 to ${WAIT_SECONDS_MAX}.`);
  return seconds;
}
