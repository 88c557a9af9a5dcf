import { readFileSync } from "node:fs";

export interface BuildInfo {
  readonly name: string;
  readonly version: string;
  readonly node: string;
}

export function buildInfo(): BuildInfo {
  const { name, version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  return { name, version, node: process.versions.node };
}
