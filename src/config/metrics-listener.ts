/** `gateway.metrics`: where Prometheus may ask, and by which names. */
import * as z from "zod";
import { formatIpAddress, type IpAddress, parseIpAddress } from "../base/ip-address.ts";
import type { MetricsSettings } from "./configuration.ts";
import type { Findings } from "./findings.ts";
import { leaf, listOf, mapping, Refusal, text } from "./leaf.ts";
import { printable } from "./yaml-text.ts";

const HOSTS_MAX = 16;
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?)*$/i;

interface Listener {
  readonly address: IpAddress;
  readonly port: number;
}

const settings = mapping({
  listen: leaf(listener),
  hosts: z.optional(listOf(leaf(hostName), "a name such as gw-a.example.net", HOSTS_MAX)),
});

/** Short form: where to listen alone. */
export const metricsSchema = z.optional(
  z.preprocess(
    (value) => (typeof value === "object" && value !== null ? value : { listen: value }),
    settings,
  ),
);

/** Reads `127.0.0.1:9464` or `[::1]:9464`. */
function listener(value: unknown): Listener {
  const given = text(value, "an address and a port such as 127.0.0.1:9464").trim();
  const [, in6, in4, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(given) ?? [];
  const address = parseIpAddress(in6 ?? in4 ?? "");
  const port = Number(digits);
  if (address === undefined || (in6 !== undefined) !== (address.length === 16) || port < 1 || port > 65535)
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `"${printable(given)}" is no address with a port; write one such as 127.0.0.1:9464 or "[::1]:9464"`,
    );
  return { address, port };
}

function hostName(value: unknown): string {
  const given = text(value, "a name such as gw-a.example.net").trim();
  if (HOST_NAME.test(given)) return given.toLowerCase();
  throw new Refusal("CONFIG_BAD_VALUE", `"${printable(given)}" is no host name; leave port and scheme out`);
}

export function metricsSettings(
  input: z.infer<typeof metricsSchema>,
  findings: Findings,
): MetricsSettings | undefined {
  if (input === undefined) return undefined;
  const { address, port } = input.listen;
  if (!isLoopback(address))
    findings.warn(
      "CONFIG_METRICS_OPEN",
      ["gateway", "metrics"],
      `whoever reaches ${formatIpAddress(address)} can read the names and traffic of all connections, without a password and in clear; better listen on 127.0.0.1, or let a firewall allow the Prometheus server alone`,
    );
  return { address: formatIpAddress(address), port, hosts: input.hosts ?? [] };
}

function isLoopback(address: IpAddress): boolean {
  if (address.length === 4) return address[0] === 127;
  return address.every((octet, i) => octet === (i === 15 ? 1 : 0));
}
