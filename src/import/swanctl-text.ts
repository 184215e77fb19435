/** swanctl.conf's notation: sections, settings, references, includes and comments, each with its place (swanctl.conf(5)). */
import { TungateError } from "../base/errors.ts";
import { printable } from "../config/yaml-text.ts";

const FILE_SHOWN_MAX = 200;
const MESSAGE_LENGTH_MAX = 600;

/** Octets of one file, files in all, and how deep includes, sections and references may go. */
const FILE_LENGTH_MAX = 1024 * 1024;
const FILES_MAX = 64;
const INCLUDE_DEPTH_MAX = 10;
const SECTION_DEPTH_MAX = 16;
const REFERENCES_DEPTH_MAX = 16;
/** Settings and sections in all, those that references repeat included. */
const SETTINGS_MAX = 100_000;

export interface Place {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

export interface Setting extends Place {
  readonly value: string;
}

export interface Section extends Place {
  readonly settings: ReadonlyMap<string, Setting>;
  readonly sections: ReadonlyMap<string, Section>;
}

export interface SwanctlText {
  readonly root: Section;
  /** Sections at the top that others refer to. */
  readonly templates: ReadonlySet<string>;
}

/** The file is none, or asks for too much. */
export class SwanctlError extends TungateError {
  override readonly name = "SwanctlError";
  readonly code = "IMPORT_SYNTAX";

  constructor({ file, line }: Place, message: string) {
    super(`${printable(file, FILE_SHOWN_MAX)}:${line}: ${printable(message, MESSAGE_LENGTH_MAX)}`);
  }
}

/** What the parser may look at; an argument, so that it is a function of it. */
export interface SwanctlFiles {
  /** Text of a file, or why there is none; relative to nothing. */
  read(path: string): { readonly text: string } | { readonly reason: string };
  /** Files that a pattern with `*`, `?` and `[...]` names below the folder of `from`, in order; a path without them names itself. */
  find(pattern: string, from: string): readonly string[];
}

interface Growing extends Place {
  readonly settings: Map<string, Setting>;
  readonly sections: Map<string, Growing>;
  readonly references: { readonly path: string; readonly place: Place }[];
}

/**
 * Reads a file and what it includes.
 * @throws {@link SwanctlError} with file and line
 */
export function readSwanctl(file: string, files: SwanctlFiles): SwanctlText {
  const root: Growing = newSection({ file, line: 1 });
  new Reading(files).file(file, root, { file, line: 1 }, 0);
  return { root: new Resolving(root).resolve(), templates: referred(root) };
}

/** Names at the top that references begin with. */
function referred(section: Growing): ReadonlySet<string> {
  const own = section.references.map(({ path }) => path.split(".", 1)[0]!);
  return new Set([...own, ...[...section.sections.values()].flatMap((one) => [...referred(one)])]);
}

function newSection({ file, line }: Place): Growing {
  return { file, line, settings: new Map(), sections: new Map(), references: [] };
}

class Reading {
  readonly #files: SwanctlFiles;
  #count = 0;

  constructor(files: SwanctlFiles) {
    this.#files = files;
  }

  file(path: string, into: Growing, from: Place, depth: number): void {
    if (++this.#count > FILES_MAX) throw new SwanctlError(from, `includes more than ${FILES_MAX} files`);
    if (depth > INCLUDE_DEPTH_MAX)
      throw new SwanctlError(
        from,
        `includes are nested more than ${INCLUDE_DEPTH_MAX} deep; does a file include itself?`,
      );
    const read = this.#files.read(path);
    if ("reason" in read) throw new SwanctlError(from, `${path} cannot be read: ${read.reason}`);
    if (read.text.length > FILE_LENGTH_MAX)
      throw new SwanctlError(
        from,
        `${path} has more than ${FILE_LENGTH_MAX} characters; is it a configuration at all?`,
      );
    const include = (pattern: string, section: Growing, place: Place) => {
      for (const found of this.#files.find(pattern, path)) this.file(found, section, place, depth + 1);
    };
    new FileReading(path, read.text, include).sections(into);
  }
}

const SPACE = /[ \t\r]/;
const NAME_END = /[\s#{}=:,"]/;

class FileReading {
  readonly #file: string;
  readonly #text: string;
  readonly #include: (pattern: string, into: Growing, place: Place) => void;
  #at = 0;
  #line = 1;

  constructor(file: string, text: string, include: (pattern: string, into: Growing, place: Place) => void) {
    this.#file = file;
    this.#text = text.startsWith("\ufeff") ? text.slice(1) : text;
    this.#include = include;
  }

  sections(root: Growing): void {
    const open: Growing[] = [root];
    for (;;) {
      this.#skip(true);
      const place = this.#place();
      const into = open.at(-1)!;
      if (this.#at >= this.#text.length) {
        if (open.length > 1) throw new SwanctlError(into, "this section is not closed; a } is missing");
        return;
      }
      if (this.#text[this.#at] === "}") {
        if (open.length === 1) throw new SwanctlError(place, "closes a section that was not opened");
        open.pop();
        this.#at++;
        continue;
      }
      const name = this.#name();
      if (name === "include" && SPACE.test(this.#text[this.#at] ?? "") && this.#peekAfterSpace() !== "=") {
        this.#include(this.#value(), into, place);
        continue;
      }
      this.#statement(name, into, place, open);
    }
  }

  #statement(name: string, into: Growing, place: Place, open: Growing[]): void {
    this.#skip(false);
    const sign = this.#text[this.#at];
    if (sign === "=") {
      this.#at++;
      into.settings.set(name, { ...place, value: this.#value() });
      return;
    }
    const references = sign === ":" ? this.#references() : [];
    this.#skip(true);
    if (this.#text[this.#at] !== "{")
      throw new SwanctlError(place, `behind "${printable(name)}" stands neither = nor {`);
    this.#at++;
    if (open.length > SECTION_DEPTH_MAX)
      throw new SwanctlError(place, `sections are nested more than ${SECTION_DEPTH_MAX} deep`);
    const section = into.sections.get(name) ?? newSection(place);
    section.references.push(...references);
    into.sections.set(name, section);
    open.push(section);
  }

  #references(): Growing["references"] {
    const found: Growing["references"] = [];
    do {
      this.#at++;
      this.#skip(true);
      const place = this.#place();
      found.push({ path: this.#name(), place });
      this.#skip(true);
    } while (this.#text[this.#at] === ",");
    return found;
  }

  #name(): string {
    const start = this.#at;
    while (this.#at < this.#text.length && !NAME_END.test(this.#text[this.#at]!)) this.#at++;
    if (this.#at > start) return this.#text.slice(start, this.#at);
    throw new SwanctlError(
      this.#place(),
      `"${printable(this.#text[this.#at] ?? "")}" stands where a name is expected`,
    );
  }

  /** Up to the end of the line, a comment or a brace; quoted parts may hold all of them. */
  #value(): string {
    let value = "";
    /** Length up to the last thing that is no blank. */
    let kept = 0;
    this.#skip(false);
    for (; this.#at < this.#text.length; this.#at++) {
      const sign = this.#text[this.#at]!;
      if (sign === "\n" || sign === "#" || sign === "}" || sign === "{") break;
      if (sign === '"') {
        value += this.#quoted();
        kept = value.length;
        continue;
      }
      value += sign;
      if (!SPACE.test(sign)) kept = value.length;
    }
    return value.slice(0, kept);
  }

  /** Leaves the closing quote as the place. */
  #quoted(): string {
    const start = this.#place();
    let value = "";
    for (this.#at++; this.#at < this.#text.length; this.#at++) {
      const sign = this.#text[this.#at]!;
      if (sign === '"') return value;
      if (sign === "\n") this.#line++;
      if (sign !== "\\") {
        value += sign;
        continue;
      }
      const escaped = this.#text[++this.#at] ?? "";
      if (escaped === "\n") this.#line++;
      value += { n: "\n", r: "\r", t: "\t", "\n": "" }[escaped] ?? escaped;
    }
    throw new SwanctlError(start, 'this text is not closed; a " is missing');
  }

  /** Blanks, and with `lines` line ends and comments. */
  #skip(lines: boolean): void {
    for (; this.#at < this.#text.length; this.#at++) {
      const sign = this.#text[this.#at]!;
      if (SPACE.test(sign)) continue;
      if (!lines) return;
      if (sign === "\n") this.#line++;
      else if (sign === "#") {
        while (this.#at + 1 < this.#text.length && this.#text[this.#at + 1] !== "\n") this.#at++;
      } else return;
    }
  }

  #peekAfterSpace(): string | undefined {
    let at = this.#at;
    while (SPACE.test(this.#text[at] ?? "")) at++;
    return this.#text[at];
  }

  #place(): Place {
    return { file: this.#file, line: this.#line };
  }
}

/** Replaces references by what they name: its settings and sections stand below the section's own. */
class Resolving {
  readonly #root: Growing;
  #count = 0;

  constructor(root: Growing) {
    this.#root = root;
  }

  resolve(): Section {
    return this.#of(this.#root, 0);
  }

  #of(section: Growing, depth: number): Section {
    const settings = new Map<string, Setting>();
    const sections = new Map<string, Growing[]>();
    this.#collect(section, settings, sections, depth);
    const below = new Map<string, Section>();
    for (const [name, layers] of sections) {
      const merged = newSection(layers.at(-1)!);
      for (const layer of layers) {
        for (const [key, value] of layer.settings) merged.settings.set(key, value);
        merged.references.push(...layer.references);
        for (const [key, one] of layer.sections) {
          const known = merged.sections.get(key);
          merged.sections.set(key, known === undefined ? one : layered(known, one));
        }
      }
      below.set(name, this.#of(merged, depth + 1));
    }
    for (const [key, { value }] of settings) if (value === "") settings.delete(key);
    return { file: section.file, line: section.line, settings, sections: below };
  }

  #collect(
    section: Growing,
    settings: Map<string, Setting>,
    sections: Map<string, Growing[]>,
    depth: number,
  ): void {
    this.#count += 1 + section.settings.size;
    if (this.#count > SETTINGS_MAX)
      throw new SwanctlError(section, `has more than ${SETTINGS_MAX} settings, those of references included`);
    // The first of several references wins, and the section's own word over all of them.
    for (const { path, place } of [...section.references].reverse()) {
      if (depth > REFERENCES_DEPTH_MAX)
        throw new SwanctlError(
          place,
          `references are nested more than ${REFERENCES_DEPTH_MAX} deep; do they lead in a circle?`,
        );
      this.#collect(this.#named(path, place), settings, sections, depth + 1);
    }
    for (const [key, setting] of section.settings) settings.set(key, setting);
    for (const [name, one] of section.sections) sections.set(name, [...(sections.get(name) ?? []), one]);
  }

  #named(path: string, place: Place): Growing {
    let found: Growing | undefined = this.#root;
    for (const part of path.split(".")) found = found?.sections.get(part);
    if (found === undefined)
      throw new SwanctlError(place, `there is no section ${printable(path)} to refer to`);
    return found;
  }
}

function layered(lower: Growing, upper: Growing): Growing {
  const merged = newSection(upper);
  for (const one of [lower, upper]) {
    for (const [key, value] of one.settings) merged.settings.set(key, value);
    merged.references.push(...one.references);
    for (const [key, section] of one.sections) {
      const known = merged.sections.get(key);
      merged.sections.set(key, known === undefined ? section : layered(known, section));
    }
  }
  return merged;
}
