/** The kernel's own IPsec: policies that catch what belongs into our tunnels, or our outer packets. */
import { type AddressRange, intersectRange, prefixRange } from "../../base/address-range.ts";
import { childrenToRoute } from "../../daemon/planned-routes.ts";
import type { Facts, KernelPolicy } from "../facts.ts";
import { type Finding, given, notChecked, ok, orOk, problem } from "../finding.ts";

export function checkKernelPolicies({
  kernelPolicies,
  configuration,
}: Pick<Facts, "kernelPolicies" | "configuration">): readonly Finding[] {
  return given(kernelPolicies, (policies) => {
    if (policies.length === 0) return [ok("the kernel has no IPsec policies")];
    if (configuration === undefined) return [notChecked("the configuration cannot be used")];
    const pairs = childrenToRoute(configuration).flatMap(({ policy, selectors }) =>
      selectors.local.flatMap((local) =>
        selectors.remote.map((remote) => ({ policy, local: local.addresses, remote: remote.addresses })),
      ),
    );
    const findings = policies.flatMap((one): Finding[] => {
      const caught = pairs.find(({ local, remote }) =>
        one.direction === "out" ? covers(one, local, remote) : covers(one, remote, local),
      );
      if (caught === undefined) return [];
      return [
        problem(
          `${caught.policy}: the kernel's own IPsec has a policy for the same packets (${one.text})`,
          "stop the daemon that made it (strongSwan, Libreswan, racoon), or remove it: ip xfrm policy flush",
        ),
      ];
    });
    return orOk(findings, "the kernel's IPsec policies are for other packets");
  });
}

function covers({ source, destination }: KernelPolicy, from: AddressRange, to: AddressRange): boolean {
  return (
    intersectRange(prefixRange(source), from) !== undefined &&
    intersectRange(prefixRange(destination), to) !== undefined
  );
}
