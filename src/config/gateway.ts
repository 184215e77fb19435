/** Settings of the gateway as a whole, and the SPD entries that belong to no connection. */
import { prefixRange } from "../base/address-range.ts";
import { formatIpAddress } from "../base/ip-address.ts";
import type { ConfiguredPolicy, GatewaySettings, TunSettings } from "./configuration.ts";
import type { Findings } from "./findings.ts";
import { metricsSettings } from "./metrics-listener.ts";
import { ANY_SELECTORS } from "./network.ts";
import type { FileInput, GatewayInput } from "./schema.ts";

const DEFAULT_DEVICE = "tungate0";
const DEFAULT_CONTROL_PATH = "/run/tungate/control.sock";
export const IKE_PORT = 500;
export const NAT_PORT = 4500;
const DEFAULT_ROUTING = { table: 220, priority: 220, mark: { value: 0x54470000, mask: 0xffff0000 } };
/** Tables that the system itself uses: default, main, local. */
const SYSTEM_TABLES = [253, 254, 255];

export function gatewaySettings(input: GatewayInput | undefined, findings: Findings): GatewaySettings {
  const ports = { ike: input?.ports?.ike ?? IKE_PORT, nat: input?.ports?.nat ?? NAT_PORT };
  if (ports.ike === ports.nat)
    findings.refuse("CONFIG_CONFLICT", ["gateway", "ports"], "ike and nat cannot be the same port; give two");
  const given = input?.routing;
  const routing = {
    table: given?.table ?? DEFAULT_ROUTING.table,
    priority: given?.priority ?? DEFAULT_ROUTING.priority,
    mark: given?.mark ?? DEFAULT_ROUTING.mark,
  };
  if (SYSTEM_TABLES.includes(routing.table))
    findings.refuse(
      "CONFIG_CONFLICT",
      ["gateway", "routing", "table"],
      `table ${routing.table} belongs to the system; choose one that nothing else uses, for instance ${DEFAULT_ROUTING.table}`,
    );
  for (const [i, address] of (input?.listen ?? []).entries())
    if (!isUnicast(address))
      findings.refuse(
        "CONFIG_BAD_VALUE",
        ["gateway", "listen", i],
        `${formatIpAddress(address)} is no address of one machine; leave listen out to receive on all`,
      );
  const path = input?.tun === undefined ? ["gateway"] : ["gateway", "tun"];
  const group = input?.control?.group;
  const metrics = metricsSettings(input?.metrics, findings);
  const readOnly = readOnlySocket(input, findings);
  const keys = Object.keys(input ?? {});
  return {
    lines: new Map(keys.map((key) => [key, findings.place(["gateway", key]).line])),
    listen: input?.listen ?? [],
    ports,
    interfaces: [
      {
        name: input?.tun?.name ?? DEFAULT_DEVICE,
        mtu: input?.tun?.mtu ?? "auto",
        place: findings.place(path),
      },
    ],
    offloads: {
      tso: input?.offloads?.tso !== "off",
      uso: input?.offloads?.uso !== "off",
      coalescing: input?.offloads?.coalescing !== "off",
      udpSegment: input?.offloads?.udp_segment !== "off",
      udpGro: input?.offloads?.udp_gro !== "off",
    },
    routing,
    revocationTargets: (input?.revocation?.private ?? []).map(prefixRange),
    lanes: input?.lanes ?? "auto",
    forwarding: input?.forwarding ?? "check",
    onExit: input?.on_exit ?? "block",
    control: {
      path: input?.control?.path ?? DEFAULT_CONTROL_PATH,
      ...(group === undefined ? {} : { group }),
      allowKeyExport: input?.control?.allow_key_export ?? false,
      ...(readOnly === undefined ? {} : { readOnly }),
    },
    ...(metrics === undefined ? {} : { metrics }),
  };
}

function readOnlySocket(input: GatewayInput | undefined, findings: Findings) {
  const given = input?.control?.read_only;
  if (given === undefined) return undefined;
  if (given.path === undefined) {
    findings.refuse("CONFIG_MISSING_KEY", ["gateway", "control", "read_only"], "needs the path of a socket");
    return undefined;
  }
  if (given.path === (input?.control?.path ?? DEFAULT_CONTROL_PATH))
    findings.refuse(
      "CONFIG_CONFLICT",
      ["gateway", "control", "read_only"],
      "is the path of the socket for commands; give it another one",
    );
  return { path: given.path, ...(given.group === undefined ? {} : { group: given.group }) };
}

/** Whether an address can be a machine's own: not unspecified, not multicast, not broadcast. */
export function isUnicast(address: Uint8Array): boolean {
  if (address.every((octet) => octet === 0) || address.every((octet) => octet === 0xff)) return false;
  return address.length === 4 ? address[0]! < 224 : address[0] !== 0xff;
}

export function readPolicies(
  inputs: NonNullable<FileInput["policies"]>,
  interfaces: readonly TunSettings[],
  findings: Findings,
): ConfiguredPolicy[] {
  return inputs.map((input, i) => {
    const path = ["policies", i];
    if (input.local === undefined && input.remote === undefined)
      findings.refuse(
        "CONFIG_MISSING_KEY",
        path,
        "needs local, remote or both; write 0.0.0.0/0 and ::/0 to mean everything",
      );
    if (input.interface !== undefined && !interfaces.some(({ name }) => name === input.interface))
      findings.refuse(
        "CONFIG_CONFLICT",
        [...path, "interface"],
        `no connection uses this device; there are ${interfaces.map(({ name }) => name).join(", ")}`,
      );
    return {
      action: input.action,
      selectors: { local: input.local ?? ANY_SELECTORS, remote: input.remote ?? ANY_SELECTORS },
      ...(input.interface === undefined ? {} : { interface: input.interface }),
      place: findings.place(path),
    };
  });
}
