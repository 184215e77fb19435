/** What `tungate doctor --json` prints. */
import * as z from "zod";

const finding = z.strictObject({
  check: z.enum([
    "configuration",
    "daemon",
    "tun",
    "forwarding",
    "reversePath",
    "filterInput",
    "filterForward",
    "translation",
    "routes",
    "ports",
    "kernelPolicies",
    "names",
    "reachability",
    "pathSize",
    "clock",
    "certificates",
    "offloads",
    "crypto",
    "processLimits",
    "drops",
  ]),
  /** `notChecked`: the text says why. */
  result: z.enum(["ok", "warning", "problem", "notChecked"]),
  /** Peer-supplied parts are escaped. */
  text: z.string(),
  /** What to do; always there with `warning` and `problem`. */
  advice: z.string().optional(),
});

export const doctorDocument = z.strictObject({
  configurationFile: z.string(),
  /** Findings by result. */
  counts: z.strictObject({
    ok: z.number(),
    warning: z.number(),
    problem: z.number(),
    notChecked: z.number(),
  }),
  /** At least one for each check. */
  findings: z.array(finding),
});
export type DoctorDocument = z.infer<typeof doctorDocument>;
