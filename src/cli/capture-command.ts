/** What may be said behind `tungate capture`. */
import { type Command, InvalidArgumentError, Option } from "commander";
import { parseIpAddress } from "../base/ip-address.ts";
import { CAPTURE_OCTETS_MAX, CAPTURE_SECONDS_MAX, SNAP_MAX, SNAP_MIN } from "../control/capture-schema.ts";
import type { CaptureOptions } from "./capture.ts";
import type { CommandContext } from "./command-context.ts";

/** @param control - the option that names the daemon's socket */
export function addCapture(
  program: Command,
  context: CommandContext,
  control: Option,
  setStatus: (status: number) => void,
): void {
  program
    .command("capture")
    .description(
      "write what passes for Wireshark: outer and inner packets, IKE in clear, and why packets are dropped",
    )
    .requiredOption(
      "-w, --write <file>",
      "pcapng; - is the standard output, for a pipe into wireshark -k -i -",
    )
    .option("--connection <name>", "of this connection only")
    .option("--host <address>", "to and from this address only, inner or outer", parseHost)
    .option("--seconds <number>", "end after this time", parseUpTo(CAPTURE_SECONDS_MAX))
    .option("--octets-max <number>", "end before the file is longer", parseUpTo(CAPTURE_OCTETS_MAX))
    .addOption(
      new Option("--snap <octets>", "keep so much of each packet")
        .argParser(parseUpTo(SNAP_MAX, SNAP_MIN))
        .default(SNAP_MAX),
    )
    .option(
      "--keys <directory>",
      "make a Wireshark profile there with the keys of the SAs; needs gateway.control.allow_key_export",
    )
    .addOption(control)
    .action(async (options: CaptureOptions) => {
      const { capture } = await import("./capture.ts");
      setStatus(await capture(options, context));
    });
}

function parseHost(text: string): string {
  if (parseIpAddress(text) === undefined) throw new InvalidArgumentError("It is an IPv4 or IPv6 address.");
  return text;
}

function parseUpTo(most: number, least = 1): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === "" || !Number.isInteger(value) || value < least || value > most)
      throw new InvalidArgumentError(`It is a whole number from ${least} to ${most}.`);
    return value;
  };
}
