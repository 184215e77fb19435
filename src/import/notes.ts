/** What an import could not translate, or what means something else now, with its place. */
import { printable } from "../config/yaml-text.ts";
import type { Place, Section, Setting } from "./swanctl-text.ts";

/** Characters of a note's path and of its sentence, at most. */
const PATH_LENGTH_MAX = 200;
const MESSAGE_LENGTH_MAX = 400;

export interface ImportNote extends Place {
  /** Where it stands, `connections.gw.pools`. */
  readonly path: string;
  /** What it is about and what that means, a sentence; never holds a secret. */
  readonly message: string;
}

/** A section whose settings are taken one by one; what nobody takes is said. */
export class Taking {
  readonly section: Section;
  readonly path: string;
  readonly #notes: ImportNote[];
  readonly #taken = new Set<string>();

  constructor(section: Section, path: string, notes: ImportNote[]) {
    this.section = section;
    this.path = path;
    this.#notes = notes;
  }

  take(key: string): Setting | undefined {
    this.#taken.add(key);
    return this.section.settings.get(key);
  }

  /** The words of a list. */
  list(key: string): readonly string[] {
    const value = this.take(key)?.value;
    return value === undefined
      ? []
      : value
          .split(",")
          .map((one) => one.trim())
          .filter((one) => one !== "");
  }

  /** `undefined` where there is none, or one that is neither yes nor no, which is said. */
  yesOrNo(key: string): boolean | undefined {
    const setting = this.take(key);
    if (setting === undefined) return undefined;
    if (/^(yes|true|enabled|1)$/i.test(setting.value)) return true;
    if (/^(no|false|disabled|0)$/i.test(setting.value)) return false;
    this.note(key, "is neither yes nor no; left out");
    return undefined;
  }

  note(key: string, message: string): void {
    const { file, line } = this.section.settings.get(key) ?? this.section.sections.get(key) ?? this.section;
    this.#notes.push({
      file,
      line,
      path: printable(key === "" ? this.path : `${this.path}.${key}`, PATH_LENGTH_MAX),
      message: printable(message, MESSAGE_LENGTH_MAX),
    });
  }

  /** Sections whose name begins with `name`, for there may be several (`local-1`, `ike-paris`). */
  sections(name: string): readonly (readonly [string, Section])[] {
    const found = [...this.section.sections].filter(([one]) => one.startsWith(name));
    for (const [one] of found) this.#taken.add(one);
    return found;
  }

  /** The section that is called exactly so. */
  takeSection(name: string): Section | undefined {
    this.#taken.add(name);
    return this.section.sections.get(name);
  }

  below(name: string, section: Section): Taking {
    this.#taken.add(name);
    return new Taking(section, `${this.path}.${name}`, this.#notes);
  }

  /** Says what was not taken. @param known - what settings mean that have no counterpart here */
  rest(known: Readonly<Record<string, string>> = {}): void {
    for (const key of [...this.section.settings.keys(), ...this.section.sections.keys()]) {
      if (this.#taken.has(key)) continue;
      const message = Object.hasOwn(known, key) ? known[key]! : "is not known here; left out";
      if (message !== "") this.note(key, message);
    }
  }
}
