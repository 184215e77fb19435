/** Building blocks of the schema: checks of single values that refuse in words, and mappings that know their keys. */
import * as z from "zod";
import { TungateError } from "../base/errors.ts";
import { nearestWord } from "../base/nearest-word.ts";
import type { ConfigProblemCode } from "./config-error.ts";
import { printable } from "./yaml-text.ts";

/** Thrown by a check; becomes a problem at the place of the value. */
export class Refusal extends TungateError {
  override readonly name = "Refusal";
  readonly code: ConfigProblemCode;

  constructor(code: ConfigProblemCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** The words of schemas made of {@link choice}, for whoever describes them. */
const WORDS = new WeakMap<object, readonly string[]>();

/** The words that a value is one of, where it is. */
export function wordsOf(schema: object): readonly string[] | undefined {
  return WORDS.get(schema);
}

/** A value that `check` turns into what it means; `undefined` reaches it only when the key is missing. */
export function leaf<T>(check: (value: unknown) => T): z.ZodType<T> {
  const words = WORDS.get(check);
  const schema = z.unknown().transform((value, context) => {
    try {
      return check(value);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      context.issues.push({
        code: "custom",
        input: value,
        message: error.message,
        params: { code: error.code },
      });
      return z.NEVER;
    }
  });
  if (words !== undefined) WORDS.set(schema, words);
  return schema;
}

/** Keys that a mapping does not have, and what to say about them. */
export interface OtherKeys {
  /** What a later version brings; the sentence goes behind "is not supported yet". */
  readonly later?: Readonly<Record<string, string>>;
  /** What other products call it, and what it is called here. */
  readonly elsewhere?: Readonly<Record<string, string>>;
}

/** Stands in front of the sentences about unknown keys; one line per key. */
const KEY_LINE = /^(CONFIG_[A-Z_]+) (.*)$/;

/** A mapping with exactly these keys. */
export function mapping<Shape extends z.core.$ZodLooseShape>(shape: Shape, others: OtherKeys = {}) {
  return z.strictObject(shape, {
    error: (issue) => {
      if (issue.code === "unrecognized_keys")
        return (issue["keys"] as string[])
          .map((key) => unknownKey(key, Object.keys(shape), others))
          .join("\n");
      const code = issue.input === undefined ? "CONFIG_MISSING_KEY" : "CONFIG_WRONG_TYPE";
      return `${code} ${expectedMapping(issue.input, Object.keys(shape))}`;
    },
  });
}

function unknownKey(key: string, known: readonly string[], others: OtherKeys): string {
  const shown = `"${printable(key)}"`;
  if (others.later !== undefined && Object.hasOwn(others.later, key)) {
    const more = others.later[key]!;
    return `CONFIG_NOT_SUPPORTED ${shown} is not supported yet${more === "" ? "; leave it out" : `; ${more}`}`;
  }
  if (others.elsewhere !== undefined && Object.hasOwn(others.elsewhere, key))
    return `CONFIG_UNKNOWN_KEY unknown key ${shown}; here it is called ${others.elsewhere[key]}`;
  const nearest = nearestWord(key, known);
  if (nearest !== undefined) return `CONFIG_UNKNOWN_KEY unknown key ${shown}; did you mean "${nearest}"?`;
  return `CONFIG_UNKNOWN_KEY unknown key ${shown}; known here: ${known.join(", ")}`;
}

function expectedMapping(input: unknown, keys: readonly string[]): string {
  const some = keys.slice(0, 3).join(", ");
  if (input === undefined) return `is missing; it is a mapping with keys such as ${some}`;
  if (input === null) return `is empty; put keys such as ${some} below it, or leave it out`;
  return `has to be a mapping with keys such as ${some}, not ${kindOf(input)}`;
}

/** One finding of zod in our terms: which keys of the value at `path`, and what about each. */
export interface SchemaFinding {
  readonly path: readonly PropertyKey[];
  /** The key itself is meant, not its value. */
  readonly isKey: boolean;
  readonly code: ConfigProblemCode;
  readonly message: string;
}

/** Reads what {@link leaf} and {@link mapping} have put into zod's issues. */
export function findingsOf(issues: readonly z.core.$ZodIssue[]): SchemaFinding[] {
  return issues.flatMap((issue): SchemaFinding[] => {
    const at = issue.path;
    if (issue.code === "custom")
      return [
        { path: at, isKey: false, code: issue.params?.["code"] as ConfigProblemCode, message: issue.message },
      ];
    const lines = issue.message.split("\n").map((line) => KEY_LINE.exec(line));
    if (issue.code === "unrecognized_keys")
      return issue.keys.map((key, i) => ({
        path: [...at, key],
        isKey: true,
        code: lines[i]![1] as ConfigProblemCode,
        message: lines[i]![2]!,
      }));
    return [{ path: at, isKey: false, code: lines[0]![1] as ConfigProblemCode, message: lines[0]![2]! }];
  });
}

/** What a value is, for messages; never the value itself. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  if (typeof value === "string") return "text";
  return typeof value === "boolean" ? "true or false" : "a number";
}

/** Longest text of a value; proposals, identities and paths are shorter. */
const TEXT_LENGTH_MAX = 1024;

/**
 * The text itself.
 * @param what - "an address", for messages
 */
export function text(value: unknown, what: string): string {
  if (value === undefined) throw new Refusal("CONFIG_MISSING_KEY", `is missing; give ${what}`);
  if (value === null) throw new Refusal("CONFIG_WRONG_TYPE", `is empty; give ${what}`);
  if (typeof value === "number" || typeof value === "boolean")
    throw new Refusal(
      "CONFIG_QUOTE_IT",
      `has to be ${what}, and YAML reads ${String(value)} as ${kindOf(value)}; quote it: "${String(value)}"`,
    );
  if (typeof value !== "string")
    throw new Refusal("CONFIG_WRONG_TYPE", `has to be ${what}, not ${kindOf(value)}`);
  if (value.trim() === "") throw new Refusal("CONFIG_BAD_VALUE", `is empty; give ${what}`);
  if (value.length > TEXT_LENGTH_MAX)
    throw new Refusal("CONFIG_BAD_VALUE", `is longer than ${TEXT_LENGTH_MAX} characters`);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(value))
    throw new Refusal("CONFIG_BAD_VALUE", "holds a control character or a line break; write it on one line");
  return value;
}

/** A whole number within bounds. */
export function integer(value: unknown, what: string, least: number, most: number): number {
  if (value === undefined) throw new Refusal("CONFIG_MISSING_KEY", `is missing; give ${what}`);
  const isNumber = typeof value === "number" && Number.isInteger(value);
  if (!isNumber)
    throw new Refusal("CONFIG_WRONG_TYPE", `has to be ${what}, a whole number, not ${shown(value)}`);
  if (value < least || value > most)
    throw new Refusal("CONFIG_BAD_VALUE", `${value} is out of range; give ${what}, from ${least} to ${most}`);
  return value;
}

/** One of a few words. `later` holds words that a later version knows. */
export function choice<const Word extends string>(
  words: readonly Word[],
  later: Readonly<Record<string, string>> = {},
): (value: unknown) => Word {
  const check = (value: unknown): Word => {
    const list = words.join(", ");
    const given = text(value, `one of ${list}`);
    const word = words.find((one) => one === given);
    if (word !== undefined) return word;
    if (Object.hasOwn(later, given))
      throw new Refusal("CONFIG_NOT_SUPPORTED", `${given} is not supported yet; ${later[given]}`);
    const nearest = nearestWord(given, words);
    const hint = nearest === undefined ? `choose one of ${list}` : `did you mean "${nearest}"?`;
    throw new Refusal("CONFIG_BAD_VALUE", `"${printable(given)}" is not known; ${hint}`);
  };
  WORDS.set(check, words);
  return check;
}

/** The given text or number, short, for messages about values that are no secrets. */
export function shown(value: unknown): string {
  if (typeof value === "string") return `"${printable(value)}"`;
  return typeof value === "number" ? String(value) : kindOf(value);
}

/** A list; a single value stands for a list of one. */
export function listOf<T>(item: z.ZodType<T>, what: string, most: number, least = 1) {
  const list = z
    .array(item, { error: () => `CONFIG_MISSING_KEY is missing; give ${what}, or a list` })
    .min(least, { error: () => `CONFIG_BAD_VALUE is an empty list; give ${what}, or leave the key out` })
    .max(most, { error: () => `CONFIG_BAD_VALUE has more than ${most} entries` });
  return z.preprocess((value) => (Array.isArray(value) || value === undefined ? value : [value]), list);
}

export function yesOrNo(value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw new Refusal("CONFIG_WRONG_TYPE", `${shown(value)} has to be true or false`);
}
