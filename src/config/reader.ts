/** What the configuration loader may look at; an argument, so that loading is a function of it. */

export type FileReading =
  | {
      readonly kind: "file";
      readonly bytes: Uint8Array;
      /** Permission bits, 0o000 to 0o777. */
      readonly mode: number;
    }
  | { readonly kind: "missing" }
  | { readonly kind: "tooBig" }
  /** A directory, a device, or what the system refused; `reason` in words. */
  | { readonly kind: "unreadable"; readonly reason: string };

export interface ConfigurationReader {
  /** Reads a regular file of at most `octetsMax` octets. Never throws. */
  readFile(path: string, octetsMax: number): FileReading;
  environment(name: string): string | undefined;
  /** Milliseconds since 1970, for the validity of certificates. */
  wallClock(): number;
}
