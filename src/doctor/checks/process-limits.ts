/** Limits and rights of the gateway's process: capabilities, open files, locked memory, core dumps; and of the container around it. */
import type { Facts, ProcessFacts } from "../facts.ts";
import { type Finding, given, notChecked, orOk, problem, warning } from "../finding.ts";

const CAPABILITIES = [
  [
    12n,
    "CAP_NET_ADMIN",
    "routes cannot be set, packets not marked, and TUN devices only used that others made",
  ],
  [13n, "CAP_NET_RAW", "raw ESP, AH and transport mode are not possible"],
] as const;
/** Sockets and queues of eight lanes, and control connections, with room. */
const FILES_MIN = 1024;

export function checkProcessLimits({
  daemon,
  machine,
  configuration,
}: Pick<Facts, "daemon" | "machine" | "configuration">): readonly Finding[] {
  const container = containerFindings(machine, configuration);
  if (daemon.kind !== "running")
    return [...container, notChecked("limits and rights are the running gateway's, and no gateway answers")];
  return given(daemon.process, (process) =>
    orOk(
      [...container, ...capabilityFindings(process, machine), ...limitFindings(process, machine)],
      "the gateway has the rights and the limits that it needs",
    ),
  );
}

function containerFindings(
  { isSysctlReadOnly, container }: Facts["machine"],
  configuration: Facts["configuration"],
): readonly Finding[] {
  if (!isSysctlReadOnly || configuration?.gateway.forwarding !== "lan") return [];
  const where = container === undefined ? "" : ` in this container (${container})`;
  return [
    problem(
      `/proc/sys is read-only${where}, so that gateway.forwarding: lan cannot switch forwarding on`,
      "set it from outside: --sysctl net.ipv4.ip_forward=1 for containers, and write gateway.forwarding: check",
    ),
  ];
}

function capabilityFindings({ capabilities }: ProcessFacts, { container }: Facts["machine"]): Finding[] {
  const advice =
    container === undefined
      ? "the unit systemd/tungate.service gives it"
      : `give it to the container (${container}): --cap-add`;
  return CAPABILITIES.filter(([bit]) => (capabilities & (1n << bit)) === 0n).map(([, name, effect]) =>
    warning(`the gateway runs without ${name}: ${effect}`, advice),
  );
}

function limitFindings({ limits, lockedOctets }: ProcessFacts, { hasSwap }: Facts["machine"]): Finding[] {
  const findings: Finding[] = [];
  if (limits.files < FILES_MIN)
    findings.push(warning(`the gateway may open ${limits.files} files`, `LimitNOFILE=65536 in the unit`));
  if (hasSwap && lockedOctets === 0)
    findings.push(
      warning(
        "keys are not locked in memory, and this machine swaps",
        "LimitMEMLOCK=64M in the unit, or ulimit -l",
      ),
    );
  if (limits.core > 0)
    findings.push(
      warning(
        "the gateway may dump core, with keys in it",
        "LimitCORE=0 in the unit; the gateway forbids it itself where it can",
      ),
    );
  return findings;
}
