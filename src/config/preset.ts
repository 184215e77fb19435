/** Presets: what a kind of peer wants, as data files of the package, below what the operator writes. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import * as z from "zod";
import { nearestWord } from "../base/nearest-word.ts";
import { DEFAULT_IKE_PROPOSALS, parseProposal } from "../policy/proposal-keyword.ts";
import type { ProposalSuite } from "../policy/proposal-suite.ts";
import { findingsOf, kindOf, leaf, listOf, mapping, Refusal, text } from "./leaf.ts";
import { printable, readYaml } from "./yaml-text.ts";

export const PRESET_NAMES = [
  "aws",
  "azure",
  "gcp",
  "cisco-ios",
  "cisco-asa",
  "fortigate",
  "paloalto",
  "mikrotik",
  "cloudflare",
  "strongswan",
  "libreswan",
] as const;
type PresetName = (typeof PRESET_NAMES)[number];

type Mapping = Readonly<Record<string, unknown>>;

export interface Preset {
  readonly name: PresetName;
  readonly title: string;
  /** When the sources were read, `2026-11-20`. */
  readonly date: string;
  readonly sources: readonly string[];
  /** What is peculiar about the peer, a sentence each. */
  readonly peculiar: readonly string[];
  /** Defaults in the notation of a connection; `children` only counts for a connection without any of its own. */
  readonly connection: Mapping;
  /** Defaults of each child. */
  readonly child: Mapping;
}

const LINE_LENGTH_MAX = 400;
const LINES_MAX = 32;

/** In the sources as well as when built, `presets/` lies beside both. */
function presetPath(name: PresetName): string {
  return fileURLToPath(new URL(`../../presets/${name}.yaml`, import.meta.url));
}

const sentence = leaf((value) => {
  const given = text(value, "a sentence");
  if (given.length <= LINE_LENGTH_MAX) return given;
  throw new Refusal("CONFIG_BAD_VALUE", `is longer than ${LINE_LENGTH_MAX} characters`);
});
const settings = leaf((value): Mapping => {
  if (isMapping(value)) return value;
  throw new Refusal("CONFIG_WRONG_TYPE", `has to be a mapping, not ${kindOf(value)}`);
});
const schema = mapping({
  title: sentence,
  date: leaf((value) => {
    const given = text(value, "a date");
    if (/^\d{4}-\d\d-\d\d$/.test(given)) return given;
    throw new Refusal("CONFIG_BAD_VALUE", "is no date such as 2026-11-20");
  }),
  sources: listOf(sentence, "where it is from", LINES_MAX),
  peculiar: listOf(sentence, "what is peculiar", LINES_MAX),
  connection: z.optional(settings),
  child: z.optional(settings),
});

const known = new Map<PresetName, Preset>();

/**
 * The preset of a `preset:` key.
 * @throws {@link Refusal} for a name that there is not, and for a data file that is missing or damaged
 */
export function presetNamed(value: unknown): Preset {
  const given = text(value, `one of ${PRESET_NAMES.join(", ")}`);
  const name = PRESET_NAMES.find((one) => one === given);
  if (name === undefined) {
    const nearest = nearestWord(given, PRESET_NAMES);
    const hint =
      nearest === undefined ? `there are ${PRESET_NAMES.join(", ")}` : `did you mean "${nearest}"?`;
    throw new Refusal("CONFIG_BAD_VALUE", `there is no preset "${printable(given)}"; ${hint}`);
  }
  const before = known.get(name);
  if (before !== undefined) return before;
  const read = readPreset(name);
  known.set(name, read);
  return read;
}

/** What a connection with this preset offers for IKE, unless it says otherwise itself. */
export function ikeProposalsOf({ connection }: Preset): readonly ProposalSuite[] {
  const ike = connection["ike"];
  const written = isMapping(ike) ? ike["proposals"] : undefined;
  return Array.isArray(written)
    ? written.map((one) => parseProposal(text(one, "a proposal"), "ike"))
    : DEFAULT_IKE_PROPOSALS;
}

function readPreset(name: PresetName): Preset {
  const path = presetPath(name);
  let content: string;
  try {
    content = readFileSync(path, "utf8");
  } catch {
    throw new Refusal(
      "CONFIG_FILE_MISSING",
      `${path}, which belongs to this program, cannot be read; install it again`,
    );
  }
  const { value, problems } = readYaml(content);
  const parsed = schema.safeParse(value);
  const [first] = problems.length > 0 || parsed.success ? problems : findingsOf(parsed.error.issues);
  if (first !== undefined || !parsed.success)
    throw new Refusal(
      "CONFIG_BAD_VALUE",
      `${path}, which belongs to this program, is damaged: ${first?.message}`,
    );
  const { connection = {}, child = {}, ...about } = parsed.data;
  return { name, ...about, connection, child };
}

export function isMapping(value: unknown): value is Mapping {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
