/** `tungate reload` over the control socket: what is asked, what would change, what became of it. */
import * as z from "zod";

/** Shortest and longest time that a configuration may run on trial. */
export const CONFIRM_SECONDS_MIN = 5;
export const CONFIRM_SECONDS_MAX = 86_400;

export const reloadRequest = z.strictObject({
  /** Only says what would change. */
  plan: z.boolean().default(false),
  /** Goes back to what ran before, unless it is told in so many seconds to keep the new configuration. */
  confirmSeconds: z.number().int().min(CONFIRM_SECONDS_MIN).max(CONFIRM_SECONDS_MAX).optional(),
});
export type ReloadRequest = z.infer<typeof reloadRequest>;

/**
 * `reconnects`: its SAs end and are negotiated anew. `reauthenticates`: that happens beside them, and they end when it is done, or when it
 * does not succeed in time. `changed`: without either.
 */
const connectionChange = z.enum(["added", "removed", "reconnects", "reauthenticates", "changed"]);
/** `rekeys`: the old SA carries on until its successor is there. */
const childChange = z.enum(["added", "removed", "reconnects", "rekeys", "changed"]);

export const reloadPlan = z.strictObject({
  /** `+1 connection, 0 tunnels touched, 1 child will rekey` */
  summary: z.string(),
  /** Nothing at all would change. */
  isEmpty: z.boolean(),
  /** Only what changes is among them. */
  connections: z.array(
    z.strictObject({
      name: z.string(),
      change: connectionChange,
      isUp: z.boolean(),
      /** Why, in words. */
      reasons: z.array(z.string()),
      children: z.array(
        z.strictObject({
          name: z.string(),
          change: childChange,
          isUp: z.boolean(),
          reasons: z.array(z.string()),
        }),
      ),
    }),
  ),
  /** Settings of the gateway as a whole, and `policies`. */
  settings: z.array(
    z.strictObject({
      key: z.string(),
      text: z.string(),
      /** The running gateway cannot take it over: a reload with it is refused as a whole. */
      needsRestart: z.boolean(),
      /** Of the new file, where it says this. */
      line: z.number().optional(),
    }),
  ),
  counts: z.strictObject({
    added: z.number(),
    removed: z.number(),
    /** Tunnels that are up and would be interrupted or ended. */
    tunnelsTouched: z.number(),
    /** Children that are up and would get new keys without interruption. */
    rekeys: z.number(),
    /** Connections that are up and would be authenticated anew, without interruption where the peer agrees. */
    reauthentications: z.number(),
  }),
});
export type ReloadPlan = z.infer<typeof reloadPlan>;

const problem = z.strictObject({
  code: z.string(),
  file: z.string(),
  line: z.number(),
  column: z.number(),
  path: z.string(),
  message: z.string(),
});

/**
 * `planned`: nothing was done. `applied`: it runs, on trial if `confirmInSeconds` is there. `kept`, `undone`: of what was on trial.
 * `refused`: what ran before runs on, unchanged; see lines.
 */
export const reloadOutcome = z.strictObject({
  outcome: z.enum(["planned", "applied", "kept", "undone", "refused"]),
  plan: reloadPlan.optional(),
  confirmInSeconds: z.number().optional(),
  /** Why the file is refused, by place. */
  problems: z.array(problem).optional(),
  /** Words for the operator; may be empty. */
  lines: z.array(z.string()),
});
export type ReloadOutcome = z.infer<typeof reloadOutcome>;

/** Of the status document: what runs, and whether the file still says the same. */
export const configurationStatus = z.strictObject({
  file: z.string(),
  loadedSecondsAgo: z.number(),
  /** What the file says now; `unread`: it has changed just now. */
  onDisk: z.enum(["same", "differs", "broken", "unread"]),
  /** Of a file that differs, what a reload would do; of a broken one, the first problem. */
  text: z.string().optional(),
  /** It runs on trial, and what ran before comes back in so many seconds. */
  confirmInSeconds: z.number().optional(),
});
export type ConfigurationStatus = z.infer<typeof configurationStatus>;
