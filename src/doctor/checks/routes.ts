/** Routes and rules: what is protected leads into the tunnels, what goes to peers does not, and nobody's rule comes first. */
import { formatPrefix } from "../../base/address-range.ts";
import { formatIpAddress } from "../../base/ip-address.ts";
import type { Facts, IpRule, ProtectedPrefix } from "../facts.ts";
import { type Finding, given, notChecked, orOk, problem, warning } from "../finding.ts";

/** The kernel's own first rule. */
const LOCAL_TABLE = "255";

export function checkRoutes({
  routing,
  daemon,
  configuration,
}: Pick<Facts, "routing" | "daemon" | "configuration">): readonly Finding[] {
  if (daemon.kind !== "running")
    return [notChecked("routes into tunnels are there while the gateway runs, and no gateway answers")];
  return given(routing, ({ prefixes, prefixesLeftOut, peers, rules }) => {
    const devices = new Set(configuration?.gateway.interfaces.map(({ name }) => name));
    const foreign = "value" in rules ? rulesBefore(rules.value) : [];
    const strays = prefixes
      .filter(({ device, found }) => found.device !== device)
      .map((prefix) => stray(prefix, foreign));
    const loops = peers
      .filter(({ marked }) => devices.has(marked.device ?? ""))
      .map(({ address, marked }) =>
        problem(
          `our own packets to the peer ${formatIpAddress(address)} are routed into ${marked.device}`,
          "another rule or route leads there; packets with the mark of gateway.routing.mark must take the host's own routes",
        ),
      );
    const homeless = peers
      .filter(({ marked }) => marked.device === undefined)
      .map(({ address }) =>
        problem(
          `this host has no route to the peer ${formatIpAddress(address)}`,
          "add one, or a default route",
        ),
      );
    const others =
      strays.length > 0
        ? []
        : foreign.map(({ priority, text, family }) =>
            warning(
              `a rule of other software comes before ours: ${priority}: ${text} (IPv${family})`,
              `packets that it takes see no tunnel; lower gateway.routing.priority below ${priority}, or remove it`,
            ),
          );
    const rest =
      prefixesLeftOut === 0 ? [] : [notChecked(`${prefixesLeftOut} more prefixes were not looked up`)];
    const found = orOk(
      [...strays, ...loops, ...homeless, ...others],
      prefixes.length === 0
        ? "no routes are asked for"
        : "what is protected is routed into the tunnels, and peers are not",
    );
    return [...found, ...rest];
  });
}

function stray({ prefix, device, found }: ProtectedPrefix, foreign: readonly IpRule[]): Finding {
  const where = found.device === undefined ? "nowhere" : `to ${found.device}`;
  const [first] = foreign;
  return problem(
    `packets to ${formatIpAddress(found.address)} (of ${formatPrefix(prefix)}) are routed ${where} instead of ${device}`,
    first === undefined
      ? "look at ip rule and at the routes of table gateway.routing.table; the gateway's log says what it could not set"
      : `rule ${first.priority}: ${first.text} comes before ours: lower gateway.routing.priority below ${first.priority}, or remove it`,
  );
}

/** Rules of others with lower numbers than ours; none where ours is missing. */
function rulesBefore(rules: readonly IpRule[]): readonly IpRule[] {
  return ([4, 6] as const).flatMap((family) => {
    const all = rules.filter((rule) => rule.family === family);
    const ours = all.filter(({ isOurs, table }) => isOurs && table !== undefined);
    const first = Math.min(...ours.map(({ priority }) => priority));
    if (!Number.isFinite(first)) return [];
    return all.filter(
      ({ priority, isOurs, table }) =>
        !isOurs && priority < first && table !== LOCAL_TABLE && table !== "local",
    );
  });
}
