/** Keeps the host's routes as the policy wants them, and the gateway's idea of paths as the host's routes are. */
import { setImmediate } from "node:timers/promises";
import { formatIpAddress, type IpAddress } from "../base/ip-address.ts";
import type { Path } from "../gateway/path-table.ts";
import type { RoutePlan } from "../gateway/route-plan.ts";
import type { HostNetwork, NetworkWatch } from "../io/netlink.ts";
import type { ScriptOutcome } from "../io/routes-script.ts";

export interface HostNetworkOptions {
  readonly watch: NetworkWatch;
  /** Mark of our own outer packets, with which routes are looked up. */
  readonly mark: number;
  /** Addresses of peers to know the paths to. */
  readonly remotes: () => readonly IpAddress[];
  /** Paths have been looked up, before routes are planned. */
  readonly onPaths: (paths: ReadonlyMap<string, Path>, ownAddresses: readonly IpAddress[]) => void;
  readonly plan: (ownAddresses: readonly IpAddress[]) => RoutePlan;
  /** Between plan and routes: devices have to be up before routes lead there. */
  readonly prepare: (network: HostNetwork) => Promise<readonly string[]>;
  readonly apply: (lines: readonly string[]) => Promise<ScriptOutcome>;
  /** What the script or the plan has to say, when it differs from what they said before. */
  readonly onComplaints: (complaints: readonly string[]) => void;
}

/** Changes of the host that do not change the plan lead to a look at its routes at most so often. */
const REAPPLY_MS = 2_000;
/** Looks that peers cause leave this many times as long between them as one takes. */
const PEERS_SHARE = 10;
const LOOKUPS_AT_ONCE = 64;

export class HostNetworkFollower {
  readonly #options: HostNetworkOptions;
  #running: Promise<void> | undefined;
  #isAgainWanted = false;
  /** The ways to peers may be others than when they were looked up last. */
  #isLookWanted = true;
  #isClosed = false;
  #appliedText = "";
  #complaintsText = "";
  #later: NodeJS.Timeout | undefined;
  #appliedAt = Number.NEGATIVE_INFINITY;
  #soon: NodeJS.Timeout | undefined;
  #isPeerWaiting = false;
  #lastLook = { endedAt: Number.NEGATIVE_INFINITY, took: 0 };

  constructor(options: HostNetworkOptions) {
    this.#options = options;
  }

  /** Looks afresh and applies; calls during a run lead to one more run. Rejects with what went wrong. */
  refresh(): Promise<void> {
    this.#isLookWanted = true;
    return this.#refresh();
  }

  #refresh(): Promise<void> {
    if (this.#running !== undefined) {
      this.#isAgainWanted = true;
      return this.#running;
    }
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** As {@link refresh}, for what each of thousands of peers can cause; rejections go to `onFailure`. */
  refreshForPeer(onFailure: (error: unknown) => void): void {
    this.#isLookWanted = true;
    this.planForPeer(onFailure);
  }

  /** As {@link refreshForPeer}, where only the plan may differ: the ways to all other peers are not looked up for it. */
  planForPeer(onFailure: (error: unknown) => void): void {
    if (this.#soon !== undefined || this.#isPeerWaiting || this.#isClosed) return;
    if (this.#running !== undefined) {
      // The run may have begun before what the peer said.
      this.#isPeerWaiting = true;
      const next = () => {
        this.#isPeerWaiting = false;
        this.planForPeer(onFailure);
      };
      void this.#running.then(next, next);
      return;
    }
    const { endedAt, took } = this.#lastLook;
    const wait = Math.max(0, endedAt + PEERS_SHARE * took - performance.now());
    this.#soon = setTimeout(() => {
      this.#soon = undefined;
      if (!this.#isClosed) this.#refresh().catch(onFailure);
    }, wait).unref();
  }

  /** Lets a run that is under way end, and starts no other. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#later);
    clearTimeout(this.#soon);
    await this.#running?.catch(() => undefined);
  }

  async #run(): Promise<void> {
    do {
      this.#isAgainWanted = false;
      const begunAt = performance.now();
      const isLook = this.#isLookWanted;
      this.#isLookWanted = false;
      try {
        await this.#once(isLook);
      } catch (error) {
        this.#isLookWanted = true;
        this.#lookLater(REAPPLY_MS);
        throw error;
      } finally {
        const endedAt = performance.now();
        this.#lastLook = { endedAt, took: endedAt - begunAt };
      }
    } while (this.#isAgainWanted && !this.#isClosed);
  }

  async #once(isLook: boolean): Promise<void> {
    const { watch, plan, prepare, apply, onPaths } = this.#options;
    const network = await watch.snapshot();
    const ownAddresses = network.addresses.filter(({ isUsable }) => isUsable).map(({ address }) => address);
    if (isLook) onPaths(await this.#paths(network), ownAddresses);
    if (this.#isClosed) return;
    const { lines, notes } = plan(ownAddresses);
    const text = lines.join("\n");
    const now = performance.now();
    if (text === this.#appliedText && now < this.#appliedAt + REAPPLY_MS) {
      this.#lookLater(this.#appliedAt + REAPPLY_MS - now);
      return;
    }
    this.#appliedAt = now;
    const advice = await prepare(network);
    const outcome = await apply(lines);
    this.#appliedText = outcome.isComplete ? text : "";
    if (!outcome.isComplete) this.#lookLater(REAPPLY_MS);
    this.#complain([...notes, ...advice, ...outcome.complaints]);
  }

  async #paths({ links }: HostNetwork): Promise<ReadonlyMap<string, Path>> {
    const { watch, mark, remotes } = this.#options;
    const paths = new Map<string, Path>();
    let asked = 0;
    for (const remote of remotes()) {
      const key = formatIpAddress(remote);
      if (paths.has(key)) continue;
      // The kernel is asked at once: with thousands of peers others get their turn in between.
      if (++asked % LOOKUPS_AT_ONCE === 0) await setImmediate();
      const route = await watch.routeTo(remote, mark);
      if (route === undefined) continue;
      const link = links.find(({ index }) => index === route.link);
      const mtu = Math.min(route.mtu ?? Number.POSITIVE_INFINITY, link?.mtu ?? Number.POSITIVE_INFINITY);
      if (Number.isFinite(mtu)) paths.set(key, { source: route.source, mtu });
    }
    return paths;
  }

  #lookLater(delay: number): void {
    clearTimeout(this.#later);
    if (this.#isClosed) return;
    this.#later = setTimeout(() => void this.refresh().catch(() => undefined), delay).unref();
  }

  #complain(complaints: readonly string[]): void {
    const text = complaints.join("\n");
    if (text === this.#complaintsText) return;
    this.#complaintsText = text;
    this.#options.onComplaints(complaints);
  }
}
