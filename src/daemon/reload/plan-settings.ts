/** What changes of the gateway as a whole, and what of it a running gateway cannot take over. */
import { isSameValue } from "../../base/same-value.ts";
import type { Configuration, GatewaySettings } from "../../config/configuration.ts";
import type { ReloadPlan } from "../../control/reload-schema.ts";
import { placeOfAh } from "../has-ah.ts";

type PlannedChange = ReloadPlan["settings"][number];

interface Setting {
  readonly key: string;
  readonly of: (settings: GatewaySettings) => unknown;
  /** Live: how it is taken over; else why it cannot be. */
  readonly live?: string;
  readonly restart?: string;
}

const SETTINGS: readonly Setting[] = [
  { key: "gateway.listen", of: ({ listen }) => listen, restart: "lanes hold the sockets" },
  { key: "gateway.ports", of: ({ ports }) => ports, restart: "lanes hold the sockets" },
  {
    key: "interfaces",
    of: ({ interfaces }) => interfaces.map(({ name }) => name),
    restart: "lanes hold the TUN devices",
  },
  {
    key: "gateway.tun.mtu",
    of: ({ interfaces }) => interfaces.map(({ mtu }) => mtu),
    live: "set on the device",
  },
  {
    key: "interface.addresses",
    of: ({ interfaces }) => interfaces.map(({ addresses }) => addresses),
    live: "given to the device or taken from it; what somebody else gave it stays",
  },
  { key: "gateway.metrics", of: ({ metrics }) => metrics, live: "served there from now on" },
  {
    key: "gateway.offloads",
    of: ({ offloads }) => offloads,
    restart: "devices and sockets are opened with them",
  },
  { key: "gateway.routing", of: ({ routing }) => routing, restart: "every socket has the mark" },
  {
    key: "gateway.revocation",
    of: ({ revocationTargets }) => revocationTargets,
    live: "from the next look on",
  },
  { key: "gateway.forwarding", of: ({ forwarding }) => forwarding, live: "from now on" },
  { key: "gateway.on_exit", of: ({ onExit }) => onExit, live: "from now on" },
  {
    key: "gateway.control",
    of: ({ control: { path, group, readOnly } }) => [path, group, readOnly],
    live: "the socket follows",
  },
  {
    key: "gateway.control.allow_key_export",
    of: ({ control }) => control.allowKeyExport,
    restart: "keys are kept for export from the start or not at all",
  },
];

/** @param lanesOf - the number that a setting comes to */
export function planSettings(
  running: Configuration,
  fresh: Configuration,
  lanesOf: (configured: "auto" | number) => number,
): PlannedChange[] {
  const changes = SETTINGS.filter(({ of }) => !isSameValue(of(running.gateway), of(fresh.gateway))).map(
    ({ key, live, restart }): PlannedChange =>
      restart === undefined
        ? { key, text: live ?? "", needsRestart: false }
        : needingRestart(key, restart, lineOf(key, running, fresh)),
  );
  return [
    ...changes,
    ...lanesChange(lanesOf(running.gateway.lanes), lanesOf(fresh.gateway.lanes), fresh),
    ...ahChange(running, fresh),
    ...policiesChange(running.policies, fresh.policies),
  ];
}

function needingRestart(key: string, why: string, line: number | undefined): PlannedChange {
  const text = `needs a restart: ${why}`;
  return { key, text, needsRestart: true, ...(line === undefined ? {} : { line }) };
}

/** `undefined`: the file no longer says anything of it. */
function lineOf(
  key: string,
  { gateway: { interfaces: before } }: Configuration,
  { gateway: { interfaces, lines } }: Configuration,
): number | undefined {
  if (key !== "interfaces") return lines.get(key.split(".")[1]!);
  return interfaces.find(({ name }) => !before.some((known) => known.name === name))?.place.line;
}

function lanesChange(before: number, after: number, { gateway }: Configuration): readonly PlannedChange[] {
  if (before === after) return [];
  const why = `${before} run, ${after} are asked for, and the SA table is divided among them, so that it begins anew`;
  return [needingRestart("gateway.lanes", why, gateway.lines.get("lanes"))];
}

function ahChange(before: Configuration, after: Configuration): readonly PlannedChange[] {
  const place = placeOfAh(after);
  if (place === undefined || placeOfAh(before) !== undefined) return [];
  return [needingRestart("ah", "the first child with AH brings sockets for it", place.line)];
}

function policiesChange(
  before: Configuration["policies"],
  after: Configuration["policies"],
): readonly PlannedChange[] {
  if (isSameValue(before, after)) return [];
  const missingIn = (some: Configuration["policies"], all: Configuration["policies"]) =>
    some.filter((one) => !all.some((other) => isSameValue(one, other))).length;
  const [added, removed] = [missingIn(after, before), missingIn(before, after)];
  const parts = [...(added > 0 ? [`${added} new`] : []), ...(removed > 0 ? [`${removed} gone`] : [])];
  const text = parts.length === 0 ? "in another order" : parts.join(", ");
  return [{ key: "policies", text: `${text}; replaced in place`, needsRestart: false }];
}
