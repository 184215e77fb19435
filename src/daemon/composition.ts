/** One gateway with everything that listens to it: the log, what counts, what shows, what waits. */
import { availableParallelism } from "node:os";
import type { Configuration } from "../config/configuration.ts";
import { bootClock } from "../io/clock.ts";
import { IoError } from "../io/io-error.ts";
import { inheritedText } from "../observe/inherited-words.ts";
import { type Logger, NoticeLog } from "../observe/log.ts";
import { AuditLog } from "./audit-log.ts";
import { BlackBox } from "./black-box.ts";
import { DaemonControl } from "./control-target.ts";
import { EventSource } from "./event-source.ts";
import type { ForwardedEffect } from "./gateway-loop.ts";
import { laneCount } from "./lane-count.ts";
import { LogControl } from "./log-control.ts";
import { Measurements } from "./measurements.ts";
import { Reloads, type ReloadsOptions } from "./reload/reloads.ts";
import { RunningGateway, type RunningGatewayOptions } from "./running-gateway.ts";

export interface CompositionOptions {
  readonly configuration: Configuration;
  readonly version: string;
  readonly log: Logger;
  /** Absent: one of its own. */
  readonly blackBox?: BlackBox;
  /** Absent: what runs is what it was started with. */
  readonly reloading?: Pick<ReloadsOptions, "load" | "follow" | "onBegin" | "onEnd">;
}

/** What only the surroundings of the gateway know. */
export type Surroundings = Pick<RunningGatewayOptions, "load" | "onFatal" | "store" | "taken">;

export interface Composition {
  readonly control: DaemonControl;
  readonly measurements: Measurements;
  readonly events: EventSource;
  /** @throws {IoError} with everything closed again */
  start(surroundings: Surroundings): Promise<RunningGateway>;
}

const NOTHING = async () => undefined;
const NO_RELOADING: NonNullable<CompositionOptions["reloading"]> = {
  load: () => Promise.reject(new IoError("IO_RELOAD_FAILED", "there is no file to read anew")),
  follow: NOTHING,
  onBegin: () => undefined,
  onEnd: NOTHING,
};

/** Answers questions at once; there is something to tell once it is started. */
export function compose(options: CompositionOptions): Composition {
  const { configuration, version, log, blackBox = new BlackBox(), reloading } = options;
  const clock = bootClock;
  const measurements = new Measurements({ configuration, version, clock });
  const events = new EventSource(clock, Date.now().toString(36));
  // Nobody makes the log silent first and takes keys then.
  const audit = log.child({}, { level: "info" });
  const logControl = new LogControl(log, clock, audit);
  const lanesOf = (configured: "auto" | number) => laneCount(configured, availableParallelism());
  const reloads = new Reloads({ clock, log, lanesOf, ...(reloading ?? NO_RELOADING) });
  const control = new DaemonControl({
    configuration,
    reloads,
    version,
    clock,
    log,
    audit,
    measurements,
    events: events.stream,
    blackBox,
    logControl,
  });
  return {
    control,
    measurements,
    events,
    async start(surroundings) {
      const running = await RunningGateway.start({
        ...surroundings,
        configuration,
        clock,
        log,
        onEffect: effectForwarder({ log, logControl, blackBox, control, measurements, events }),
        onSent: ({ local, remote, bytes }, failure) =>
          control.captures.noteSent(local, remote, bytes, failure),
        onTurn: () => {
          control.onTurn();
          events.onTurn();
        },
      });
      control.attach(running);
      measurements.attach(running, (pair) => control.lossOf(pair));
      events.attach(running);
      if (reloading !== undefined) reloads.attach(running);
      return running;
    },
  };
}

interface Listeners {
  readonly log: Logger;
  readonly logControl: LogControl;
  readonly blackBox: BlackBox;
  readonly control: DaemonControl;
  readonly measurements: Measurements;
  readonly events: EventSource;
}

/** What the gateway tells goes to the log, and to whoever counts, shows or waits for it. */
function effectForwarder({
  log,
  logControl,
  blackBox,
  control,
  measurements,
  events,
}: Listeners): (effect: ForwardedEffect) => void {
  const notices = new NoticeLog(log, logControl.levelsInUse);
  const audits = new AuditLog(log);
  return (effect) => {
    switch (effect.kind) {
      case "notice":
        notices.write(effect.notice, bootClock.now());
        measurements.onNotice(effect.notice);
        events.onNotice(effect.notice);
        blackBox.noteDecision(effect.notice, bootClock.now());
        control.onNotice(effect.notice);
        break;
      case "message":
        blackBox.noteMessage(effect.message, bootClock.now());
        control.captures.noteMessage(effect.message);
        break;
      case "audit":
        audits.write(effect.audit);
        break;
      case "tableRefused":
        log.error(`the SA table refused ${effect.command}: ${effect.reason}`);
        break;
      case "inherited":
        log.info(inheritedText(effect));
        break;
      case "manualEnded":
        log.error(
          `${effect.policy}: the SA with manual keys has reached its limit (${effect.reason}) and carries nothing further; give both ends new keys`,
        );
        break;
    }
  };
}
