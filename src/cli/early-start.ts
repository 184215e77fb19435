/** What `tungate run` does before anything else is loaded: lanes carry packets again where a process before this one left some. */
import { type TakeOver, takeOver } from "../daemon/take-over.ts";
import { forbidDumps } from "../io/native-process.ts";
import { connectServiceManager, type ServiceManager } from "../io/sd-notify.ts";
import { dismissWaitingLanes } from "../io/waiting-lanes.ts";

export interface EarlyStart {
  readonly service: ServiceManager;
  readonly before: TakeOver;
}

/**
 * @param environment - takes out what is meant for this process alone
 * @throws {IoError} when the addon, or a descriptor that the environment names, is not there
 */
export function startEarly(environment: NodeJS.ProcessEnv): EarlyStart {
  const service = connectServiceManager(environment, process.pid);
  // Keys of the process before are about to be in this one.
  if (service.store.given.size > 0) forbidDumps();
  const before = takeOver(service.store);
  dismissWaitingLanes();
  return { service, before };
}
