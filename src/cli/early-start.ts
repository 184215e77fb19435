/** What `tungate run` does before anything else is loaded: lanes carry packets again where a process before this one left some. */
import { type TakeOver, takeOver } from "../daemon/take-over.ts";
import { connectServiceManager, type ServiceManager } from "../io/sd-notify.ts";

export interface EarlyStart {
  readonly service: ServiceManager;
  readonly before: TakeOver;
}

/** @param environment - takes out what is meant for this process alone */
export function startEarly(environment: NodeJS.ProcessEnv): EarlyStart {
  const service = connectServiceManager(environment, process.pid);
  return { service, before: takeOver(service.store) };
}
