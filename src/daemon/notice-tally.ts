/** How often each notice came since the start: by code, and of some by connection and child. */
import type { IkeNotice } from "../ike/notice.ts";
import { NOTICE_CODES } from "../observe/log.ts";
import type { ConfiguredNames } from "./configured-names.ts";
import { isFailure } from "./failure-log.ts";

/** Of a connection: how often an IKE SA came up and was rekeyed. Of a child: the same of its SAs. */
export interface Tally {
  readonly established: number;
  readonly rekeyed: number;
  /** Failures that concern it, those of a connection's children among them. */
  readonly failed: number;
}

type Counted = { -readonly [field in keyof Tally]: Tally[field] };

export class NoticeTally {
  readonly #byCode = new Map<string, number>(NOTICE_CODES.map((code) => [code, 0]));
  #names: ConfiguredNames;
  /** By `connection`, and by `connection/child`. */
  #byName = new Map<string, Counted>();

  constructor(names: ConfiguredNames) {
    this.#names = names;
  }

  /** Another configuration: what it has no more is forgotten. */
  setNames(names: ConfiguredNames): void {
    this.#names = names;
    const isKept = (name: string) => (name.includes("/") ? names.hasChild(name) : names.children.has(name));
    this.#byName = new Map([...this.#byName].filter(([name]) => isKept(name)));
  }

  onNotice(notice: IkeNotice): void {
    this.#byCode.set(notice.code, (this.#byCode.get(notice.code) ?? 0) + 1);
    const connection =
      notice.connection === undefined ? undefined : this.#names.connectionOf(notice.connection);
    if (connection === undefined) return;
    const field = fieldOf(notice);
    if (field === undefined) return;
    if (field.isOfConnection) this.#of(connection)[field.name]++;
    const child = notice.child === undefined ? undefined : `${connection}/${notice.child}`;
    if (child !== undefined && this.#names.hasChild(child)) this.#of(child)[field.name]++;
  }

  get byCode(): ReadonlyMap<string, number> {
    return this.#byCode;
  }

  /** @param name - `connection` or `connection/child` */
  of(name: string): Tally {
    return this.#byName.get(name) ?? NOTHING;
  }

  #of(name: string): Counted {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const fresh = { ...NOTHING };
    this.#byName.set(name, fresh);
    return fresh;
  }
}

const NOTHING: Tally = { established: 0, rekeyed: 0, failed: 0 };

function fieldOf(
  notice: IkeNotice,
): { readonly name: keyof Tally; readonly isOfConnection: boolean } | undefined {
  switch (notice.code) {
    case "ikeSaUp":
      return { name: "established", isOfConnection: true };
    case "ikeSaRekeyed":
      return { name: "rekeyed", isOfConnection: true };
    case "childSaUp":
      return { name: "established", isOfConnection: false };
    case "childSaRekeyed":
      return { name: "rekeyed", isOfConnection: false };
    default:
      return isFailure(notice) ? { name: "failed", isOfConnection: true } : undefined;
  }
}
