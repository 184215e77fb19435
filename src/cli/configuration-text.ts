/** Of the status: whether the configuration file still holds what runs, and what is on trial. */
import type { ConfigurationStatus } from "../control/reload-schema.ts";
import { spanText } from "../observe/span-text.ts";

export function configurationLines(configuration: ConfigurationStatus | undefined): string[] {
  if (configuration === undefined) return [];
  const { file, loadedSecondsAgo, onDisk, text, confirmInSeconds } = configuration;
  const said = {
    same: "",
    unread: ", has changed on disk just now",
    differs: `, differs on disk: ${text ?? ""}; tungate reload takes it over`,
    broken: ", is broken on disk; what runs stays:",
  }[onDisk];
  return [
    `configuration ${file}, loaded ${spanText(loadedSecondsAgo)} ago${said}`,
    ...(onDisk === "broken" && text !== undefined ? [`  ${text}`] : []),
    ...(confirmInSeconds === undefined
      ? []
      : [
          `on trial: what ran before comes back in ${spanText(confirmInSeconds)}; tungate reload --keep keeps it, --undo goes back now`,
        ]),
  ];
}
