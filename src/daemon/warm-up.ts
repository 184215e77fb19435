/**
 * Warms the gateway's code up while nothing else is to be done: JavaScript that runs for the first time takes several times as
 * long as later, and a first negotiation is little else. See `gateway/warm-up` for what runs.
 */
import { randomBytes } from "node:crypto";
import type { Configuration } from "../config/configuration.ts";
import { loadConfiguration } from "../config/load.ts";
import { warmUp } from "../gateway/warm-up.ts";
import type { WorkResult } from "../ike/machine.ts";
import type { Clock } from "../io/clock.ts";
import { performWork, type WorkContext } from "../io/compute-work.ts";
import { nativeKeyExchange } from "../io/native-key-exchange.ts";
import { createSystemRandom } from "../io/random.ts";
import type { DaemonLog } from "./daemon-log.ts";
import { wipeSecrets } from "./secrets.ts";

/** What the start has left to do comes first. */
const AFTER_MS = 500;
/** Between two steps others have their turn. */
const PAUSE_MS = 2;

/** As connections are without any setting: what these propose is what most first peers do. */
const ANSWERER = "192.0.2.1";
const CALLER = "192.0.2.2";
const settings = (own: string, other: string, keep: string): string => `gateway:
  listen: [${own}]
connections:
  warm-up:
    remote: { address: ${other} }
    psk: { env: WARM_UP }
    keep: ${keep}
    children:
      all: { local: ${own}, remote: ${other} }
`;

export interface WarmUpSurroundings {
  readonly clock: Clock;
  readonly log: Pick<DaemonLog, "debug">;
  /** Nobody negotiates: asked before each step; the warm-up ends with the first `false`. */
  readonly isIdle: () => boolean;
  /** Absent: {@link warmUpSteps}. */
  readonly steps?: typeof warmUpSteps;
}

/** Begins it some time after the start, in steps. @returns what ends it */
export function startWarmUp({
  clock,
  log,
  isIdle,
  steps: begin = warmUpSteps,
}: WarmUpSurroundings): () => void {
  const steps = begin(clock, log);
  let timer = setTimeout(step, AFTER_MS).unref();

  function step(): void {
    try {
      if (!isIdle() || steps.next().done === true) stop();
      else timer = setTimeout(step, PAUSE_MS).unref();
    } catch (error) {
      // What is real is negotiated without it.
      log.debug(`the warm-up ended early: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  function stop(): void {
    clearTimeout(timer);
    steps.return();
  }
  return stop;
}

/** @yields wherever others may have their turn */
export function* warmUpSteps(clock: Clock, log: Pick<DaemonLog, "debug">): Generator<undefined, void> {
  const random = createSystemRandom();
  const context = { random, wallClock: Date.now(), keyExchange: nativeKeyExchange() };
  const secret = randomBytes(32).toString("base64");
  const caller = configured(settings(CALLER, ANSWERER, "on-demand"), secret);
  const answerer = configured(settings(ANSWERER, CALLER, "respond"), secret);
  try {
    const isDone = yield* warmUp({
      configurations: [caller, answerer],
      random,
      now: () => clock.now(),
      compute: (work) => computed(work, context),
    });
    if (!isDone) log.debug("the warm-up found no agreement with itself");
  } finally {
    wipeSecrets(caller);
    wipeSecrets(answerer);
  }
}

function computed(work: Parameters<typeof performWork>[0], context: WorkContext): WorkResult {
  const result = performWork(work, context);
  if (result.kind === "revocationNeeded") throw new Error("no certificates are checked here");
  return result;
}

function configured(text: string, secret: string): Configuration {
  return loadConfiguration("warm-up", {
    readFile: () => ({ kind: "file", bytes: new TextEncoder().encode(text), mode: 0o600 }),
    environment: () => secret,
    wallClock: () => 0,
  });
}
