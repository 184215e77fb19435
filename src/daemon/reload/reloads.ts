/** Another configuration for a running gateway: read, planned, taken over as a whole or not at all, and on trial if that is wanted. */
import { TungateError } from "../../base/errors.ts";
import { after, DurationMs, type Instant } from "../../base/instant.ts";
import { ConfigError, formatConfigProblem } from "../../config/config-error.ts";
import type { Configuration } from "../../config/configuration.ts";
import type {
  ConfigurationStatus,
  ReloadOutcome,
  ReloadPlan,
  ReloadRequest,
} from "../../control/reload-schema.ts";
import type { ReloadTarget } from "../../control/reload-target.ts";
import type { Clock } from "../../io/clock.ts";
import { ConfigurationWatch, type Finding } from "../configuration-watch.ts";
import type { DaemonLog } from "../daemon-log.ts";
import type { RunningGateway } from "../running-gateway.ts";
import { wipeSecrets } from "../secrets.ts";
import { planReload } from "./plan.ts";

/** The part of a running gateway that a reload deals with. */
export type Reloadable = Pick<
  RunningGateway,
  "configuration" | "numbered" | "movedAway" | "apply" | "describe"
>;

export interface ReloadsOptions {
  /** Reads the file anew. @throws {ConfigError} */
  readonly load: () => Promise<Configuration>;
  readonly clock: Clock;
  readonly log: DaemonLog;
  /** How many lanes a setting comes to. */
  readonly lanesOf: (configured: "auto" | number) => number;
  /** What lies outside the gateway takes the configuration over: the control socket. @throws {TungateError} nothing has changed then */
  readonly follow: (configuration: Configuration) => Promise<void>;
  readonly onBegin: () => void;
  /** With what runs now, and whether that is what was to be taken over. */
  readonly onEnd: (running: Configuration, isTaken: boolean) => Promise<void>;
}

interface Trial {
  /** What ran before, with its secrets. */
  readonly former: Configuration;
  readonly until: Instant;
  readonly timer: NodeJS.Timeout;
}

const NOT_RUNNING = "the gateway is starting or stopping";
const RESTART_ADVICE =
  "systemctl restart tungate takes it over, and the tunnels go on (with another number of lanes they are negotiated anew); or take it out of the file";
const ENDING_OF_TRIAL = "tungate reload --keep keeps what runs, tungate reload --undo goes back";

export class Reloads implements ReloadTarget {
  readonly #options: ReloadsOptions;
  #running: Reloadable | undefined;
  #watch: ConfigurationWatch | undefined;
  #loadedAt: Instant;
  #trial: Trial | undefined;
  /** What is under way: one thing at a time. */
  #work: Promise<unknown> | undefined;

  constructor(options: ReloadsOptions) {
    this.#options = options;
    this.#loadedAt = options.clock.now();
  }

  attach(running: Reloadable): void {
    this.#running = running;
    this.#watch = new ConfigurationWatch({
      file: running.configuration.file,
      secrets: () => running.configuration.secretFiles,
      compare: () => this.#compare(),
      onFinding: (finding) => this.#onFinding(finding),
    });
  }

  /** Waits for what is under way; what was on trial needs nothing any more. */
  async detach(): Promise<void> {
    this.#running = undefined;
    this.#watch?.close();
    this.#endTrial();
    await this.#work?.catch(() => undefined);
    this.#endTrial();
  }

  status(): ConfigurationStatus | undefined {
    const { clock } = this.#options;
    if (this.#running === undefined || this.#watch === undefined) return undefined;
    return {
      file: this.#running.configuration.file,
      loadedSecondsAgo: (clock.now() - this.#loadedAt) / 1000,
      ...this.#watch.finding,
      ...(this.#trial === undefined ? {} : { confirmInSeconds: this.#secondsLeft(this.#trial) }),
    };
  }

  async reload(asked: ReloadRequest): Promise<ReloadOutcome> {
    const running = this.#running;
    if (running === undefined) return refused(NOT_RUNNING);
    if (this.#work !== undefined) return refused("another reload is under way; try again when it is done");
    if (this.#trial !== undefined && !asked.plan)
      return refused(
        `a configuration is on trial for another ${this.#secondsLeft(this.#trial)} s; ${ENDING_OF_TRIAL}`,
      );
    if (asked.plan) return this.#exclusively(() => this.#reload(running, asked));
    return this.#exclusively(() => this.#announced(running, () => this.#reload(running, asked)));
  }

  async keep(): Promise<ReloadOutcome> {
    if (this.#trial === undefined) return refused("no configuration is on trial");
    this.#endTrial();
    this.#options.log.info("the configuration on trial stays");
    return { outcome: "kept", lines: [] };
  }

  async undo(): Promise<ReloadOutcome> {
    if (this.#trial === undefined)
      return refused("no configuration is on trial; what ran before is not kept longer");
    return this.#goBack("as asked");
  }

  /** SIGHUP: as `tungate reload`, with the outcome in the log. */
  async onHangUp(): Promise<void> {
    const { outcome, lines } = await this.reload({ plan: false });
    if (outcome === "refused") this.#options.log.error(`SIGHUP: not reloaded; ${lines.join("; ")}`);
  }

  async #reload(running: Reloadable, asked: ReloadRequest): Promise<ReloadOutcome> {
    const { log } = this.#options;
    const read = await this.#read(running);
    if ("outcome" in read) {
      if (!asked.plan)
        for (const line of ["the configuration was not reloaded", ...read.lines]) log.error(line);
      return read;
    }
    const { fresh, plan } = read;
    if (asked.plan) {
      wipeSecrets(fresh);
      return { outcome: "planned", plan, lines: [] };
    }
    const restarts = plan.settings.filter(({ needsRestart }) => needsRestart);
    if (restarts.length > 0) {
      wipeSecrets(fresh);
      const { file } = running.configuration;
      const lines = restarts.map(
        ({ key, text, line }) => `${file}${line === undefined ? "" : `:${line}`}: ${key}: ${text}`,
      );
      log.error(`the configuration was not reloaded: ${lines.join("; ")}`);
      return { ...refused(...lines, RESTART_ADVICE), plan };
    }
    return this.#apply(running, fresh, plan, asked.confirmSeconds);
  }

  async #apply(
    running: Reloadable,
    fresh: Configuration,
    plan: ReloadPlan,
    confirmSeconds: number | undefined,
  ): Promise<ReloadOutcome> {
    const former = running.configuration;
    const failure = await this.#takeOver(running, fresh);
    if (failure !== undefined) {
      wipeSecrets(fresh);
      return { ...refused(failure, "what ran before runs on"), plan };
    }
    if (confirmSeconds === undefined) {
      wipeSecrets(former);
      this.#options.log.info(`the configuration was reloaded: ${plan.summary}`);
      return { outcome: "applied", plan, lines: [] };
    }
    this.#begin(former, confirmSeconds);
    this.#options.log.info(
      `the configuration was reloaded: ${plan.summary}; on trial for ${confirmSeconds} s, ${ENDING_OF_TRIAL}`,
    );
    return { outcome: "applied", plan, confirmInSeconds: confirmSeconds, lines: [] };
  }

  /** @returns why it was not taken over; what ran before runs on then */
  async #takeOver(running: Reloadable, fresh: Configuration): Promise<string | undefined> {
    const { follow, log } = this.#options;
    const former = running.configuration;
    try {
      await follow(fresh);
      try {
        await running.apply(fresh);
      } catch (error) {
        await follow(former);
        throw error;
      }
      this.#loadedAt = this.#options.clock.now();
      this.#watch?.readAgain();
      return undefined;
    } catch (error) {
      if (!(error instanceof TungateError)) throw error;
      log.error(`the configuration was not reloaded: ${error.message}`);
      return error.message;
    }
  }

  /** Others are told of both ends, whatever comes in between. */
  async #announced(running: Reloadable, work: () => Promise<ReloadOutcome>): Promise<ReloadOutcome> {
    const { onBegin, onEnd } = this.#options;
    let isTaken = false;
    onBegin();
    try {
      const outcome = await work();
      isTaken = outcome.outcome !== "refused";
      return outcome;
    } finally {
      await onEnd(running.configuration, isTaken);
    }
  }

  #begin(former: Configuration, seconds: number): void {
    const wait = seconds * 1000;
    const timer = setTimeout(() => void this.#goBack("nobody said to keep it"), wait);
    this.#trial = { former, timer, until: after(this.#options.clock.now(), DurationMs(wait)) };
  }

  async #goBack(why: string): Promise<ReloadOutcome> {
    while (this.#work !== undefined) await this.#work.catch(() => undefined);
    const [running, trial] = [this.#running, this.#trial];
    if (running === undefined || trial === undefined) return refused("no configuration is on trial");
    clearTimeout(trial.timer);
    this.#trial = undefined;
    const goBack = async (): Promise<ReloadOutcome> => {
      const tried = running.configuration;
      const failure = await this.#takeOver(running, trial.former);
      wipeSecrets(failure === undefined ? tried : trial.former);
      if (failure !== undefined) return refused(failure, "the configuration that was on trial runs on");
      this.#options.log.warn(`the configuration on trial was taken back: ${why}; what ran before runs again`);
      return { outcome: "undone", lines: [] };
    };
    return this.#exclusively(() => this.#announced(running, goBack));
  }

  #endTrial(): void {
    if (this.#trial === undefined) return;
    clearTimeout(this.#trial.timer);
    wipeSecrets(this.#trial.former);
    this.#trial = undefined;
  }

  #secondsLeft({ until }: Trial): number {
    return Math.max(0, Math.ceil((until - this.#options.clock.now()) / 1000));
  }

  async #exclusively(work: () => Promise<ReloadOutcome>): Promise<ReloadOutcome> {
    const outcome = work();
    this.#work = outcome;
    try {
      return await outcome;
    } finally {
      this.#work = undefined;
    }
  }

  /** What the file holds now, and what that would change; or why it holds nothing. */
  async #read(
    running: Reloadable,
  ): Promise<{ readonly fresh: Configuration; readonly plan: ReloadPlan } | ReloadOutcome> {
    try {
      const fresh = running.numbered(await this.#options.load());
      const plan = planReload({
        running: running.configuration,
        fresh,
        states: running.describe(),
        movedAway: running.movedAway(fresh),
        lanesOf: this.#options.lanesOf,
      });
      return { fresh, plan };
    } catch (error) {
      if (error instanceof ConfigError)
        return { ...refused(...error.problems.map(formatConfigProblem)), problems: [...error.problems] };
      if (error instanceof TungateError) return refused(error.message);
      throw error;
    }
  }

  async #compare(): Promise<Finding | undefined> {
    const running = this.#running;
    if (running === undefined || this.#work !== undefined) return undefined;
    const before = running.configuration;
    const read = await this.#read(running);
    if ("outcome" in read)
      return { onDisk: "broken", ...(read.lines[0] === undefined ? {} : { text: read.lines[0] }) };
    const { fresh, plan } = read;
    wipeSecrets(fresh);
    if (running.configuration !== before) return undefined;
    return plan.isEmpty ? { onDisk: "same" } : { onDisk: "differs", text: plan.summary };
  }

  #onFinding({ onDisk, text }: Finding): void {
    const { log } = this.#options;
    if (onDisk === "broken") log.warn(`the configuration on disk is broken, what runs stays: ${text ?? ""}`);
    else if (onDisk === "differs")
      log.info(`the configuration on disk differs from what runs: ${text}; tungate reload takes it over`);
    else log.info("the configuration on disk is what runs");
  }
}

function refused(...lines: string[]): ReloadOutcome {
  return { outcome: "refused", lines };
}
