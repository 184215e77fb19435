/** The JSON Schema as a second witness of what is a configuration. */
import { Ajv } from "ajv";
import { parse } from "yaml";
import { configurationJsonSchema } from "../../../src/config/json-schema.ts";

const validate = new Ajv({
  allErrors: true,
  allowUnionTypes: true,
  strict: true,
  strictRequired: false,
  strictTypes: false,
}).compile(configurationJsonSchema());

/** What an editor would underline; empty: nothing. */
export function schemaProblems(text: string): readonly string[] {
  if (validate(parse(text))) return [];
  return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}
