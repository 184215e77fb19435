/** The paths that SAs use, what each carries, and who finds that out (RFC 4301 section 8.2). */
import { after, DurationMs, Instant } from "../base/instant.ts";
import { familyOf, formatIpAddress, type IpAddress, parseIpAddress } from "../base/ip-address.ts";
import type { Spi } from "../base/spi.ts";
import type { DataPlane, SaPairState } from "../dataplane/data-plane.ts";
import {
  adoptPathMtu,
  advancePath,
  endProbe,
  hintAtPath,
  learnPathMtu,
  newPathMtu,
  type PathMtu,
  type PathMtuSource,
  pathDueAt,
  setCeiling,
} from "../esp/path-mtu.ts";
import { type PathReport, quotedEsp, type ReportRefusal, refuseReport } from "../esp/path-report.ts";
import { Agenda } from "../ike/agenda.ts";
import { type Allowance, takeAllowance } from "../ike/allowance.ts";
import type { PathProbe, PathProbeOutcome } from "../ike/machine.ts";
import type { PathTable } from "./path-table.ts";

/** What became of a report that was not taken as it is. */
export type ReportOutcome = ReportRefusal | "unknownPath" | "unknownSpi" | "tooOften" | "hint";

/** What a path carries and how that is known, for `status`. */
export interface PathState {
  readonly octets: number;
  readonly source: PathMtuSource;
  /** With source `icmp`. */
  readonly reporter?: IpAddress;
  /** The peer answers probes; else only ICMP tells. */
  readonly isProbed: boolean;
}

/**
 * Steps of searches in a second, and at once. A path that comes takes one as well: where thousands of tunnels come up, tunnels come
 * before sizes, and a peer that has as many to set up answers late, which is taken for a size that does not get through.
 */
const STEPS_PER_SECOND = 25;
const STEP_INTERVAL = DurationMs(1000 / STEPS_PER_SECOND);
/** However many paths come, a step is done after this: no peer that moves for ever keeps the others waiting. */
const REST_MAX = DurationMs(500);

interface KnownPath {
  readonly remote: IpAddress;
  readonly mtu: PathMtu;
  /** Inbound SPIs of the SAs that use it. */
  readonly sas: Set<Spi>;
}

export interface PathMtusOptions {
  readonly dataPlane: DataPlane;
  readonly paths: PathTable;
  /** Asks a peer for an answer to a packet of this size. */
  readonly probe: (probe: PathProbe) => void;
  /** A path carries another size than before. */
  readonly onChange: (remote: IpAddress, state: PathState) => void;
}

export class PathMtus {
  readonly #options: PathMtusOptions;
  readonly #paths = new Map<string, KnownPath>();
  readonly #pathOf = new Map<Spi, KnownPath>();
  readonly #outcomes = new Map<ReportOutcome, number>();
  /** What a process before this one had found, of paths that no SA uses yet. */
  readonly #kept = new Map<string, number>();
  readonly #due = new Agenda<KnownPath>();
  readonly #steps: Allowance = { allowance: STEPS_PER_SECOND, since: Instant(0) };
  #restsUntil = Instant(0);
  #steppedAt = Instant(0);

  constructor(options: PathMtusOptions) {
    this.#options = options;
  }

  /** SAs that another process left say what their paths carry; to be called before any is used. */
  inherit(pairs: readonly Pick<SaPairState, "remote" | "pathMtu">[]): void {
    for (const { remote, pathMtu } of pairs) {
      const key = formatIpAddress(remote.address);
      const octets = Math.min(pathMtu, this.#kept.get(key) ?? pathMtu);
      this.#kept.set(key, octets);
      this.#options.paths.note(remote.address, octets);
    }
  }

  /** Whatever uses the SAs of another process uses them by now. */
  forgetUnused(): void {
    for (const key of this.#kept.keys()) this.#options.paths.note(parseIpAddress(key)!, undefined);
    this.#kept.clear();
  }

  /** An SA pair uses the way to `remote` from now on; a pair that was known elsewhere has moved. */
  use(inboundSpi: Spi, remote: IpAddress, isProbed: boolean, now: Instant): void {
    const key = formatIpAddress(remote);
    if (this.#pathOf.get(inboundSpi) === this.#paths.get(key) && this.#paths.has(key)) return;
    this.release(inboundSpi);
    let path = this.#paths.get(key);
    if (path === undefined || (isProbed && !path.mtu.isProbed)) {
      const ceiling = this.#options.paths.ceilingTo(remote);
      const sas = path?.sas ?? new Set<Spi>();
      if (!this.#takeStep(now)) this.#steps.allowance = 0;
      if (path !== undefined) this.#due.set(path, undefined);
      const mtu = newPathMtu(familyOf(remote), ceiling, isProbed, now);
      const known = path?.mtu ?? this.#takeKept(key);
      if (known !== undefined) adoptPathMtu(mtu, known, now);
      path = { remote, mtu, sas };
      this.#paths.set(key, path);
      for (const spi of sas) this.#pathOf.set(spi, path);
    }
    path.sas.add(inboundSpi);
    this.#pathOf.set(inboundSpi, path);
    this.#options.dataPlane.setPathMtu(inboundSpi, path.mtu.octets);
    this.#schedule(path);
  }

  #takeKept(key: string): Pick<PathMtu, "octets" | "source" | "reporter"> | undefined {
    const octets = this.#kept.get(key);
    this.#kept.delete(key);
    return octets === undefined ? undefined : { octets, source: "kept", reporter: undefined };
  }

  release(inboundSpi: Spi): void {
    const path = this.#pathOf.get(inboundSpi);
    if (path === undefined) return;
    this.#pathOf.delete(inboundSpi);
    path.sas.delete(inboundSpi);
    if (path.sas.size > 0) return;
    this.#paths.delete(formatIpAddress(path.remote));
    this.#due.set(path, undefined);
    this.#options.paths.note(path.remote, undefined);
  }

  /** The host's routes have changed. */
  setCeilings(now: Instant): void {
    for (const path of this.#paths.values())
      this.#change(path, () => setCeiling(path.mtu, this.#options.paths.ceilingTo(path.remote), now));
  }

  /** Judges what a router, or whoever pretends to be one, says of a packet of ours [SPD-10]. */
  takeReport(report: PathReport, now: Instant): void {
    const path = this.#paths.get(formatIpAddress(report.remote.address));
    const outcome = path === undefined ? "unknownPath" : this.#judge(path, report, now);
    if (outcome !== undefined) this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1);
  }

  #judge(path: KnownPath, report: PathReport, now: Instant): ReportOutcome | undefined {
    const { remote, reporter, mtu } = report;
    const quoted = quotedEsp(report);
    if (report.origin !== "icmp" || quoted === undefined || mtu === 0) {
      this.#change(path, () => hintAtPath(path.mtu, now));
      return "hint";
    }
    const sa = this.#options.dataPlane.findOutbound(quoted.spi, remote.address);
    if (sa === undefined || (remote.port !== 0 && remote.port !== sa.remote.port)) return "unknownSpi";
    const refusal = refuseReport(report, quoted.sequence, sa.lastSequenceNumber, path.mtu.octets);
    if (refusal !== undefined) return refusal;
    let isTaken = false;
    this.#change(path, () => {
      isTaken = learnPathMtu(path.mtu, mtu, reporter ?? remote.address, now);
    });
    return isTaken ? undefined : "tooOften";
  }

  endProbe({ inboundSpi, octets }: PathProbe, outcome: PathProbeOutcome, now: Instant): void {
    const path = this.#pathOf.get(inboundSpi);
    if (path !== undefined) this.#change(path, () => endProbe(path.mtu, octets, outcome, now));
  }

  nextTimeout(): Instant | undefined {
    const at = this.#due.first()?.at;
    return at === undefined ? undefined : Instant(Math.max(at, this.#restsUntil));
  }

  /** Does what is due. */
  advance(now: Instant): void {
    for (let path = this.#nextDue(now); path !== undefined; path = this.#nextDue(now)) {
      const { mtu } = path;
      let octets = 0;
      this.#change(path, () => {
        octets = advancePath(mtu, now);
      });
      const inboundSpi = lastOf(path.sas);
      if (octets > 0 && inboundSpi !== undefined) this.#options.probe({ inboundSpi, octets });
    }
  }

  #nextDue(now: Instant): KnownPath | undefined {
    const at = this.#due.first()?.at;
    if (at === undefined || at > now || now < this.#restsUntil) return undefined;
    if (!this.#takeStep(now) && now < after(this.#steppedAt, REST_MAX)) {
      this.#restsUntil = after(now, STEP_INTERVAL);
      return undefined;
    }
    this.#steppedAt = now;
    return this.#due.takeFirst(now);
  }

  #takeStep(now: Instant): boolean {
    return takeAllowance(this.#steps, STEPS_PER_SECOND, STEPS_PER_SECOND, now);
  }

  stateOf(remote: IpAddress): PathState | undefined {
    const path = this.#paths.get(formatIpAddress(remote));
    return path === undefined ? undefined : stateOf(path);
  }

  /** Reports that were not taken as they are, by what became of them. */
  outcomes(): ReadonlyMap<ReportOutcome, number> {
    return this.#outcomes;
  }

  #schedule(path: KnownPath): void {
    const at = pathDueAt(path.mtu);
    this.#due.set(path, at === undefined ? undefined : { at, reason: "path MTU" });
  }

  #change(path: KnownPath, work: () => void): void {
    const before = path.mtu.octets;
    work();
    this.#schedule(path);
    const { octets } = path.mtu;
    if (octets === before) return;
    this.#options.paths.note(path.remote, octets);
    for (const spi of path.sas) this.#options.dataPlane.setPathMtu(spi, octets);
    this.#options.onChange(path.remote, stateOf(path));
  }
}

function stateOf({ mtu: { octets, source, reporter, isProbed } }: KnownPath): PathState {
  return { octets, source, isProbed, ...(reporter === undefined ? {} : { reporter }) };
}

/** The newest SA: the one that stays longest. */
function lastOf(sas: ReadonlySet<Spi>): Spi | undefined {
  let last: Spi | undefined;
  for (const spi of sas) last = spi;
  return last;
}
