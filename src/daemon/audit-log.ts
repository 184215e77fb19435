/** Refused inbound packets as log lines: a sample, limited, since strangers cause them (RFC 4303 section 4) [ESP-12]. */
import { formatSpi } from "../base/spi.ts";
import { formatEndpoint } from "../base/udp-endpoint.ts";
import type { LaneUpcall } from "../dataplane/lane-options.ts";
import { dropWords } from "../observe/drop-words.ts";
import type { DaemonLog } from "./daemon-log.ts";

type Audit = Extract<LaneUpcall, { kind: "audit" }>;

/** Lines per minute, from all lanes and peers. */
export const AUDIT_LINES_PER_MINUTE = 30;
const MINUTE_MS = 60_000;

export class AuditLog {
  readonly #log: DaemonLog;
  readonly #clock: () => number;
  #minute = Number.NEGATIVE_INFINITY;
  #lines = 0;

  constructor(log: DaemonLog, clock: () => number = () => performance.now()) {
    this.#log = log;
    this.#clock = clock;
  }

  write({ reason, spi, sequenceNumber, local, remote }: Audit): void {
    const minute = Math.floor(this.#clock() / MINUTE_MS);
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#lines = 0;
    }
    if (this.#lines >= AUDIT_LINES_PER_MINUTE) return;
    this.#lines++;
    this.#log.warn(
      `ESP packet from ${formatEndpoint(remote)} to ${formatEndpoint(local)} refused: ${dropWords(reason)} (SPI ${formatSpi(spi)}, sequence number ${sequenceNumber})`,
    );
  }
}
