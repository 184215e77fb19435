/** The running gateway: whether it answers on its socket, who may open that, what it advises, and what is not up. */
import { sysctlName } from "../../daemon/forwarding.ts";
import type { Facts } from "../facts.ts";
import { type Finding, notChecked, ok, problem, warning } from "../finding.ts";

const WRITABLE_BY_OTHERS = 0o002;

export function checkDaemon({
  daemon,
  controlPath,
  controlModes,
  switches,
}: Pick<Facts, "daemon" | "controlPath" | "controlModes" | "switches">): readonly Finding[] {
  const modes = modeFindings(controlPath, controlModes);
  switch (daemon.kind) {
    case "notRunning":
      return [...modes, notChecked(`no gateway answers on ${controlPath}, so what it knows is missing here`)];
    case "unusable":
      return [...modes, problem(daemon.reason, "doctor goes on without what the running gateway knows")];
    case "running":
      return [...modes, ...connectionFindings(daemon.status), ...adviceFindings(daemon.status, switches)];
    default:
      return daemon satisfies never;
  }
}

function modeFindings(path: string, { socket, directory }: Facts["controlModes"]): readonly Finding[] {
  const isSticky = ((directory ?? 0) & 0o1000) !== 0;
  const findings: Finding[] = [];
  if (socket !== undefined && (socket & WRITABLE_BY_OTHERS) !== 0)
    findings.push(problem(`anybody on this machine can command the gateway by ${path}`, `chmod o-w ${path}`));
  if (socket !== undefined && directory !== undefined && (directory & WRITABLE_BY_OTHERS) !== 0 && !isSticky)
    findings.push(
      problem(
        `anybody can replace ${path} by a socket of their own`,
        "chmod o-w the directory that it is in",
      ),
    );
  return findings;
}

type Status = Extract<Facts["daemon"], { kind: "running" }>["status"];

function connectionFindings({ connections }: Status): readonly Finding[] {
  const failing = connections.filter(({ state, failure }) => state === "waiting" && failure !== undefined);
  if (failing.length === 0) return [ok("the gateway runs, and nothing that it tries fails")];
  return failing.map(({ name, failure }) =>
    problem(
      `${name}: ${failure!.lines[0]}`,
      `${failure!.lines.slice(1).join("; ") || "tungate status says more"} (${failure!.code} in docs/troubleshooting.md)`,
    ),
  );
}

/** What other checks say already is left out: forwarding, libipsec-mb, warnings of the configuration. */
function adviceFindings({ advice }: Status, switches: Facts["switches"]): readonly Finding[] {
  const paths = "value" in switches ? switches.value.map(({ one }) => sysctlName(one.path)) : [];
  const isKnown = (sentence: string) =>
    paths.some((setting) => sentence.includes(`${setting}=`)) ||
    sentence.includes("ESP is done by") ||
    /:\d+: /.test(sentence) ||
    sentence.includes("cannot be resolved");
  return advice
    .filter((sentence) => !isKnown(sentence))
    .map((sentence) => warning(sentence, "the running gateway says so; see tungate status"));
}
