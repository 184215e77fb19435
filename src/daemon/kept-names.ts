/** Under which names the service manager keeps our descriptors. Only names with this prefix are ours. */
import type { Ground } from "./lane-state.ts";

const PREFIX = "tungate.";
export const KEPT_TABLE = `${PREFIX}table`;
export const KEPT_KEYS = `${PREFIX}keys`;
/** Starts in a row that did not last. */
export const KEPT_STARTS = `${PREFIX}starts`;
/** IKE SAs, from a clean stop to the next start. */
export const KEPT_IKE = `${PREFIX}ike`;
/** The lanes' state, in turn, so that one of them is always whole. */
export const KEPT_LANES = [`${PREFIX}lanes.0`, `${PREFIX}lanes.1`] as const;

export function isKeptName(name: string): boolean {
  return name.startsWith(PREFIX);
}

/** Names of devices may have dots in them. */
const QUEUE = /(?<![^:])tungate\.tun\.[^:]*\.(\d+)(?![^:])/g;

export function keptQueue(device: string, lane: number): string {
  return `${PREFIX}tun.${device}.${lane}`;
}

/** @param names - as in `LISTEN_FDNAMES` (sd_listen_fds(3)). @returns how many lanes have a queue among them */
export function lanesAmong(names: string): number {
  return new Set([...names.matchAll(QUEUE)].map(([, lane]) => lane)).size;
}

/** @param socket - its place among those of the ground */
export function keptSocket(socket: number, number: number): string {
  return `${PREFIX}socket.${socket}.${number}`;
}

export function keptSockets({ sockets }: Ground): readonly string[] {
  return sockets.flatMap(({ count }, i) =>
    Array.from({ length: count }, (_, number) => keptSocket(i, number)),
  );
}

/** Of all devices and sockets. */
export function keptGround(ground: Ground): readonly string[] {
  const { devices, lanes } = ground;
  const queues = devices.flatMap(({ name }) =>
    Array.from({ length: lanes }, (_, lane) => keptQueue(name, lane)),
  );
  return [...queues, ...keptSockets(ground)];
}
