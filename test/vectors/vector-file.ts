/** Reads the vector files of this folder, and those beside the checkout where there are any. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const SHARED = join(import.meta.dirname, "../../../shared/vectors");

/** The cases of a file of this folder; never none. */
export function loadCases<Case>(name: string): readonly Case[] {
  const { cases } = JSON.parse(readFileSync(join(import.meta.dirname, name), "utf8")) as { cases: Case[] };
  if (cases.length === 0) throw new Error(`${name} holds no cases`);
  return cases;
}

/** For `skipIf`: whether the collections beside the checkout are there. */
export const sharedAreAbsent = !existsSync(SHARED);

export function sharedText(path: string): string {
  return readFileSync(join(SHARED, path), "utf8");
}

export function sharedJson<Content>(path: string): Content {
  return JSON.parse(sharedText(path)) as Content;
}
