/** What doctor found on one screen: problems first, what is well in one line. */
import type { DoctorDocument } from "../control/doctor-schema.ts";
import { printable } from "./terminal.ts";

const NAMES: Readonly<Record<DoctorDocument["findings"][number]["check"], string>> = {
  configuration: "configuration",
  daemon: "gateway",
  tun: "TUN",
  forwarding: "forwarding",
  reversePath: "reverse path",
  filterInput: "filter (to us)",
  filterForward: "filter (forward)",
  translation: "NAT rules",
  routes: "routes",
  ports: "ports",
  kernelPolicies: "kernel IPsec",
  names: "names",
  reachability: "peers answer",
  pathSize: "sizes",
  clock: "clock",
  certificates: "certificates",
  offloads: "offloads",
  crypto: "cryptography",
  processLimits: "process",
  drops: "drops",
};
const HEADS = { problem: "PROBLEM", warning: "warning", notChecked: "not checked", ok: "ok" } as const;

/** @param isWhole - also what is well, line by line */
export function doctorLines({ findings, counts }: DoctorDocument, isWhole: boolean): string[] {
  const width = Math.max(...Object.values(NAMES).map(({ length }) => length));
  const lines = (["problem", "warning", "notChecked", "ok"] as const).flatMap((result) => {
    const some = findings.filter((one) => one.result === result);
    if (result === "ok" && !isWhole) return [];
    return some.flatMap(({ check, text, advice }) => [
      `${HEADS[result].padEnd(11)}  ${NAMES[check].padEnd(width)}  ${text}`,
      ...(advice === undefined ? [] : [`${" ".repeat(width + 15)}-> ${advice}`]),
    ]);
  });
  const well = [
    ...new Set(findings.filter(({ result }) => result === "ok").map(({ check }) => NAMES[check])),
  ];
  if (!isWhole && well.length > 0) lines.push(`ok           ${well.join(", ")}`);
  const { problem, warning } = counts;
  const sum = [counted(problem, "problem"), counted(warning, "warning")].join(", ");
  return [...lines, "", problem + warning === 0 ? "nothing is wrong that doctor can see" : sum].map(
    printable,
  );
}

function counted(count: number, word: string): string {
  return `${count} ${word}${count === 1 ? "" : "s"}`;
}
