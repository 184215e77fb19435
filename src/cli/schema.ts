/** `tungate schema`: the configuration as JSON Schema, for editors. */
import { configurationJsonSchema } from "../config/json-schema.ts";

export function schemaText(): string {
  return `${JSON.stringify(configurationJsonSchema(), null, 2)}\n`;
}
