/** What the control server asks of the daemon behind it. */
import { TungateError } from "../base/errors.ts";
import type { BlackboxTarget } from "./blackbox-routes.ts";
import type { CaptureTarget } from "./capture-target.ts";
import type { EventStream } from "./event-stream.ts";
import type { ExplainAnswer, ExplainQuery } from "./explain-schema.ts";
import type { MetricsSource } from "./health.ts";
import type { LogTarget } from "./log-routes.ts";
import type { ReloadTarget } from "./reload-target.ts";
import type { CommandKind, CommandOutcome, CommandRequest, StatusDocument, StatusQuery } from "./schema.ts";
import type { TrafficDocument } from "./traffic-schema.ts";

export interface ControlTarget {
  readonly version: string;
  readonly measurements: MetricsSource;
  readonly captures: CaptureTarget;
  readonly events: EventStream;
  readonly blackbox: BlackboxTarget;
  readonly log: LogTarget;
  readonly reloads: ReloadTarget;
  /** @throws {@link UnknownNameError} when no such connection is configured */
  status(query: StatusQuery): StatusDocument;
  /** What each child carries. */
  traffic(): TrafficDocument;
  /** What becomes of a packet; `undefined` while the gateway starts or stops. */
  explain(query: ExplainQuery): Promise<ExplainAnswer | undefined>;
  /**
   * Starts the command and resolves when its outcome is known, when `waitSeconds` are over, or when `signal` says that
   * nobody waits any longer.
   * @throws {@link UnknownNameError} when no such connection or child is configured
   */
  command(kind: CommandKind, request: CommandRequest, signal: AbortSignal): Promise<CommandOutcome>;
}

/** The client named a connection or child that the configuration does not have. */
export class UnknownNameError extends TungateError {
  override readonly name = "UnknownNameError";
  readonly code = "CONTROL_UNKNOWN_NAME";
}

/** A limit is reached, which goes by by itself or when somebody gives something back. */
export class BusyError extends TungateError {
  override readonly name = "BusyError";
  readonly code = "CONTROL_BUSY";
}
