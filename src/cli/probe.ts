/** `tungate probe`: what a peer accepts, from IKE_SA_INIT alone. */
import { existsSync } from "node:fs";
import { contains } from "../base/address-range.ts";
import { TungateError } from "../base/errors.ts";
import { familyOf, type IpAddress, parseIpAddress } from "../base/ip-address.ts";
import { ConfigError } from "../config/config-error.ts";
import type { Configuration } from "../config/configuration.ts";
import { createFileReader } from "../config/file-reader.ts";
import { loadConfiguration } from "../config/load.ts";
import { ikeProposalsOf, presetNamed } from "../config/preset.ts";
import type { ProbeDocument } from "../control/probe-schema.ts";
import { type CapabilityOptions, interviewCapabilities } from "../ike/probe/capabilities.ts";
import { createNameResolver } from "../io/dns.ts";
import { holdInterview } from "../io/interview-socket.ts";
import { probeWords } from "../observe/probe-words.ts";
import { formatSuite } from "../policy/proposal-keyword.ts";
import type { CommandContext } from "./command-context.ts";
import { probeLines } from "./probe-text.ts";

export interface ProbeOptions {
  readonly port: number;
  readonly from?: string;
  /** Absent: the default one, where it is there and can be read. */
  readonly config?: string;
  /** A preset whose proposals are tried as well. */
  readonly preset?: string;
  readonly json: boolean;
}

class ProbeError extends TungateError {
  override readonly name = "ProbeError";
  readonly code = "PROBE_FAILED";
}

const NAT_PORT = 4500;
/** Connections of one peer whose proposals are tried. */
const CONNECTIONS_MAX = 4;

/** @returns the exit status: 0 when the peer speaks IKEv2 and takes something */
export async function probe(
  host: string,
  options: ProbeOptions,
  defaultConfiguration: string,
  context: CommandContext,
): Promise<number> {
  const preset = options.preset === undefined ? undefined : presetNamed(options.preset);
  const configuration = readConfiguration(options, defaultConfiguration, context);
  const from = options.from === undefined ? undefined : addressOf(options.from);
  const address = await resolve(host, from);
  const remote = { address, port: options.port };
  const mark = configuration?.gateway.routing.mark.value;
  const held = await holdInterview({
    interview: interviewCapabilities({
      configured: concerned(configuration, host, address),
      ...(preset === undefined ? {} : { preset: ikeProposalsOf(preset) }),
    }),
    remote,
    natPort: NAT_PORT,
    ...(from === undefined ? {} : { from }),
    ...(mark === undefined ? {} : { mark }),
  });
  const document: ProbeDocument = probeWords({
    ...held,
    host,
    remote,
    capabilities: held.value,
    ...(preset === undefined ? {} : { preset: preset.name }),
  });
  if (options.json) context.write(`${JSON.stringify(document, null, 2)}\n`);
  else context.write(`${probeLines(document).join("\n")}\n`);
  return document.answer === "ikev2" ? 0 : 1;
}

function readConfiguration(
  { config }: ProbeOptions,
  defaultFile: string,
  { environment, writeError }: CommandContext,
): Configuration | undefined {
  if (config !== undefined) return loadConfiguration(config, createFileReader(environment));
  if (!existsSync(defaultFile)) return undefined;
  try {
    return loadConfiguration(defaultFile, createFileReader(environment));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    writeError(`tungate: ${defaultFile} cannot be used, so nothing is compared with it: ${error.message}\n`);
    return undefined;
  }
}

function addressOf(text: string): IpAddress {
  const address = parseIpAddress(text);
  if (address === undefined) throw new ProbeError(`--from ${text} is no IP address`);
  return address;
}

async function resolve(host: string, from: IpAddress | undefined): Promise<IpAddress> {
  const isUsable = (address: IpAddress) => from === undefined || familyOf(address) === familyOf(from);
  const literal = parseIpAddress(host);
  const found =
    literal === undefined
      ? await createNameResolver()(host)
      : ({ kind: "addresses", addresses: [literal] } as const);
  if (found.kind === "failed") throw new ProbeError(`${host} cannot be resolved: ${found.reason}`);
  const address = found.addresses.find(isUsable);
  if (address === undefined) throw new ProbeError(`${host} has no address of the family of --from`);
  return address;
}

/** Connections whose peer this may be; those for any peer only where no other one is. */
function concerned(
  configuration: Configuration | undefined,
  host: string,
  address: IpAddress,
): CapabilityOptions["configured"] {
  const all = configuration?.connections ?? [];
  const named = all.filter(
    ({ connection, remoteNames }) =>
      remoteNames.includes(host) || connection.remote.addresses.some((range) => contains(range, address)),
  );
  const open = all.filter(
    ({ connection, remoteNames }) => remoteNames.length === 0 && connection.remote.addresses.length === 0,
  );
  const distinct = new Map(
    (named.length > 0 ? named : open).map(({ connection: { name, oneOf, ike } }) => [
      `${oneOf?.connection ?? name} ${ike.proposals.map(formatSuite).join()}`,
      { connection: oneOf?.connection ?? name, proposals: ike.proposals },
    ]),
  );
  return [...distinct.values()].slice(0, CONNECTIONS_MAX);
}
