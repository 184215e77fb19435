/** The keys tfc and iptfs of a child: how much of its traffic shows from outside. */
import * as z from "zod";
import { DurationMs, seconds } from "../base/instant.ts";
import type { AggfragHandling, TfcHandling } from "../policy/data-plane.ts";
import type { Findings } from "./findings.ts";
import { choice, integer, leaf, mapping, Refusal, shown, yesOrNo } from "./leaf.ts";
import { duration, octetRate } from "./quantity.ts";
import type { Path } from "./yaml-text.ts";

const PAD_LEAST = 64;
const PAD_MOST = 9000;
const DUMMIES_MOST = 10_000;
/** Less than this has hardly room for anything behind the headers of the longest suite. */
const PACKET_SIZE_LEAST = 256;
const PACKET_SIZE_MOST = 9000;
const REORDER_MOST = 64;
/** The default window of RFC 9347 section 2.2.3. */
const REORDER_DEFAULT = 3;
const DELAY_DEFAULT = DurationMs(1);
const DELAY_MOST = seconds(1);

const optional = <T>(check: (value: unknown) => T) => z.optional(leaf(check));
const isMapping = (value: unknown) => typeof value === "object" && value !== null && !Array.isArray(value);

function padding(value: unknown): "off" | "mtu" | "refuse" | number {
  if (value === "off" || value === "mtu" || value === "refuse") return value;
  if (typeof value === "number")
    return integer(value, "mtu, off, refuse, or a number of octets", PAD_LEAST, PAD_MOST);
  throw new Refusal(
    "CONFIG_BAD_VALUE",
    `${shown(value)} is no way to pad; write mtu, off, refuse, or a number of octets from ${PAD_LEAST} to ${PAD_MOST}`,
  );
}

function packetSize(value: unknown): "mtu" | number {
  return value === "mtu"
    ? "mtu"
    : integer(value, "mtu, or the octets of an outer packet", PACKET_SIZE_LEAST, PACKET_SIZE_MOST);
}

/** `tfc: mtu` is `tfc: { pad: mtu }`. */
export const tfcSchema = z.optional(
  z.preprocess(
    (value) => (value === undefined || isMapping(value) ? value : { pad: value }),
    mapping({
      pad: optional(padding),
      dummies: optional((value) => integer(value, "dummy packets a second", 0, DUMMIES_MOST)),
    }),
  ),
);

export const iptfsSchema = z.optional(
  mapping(
    {
      mode: leaf(choice(["constant", "aggregate"])),
      rate: optional(octetRate),
      packet_size: optional(packetSize),
      delay: optional((value) => duration(value, DurationMs(0), DELAY_MOST)),
      fragment: optional(yesOrNo),
      congestion_control: optional(choice(["off", "loss", "ecn"])),
      reorder: optional((value) => integer(value, "a window in packets", 0, REORDER_MOST)),
    },
    { elsewhere: { reorder_window: "reorder", dont_frag: "fragment", init_delay: "delay" } },
  ),
);

interface FlowInput {
  readonly mode?: string | undefined;
  readonly tfc?: z.output<typeof tfcSchema>;
  readonly iptfs?: z.output<typeof iptfsSchema>;
}

/** The two keys as handling of the child's SAs; contradictions are reported. */
export function flowHandling(
  { mode, tfc, iptfs }: FlowInput,
  path: Path,
  findings: Findings,
): { readonly tfc?: TfcHandling; readonly aggfrag?: AggfragHandling } {
  const pad = tfc?.pad ?? "off";
  const isPadding = pad === "mtu" || typeof pad === "number";
  const dummiesPerSecond = tfc?.dummies ?? 0;
  if (iptfs !== undefined && (isPadding || dummiesPerSecond > 0))
    findings.refuse(
      "CONFIG_CONFLICT",
      [...path, "tfc"],
      "does not go with iptfs, whose payloads have a size of their own; leave one of them out",
    );
  // Padding is told from the packet by the packet's own length, and payloads are ESP's (RFC 4303 section 2.7, RFC 9347).
  for (const [key, isUsed] of [
    ["iptfs", iptfs !== undefined],
    ["tfc", isPadding],
  ] as const)
    if (mode === "transport" && isUsed)
      findings.refuse(
        "CONFIG_CONFLICT",
        [...path, key],
        "does not go with mode: transport; leave one of them out",
      );
  const aggfrag = iptfs === undefined ? undefined : aggfragHandling(iptfs, [...path, "iptfs"], findings);
  const padTo = isPadding ? pad : 0;
  return {
    ...(tfc === undefined ? {} : { tfc: { padTo, dummiesPerSecond, isRefused: pad === "refuse" } }),
    ...(aggfrag === undefined ? {} : { aggfrag }),
  };
}

function aggfragHandling(
  input: NonNullable<FlowInput["iptfs"]>,
  path: Path,
  findings: Findings,
): AggfragHandling {
  const { mode, rate } = input;
  if (mode === "constant" && rate === undefined)
    findings.refuse(
      "CONFIG_MISSING_KEY",
      path,
      "needs rate: the bandwidth that the tunnel takes, used or not, such as 10Mbit",
      true,
    );
  const others = mode === "constant" ? (["delay"] as const) : (["rate", "congestion_control"] as const);
  for (const other of others)
    if (input[other] !== undefined)
      findings.refuse("CONFIG_CONFLICT", [...path, other], `means nothing with mode: ${mode}; leave it out`);
  return {
    mode,
    octetsPerSecond: rate ?? 0,
    packetSize: input.packet_size ?? "mtu",
    delay: input.delay ?? DELAY_DEFAULT,
    mayFragment: input.fragment ?? true,
    reorderWindow: input.reorder ?? REORDER_DEFAULT,
    congestion: input.congestion_control ?? "off",
  };
}
