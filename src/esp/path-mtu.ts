/**
 * What one path carries whole (RFC 4301 section 8.2, RFC 1191, RFC 8899): held to be what the way out of this host carries until
 * a probe or a router says otherwise, narrowed by probes, and tried anew after some time.
 */
import { after, Instant, minutes, seconds } from "../base/instant.ts";
import type { IpAddress, IpFamily } from "../base/ip-address.ts";
import { PATH_MTU_MIN } from "./path-report.ts";

/** `kept`: a process before this one had found it. */
export type PathMtuSource = "interface" | "icmp" | "probed" | "kept";

/** One path, IP header included in all sizes. */
export interface PathMtu {
  readonly family: IpFamily;
  /** Somebody at the other end answers probes. */
  readonly isProbed: boolean;
  /** Octets that link and route carry out of this host. */
  ceiling: number;
  /** Octets that the path is held to carry. */
  octets: number;
  source: PathMtuSource;
  /** Who told it, with source `icmp`. */
  reporter: IpAddress | undefined;
  /** Most octets that got through in this search; 0: none yet. */
  good: number;
  /** What was asked for then: with block ciphers messages are a little shorter. */
  asked: number;
  /** Least octets that did not; beyond the ceiling: none. */
  bad: number;
  /** `bad` of the search before, which a short search starts from; 0: none. */
  formerBad: number;
  /** Octets that the probe in flight was asked for; 0: none is. */
  probing: number;
  probesLeft: number;
  /** When the next probe is due, or the one in flight is given up, or what was learnt is forgotten. */
  dueAt: Instant;
  /** When a search starts from nothing again. */
  fullAt: Instant;
  learntAt: Instant;
  /** Searches that hints may still start, and when that was reckoned. */
  hints: number;
  hintsAt: Instant;
}

/** What was learnt is tried again after this (RFC 1191 section 6.3, RFC 8201 section 4). */
export const PATH_MTU_AGE = minutes(10);
/** Also between searches that only look whether what is known still holds. */
const FULL_SEARCH_INTERVAL = minutes(60);
/** A probe that nobody could send, or whose SA went, is tried again after this. */
const PROBE_RETRY = seconds(1);
/** A probe whose end was not told by then is forgotten. */
export const PROBE_DEADLINE = minutes(4);
const PROBES_PER_SEARCH_MAX = 20;
/** A search ends when the gap is smaller: no packet gains by it. */
const SEARCH_GAP = 8;
/** Longer messages many peers do not take: above, a path is believed. */
export const PROBE_OCTETS_MAX = 9000;
/** Routers are believed once in this time. */
const LEARN_INTERVAL = seconds(1);
/** Searches that hints, which anybody can forge, start in a row; and how fast that grows back. */
const HINTS_BURST = 4;
const HINT_INTERVAL = minutes(2);
const NEVER = Instant(Number.POSITIVE_INFINITY);
const LONG_AGO = Instant(Number.NEGATIVE_INFINITY);

/** Sizes of links and tunnels that paths are made of: tried first. */
const USUAL_SIZES = [
  576, 1006, 1280, 1300, 1400, 1420, 1430, 1440, 1450, 1460, 1472, 1476, 1480, 1484, 1492, 1500, 4352, 8166,
];

export function newPathMtu(family: IpFamily, ceiling: number, isProbed: boolean, now: Instant): PathMtu {
  const path: PathMtu = {
    family,
    isProbed,
    ceiling,
    octets: ceiling,
    source: "interface",
    reporter: undefined,
    good: 0,
    asked: 0,
    bad: ceiling + 1,
    formerBad: 0,
    probing: 0,
    probesLeft: 0,
    dueAt: NEVER,
    fullAt: NEVER,
    learntAt: LONG_AGO,
    hints: HINTS_BURST,
    hintsAt: now,
  };
  if (isProbed) beginSearch(path, now, "full");
  return path;
}

/**
 * The path is known already: that holds until a search, which begins at once, or time, where nobody answers probes, says otherwise.
 * @param reporter - with source `icmp`
 */
export function adoptPathMtu(
  path: PathMtu,
  known: Pick<PathMtu, "octets" | "source" | "reporter">,
  now: Instant,
): void {
  if (known.octets >= path.ceiling) return;
  keepTo(path, known.octets, known.source);
  path.reporter = known.reporter;
  if (!path.isProbed) endSearch(path, now);
}

/** The way out of this host carries another size than before. */
export function setCeiling(path: PathMtu, ceiling: number, now: Instant): void {
  if (ceiling === path.ceiling) return;
  const wasOpen = path.source === "interface";
  path.ceiling = ceiling;
  if (wasOpen || path.octets > ceiling) keepTo(path, ceiling, "interface");
  if (path.isProbed) beginSearch(path, now, "full");
}

/** Takes what a believed report says. @returns false when one was taken a moment ago */
export function learnPathMtu(path: PathMtu, octets: number, reporter: IpAddress, now: Instant): boolean {
  if (octets >= path.octets || now < after(path.learntAt, LEARN_INTERVAL)) return false;
  path.learntAt = now;
  path.bad = octets + 1;
  if (path.good > octets) path.good = path.asked = 0;
  keepTo(path, octets, "icmp");
  path.reporter = reporter;
  // Probes tell whether it is true; without them time does. A search that is under way goes on below the new end.
  if (path.isProbed && path.probesLeft === 0 && takeHint(path, now)) beginSearch(path, now, "short");
  else if (path.probing === 0) endSearch(path, now);
  return true;
}

/** Something suggests that packets get lost for their size. @returns false when too many hints came for that to be looked into */
export function hintAtPath(path: PathMtu, now: Instant): boolean {
  if (!path.isProbed) return false;
  if (path.probing > 0 || path.dueAt <= now) return true;
  if (!takeHint(path, now)) return false;
  beginSearch(path, now, "full");
  return true;
}

function takeHint(path: PathMtu, now: Instant): boolean {
  path.hints = Math.min(HINTS_BURST, path.hints + (now - path.hintsAt) / HINT_INTERVAL);
  path.hintsAt = now;
  if (path.hints < 1) return false;
  path.hints--;
  return true;
}

/**
 * Does what time brings.
 * @returns octets of a probe to send now, to be answered by {@link endProbe}; 0: none
 */
export function advancePath(path: PathMtu, now: Instant): number {
  if (now < path.dueAt) return 0;
  if (!path.isProbed) {
    keepTo(path, path.ceiling, "interface");
    path.dueAt = NEVER;
    return 0;
  }
  if (path.probing > 0) {
    endProbe(path, path.probing, "unknown", now);
    return 0;
  }
  if (path.probesLeft === 0) beginSearch(path, now, now >= path.fullAt ? "full" : "short");
  const size = nextSize(path);
  if (size === 0) {
    endSearch(path, now);
    return 0;
  }
  path.probesLeft--;
  path.probing = size;
  path.dueAt = after(now, PROBE_DEADLINE);
  return size;
}

/**
 * A probe has ended.
 * @param octets - of the IP packet that was sent, which may be shorter than what was asked for
 * @param outcome - `fits`: the peer got it whole. `tooBig`: the peer got it, but not whole. `unknown`: nothing was learnt
 */
export function endProbe(
  path: PathMtu,
  octets: number,
  outcome: "fits" | "tooBig" | "unknown",
  now: Instant,
): void {
  const asked = path.probing;
  if (asked === 0) return;
  path.probing = 0;
  path.dueAt = now;
  if (outcome === "unknown") {
    path.probesLeft = 0;
    path.dueAt = after(now, PROBE_RETRY);
    return;
  }
  if (outcome === "fits") noteFit(path, asked, octets);
  else noteMisfit(path, octets);
  if (nextSize(path) === 0 || path.probesLeft === 0) endSearch(path, now);
}

/** When {@link advancePath} has something to do. */
export function pathDueAt({ dueAt }: PathMtu): Instant | undefined {
  return dueAt === NEVER ? undefined : dueAt;
}

function noteFit(path: PathMtu, asked: number, octets: number): void {
  const isTop = asked === top(path);
  path.asked = Math.max(path.asked, asked);
  if (path.source === "kept" && asked === path.octets) path.source = "probed";
  path.good = Math.max(path.good, octets);
  // It carries more than it used to.
  if (path.bad <= path.good) path.bad = path.ceiling + 1;
  if (isTop) path.formerBad = 0;
  if (isTop && asked < path.ceiling) keepTo(path, path.ceiling, "interface");
  else if (isTop || octets > path.octets) keepTo(path, octets, "probed");
}

function noteMisfit(path: PathMtu, octets: number): void {
  path.bad = Math.min(path.bad, octets);
  if (path.good >= path.bad) path.good = path.asked = 0;
  if (path.formerBad > 0) path.bad = Math.min(path.bad, Math.max(path.formerBad, path.octets + 1));
  path.formerBad = 0;
  if (path.octets >= path.bad) keepTo(path, Math.max(path.good, safeSize(path)), "probed");
}

function keepTo(path: PathMtu, octets: number, source: PathMtuSource): void {
  path.octets = octets;
  path.source = source;
  path.reporter = undefined;
}

function beginSearch(path: PathMtu, now: Instant, kind: "full" | "short"): void {
  path.formerBad = kind === "short" && path.bad <= path.ceiling ? path.bad : 0;
  if (kind === "full") path.fullAt = after(now, FULL_SEARCH_INTERVAL);
  path.good = path.asked = 0;
  path.bad = path.ceiling + 1;
  path.probesLeft = PROBES_PER_SEARCH_MAX;
  if (path.probing === 0) path.dueAt = now;
}

function endSearch(path: PathMtu, now: Instant): void {
  path.probesLeft = 0;
  path.dueAt = after(now, PATH_MTU_AGE);
}

/** The full size first, then a safe one, then upwards between what is known; 0 when nothing is left to learn. */
function nextSize(path: PathMtu): number {
  const { good, bad, octets } = path;
  if (bad > path.ceiling) return good > 0 ? 0 : top(path);
  if (good === 0) {
    const size = octets < bad ? octets : safeSize(path);
    return size < bad ? size : 0;
  }
  const least = Math.max(good, path.asked);
  const usual = USUAL_SIZES.filter((size) => size > least && size < bad);
  if (usual.length > 0) return usual[usual.length >> 1]!;
  return bad - least > SEARCH_GAP ? least + ((bad - least) >> 1) : 0;
}

function top({ ceiling }: PathMtu): number {
  return Math.min(ceiling, PROBE_OCTETS_MAX);
}

/** What a path carries that is still of use when larger packets do not pass; never less than every path has to. */
function safeSize({ family, bad, ceiling }: PathMtu): number {
  return Math.min(ceiling, bad > PATH_MTU_MIN[6] ? PATH_MTU_MIN[6] : PATH_MTU_MIN[family]);
}
