/** `tungate doctor`: what on this host and on the way to the peers keeps tunnels from working. */
import type { DoctorDocument } from "../control/doctor-schema.ts";
import { diagnose } from "../doctor/doctor.ts";
import { gatherFacts } from "../doctor/gather/gather.ts";
import type { CommandContext } from "./command-context.ts";
import { doctorLines } from "./doctor-text.ts";

export interface DoctorOptions {
  readonly config: string;
  /** Absent: as the configuration says. */
  readonly control?: string;
  readonly json: boolean;
  readonly verbose: boolean;
  /** Peers may be asked. */
  readonly ask: boolean;
}

/** @returns the exit status: 1 when there is a problem */
export async function doctor(
  { config, control, json, verbose, ask }: DoctorOptions,
  defaultControlPath: string,
  { environment, write }: CommandContext,
): Promise<number> {
  const facts = await gatherFacts({
    file: config,
    ...(control === undefined ? {} : { controlPath: control }),
    defaultControlPath,
    environment,
    asksPeers: ask,
  });
  const findings = diagnose(facts);
  const count = (result: DoctorDocument["findings"][number]["result"]) =>
    findings.filter((one) => one.result === result).length;
  const document: DoctorDocument = {
    configurationFile: config,
    counts: {
      ok: count("ok"),
      warning: count("warning"),
      problem: count("problem"),
      notChecked: count("notChecked"),
    },
    findings: [...findings],
  };
  write(json ? `${JSON.stringify(document, null, 2)}\n` : `${doctorLines(document, verbose).join("\n")}\n`);
  return document.counts.problem === 0 ? 0 : 1;
}
