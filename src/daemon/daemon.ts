/** The daemon: one gateway, its control socket, its signals and its service manager, from start to end. */
import { setTimeout as sleep } from "node:timers/promises";
import { TungateError } from "../base/errors.ts";
import { ConfigError, formatConfigProblem } from "../config/config-error.ts";
import type { Configuration } from "../config/configuration.ts";
import { createFileReader } from "../config/file-reader.ts";
import { loadConfiguration } from "../config/load.ts";
import { bootClock } from "../io/clock.ts";
import { compileForNegotiations } from "../io/compilation.ts";
import { cryptoProvider } from "../io/crypto-provider.ts";
import { IoError, type IoErrorCode } from "../io/io-error.ts";
import { useNativePrimitives } from "../io/native-primitives.ts";
import { forbidDumps } from "../io/native-process.ts";
import type { ServiceManager } from "../io/sd-notify.ts";
import { isRestart } from "../io/service-job.ts";
import type { Logger } from "../observe/log.ts";
import { BlackBox } from "./black-box.ts";
import { lastWords } from "./black-box-control.ts";
import { compose } from "./composition.ts";
import { ControlSockets } from "./control-sockets.ts";
import { keepIkeSas } from "./keeping.ts";
import { MetricsListener } from "./metrics-listener.ts";
import { reloadConfiguration } from "./reload.ts";
import { START_LASTS_MS } from "./starts.ts";
import type { TakeOver } from "./take-over.ts";
import { startWarmUp } from "./warm-up.ts";
import { startWatchdog } from "./watchdog.ts";

/** Between the words of a refused start and its end. */
const REFUSED_PAUSE_MS = 1_000;
const REFUSALS: readonly IoErrorCode[] = [
  "IO_PORT_IN_USE",
  "IO_ADDRESS_NOT_OURS",
  "IO_NOT_PERMITTED",
  "IO_TUN_UNAVAILABLE",
];

export interface DaemonOptions {
  /** As the operator wrote it. */
  readonly configurationFile: string;
  readonly version: string;
  readonly log: Logger;
  /** Instead of `gateway.control.path`. */
  readonly controlPath?: string;
  readonly service: ServiceManager;
  /** What the process before this one left. */
  readonly before: TakeOver;
}

/**
 * Runs a gateway until SIGTERM or SIGINT.
 * @returns the process's exit status: 0 after a clean stop, 1 when it could not start; sentences are in the log.
 *   An error at run time ends the process with status 1 from within; guards and routes stay.
 */
export async function runDaemon(options: DaemonOptions): Promise<number> {
  const { log, before } = options;
  const blackBox = new BlackBox();
  endOnUncaught(log, blackBox);
  const stopped = stopSignal(log);
  if (before.problem !== undefined) log.warn(before.problem);
  try {
    const configuration = loadConfiguration(options.configurationFile, createFileReader(process.env));
    for (const warning of configuration.warnings) log.warn(formatConfigProblem(warning));
    await serve(options, configuration, stopped, blackBox);
    return 0;
  } catch (error) {
    if (isRefusal(error)) before.starts.forget();
    if (error instanceof ConfigError) {
      for (const problem of error.problems) log.error(formatConfigProblem(problem));
    } else if (error instanceof TungateError) log.error({ code: error.code }, error.message);
    else throw error;
    // Lanes that were taken over carry on meanwhile, and the service manager is not kept busy.
    const { store } = options.service;
    if (store.isThere && isRefusal(error)) {
      // Unless they are in use already: then there is nothing left of them.
      const ikeSas = before.taken?.ikeSas.filter((octets) => octets.some((octet) => octet !== 0)) ?? [];
      if (ikeSas.length > 0) keepIkeSas(store, ikeSas);
      await sleep(REFUSED_PAUSE_MS);
    }
    await before.taken?.lanes?.stop();
    return 1;
  }
}

/** It is not the SAs of the process before that keep this one from starting. */
function isRefusal(error: unknown): boolean {
  return error instanceof ConfigError || (error instanceof IoError && REFUSALS.includes(error.code));
}

async function serve(
  { version, log, controlPath, configurationFile, service, before }: DaemonOptions,
  configuration: Configuration,
  stopped: Promise<string>,
  blackBox: BlackBox,
): Promise<void> {
  forbidDumps();
  useNativePrimitives();
  const load = () => reloadConfiguration(configurationFile);
  let devices = "";
  const composition = compose({
    configuration,
    version,
    log,
    blackBox,
    reloading: {
      load,
      follow: (fresh) => sockets.follow(fresh.gateway.control),
      onBegin: () => service.reloading("reading the configuration anew"),
      onEnd: async (now, isTaken) => {
        service.ready(readyText(devices, now));
        measurements.onReload(isTaken ? now : undefined);
        if (isTaken) await metrics.follow(now.gateway.metrics);
      },
    },
  });
  const { control, measurements, events } = composition;
  const reportFailure = (error: unknown) =>
    log.error({ err: error }, "a request on the control socket failed");
  const sockets = new ControlSockets({ target: control, path: controlPath, reportFailure });
  await sockets.follow(configuration.gateway.control);
  const metrics = new MetricsListener(measurements, log);
  await metrics.follow(configuration.gateway.metrics);
  const closeServers = () => Promise.all([sockets.close(), metrics.close()]);
  process.on("SIGHUP", () => void control.reloads.onHangUp());
  try {
    const running = await composition.start({
      load,
      onFatal: (error) => die(log, error, blackBox),
      store: service.store,
      ...(before.taken === undefined ? {} : { taken: before.taken }),
    });
    // Not before the threads have their code: under other flags V8 would refuse it.
    compileForNegotiations(() => running.lanes.runs());
    const left = START_LASTS_MS - process.uptime() * 1000;
    const lasts = setTimeout(() => before.starts.forget(), Math.max(0, left));
    const watchdog = startWatchdog(service, () => running.lanes.turns());
    devices = running.interfaces.map(({ name }) => name).join(", ");
    const status = readyText(devices, configuration);
    service.ready(status);
    const isIdle = () => running.ikeSaCount() === 0;
    const endWarmUp = startWarmUp({ clock: bootClock, log, isIdle });
    const crypto = cryptoProvider();
    if (crypto.problem !== undefined) log.warn(crypto.problem);
    log.info(`tungate ${version} is running, ${status}; ESP by ${crypto.name}`);
    const signal = await stopped;
    endWarmUp();
    clearTimeout(lasts);
    const staysBehind = await isForAnother(service, signal, log);
    const words = `stopping on ${signal}${staysBehind ? "; SAs, devices and sockets stay for the next start" : ""}`;
    service.stopping(words);
    log.info(words);
    watchdog.stop();
    before.starts.forget();
    await control.reloads.detach();
    measurements.detach();
    if (staysBehind && (await running.handOver())) {
      await closeServers();
      await running.lanes.stop();
      // Until the next process runs no packet moves: nothing else is tidied up that ends with this one anyway.
      process.exit(0);
    }
    await running.stop();
    events.detach();
    control.detach();
  } finally {
    await closeServers();
  }
  log.info("stopped");
}

/**
 * Whether another process goes on with what this one has: there is a store, and nobody says that this is the end. A stop by hand
 * (SIGINT), and one that systemd calls a stop, are.
 */
async function isForAnother({ store, unit }: ServiceManager, signal: string, log: Logger): Promise<boolean> {
  if (!store.isThere || signal !== "SIGTERM") return false;
  if (unit === undefined) return true;
  try {
    return await isRestart(unit);
  } catch (error) {
    const reason = error instanceof Error ? error.message.trim() : String(error);
    log.warn(`systemd does not say whether a start follows (${reason}): peers are told nothing`);
    return true;
  }
}

function readyText(
  devices: string,
  { connections, manual }: Pick<Configuration, "connections" | "manual">,
): string {
  const count = connections.length + manual.length;
  return `${devices}: ${count} ${count === 1 ? "connection" : "connections"} configured`;
}

/** Resolves with the first signal that asks for a clean stop; a second one ends the process at once. */
function stopSignal(log: Logger): Promise<string> {
  return new Promise((resolve) => {
    let isStopping = false;
    const onSignal = (signal: string) => {
      if (isStopping) process.exit(1);
      isStopping = true;
      resolve(signal);
    };
    process.on("SIGTERM", onSignal);
    process.on("SIGINT", onSignal);
    // Without a listener Node opens its inspector, which would hand out everything in this process.
    process.on("SIGUSR1", () => log.warn("SIGUSR1 does nothing here"));
    // Its default would end the process; what it asks for is begun elsewhere, once there is a gateway.
    process.on("SIGHUP", () => log.info("SIGHUP: the configuration is to be read anew"));
  });
}

/** Whatever nobody foresaw ends the process: the guards keep protected prefixes closed, and the service manager restarts it. */
function endOnUncaught(log: Logger, blackBox: BlackBox): void {
  process.on("uncaughtException", (error) => die(log, error, blackBox));
  process.on("unhandledRejection", (reason) => die(log, reason, blackBox));
}

function die(log: Logger, error: unknown, blackBox: BlackBox): never {
  const message = error instanceof Error ? error.message : String(error);
  log.fatal({ err: error, details: lastWordsOf(blackBox) }, message);
  process.exit(1);
}

/** Whatever is wrong with this process must not keep it from saying so. */
function lastWordsOf(blackBox: BlackBox): readonly string[] {
  try {
    return lastWords(blackBox, bootClock.now());
  } catch {
    return [];
  }
}
