/** Drives the gateway: feeds events, performs effects in order, and comes back when the next timeout is due. */
import type { DurationMs } from "../base/instant.ts";
import type { UdpEndpoint } from "../base/udp-endpoint.ts";
import type { Gateway, GatewayEffect, GatewayEvent, GatewayPredecessor } from "../gateway/gateway.ts";
import type { GatewayConfiguration } from "../gateway/gateway-configuration.ts";
import type { Clock } from "../io/clock.ts";
import type { ComputePool } from "../io/compute.ts";
import type { SendFailure } from "./outer-sockets.ts";

/** Effects that are not the loop's own business. */
export type ForwardedEffect = Exclude<GatewayEffect, { kind: "send" } | { kind: "compute" }>;

export interface GatewayLoopOptions {
  readonly gateway: Gateway;
  readonly clock: Clock;
  readonly compute: ComputePool;
  /** @returns why it could not be sent */
  readonly send: (datagram: Extract<GatewayEffect, { kind: "send" }>) => SendFailure | undefined;
  readonly onSendFailure: (remote: UdpEndpoint, text: string) => void;
  /** Called in order with the loop's own effects; may `feed`, which is carried out afterwards. */
  readonly onEffect: (effect: ForwardedEffect) => void;
  /** An event has been dealt with: states may have changed. */
  readonly onTurn: () => void;
}

/** Node's timers stand still during suspend, so the boot clock is looked at now and then. */
const TIMER_MS_MAX = 30_000 as DurationMs;

export class GatewayLoop {
  readonly #options: GatewayLoopOptions;
  readonly #waiting: GatewayEvent[] = [];
  #timer: NodeJS.Timeout | undefined;
  /** When it fires, by the loop's clock. */
  #timerAt = Infinity;
  #isFeeding = false;
  #isStarted = false;
  #isStopped = false;

  constructor(options: GatewayLoopOptions) {
    this.#options = options;
  }

  feed(event: GatewayEvent): void {
    if (this.#isStopped) return;
    // Peers repeat what nobody answers; what strangers send must not pile up.
    if (!this.#isStarted && event.kind === "datagram") return;
    this.#waiting.push(event);
    if (this.#isStarted && !this.#isFeeding) this.#exclusively(() => undefined);
  }

  /**
   * Takes over the connections; what was fed before the first ones is dealt with then.
   * @param before - given with the first ones when another process has left SAs
   */
  setConnections(configuration: GatewayConfiguration, before?: GatewayPredecessor): void {
    const { gateway, clock } = this.#options;
    this.#isStarted = true;
    this.#exclusively(() => gateway.setConnections(configuration, clock.now(), this.#perform, before));
  }

  /** Does `work`, then what was fed meanwhile. */
  #exclusively(work: () => void): void {
    this.#isFeeding = true;
    try {
      work();
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift())
        this.#options.gateway.handle(next, this.#options.clock.now(), this.#perform);
    } finally {
      this.#isFeeding = false;
    }
    this.#arm();
    this.#options.onTurn();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  readonly #perform = (effect: GatewayEffect): void => {
    switch (effect.kind) {
      case "send": {
        const failure = this.#options.send(effect);
        if (failure !== undefined) this.#onSendFailure(effect, failure);
        break;
      }
      case "compute":
        this.#options.compute.submit(effect.job, effect.work, (job, result) =>
          this.feed({ kind: "computed", job, result }),
        );
        break;
      default:
        this.#options.onEffect(effect);
    }
  };

  #onSendFailure(datagram: Extract<GatewayEffect, { kind: "send" }>, { text, reason }: SendFailure): void {
    this.#options.onSendFailure(datagram.remote, text);
    if (reason !== undefined) this.feed({ kind: "sendRefused", datagram, reason });
  }

  /** A timer that fires too early only looks again; to move it in every turn would cost more than that. */
  #arm(): void {
    if (this.#isStopped) return;
    const now = this.#options.clock.now();
    const next = this.#options.gateway.nextTimeout();
    const at = Math.min(next === undefined ? Infinity : next.at, now + TIMER_MS_MAX);
    // One that is late stood still with the machine.
    if (at >= this.#timerAt && this.#timerAt > now) return;
    clearTimeout(this.#timer);
    this.#timerAt = at;
    this.#timer = setTimeout(() => this.#onTimer(), Math.max(0, Math.ceil(at - now)));
  }

  #onTimer(): void {
    this.#timerAt = Infinity;
    const next = this.#options.gateway.nextTimeout();
    if (next !== undefined && next.at <= this.#options.clock.now()) this.feed({ kind: "timeout" });
    else this.#arm();
  }
}
