/** Whether a file is still the one that was read, without reading it. */
import { statSync } from "node:fs";
import { systemCode } from "../io/io-error.ts";

/** Text that differs once the file was written, replaced, taken away, or put out of reach. */
export function fileMark(path: string): string {
  try {
    const { ino, size, mtimeMs, ctimeMs } = statSync(path);
    return `${ino}:${size}:${mtimeMs}:${ctimeMs}`;
  } catch (error) {
    return systemCode(error) ?? "unknown error";
  }
}
