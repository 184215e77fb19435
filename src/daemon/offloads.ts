/** Which offloads carry the packets of this gateway, and what went through them. */
import type { OffloadSettings } from "../config/configuration.ts";
import type { PacketIoCounters } from "../io/native-packet-io.ts";

/** `off`: by configuration. `missing`: the kernel has it not. `refused`: a device took packets one by one, but no run. */
type OffloadState = "on" | "off" | "missing" | "refused";

/** What kernel and devices offered at the start. */
export interface AvailableOffloads {
  readonly tso: boolean;
  readonly uso: boolean;
  readonly udpSegment: boolean;
  readonly udpGro: boolean;
}

const NUMBERS_OF_ERRORS: readonly (keyof PacketIoCounters)[] = ["lastSendErrno", "lastReadErrno"];

/** By the names of the configuration's keys. */
export function offloadStates(
  settings: OffloadSettings,
  available: AvailableOffloads,
  transfers: { readonly [counter: string]: number },
): { readonly [offload: string]: OffloadState } {
  const state = (isWanted: boolean, isThere: boolean, refusals = 0): OffloadState =>
    !isWanted ? "off" : !isThere ? "missing" : refusals > 0 ? "refused" : "on";
  const { offloadRefusals: refusals = 0, sendRunRefusals: runsRefused = 0, udpRunRefusals = 0 } = transfers;
  return {
    tso: state(settings.tso, available.tso),
    uso: state(settings.uso, available.uso, udpRunRefusals),
    coalescing: state(settings.coalescing, true, refusals - runsRefused - udpRunRefusals),
    udp_segment: state(settings.udpSegment, available.udpSegment, runsRefused),
    udp_gro: state(settings.udpGro, available.udpGro),
  };
}

/** Sums over the lanes; of the numbers of errors the largest. */
export function sumTransfers(counters: readonly PacketIoCounters[]): { readonly [counter: string]: number } {
  const sums: Record<string, number> = {};
  for (const one of counters)
    for (const [name, value] of Object.entries(one)) {
      const isErrno = NUMBERS_OF_ERRORS.includes(name as keyof PacketIoCounters);
      sums[name] = isErrno ? Math.max(sums[name] ?? 0, value) : (sums[name] ?? 0) + value;
    }
  return sums;
}
