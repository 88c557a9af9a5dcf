import type { IetfDraft } from "../version.ts";

/**
 * In what the drafts of moq-transport differ, where it is more than a name. Codecs and sessions ask this table, never the
 * draft's number.
 */
export interface Draft {
  readonly number: IetfDraft;
  /** Integers tell their length by leading ones; earlier ones are QUIC's. */
  readonly onesVarint: boolean;
  /** Integers of seven bytes are allowed. */
  readonly sevenBytes: boolean;
  /** Versions stand in SETUP; later they are chosen before. */
  readonly versionsInSetup: boolean;
  /** Each request has a stream of its own; earlier all share the control stream, and answers name the request. */
  readonly requestStreams: boolean;
  /** SUBSCRIBE_NAMESPACE has a stream of its own, on which NAMESPACE answers; earlier PUBLISH_NAMESPACE does. */
  readonly namespaceStreams: boolean;
  /** A zero stands behind each request id. */
  readonly requiredDelta: boolean;
  /** Fixed fields where later drafts have parameters, and a type of its own for each answer. */
  readonly fixedFields: boolean;
  /** Types of parameters are told as differences. */
  readonly deltaTypes: boolean;
  /** The value of a message parameter has the form its type says; earlier odd types have bytes and even ones integers. */
  readonly typedParameters: boolean;
  /** Announcements are withdrawn and refused by request id; earlier by namespace. */
  readonly namespaceIds: boolean;
  /** SUBSCRIBE_NAMESPACE: its type, and whether it has an options field. */
  readonly subscribeNamespaceType: 0x11 | 0x50;
  readonly subscribeNamespaceOptions: boolean;
  /** An error says when to come back. */
  readonly retryInterval: boolean;
  /** Track properties end SUBSCRIBE_OK; TIMESCALE among them makes timestamps readable. We write them from 17 on. */
  readonly trackProperties: "none" | "read" | "written";
  /** A filter is up to four integers; earlier a type and what belongs to it. */
  readonly filterFields: boolean;
  /** The end of a range is told as a difference from its start. */
  readonly endDelta: boolean;
  /** Bit 0x40 of a subgroup's type says that its first object is the group's first. */
  readonly firstObjectBit: boolean;
  /** How objects are written on a fetch stream. */
  readonly fetchObjects: "full" | "flags" | "deltas";
  /** FETCH names a track and a filter alone. */
  readonly fetchFilter: boolean;
  /** HOP_PATH may be agreed on. */
  readonly hopPath: boolean;
}

const draft14: Draft = {
  number: 14,
  onesVarint: false,
  sevenBytes: false,
  versionsInSetup: true,
  requestStreams: false,
  namespaceStreams: false,
  requiredDelta: false,
  fixedFields: true,
  deltaTypes: false,
  typedParameters: false,
  namespaceIds: false,
  subscribeNamespaceType: 0x11,
  subscribeNamespaceOptions: false,
  retryInterval: false,
  trackProperties: "none",
  filterFields: false,
  endDelta: false,
  firstObjectBit: false,
  fetchObjects: "full",
  fetchFilter: false,
  hopPath: false,
};

const draft15: Draft = {
  ...draft14,
  number: 15,
  versionsInSetup: false,
  fixedFields: false,
  fetchObjects: "flags",
};

const draft16: Draft = {
  ...draft15,
  number: 16,
  namespaceStreams: true,
  deltaTypes: true,
  namespaceIds: true,
  subscribeNamespaceOptions: true,
  retryInterval: true,
  trackProperties: "read",
};

const draft17: Draft = {
  ...draft16,
  number: 17,
  onesVarint: true,
  requestStreams: true,
  requiredDelta: true,
  typedParameters: true,
  trackProperties: "written",
  endDelta: true,
  hopPath: true,
};

const draft18: Draft = {
  ...draft17,
  number: 18,
  sevenBytes: true,
  requiredDelta: false,
  subscribeNamespaceType: 0x50,
  subscribeNamespaceOptions: false,
  firstObjectBit: true,
  fetchObjects: "deltas",
};

const draft19: Draft = { ...draft18, number: 19 };

const draft20: Draft = { ...draft19, number: 20, filterFields: true, fetchFilter: true };

const drafts: Record<IetfDraft, Draft> = {
  14: draft14,
  15: draft15,
  16: draft16,
  17: draft17,
  18: draft18,
  19: draft19,
  20: draft20,
};

export const draftOf = (version: IetfDraft): Draft => drafts[version];

/** All of them, oldest first. */
export const allDrafts: readonly Draft[] = Object.values(drafts);
