// Both ends of a session have control streams: the mode's here, the client's in `clients/client`.
export { ControlOutput, type ControlOwner, ControlStream } from "#wire/live/control-stream.ts";
