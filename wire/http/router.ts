import { type HeaderList, Reply } from "./reply.ts";
import type { RelayRequest } from "./request.ts";

/** A request that found its route. */
export interface Match {
  /** The route as it is written in the documentation, `/inbox/{id}`: the only form that reaches a metric or a log. */
  readonly route: string;
  respond(): Promise<Response>;
}

/** A part of the daemon that serves some paths: undefined for a path that is not its own. */
export type Routes = (request: RelayRequest) => Match | undefined;

/** 404 and 405 of the original relay: no body, no content type. */
export function emptyReply(status: number, headers: HeaderList = []): Reply {
  return new Reply(status, headers);
}
