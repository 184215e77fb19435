/** Who does ESP's cryptography, and whether the processor helps. */
import type { Facts } from "../facts.ts";
import { type Finding, orOk, warning } from "../finding.ts";

export function checkCrypto({
  crypto,
  daemon,
  machine,
}: Pick<Facts, "crypto" | "daemon" | "machine">): readonly Finding[] {
  const engine = daemon.kind === "running" ? daemon.status.engine : crypto.name;
  const isX64 = machine.architecture === "x64";
  const findings: Finding[] = [];
  if (crypto.problem !== undefined) findings.push(warning(crypto.problem, "scripts/setup builds what fits"));
  else if (isX64 && !engine.includes("libipsec-mb"))
    findings.push(
      warning(
        `ESP is done by ${engine}; libipsec-mb does small packets several times as fast`,
        "apt-get install libipsec-mb-dev, then scripts/setup",
      ),
    );
  if (isX64 && machine.processorFlags.length > 0 && !machine.processorFlags.includes("aes"))
    findings.push(
      warning(
        "the processor has no AES instructions, or the hypervisor hides them",
        "pass the host's processor into the virtual machine (cpu host), or use chacha20poly1305",
      ),
    );
  return orOk(findings, `ESP is done by ${engine}`);
}
