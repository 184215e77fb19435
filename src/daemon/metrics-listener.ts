/** Keeps metrics served where the configuration says; a gateway without them is better than none. */
import { isSameValue } from "../base/same-value.ts";
import type { MetricsSettings } from "../config/configuration.ts";
import { ControlError } from "../control/error.ts";
import type { MetricsSource } from "../control/health.ts";
import { type MetricsServer, startMetricsServer } from "../control/metrics-server.ts";
import type { DaemonLog } from "./daemon-log.ts";

/** An address may come late, and a port be free again. */
const RETRY_MS = 10_000;

/** Follows the configuration. */
export class MetricsListener {
  readonly #source: MetricsSource;
  readonly #log: DaemonLog;
  #settings: MetricsSettings | undefined;
  #server: MetricsServer | undefined;

  constructor(source: MetricsSource, log: DaemonLog) {
    this.#source = source;
    this.#log = log;
  }

  async follow(settings: MetricsSettings | undefined): Promise<void> {
    if (isSameValue(settings, this.#settings)) return;
    await this.#server?.close();
    this.#settings = settings;
    this.#server = openMetrics(settings, this.#source, this.#log);
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }
}

export function openMetrics(
  settings: MetricsSettings | undefined,
  source: MetricsSource,
  log: DaemonLog,
): MetricsServer {
  if (settings === undefined) return { close: () => Promise.resolve() };
  let isClosed = false;
  let timer: NodeJS.Timeout | undefined;
  let hasFailed = false;
  const reportFailure = (error: unknown) => log.error(`a request for metrics failed: ${String(error)}`);
  const start = async (): Promise<MetricsServer | undefined> => {
    try {
      const server = await startMetricsServer({ ...settings, source, reportFailure });
      log.info(`metrics are served on ${settings.address}, port ${settings.port}`);
      return server;
    } catch (error) {
      if (!(error instanceof ControlError)) throw error;
      if (!hasFailed) log.error(`${error.message}; tried again every ${RETRY_MS / 1000} s`);
      hasFailed = true;
      if (!isClosed) timer = setTimeout(() => (opened = start()), RETRY_MS).unref();
      return undefined;
    }
  };
  let opened = start();
  return {
    async close() {
      isClosed = true;
      clearTimeout(timer);
      await (await opened)?.close();
    },
  };
}
