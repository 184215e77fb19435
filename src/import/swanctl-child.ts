/** A child of swanctl.conf as one of ours; `pass` and `drop` are policies. */
import type { Taking } from "./notes.ts";
import { durationText, selectorOf, takeNumber, takeProposals, takeSeconds } from "./swanctl-values.ts";

type Mapping = Record<string, unknown>;

export type Keep = "up" | "on-demand" | "respond";

export interface TranslatedChild {
  readonly kind: "child" | "bypass" | "discard" | "none";
  readonly keep: Keep;
  readonly value: Mapping;
}

/** The addresses for which `dynamic` stands. */
export interface Ends {
  readonly local?: string;
  readonly remote?: string;
  /** The peer has an address that can be called. */
  readonly isCallable: boolean;
}

const LOST: Readonly<Record<string, string>> = {
  sha256_96: "the short check values of old kernels are not there; the peer has to use those of RFC 4868",
  updown: "scripts for each tunnel are not there; routes follow the configuration by themselves",
  hostaccess: "is not needed here: the gateway's own packets take part where the networks hold its address",
  ipcomp: "compression is not there; packets travel uncompressed",
  policies: "policies cannot be left out; routes: none on the connection leaves the routes out",
  policies_fwd_out: "is not needed here",
  close_action: "",
  reqid: "is the Linux kernel's; there is no such number here",
  interface: "restricts policies to an interface of the kernel; name a TUN device (interface) instead",
  label: "security labels are not there",
  label_mode: "security labels are not there",
  hw_offload: "is the Linux kernel's; offloads are found by themselves",
  copy_dscp_in: "",
  icmp: "is the Linux kernel's; ICMP errors from outside the networks do not pass",
  per_cpu_sas: "is lane_sas here, and on by itself where there are several lanes",
  ignore_acquire_ts: "sa_per: pair never puts the packet in front of the networks",
};
const MARKS = ["mark_in", "mark_out", "mark_in_sa", "set_mark_in", "set_mark_out", "if_id_in", "if_id_out"];

export function translateChild(from: Taking, ends: Ends): TranslatedChild {
  const mode = from.take("mode")?.value.toLowerCase() ?? "tunnel";
  const keep = keepOf(from, ends.isCallable);
  const selectors = {
    local: side(from, "local_ts", ends.local),
    remote: side(from, "remote_ts", ends.remote),
  };
  const value: Mapping = { ...selectors, ...exchange(from), ...lifetimes(from), ...handling(from) };
  for (const key of MARKS)
    if (from.take(key) !== undefined)
      from.note(
        key,
        "marks and interface numbers are the Linux kernel's; interface names a TUN device of its own here",
      );
  if (from.take("priority") !== undefined)
    from.note(
      "priority",
      "counts the other way there (low first) and is left out; see priority in docs/configuration.md",
    );
  from.rest(LOST);
  const kind = kindOf(from, mode, selectors);
  if (mode === "transport") value["mode"] = "transport";
  return { kind, keep, value };
}

function kindOf(
  from: Taking,
  mode: string,
  { local, remote }: { local: string[]; remote: string[] },
): TranslatedChild["kind"] {
  if (local.length === 0 || remote.length === 0) {
    from.note("", "is left out: no network is left on one side");
    return "none";
  }
  switch (mode) {
    case "tunnel":
    case "transport":
      return "child";
    case "pass":
      return "bypass";
    case "drop":
      return "discard";
    default:
      from.note("mode", `${mode} is not there; the child is left out`);
      return "none";
  }
}

function side(from: Taking, key: "local_ts" | "remote_ts", dynamic: string | undefined): string[] {
  const written = from.list(key);
  return (written.length === 0 ? ["dynamic"] : written).flatMap((one) => {
    const selector = selectorOf(one, dynamic);
    if (selector !== undefined) return [selector];
    const isDynamic = one.startsWith("dynamic");
    from.note(
      key,
      isDynamic
        ? "dynamic is the address that a side has or is given, which is not known here: write the prefix"
        : `${one.slice(0, 60)} has no counterpart and is left out`,
    );
    return [];
  });
}

/** `start`, `trap`, or both. */
function keepOf(from: Taking, isCallable: boolean): Keep {
  const start = from.take("start_action")?.value.toLowerCase() ?? "none";
  const dpd = from.take("dpd_action")?.value.toLowerCase() ?? "none";
  const close = from.take("close_action")?.value.toLowerCase() ?? "none";
  const isUp = (action: string) => action.includes("start");
  const restarts = isUp(dpd) || dpd === "restart" || isUp(close);
  if (isUp(start)) {
    if (!restarts) from.note("start_action", "start becomes keep: up, which also brings back what has ended");
    return "up";
  }
  if (start.includes("trap") || start === "route") return "on-demand";
  if (isCallable)
    from.note("", "is started by hand there; keep: respond waits for the peer, and tungate up calls");
  return "respond";
}

function exchange(from: Taking): Mapping {
  const ah = takeProposals(from, "ah_proposals", "ah");
  const esp = takeProposals(from, "esp_proposals", "esp");
  if (ah !== undefined && esp !== undefined)
    from.note("ah_proposals", "AH and ESP one in the other is not there; ESP alone is kept");
  return { ...(esp !== undefined ? { esp } : ah !== undefined ? { ah } : {}) };
}

function lifetimes(from: Taking): Mapping {
  const time = takeSeconds(from, "rekey_time");
  const life = takeSeconds(from, "life_time");
  const rand = takeSeconds(from, "rand_time");
  const bytes = takeNumber(from, "rekey_bytes");
  const packets = takeNumber(from, "rekey_packets");
  for (const key of ["life_bytes", "rand_bytes", "life_packets", "rand_packets"]) from.take(key);
  const inactivity = takeSeconds(from, "inactivity");
  if (time === 0) from.note("rekey_time", "keys are always replaced in time here; the usual hour holds");
  if (life !== undefined && time === undefined)
    from.note(
      "life_time",
      "the end of an SA follows from rekey here; write rekey if the peer's lifetime is shorter",
    );
  const seconds = time === undefined || time === 0 ? undefined : time;
  const rekey = {
    ...(seconds === undefined ? {} : { time: durationText(Math.max(5, seconds)) }),
    ...jitterOf(rand, seconds ?? 3600),
    ...(bytes === undefined || bytes === 0 ? {} : { bytes }),
    ...(packets === undefined || packets === 0 ? {} : { packets }),
  };
  return {
    ...(Object.keys(rekey).length === 0 ? {} : { rekey }),
    ...(inactivity === undefined || inactivity === 0 ? {} : { inactivity: durationText(inactivity) }),
  };
}

export function jitterOf(rand: number | undefined, time: number): { readonly jitter?: string } {
  if (rand === undefined || time === 0) return {};
  return { jitter: `${Math.min(50, Math.round((rand / time) * 100))}%` };
}

function handling(from: Taking): Mapping {
  const window = takeNumber(from, "replay_window");
  const df = from.yesOrNo("copy_df");
  const ecn = from.yesOrNo("copy_ecn");
  const dscp = from.take("copy_dscp")?.value;
  const tfc = from.take("tfc_padding")?.value;
  if (window !== undefined && window < 32)
    from.note(
      "replay_window",
      "is less than 32, which negotiated SAs have at least here; the usual 4096 holds",
    );
  if (dscp === "in" || dscp === "yes")
    from.note("copy_dscp", "inner headers keep the DSCP that they had; only the outer one is written");
  if (tfc !== undefined && tfc !== "mtu" && !/^\d+$/.test(tfc))
    from.note("tfc_padding", "is neither mtu nor a number; left out");
  return {
    ...(window === undefined || window < 32 ? {} : { replay_window: Math.min(window, 65_536) }),
    ...(df === false ? { df: "clear" } : {}),
    ...(ecn === false ? { ecn: "clear" } : {}),
    ...(dscp === "no" || dscp === "in" ? { dscp: 0 } : {}),
    ...(tfc === "mtu" ? { tfc: "mtu" } : {}),
    ...(tfc !== undefined && /^\d+$/.test(tfc) && tfc !== "0" ? { tfc: { pad: Number(tfc) } } : {}),
  };
}
