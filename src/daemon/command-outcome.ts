/** Waits for what an operator's command leads to, by looking at states and notices as they come. */
import type { CommandKind, CommandOutcome } from "../control/schema.ts";
import type { ConnectionState } from "../ike/connection-state.ts";
import type { Target } from "../ike/machine.ts";
import type { FailureNotice, IkeNotice } from "../ike/notice.ts";
import { isFailure } from "./failure-log.ts";

/** Commands that may wait at once, those of the socket and those of a program that embeds the gateway. */
export const COMMANDS_WAITING_MAX = 64;

export interface CommandWaitersOptions {
  /** Of one connection: with thousands of them, all would be too many to look at in each turn. */
  readonly states: (connection: string) => readonly ConnectionState[];
  readonly words: (failure: FailureNotice) => readonly string[];
}

interface Waiter {
  readonly kind: CommandKind;
  readonly target: Target;
  readonly finish: (outcome: CommandOutcome) => void;
  /** It has just begun to wait, or something was said that concerns it. */
  isToBeLookedAt: boolean;
}

export class CommandWaiters {
  readonly #options: CommandWaitersOptions;
  readonly #waiters = new Set<Waiter>();

  constructor(options: CommandWaitersOptions) {
    this.#options = options;
  }

  get isFull(): boolean {
    return this.#waiters.size >= COMMANDS_WAITING_MAX;
  }

  /** Begin to wait before the command is fed: its outcome may be there at once. */
  wait(kind: CommandKind, target: Target, waitSeconds: number, signal: AbortSignal): Promise<CommandOutcome> {
    return new Promise((resolve) => {
      const finish = (outcome: CommandOutcome) => {
        clearTimeout(timer);
        signal.removeEventListener("abort", giveUp);
        this.#waiters.delete(waiter);
        resolve(outcome);
      };
      const giveUp = () => finish({ outcome: "timedOut", lines: [] });
      const timer = setTimeout(giveUp, waitSeconds * 1000);
      const waiter: Waiter = { kind, target, finish, isToBeLookedAt: true };
      this.#waiters.add(waiter);
      signal.addEventListener("abort", giveUp, { once: true });
    });
  }

  onNotice(notice: IkeNotice): void {
    for (const waiter of [...this.#waiters]) {
      if (!concerns(notice, waiter.target)) continue;
      waiter.isToBeLookedAt = true;
      if (isFailure(notice) && waiter.kind !== "down")
        waiter.finish({ outcome: "failed", code: notice.code, lines: [...this.#options.words(notice)] });
      else if (waiter.kind === "rekey" && isRekeyOf(notice, waiter.target)) waiter.finish(DONE);
    }
  }

  /** States may have changed. */
  onTurn(): void {
    for (const waiter of [...this.#waiters]) {
      // What comes up says so; what goes down may do it silently.
      if (waiter.kind === "rekey" || (waiter.kind === "up" && !waiter.isToBeLookedAt)) continue;
      waiter.isToBeLookedAt = false;
      const states = this.#options.states(waiter.target.connection);
      if (isReached(waiter.kind, waiter.target, states)) waiter.finish(DONE);
    }
  }
}

const DONE: CommandOutcome = { outcome: "done", lines: [] };

function concerns(notice: IkeNotice, target: Target): boolean {
  if (notice.connection === undefined || !isInstanceOf(notice.connection, target.connection)) return false;
  return target.child === undefined || notice.child === undefined || notice.child === target.child;
}

/** `NAME`, or `NAME#2` where `NAME` was asked for, or `NAME#2.1` where `NAME#2` was. */
function isInstanceOf(name: string, wanted: string): boolean {
  return name === wanted || name.startsWith(`${wanted}${wanted.includes("#") ? "." : "#"}`);
}

function isRekeyOf(notice: IkeNotice, target: Target): boolean {
  return target.child === undefined ? notice.code === "ikeSaRekeyed" : notice.code === "childSaRekeyed";
}

function isReached(kind: "up" | "down", target: Target, states: readonly ConnectionState[]): boolean {
  const named = states.filter((state) => isInstanceOf(state.name, target.connection));
  // Of many peers those come up that can be called.
  const isCalled = ({ waitsFor }: ConnectionState) => kind === "down" || waitsFor !== "peer";
  const ours = named.length === 1 ? named : named.filter(isCalled);
  const children = ours
    .flatMap((state) => state.children)
    .filter((child) => target.child === undefined || child.name === target.child);
  if (kind === "up") return children.length > 0 && children.every((child) => child.state === "up");
  const isChildless = children.every((child) => child.sa === undefined && child.old.length === 0);
  return isChildless && (target.child !== undefined || ours.every((state) => state.ikeSa === undefined));
}
