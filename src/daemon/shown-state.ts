/** The states of connections and children in the words of `status` and of events. */
import type { ChildStatus, ConnectionStatus } from "../control/schema.ts";
import type { ChildState, ConnectionState } from "../ike/connection-state.ts";

export function shownConnectionState({ state, keep }: ConnectionState): ConnectionStatus["state"] {
  return state === "down" && keep !== "up" ? "listening" : state;
}

export function shownChildState({ state, keep }: ChildState): ChildStatus["state"] {
  return state === "down" && keep === "on-demand" ? "held" : state;
}
