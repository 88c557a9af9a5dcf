import { spawn } from "node:child_process";
import { join } from "node:path";
import { loadMoqBinding } from "#edge/webtransport/moq-binding.ts";
import { WebTransportUnavailableError } from "#edge/webtransport/webtransport-listener.ts";
import { type Postern, readyPostern, startPostern } from "./postern.ts";

// The native part of @moq/web-transport needs a newer C library than some systems have. NEWER_ROOT names a folder with a
// newer system (debootstrap makes one), in which this checkout and the folder for temporary files are mounted where they
// are here:
//   debootstrap --variant=minbase --include=libstdc++6 trixie ROOT
//   mount --bind CHECKOUT ROOT/CHECKOUT; mount --bind TMPDIR ROOT/TMPDIR; mount --bind /proc ROOT/proc; mount --bind /dev ROOT/dev
const { NEWER_ROOT: root } = process.env;

/** Whether a daemon can be started that has the native library. */
export function hasNativeWebTransport(): boolean {
  if (root !== undefined) return true;
  try {
    loadMoqBinding();
    return true;
  } catch (error) {
    if (error instanceof WebTransportUnavailableError) return false;
    throw error;
  }
}

/** As `startPostern`, in the newer system if one is named. */
export function startWithNativeWebTransport(args: readonly string[]): Promise<Postern> {
  if (root === undefined) return startPostern(args);
  const main = join(import.meta.dirname, "../../cli/main.ts");
  const serve = ["serve", "--port", "0", "--ops-listen", "off", "--persist-db", "memory"];
  return readyPostern(spawn("chroot", [root, process.execPath, main, ...serve, ...args]));
}
