/** Established IKE SAs as octets, for whoever carries a running gateway over to another process. They hold keys. */
import { IV_SKIP_ON_RESUME } from "../limits.ts";
import type { EstablishedIkeSa, IkeSa } from "./ike-sa.ts";
import type { Outstanding } from "./message-window.ts";
import { decodePlain, encodePlain, StateError } from "./plain-value.ts";

/** Goes up whenever the meaning of the state changes; another version is not read. */
export const STATE_VERSION = 3;

/** The whole state in any of its kinds, with the version in front. Secrets are in it: wipe it after use. */
export function encodeIkeSa(sa: IkeSa): Uint8Array {
  return encodePlain({ version: STATE_VERSION, sa });
}

/** @throws {StateError} `STATE_VERSION` for another version, `STATE_MALFORMED` for octets that are no state */
export function decodeIkeSa(bytes: Uint8Array): IkeSa {
  const value = decodePlain(bytes);
  if (typeof value !== "object" || value === null)
    throw new StateError("STATE_MALFORMED", "the octets hold no IKE SA");
  const { version, sa } = value as { readonly version?: unknown; readonly sa?: unknown };
  if (typeof version !== "number" || !isIkeSa(sa))
    throw new StateError("STATE_MALFORMED", "the octets hold no IKE SA");
  if (version !== STATE_VERSION)
    throw new StateError("STATE_VERSION", `the IKE SA is of version ${version}, not ${STATE_VERSION}`);
  return sa;
}

/** Whoever wrote the version in front wrote the rest too: only the kind is looked at. */
function isIkeSa(value: unknown): value is IkeSa {
  if (typeof value !== "object" || value === null) return false;
  const { id, state } = value as { readonly id?: unknown; readonly state?: unknown };
  return typeof id === "number" && STATES.some((one) => one === state);
}

const STATES: readonly IkeSa["state"][] = [
  "initiating",
  "halfOpen",
  "authenticating",
  "established",
  "leaving",
];

/**
 * The state to go on with after `decodeIkeSa`: computations of the other process are lost, and so may be the last messages
 * that it sealed, so their IVs are skipped [ENC-10].
 * @returns `undefined` for what cannot be taken up: anything but an established IKE SA that waits for no computation
 */
export function resumeIkeSa(sa: IkeSa): EstablishedIkeSa | undefined {
  if (sa.state !== "established" || sa.heldFor !== undefined || sa.job !== undefined) return undefined;
  const { protection, window } = sa;
  return {
    ...sa,
    window: { ...window, outstanding: window.outstanding && alone(window.outstanding) },
    // What the numbers of other IKE SAs name is gone; so is a repetition of the authentication that was under way.
    elder: undefined,
    authentication: { ...sa.authentication, isRenewing: false },
    protection: { ...protection, nextIv: protection.nextIv + IV_SKIP_ON_RESUME },
    inbox: [],
    // Their SPIs are reserved by the other process: the peer begins anew.
    followUps: [],
  };
}

/** The IKE SA that crossed our rekey stayed with the other process. */
function alone(outstanding: Outstanding): Outstanding {
  const { exchange } = outstanding;
  return exchange.kind === "rekeyIke"
    ? { ...outstanding, exchange: { ...exchange, crossing: undefined } }
    : outstanding;
}
