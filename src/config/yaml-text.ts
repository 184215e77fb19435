/** YAML 1.2 text as plain values that remember where they stood. */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
  type YAMLMap,
} from "yaml";
import type { ConfigProblemCode } from "./config-error.ts";

/** Deepest nesting; the configuration itself needs eight levels. */
const DEPTH_MAX = 32;
/** Values in one file, those that aliases repeat included: a hundred for each of 10,000 connections. */
export const VALUES_MAX = 1_000_000;
/** Syntax errors that are reported; what follows the first few is mostly their echo. */
const SYNTAX_PROBLEMS_MAX = 10;
/** Syntax errors that are looked at for that. */
const SYNTAX_ERRORS_SEEN_MAX = 200;

export type Path = readonly PropertyKey[];

interface TextPlace {
  readonly line: number;
  readonly column: number;
}

interface TextProblem extends TextPlace {
  readonly code: ConfigProblemCode;
  readonly path: string;
  readonly message: string;
}

export interface YamlText {
  /** Maps are objects without prototype; not to be used when a problem is `CONFIG_SYNTAX`. */
  readonly value: unknown;
  readonly problems: readonly TextProblem[];
  /** Of the value at `path`; of its key when it has no value; of the nearest thing around it when it is not there. */
  valuePlace(path: Path): TextPlace;
  keyPlace(path: Path): TextPlace;
  /** `path` without the index that a single value in place of a list has. */
  realPath(path: Path): Path;
}

/** Characters of a key in a path, at most; names have fewer. */
const KEY_SHOWN_MAX = 100;

/** `connections.paris.local[0]`, without characters that could command a terminal. */
export function formatPath(path: Path): string {
  let text = "";
  for (const part of path) {
    const shown = printable(String(part), KEY_SHOWN_MAX);
    if (typeof part === "number") text += `[${part}]`;
    else text += text === "" ? shown : `.${shown}`;
  }
  return text;
}

/** Reads one YAML document. Never throws; what is wrong is in `problems`. */
export function readYaml(text: string): YamlText {
  const lines = new LineCounter();
  const placeAt = (offset: number): TextPlace => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const nothing = {
    value: undefined,
    valuePlace: () => placeAt(0),
    keyPlace: () => placeAt(0),
    realPath: (path: Path) => path,
  };
  let root: Node | null;
  let problems: TextProblem[];
  try {
    const document = parseDocument(text, {
      version: "1.2",
      lineCounter: lines,
      prettyErrors: false,
      // The parser compares each key with each other one; the reader below does not.
      uniqueKeys: false,
      strict: true,
      logLevel: "error",
    });
    root = document.contents;
    problems = [...document.errors, ...document.warnings].map((error) => ({
      ...placeAt(error.pos[0]),
      code: "CONFIG_SYNTAX",
      path: "",
      message: syntaxMessage(error.code, error.message),
    }));
  } catch (error) {
    // The parser recurses: nesting far beyond the limit ends its stack.
    const reason = error instanceof RangeError ? "it is nested too deeply" : "the parser gave up on it";
    const problem = {
      line: 1,
      column: 1,
      code: "CONFIG_SYNTAX",
      path: "",
      message: `this is no YAML: ${reason}`,
    } as const;
    return { ...nothing, problems: [problem] };
  }
  if (problems.length > 0) return { ...nothing, problems: withoutEchoes(problems) };
  const reader = new NodeReader(placeAt);
  const value = reader.read(root, [], 0);
  const find = (path: Path) => findNode(root, path);
  return {
    value,
    problems: reader.problems,
    valuePlace: (path) => placeAt(find(path).valueOffset),
    keyPlace: (path) => placeAt(find(path).keyOffset),
    realPath: (path) => path.filter((part, i) => typeof part !== "number" || find(path.slice(0, i)).isList),
  };
}

/** The first few, each place once: the parser reports what follows from a mistake too. */
function withoutEchoes(problems: readonly TextProblem[]): TextProblem[] {
  const isFirst = (one: TextProblem, i: number) =>
    problems.findIndex(({ line, column }) => line === one.line && column === one.column) === i;
  return problems.slice(0, SYNTAX_ERRORS_SEEN_MAX).filter(isFirst).slice(0, SYNTAX_PROBLEMS_MAX);
}

function syntaxMessage(code: string, message: string): string {
  switch (code) {
    case "TAB_AS_INDENT":
      return "a tab stands where YAML wants spaces; indent with spaces";
    case "MULTIPLE_DOCS":
      return 'a second document begins here ("---"); a configuration is one document';
    case "RESOURCE_EXHAUSTION":
      return "this is nested too deeply";
    case "BAD_INDENT":
    case "BAD_ALIAS":
    case "MISSING_CHAR":
    case "BLOCK_AS_IMPLICIT_KEY":
      return `this is no valid YAML: ${firstLine(message)}; check indentation, quotes and brackets around here`;
    default:
      return `this is no valid YAML: ${firstLine(message)}`;
  }
}

// The parser quotes pieces of the file, which may be a key: only its own words are kept.
function firstLine(message: string): string {
  return message
    .split("\n")[0]!
    .replace(/(["'`]).*\1/, "...")
    .slice(0, 160);
}

class NodeReader {
  readonly problems: TextProblem[] = [];
  readonly #placeAt: (offset: number) => TextPlace;
  readonly #anchors = new Map<string, Node>();
  #values = 0;

  constructor(placeAt: (offset: number) => TextPlace) {
    this.#placeAt = placeAt;
  }

  read(node: Node | null | undefined, path: Path, depth: number): unknown {
    if (node === null || node === undefined) return null;
    if (++this.#values > VALUES_MAX) {
      if (this.#values === VALUES_MAX + 1)
        this.#refuse(
          node,
          path,
          `the file holds more than ${VALUES_MAX} values; split it or look for aliases that multiply`,
        );
      return undefined;
    }
    if (depth > DEPTH_MAX) return this.#refuse(node, path, `nested more than ${DEPTH_MAX} levels deep`);
    if (isAlias(node)) {
      const source = this.#anchors.get(node.source);
      // An anchor that is still open would contain itself.
      if (source === undefined)
        return this.#refuse(node, path, `*${printable(node.source)} names no anchor above it`);
      return this.read(source, path, depth + 1);
    }
    const value = this.#readPlain(node, path, depth);
    if (node.anchor !== undefined) this.#anchors.set(node.anchor, node);
    return value;
  }

  #readPlain(node: Node, path: Path, depth: number): unknown {
    if (isScalar(node)) return node.value;
    if (isSeq(node))
      return node.items.map((item, i) => this.read(item as Node | null, [...path, i], depth + 1));
    if (!isMap(node)) return this.#refuse(node, path, "this kind of YAML value is not used here");
    const object = Object.create(null) as Record<string, unknown>;
    for (const pair of node.items) {
      const key = this.#readKey(pair, path);
      if (key === undefined) continue;
      if (Object.hasOwn(object, key))
        this.#refuse(
          pair.key as Node,
          [...path, key],
          "this key stands here a second time; keep one of them",
        );
      object[key] = this.read(pair.value as Node | null, [...path, key], depth + 1);
    }
    return object;
  }

  #readKey(pair: Pair, path: Path): string | undefined {
    const node = pair.key as Node | null;
    const key = isScalar(node) ? node.value : undefined;
    if (typeof key === "string") return key;
    const isPlain = typeof key === "number" || typeof key === "boolean" || key === null;
    const written = isScalar(node) && node.source !== undefined ? node.source : "";
    const message = isPlain
      ? `the key ${printable(written)} is no text; quote it: "${printable(written)}"`
      : "a key has to be a word";
    this.problems.push({
      ...this.#placeAt(node?.range?.[0] ?? 0),
      code: "CONFIG_QUOTE_IT",
      path: formatPath(path),
      message,
    });
    return undefined;
  }

  #refuse(node: Node, path: Path, message: string): undefined {
    const place = this.#placeAt(node.range?.[0] ?? 0);
    this.problems.push({ ...place, code: "CONFIG_SYNTAX", path: formatPath(path), message });
    return undefined;
  }
}

/** Text of the file for a message: short and without control characters. */
export function printable(text: string, most = 60): string {
  const short = text.length > most ? `${text.slice(0, most - 3)}...` : text;
  return short.replace(/[^\x20-\x7e\u00a1-\u1fff]/g, "?");
}

interface Found {
  readonly keyOffset: number;
  readonly valueOffset: number;
  readonly isList: boolean;
}

const pairsByKey = new WeakMap<YAMLMap, ReadonlyMap<unknown, Pair>>();

/** Places of a file with many problems are looked up often. */
function pairsOf(map: YAMLMap): ReadonlyMap<unknown, Pair> {
  let pairs = pairsByKey.get(map);
  if (pairs === undefined) {
    pairs = new Map(map.items.map((pair: Pair) => [isScalar(pair.key) ? pair.key.value : pair, pair]));
    pairsByKey.set(map, pairs);
  }
  return pairs;
}

function findNode(root: Node | null, path: Path): Found {
  let node: Node | null | undefined = root;
  const start = root?.range?.[0] ?? 0;
  let found: Found = { keyOffset: start, valueOffset: start, isList: isSeq(root) };
  for (const part of path) {
    if (isSeq(node) && typeof part === "number") {
      const item = node.items[part] as Node | null | undefined;
      const offset = item?.range?.[0] ?? found.valueOffset;
      found = { keyOffset: offset, valueOffset: offset, isList: isSeq(item) };
      node = item;
    } else if (isMap(node)) {
      const pair = pairsOf(node).get(part);
      if (pair === undefined) return { ...found, valueOffset: found.keyOffset, isList: false };
      const keyOffset = (pair.key as Node).range?.[0] ?? found.keyOffset;
      const value = pair.value as Node | null;
      const isEmpty = value === null || (isScalar(value) && value.value === null);
      found = {
        keyOffset,
        valueOffset: isEmpty ? keyOffset : (value.range?.[0] ?? keyOffset),
        isList: isSeq(value),
      };
      node = value;
    } else return { ...found, isList: false };
  }
  return found;
}
