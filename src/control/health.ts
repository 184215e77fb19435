/** What `/healthz` and `/readyz` answer. */

export interface Health {
  readonly isGood: boolean;
  /** Words for whoever looks, one line each; the first is the summary. */
  readonly lines: readonly string[];
}

/** What is asked of the daemon by those who only look. */
export interface MetricsSource {
  /** Prometheus' text format. */
  metrics(): string;
  /** Whether the process and every lane move. */
  health(): Health;
  /** Whether what the configuration wants up is up. */
  readiness(): Health;
}

/** Of Prometheus' text format. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export const HEALTH_PATHS = { healthz: "/healthz", readyz: "/readyz" } as const;

/** 200, or 503 while it is not as it should be. */
export function healthAnswer({ isGood, lines }: Health): {
  readonly status: 200 | 503;
  readonly text: string;
} {
  return { status: isGood ? 200 : 503, text: `${lines.join("\n")}\n` };
}
