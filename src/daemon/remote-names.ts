/** DNS names of peers: asked for at the start, again before answers grow old, and kept when a server is silent. */
import { compareIpAddress, type IpAddress } from "../base/ip-address.ts";
import type { ResolveName } from "../io/dns.ts";

export interface RemoteNamesOptions {
  readonly names: readonly string[];
  readonly resolve: ResolveName;
  /** A name got other addresses than before. */
  readonly onChange: () => void;
  /** A name that could not be resolved can be again. */
  readonly onRecovery: (name: string) => void;
  /** A name cannot be resolved; said once until it works again. */
  readonly onFailure: (name: string, reason: string) => void;
}

/** Answers are looked at again after this; a peer that moved is found within it. */
const REFRESH_MS = 60_000;
/** After a failure, doubling up to REFRESH_MS. */
const RETRY_MS = 2_000;

export class RemoteNames {
  readonly #options: RemoteNamesOptions;
  readonly #known = new Map<string, readonly IpAddress[]>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #failures = new Map<string, number>();
  #wanted: ReadonlySet<string> = new Set();
  #isClosed = false;

  constructor(options: RemoteNamesOptions) {
    this.#options = options;
    this.set(options.names);
  }

  /** Other names than before: what is new is asked for at once, what is gone is forgotten. */
  set(names: readonly string[]): void {
    const wanted = new Set(names);
    for (const name of this.#wanted) if (!wanted.has(name)) this.#forget(name);
    const added = [...wanted].filter((name) => !this.#wanted.has(name));
    this.#wanted = wanted;
    for (const name of added) void this.#look(name);
  }

  addressesOf(name: string): readonly IpAddress[] {
    return this.#known.get(name) ?? [];
  }

  close(): void {
    this.#isClosed = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  async #look(name: string): Promise<void> {
    const answer = await this.#options.resolve(name);
    if (this.#isClosed || !this.#wanted.has(name)) return;
    if (answer.kind === "failed") {
      const failures = (this.#failures.get(name) ?? 0) + 1;
      this.#failures.set(name, failures);
      if (failures === 1) this.#options.onFailure(name, answer.reason);
      this.#again(name, Math.min(REFRESH_MS, RETRY_MS * 2 ** (failures - 1)));
      return;
    }
    if (this.#failures.delete(name)) this.#options.onRecovery(name);
    const isSame = sameAddresses(this.addressesOf(name), answer.addresses);
    this.#known.set(name, answer.addresses);
    this.#again(name, REFRESH_MS);
    if (!isSame) this.#options.onChange();
  }

  #forget(name: string): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
    this.#known.delete(name);
    if (this.#failures.delete(name)) this.#options.onRecovery(name);
  }

  #again(name: string, delay: number): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.set(name, setTimeout(() => void this.#look(name), delay).unref());
  }
}

function sameAddresses(a: readonly IpAddress[], b: readonly IpAddress[]): boolean {
  return a.length === b.length && a.every((address, i) => compareIpAddress(address, b[i]!) === 0);
}
