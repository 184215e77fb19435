/** The TUN driver and the devices: there, ours, with several queues and superpackets. */
import type { Facts } from "../facts.ts";
import { type Finding, orOk, problem, warning } from "../finding.ts";

/** linux/if_tun.h */
const IFF_TUN = 0x1;
const IFF_MULTI_QUEUE = 0x100;
const IFF_VNET_HDR = 0x4000;
/** The first kernel that leaves the segmentation of UDP to a TUN device. */
const USO_SINCE = [6, 2] as const;

const FAILURES: Readonly<Record<string, readonly [text: string, advice: string]>> = {
  ENOENT: ["there is no /dev/net/tun", "modprobe tun, or pass the device into the container"],
  ENODEV: ["the kernel has no TUN driver", "modprobe tun, on the host of the container if this is one"],
  ENXIO: ["the kernel has no TUN driver", "modprobe tun, on the host of the container if this is one"],
  EACCES: ["this user may not open /dev/net/tun", "chmod 0666 /dev/net/tun, or run doctor as root"],
  EPERM: [
    "a sandbox forbids /dev/net/tun",
    "allow the device: --device /dev/net/tun for containers, DeviceAllow= in a unit",
  ],
};

export function checkTun({ tun }: Pick<Facts, "tun">): readonly Finding[] {
  const { failure, devices, kernel } = tun;
  if (failure !== undefined) {
    const [text, advice] = FAILURES[failure] ?? [
      `/dev/net/tun cannot be opened: ${failure}`,
      "look at dmesg",
    ];
    return [problem(text, advice)];
  }
  const findings = devices.flatMap(({ name, flags, isOther }): Finding[] => {
    if (isOther === true || (flags !== undefined && (flags & IFF_TUN) === 0))
      return [
        problem(
          `${name} is an interface, but no TUN device`,
          `write another name to gateway.tun.name, or delete it: ip link delete ${name}`,
        ),
      ];
    if (flags === undefined) return [];
    if ((flags & IFF_MULTI_QUEUE) === 0)
      return [
        warning(
          `${name} was made with one queue, so that there is one lane`,
          `ip link delete ${name}, and let the gateway or tungate-routes prepare make it`,
        ),
      ];
    if ((flags & IFF_VNET_HDR) === 0)
      return [
        warning(
          `${name} takes no superpackets, which costs most of the speed`,
          `ip link delete ${name}, and let the gateway or tungate-routes prepare make it`,
        ),
      ];
    return [];
  });
  const hasUso = isSince(kernel, USO_SINCE);
  return orOk(
    findings,
    `/dev/net/tun can be opened${hasUso ? "" : `; this kernel (${kernel}) cuts UDP itself, Linux 6.2 and later need not`}`,
  );
}

function isSince(kernel: string, [major, minor]: readonly [number, number]): boolean {
  const [, first, second] = /^(\d+)\.(\d+)/.exec(kernel) ?? [];
  return Number(first) > major || (Number(first) === major && Number(second) >= minor);
}
