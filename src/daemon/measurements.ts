/** What is counted for those who watch the gateway, from its start to its end. */
import type { Configuration } from "../config/configuration.ts";
import type { Health, MetricsSource } from "../control/health.ts";
import type { IkeNotice } from "../ike/notice.ts";
import type { Clock } from "../io/clock.ts";
import { cryptoProvider } from "../io/crypto-provider.ts";
import { type CertificateExpiry, certificateExpiries } from "./certificate-expiry.ts";
import { ConfiguredNames } from "./configured-names.ts";
import { healthOf, readinessOf } from "./health.ts";
import { LaneActivity } from "./lane-activity.ts";
import { type LossOf, metricsText } from "./metrics.ts";
import type { LoadingMetrics } from "./metrics-process.ts";
import { NoticeTally } from "./notice-tally.ts";
import type { RunningGateway } from "./running-gateway.ts";
import { TrafficTotals } from "./traffic-totals.ts";

/** Lanes are looked at so often. */
const LOOK_MS = 2_500;
/**
 * Whoever asks again so soon, or before ten times as long has passed as the text took to make, gets the same one: however many
 * ask, it is a tenth of the thread at most.
 */
const SAME_TEXT_MS = 500;
const SAME_TEXT_RATIO = 10;

export interface MeasurementsOptions {
  readonly configuration: Configuration;
  readonly version: string;
  readonly clock: Clock;
}

export class Measurements implements MetricsSource {
  readonly #options: MeasurementsOptions;
  readonly #tally: NoticeTally;
  readonly #traffic: TrafficTotals;
  /** Read when they are asked for, and again when they were renewed. */
  #certificates: { readonly of: Configuration; readonly found: readonly CertificateExpiry[] } | undefined;
  #loading: LoadingMetrics;
  #running: RunningGateway | undefined;
  #lanes: LaneActivity | undefined;
  #timer: NodeJS.Timeout | undefined;
  #text: { readonly until: number; readonly text: string } | undefined;
  #loss: LossOf = () => undefined;

  constructor(options: MeasurementsOptions) {
    this.#options = options;
    const names = new ConfiguredNames(options.configuration);
    this.#tally = new NoticeTally(names);
    this.#traffic = new TrafficTotals(names);
    this.#loading = { loadedAt: wallSeconds(), applied: 0, refused: 0, isLastGood: true };
  }

  /** @param loss - what a pair's traffic has lost lately */
  attach(running: RunningGateway, loss: LossOf): void {
    this.#running = running;
    this.#loss = loss;
    running.followEnds((ended, isLast) => this.#traffic.onEnd(ended, isLast));
    const lanes = new LaneActivity(running.lanes);
    this.#lanes = lanes;
    this.#timer = setInterval(() => lanes.look(), LOOK_MS).unref();
  }

  detach(): void {
    clearInterval(this.#timer);
    this.#running = undefined;
    this.#lanes = undefined;
  }

  onNotice(notice: IkeNotice): void {
    this.#tally.onNotice(notice);
    this.#traffic.onNotice(notice);
  }

  /** A reload was taken over, or with `undefined` refused. */
  onReload(configuration: Configuration | undefined): void {
    const { applied, refused } = this.#loading;
    if (configuration === undefined) {
      this.#loading = { ...this.#loading, refused: refused + 1, isLastGood: false };
      return;
    }
    this.#loading = { loadedAt: wallSeconds(), applied: applied + 1, refused, isLastGood: true };
    const names = new ConfiguredNames(configuration);
    this.#tally.setNames(names);
    this.#traffic.setNames(names);
  }

  health(): Health {
    return healthOf(this.#lanes?.standstills());
  }

  readiness(): Health {
    return readinessOf(this.#running?.describe());
  }

  metrics(): string {
    const at = performance.now();
    if (this.#text !== undefined && at < this.#text.until) return this.#text.text;
    const text = this.#measure();
    const now = performance.now();
    this.#text = { until: now + Math.max(SAME_TEXT_MS, SAME_TEXT_RATIO * (now - at)), text };
    return text;
  }

  #certificatesOf(configuration: Configuration): readonly CertificateExpiry[] {
    if (this.#certificates?.of !== configuration)
      this.#certificates = { of: configuration, found: certificateExpiries(configuration) };
    return this.#certificates.found;
  }

  #measure(): string {
    const running = this.#running;
    const { version, clock } = this.#options;
    const cpu = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    const configuration = running?.configuration ?? this.#options.configuration;
    return metricsText({
      configuration,
      now: clock.now(),
      wallClock: Date.now(),
      states: running?.describe() ?? [],
      pairs: running?.pairs() ?? [],
      traffic: this.#traffic.totals(running?.traffic() ?? []),
      tally: (name) => this.#tally.of(name),
      loss: this.#loss,
      certificates: this.#certificatesOf(configuration),
      version,
      engine: cryptoProvider().name,
      startedAt: PROCESS_STARTED_AT,
      notices: this.#tally.byCode,
      drops: running?.drops() ?? {},
      ikeSas: running?.ikeSaCounts() ?? {},
      lanes: this.#lanes?.counts() ?? [],
      transfers: running?.lanes.transfers() ?? {},
      loading: this.#loading,
      memory: { resident: rss, heapUsed },
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
    });
  }
}

const PROCESS_STARTED_AT = Math.round(Date.now() - process.uptime() * 1000) / 1000;

function wallSeconds(): number {
  return Date.now() / 1000;
}
