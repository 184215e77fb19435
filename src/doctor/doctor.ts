/** All checks in the order in which they are shown, and what they come to. */
import { checkCertificates } from "./checks/certificates.ts";
import { checkClock } from "./checks/clock.ts";
import { checkConfiguration } from "./checks/configuration.ts";
import { checkCrypto } from "./checks/crypto.ts";
import { checkDaemon } from "./checks/daemon.ts";
import { checkDrops } from "./checks/drops.ts";
import { checkFilterForward } from "./checks/filter-forward.ts";
import { checkFilterInput } from "./checks/filter-input.ts";
import { checkForwarding } from "./checks/forwarding.ts";
import { checkKernelPolicies } from "./checks/kernel-policies.ts";
import { checkNames } from "./checks/names.ts";
import { checkOffloads } from "./checks/offloads.ts";
import { checkPathSize } from "./checks/path-size.ts";
import { checkPorts } from "./checks/ports.ts";
import { checkProcessLimits } from "./checks/process-limits.ts";
import { checkReachability } from "./checks/reachability.ts";
import { checkReversePath } from "./checks/reverse-path.ts";
import { checkRoutes } from "./checks/routes.ts";
import { checkTranslation } from "./checks/translation.ts";
import { checkTun } from "./checks/tun.ts";
import type { Facts } from "./facts.ts";
import type { Finding } from "./finding.ts";

/** Names are stable; the control API's schema has them too. */
const CHECKS = {
  configuration: checkConfiguration,
  daemon: checkDaemon,
  tun: checkTun,
  forwarding: checkForwarding,
  reversePath: checkReversePath,
  filterInput: checkFilterInput,
  filterForward: checkFilterForward,
  translation: checkTranslation,
  routes: checkRoutes,
  ports: checkPorts,
  kernelPolicies: checkKernelPolicies,
  names: checkNames,
  reachability: checkReachability,
  pathSize: checkPathSize,
  clock: checkClock,
  certificates: checkCertificates,
  offloads: checkOffloads,
  crypto: checkCrypto,
  processLimits: checkProcessLimits,
  drops: checkDrops,
} as const satisfies Readonly<Record<string, (facts: Facts) => readonly Finding[]>>;

export type CheckName = keyof typeof CHECKS;

export interface NamedFinding extends Finding {
  readonly check: CheckName;
}

export function diagnose(facts: Facts): readonly NamedFinding[] {
  return (Object.keys(CHECKS) as CheckName[]).flatMap((check) =>
    CHECKS[check](facts).map((finding) => ({ check, ...finding })),
  );
}
