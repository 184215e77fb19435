/** What the control server asks of the daemon: its status, and commands with their outcome. */
import { once } from "node:events";
import type { Instant } from "../base/instant.ts";
import { nearestWord } from "../base/nearest-word.ts";
import type { Configuration, ConfiguredConnection } from "../config/configuration.ts";
import type { EventStream } from "../control/event-stream.ts";
import type { ExplainAnswer, ExplainQuery } from "../control/explain-schema.ts";
import type { MetricsSource } from "../control/health.ts";
import type {
  CommandKind,
  CommandOutcome,
  CommandRequest,
  StatusDocument,
  StatusQuery,
} from "../control/schema.ts";
import { type ControlTarget, UnknownNameError } from "../control/target.ts";
import type { TrafficDocument } from "../control/traffic-schema.ts";
import type { SaPairState } from "../dataplane/data-plane.ts";
import { type Loss, LossMeter } from "../gateway/loss-meter.ts";
import { OneWayWatch } from "../gateway/one-way-watch.ts";
import { peersOf } from "../gateway/routed-children.ts";
import type { Target } from "../ike/machine.ts";
import type { IkeNotice } from "../ike/notice.ts";
import type { Clock } from "../io/clock.ts";
import { cryptoProvider } from "../io/crypto-provider.ts";
import { peerCredentials } from "../io/native-process.ts";
import { failureWords } from "../observe/failure-words.ts";
import type { Connection } from "../policy/connection.ts";
import type { BlackBox } from "./black-box.ts";
import { BlackBoxControl } from "./black-box-control.ts";
import { Captures } from "./captures.ts";
import { CommandWaiters } from "./command-outcome.ts";
import type { DaemonLog } from "./daemon-log.ts";
import { explainPacket } from "./explain.ts";
import { FailureLog, isFailure } from "./failure-log.ts";
import type { LogControl } from "./log-control.ts";
import { RateMeter } from "./rate-meter.ts";
import type { Reloads } from "./reload/reloads.ts";
import type { RunningGateway } from "./running-gateway.ts";
import { buildStatus } from "./status.ts";
import { outlinesOf } from "./status-outline.ts";
import { secondsBetween } from "./status-traffic.ts";
import { trafficOf } from "./traffic.ts";

export interface DaemonControlOptions {
  readonly measurements: MetricsSource;
  readonly events: EventStream;
  /** Before the gateway runs; then it knows its own. */
  readonly configuration: Configuration;
  readonly reloads: Reloads;
  readonly version: string;
  readonly clock: Clock;
  readonly log: DaemonLog;
  /** Written whatever the level is at the moment. */
  readonly audit: DaemonLog;
  readonly blackBox: BlackBox;
  readonly logControl: LogControl;
}

const RATE_EVERY_MS = 5_000;

export class DaemonControl implements ControlTarget {
  readonly version: string;
  readonly measurements: MetricsSource;
  readonly captures: Captures;
  readonly events: EventStream;
  readonly blackbox: BlackBoxControl;
  readonly log: LogControl;
  readonly #options: DaemonControlOptions;
  readonly #failures = new FailureLog();
  readonly #meter = new RateMeter();
  readonly #loss: LossMeter;
  readonly #oneWay = new OneWayWatch();
  readonly #waiters: CommandWaiters;
  readonly #startedAt: Instant;
  readonly reloads: Reloads;
  #running: RunningGateway | undefined;
  #wake: () => void = () => undefined;
  /** That it runs, or that it never will. */
  readonly #started = new Promise<void>((resolve) => {
    this.#wake = resolve;
  });
  #timer: NodeJS.Timeout | undefined;

  constructor(options: DaemonControlOptions) {
    this.#options = options;
    this.version = options.version;
    this.measurements = options.measurements;
    this.events = options.events;
    this.captures = new Captures({ ...options, identify: peerCredentials });
    const isName = (name: string) => this.#meant(name).length > 0;
    this.blackbox = new BlackBoxControl({ ...options, box: options.blackBox, isName });
    this.log = options.logControl;
    this.log.isName = isName;
    this.#startedAt = options.clock.now();
    this.reloads = options.reloads;
    const isManual = (name: string) => this.#configuration.manual.some(({ policy }) => policy === name);
    this.#loss = new LossMeter({ isManual });
    this.#waiters = new CommandWaiters({
      states: (connection) => this.#running?.describe(connection) ?? [],
      words: failureWords,
    });
  }

  get #configuration(): Configuration {
    return this.#running?.configuration ?? this.#options.configuration;
  }

  attach(running: RunningGateway): void {
    this.#running = running;
    const sample = () => this.#sample(running.pairs(), this.#options.clock.now());
    this.captures.attach(running.captured);
    sample();
    this.#timer = setInterval(sample, RATE_EVERY_MS).unref();
    this.#wake();
  }

  #sample(pairs: readonly SaPairState[], now: Instant): void {
    this.#meter.sample(pairs, now);
    this.#loss.sample(pairs, now);
    this.#oneWay.sample(pairs, now);
  }

  detach(): void {
    this.captures.detach();
    clearInterval(this.#timer);
    this.#running = undefined;
    this.#wake();
  }

  onNotice(notice: IkeNotice): void {
    if (isFailure(notice)) {
      this.#failures.note(notice, this.#options.clock.now());
      this.blackbox.hint(notice);
    }
    this.#waiters.onNotice(notice);
  }

  onTurn(): void {
    this.#waiters.onTurn();
  }

  status(query: StatusQuery): StatusDocument {
    if (query.connection !== undefined) this.#requireName(query.connection);
    const { version, clock } = this.#options;
    const configuration = this.#configuration;
    const now = clock.now();
    const running = this.#running;
    const crypto = cryptoProvider();
    return buildStatus({
      version,
      now,
      startedAt: this.#startedAt,
      configuration,
      configurationStatus: this.reloads.status(),
      query,
      states: running?.describe(query.connection) ?? [],
      pairs: running?.pairs() ?? [],
      interfaces: running?.interfaces ?? [],
      lanes: running?.lanes.count ?? 0,
      engine: crypto.name,
      drops: running?.drops() ?? {},
      offloads: running?.offloads() ?? {},
      transfers: running?.lanes.transfers() ?? {},
      advice: [
        ...configuration.warnings.map(({ file, line, message }) => `${file}:${line}: ${message}`),
        ...(running?.advice ?? []),
        ...this.log.advice(),
        ...(crypto.problem === undefined ? [] : [crypto.problem]),
      ],
      rates: (pair) => this.#meter.rates(pair, now),
      loss: (pair) => this.#loss.loss(pair, now),
      oneWay: (pair) => this.#oneWay.oneWay(pair, now),
      lastDrops: () => running?.lanes.lastDrops() ?? [],
      pathTo: (remote) => running?.pathTo(remote),
      failedAt: (failure) => this.#failures.at(failure, now),
      words: failureWords,
    });
  }

  traffic(): TrafficDocument {
    const running = this.#running;
    const now = this.#options.clock.now();
    const outlines = outlinesOf({
      configuration: this.#configuration,
      connection: undefined,
      states: running?.describe() ?? [],
      pairs: running?.pairs() ?? [],
      loss: (pair) => this.#loss.loss(pair, now),
      oneWay: (pair) => this.#oneWay.oneWay(pair, now),
    });
    const uptimeSeconds = secondsBetween(this.#startedAt, now);
    return trafficOf(outlines, { uptimeSeconds, drops: running?.drops() ?? {} });
  }

  async explain(query: ExplainQuery): Promise<ExplainAnswer | undefined> {
    const running = this.#running;
    if (running === undefined) return undefined;
    return explainPacket(query, { ...running.explainSource(), states: running.describe() });
  }

  /** How much of what the peer sends through this pair does not arrive; `undefined` before there was anything to lose. */
  lossOf(pair: SaPairState): Loss | undefined {
    return this.#loss.loss(pair, this.#options.clock.now());
  }

  async command(kind: CommandKind, request: CommandRequest, signal: AbortSignal): Promise<CommandOutcome> {
    const target = this.#target(request);
    const running = await this.#runningWithin(request.waitSeconds, signal);
    if (running === undefined) return { outcome: "failed", lines: ["the gateway is starting or stopping"] };
    if (kind === "up" && !this.#canCall(target.connection))
      return { outcome: "failed", lines: [`${target.connection} has no address to call; its peers call us`] };
    if (target.connection.includes("#")) {
      if (running.describe(target.connection).length === 0)
        throw new UnknownNameError(`no peer is named ${target.connection} now`);
    }
    if (this.#waiters.isFull) return { outcome: "failed", lines: ["too many commands wait already"] };
    if (request.waitSeconds === 0) {
      running.command({ kind, target });
      return { outcome: "started", lines: [] };
    }
    const outcome = this.#waiters.wait(kind, target, request.waitSeconds, signal);
    running.command({ kind, target });
    return outcome;
  }

  /** The socket is there before the gateway runs, and who asks in between wants to wait anyway. */
  async #runningWithin(seconds: number, signal: AbortSignal): Promise<RunningGateway | undefined> {
    if (this.#running === undefined && seconds > 0) {
      const patience = AbortSignal.any([signal, AbortSignal.timeout(seconds * 1000)]);
      if (!patience.aborted) await Promise.race([this.#started, once(patience, "abort")]);
    }
    return this.#running;
  }

  #requireName(connection: string): void {
    const { connections, manual } = this.#configuration;
    if (this.#meant(connection).length > 0 || manual.some((one) => one.connection === connection)) return;
    throw this.#unknown(connection, [
      ...connections.map(({ connection: one }) => one),
      ...manual.map((one) => ({ name: one.connection })),
    ]);
  }

  #unknown(name: string, known: readonly Pick<Connection, "name" | "oneOf">[]): UnknownNameError {
    const names = [...new Set(known.map((one) => one.oneOf?.connection ?? one.name))];
    const near = nearestWord(name, names);
    const hint = near === undefined ? namesText(names) : `there is ${near}`;
    return new UnknownNameError(`no connection is named ${name}; ${hint}`);
  }

  #target({ connection, child }: CommandRequest): Target {
    const [found] = this.#meant(connection);
    if (found === undefined) {
      const { connections } = this.#configuration;
      throw this.#unknown(
        connection,
        connections.map(({ connection: one }) => one),
      );
    }
    if (child === undefined) return { connection };
    if (!found.children.some(({ name }) => name === child)) {
      const names = found.children.map(({ name }) => name).join(", ");
      throw new UnknownNameError(`${connection} has no child named ${child}; it has ${names}`);
    }
    return { connection, child };
  }

  /** The connections that a name stands for; a peer that calls and has a number is one of its connection. */
  #meant(name: string): readonly Connection[] {
    const all = this.#configuration.connections.map(({ connection }) => connection);
    const exact = all.filter((one) => one.name === name || one.oneOf?.connection === name);
    const [, base] = /^(.+)[#.]\d+$/.exec(name.includes("#") ? name : "") ?? [];
    return exact.length > 0 ? exact : all.filter((one) => one.name === base);
  }

  #canCall(name: string): boolean {
    const { connections } = this.#configuration;
    // A peer that has a number only since it called is called by nobody.
    const isKnown = ({ connection }: ConfiguredConnection) =>
      connection.name === name || connection.oneOf?.connection === name;
    return connections
      .filter(isKnown)
      .some(
        ({ connection, remoteNames }) =>
          connection.oneOf === undefined || remoteNames.length > 0 || peersOf(connection).length > 0,
      );
  }
}

/** Names that an error lists. */
const NAMES_SHOWN_MAX = 20;

function namesText(names: readonly string[]): string {
  if (names.length === 0) return "there are none that IKE negotiates";
  const rest = names.length - NAMES_SHOWN_MAX;
  const shown = names.slice(0, NAMES_SHOWN_MAX).join(", ");
  return `there ${names.length === 1 ? "is" : "are"} ${shown}${rest > 0 ? ` and ${rest} more` : ""}`;
}
